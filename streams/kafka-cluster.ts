/**
 * Requests to the brokers of a cluster: which broker leads a partition or coordinates a transaction, and how errors are
 * to be taken. Over the connections of @platformatic/kafka, as kafkajs gives neither fetches without a group nor the
 * transactions of KIP-890.
 */
import { setTimeout as pause } from 'node:timers/promises';
import {
  type API,
  ConnectionPool,
  FindCoordinatorKeyTypes,
  findCoordinatorV6,
  metadataV12,
  protocolErrorsCodesById,
} from '@platformatic/kafka';
import { IflexError } from './errors.ts';
import type { TopicPartition } from './event-log.ts';
import { brokerOf, type KafkaSettings } from './kafka-settings.ts';
import { TRANSACTION_TIMEOUT_MS } from './limits.ts';

export interface BrokerAddress {
  host: string;
  port: number;
}

/** A partition's leader by its node id, and what is asked of it. */
export type ByLeader<T> = Map<number, T[]>;

const CONNECT_WITHIN_MS = 5_000;
const REQUEST_WITHIN_MS = 30_000;
/** Of requests on one connection at a time; further ones wait in the client. */
const MAX_REQUESTS = 32;
const FIRST_PAUSE_MS = 2;
const LONGEST_PAUSE_MS = 500;

/** Errors after which the same request may succeed by itself, or once leaders are looked up anew. */
const PASSING = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
  'REQUEST_TIMED_OUT',
  'BROKER_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'NETWORK_EXCEPTION',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'NOT_CONTROLLER',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'KAFKA_STORAGE_ERROR',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'UNSTABLE_OFFSET_COMMIT',
  'OFFSET_NOT_AVAILABLE',
  'CONCURRENT_TRANSACTIONS',
  // Fewer brokers are there than there should be copies: one that just started, or was busy for too long, counts again soon.
  'INVALID_REPLICATION_FACTOR',
]);

const TOO_LARGE = '`iflex topics apply` sets max.message.bytes of its topic; segment.bytes must not be less than that.';
const OF_TOPICS = "Compare the brokers' settings and topics (`iflex topics apply`).";
const OF_VERSIONS = 'README.md names the versions of Kafka that can be used.';

/** What no further attempt cures, as it is about what is asked; and what to do then. */
const REFUSALS: Readonly<Record<string, string>> = {
  MESSAGE_TOO_LARGE: TOO_LARGE,
  RECORD_LIST_TOO_LARGE: TOO_LARGE,
  INVALID_RECORD: OF_TOPICS,
  INVALID_CONFIG: OF_TOPICS,
  INVALID_REQUEST: OF_VERSIONS,
  INVALID_TOPIC_EXCEPTION: OF_TOPICS,
  INVALID_TIMESTAMP: OF_TOPICS,
  POLICY_VIOLATION: OF_TOPICS,
  UNSUPPORTED_VERSION: OF_VERSIONS,
  UNSUPPORTED_COMPRESSION_TYPE: 'Set another KAFKA_COMPRESSION.',
  INVALID_TRANSACTION_TIMEOUT: `Set transaction.max.timeout.ms of the brokers to ${TRANSACTION_TIMEOUT_MS} at least.`,
  INCONSISTENT_GROUP_PROTOCOL: 'All processes of a namespace run the same version.',
};

/** A broker's answer that names an error. */
export class BrokerError extends Error {
  /** As in the protocol, such as NOT_LEADER_OR_FOLLOWER. */
  readonly id: string;
  constructor(code: number, what: string) {
    const id = (protocolErrorsCodesById as Record<number, string>)[code] ?? `error ${code}`;
    super(`Kafka answers ${id} to ${what}.`);
    this.id = id;
  }
}

/** The id of the first error of the protocol in what was thrown; undefined where there is none. */
export function brokerErrorOf(error: unknown): string | undefined {
  if (error instanceof BrokerError) return error.id;
  const { errors = [], apiId } = error as { errors?: unknown[]; apiId?: string };
  if (apiId !== undefined) return apiId;
  for (const each of errors) {
    const id = each instanceof Error ? brokerErrorOf(each) : undefined;
    if (id !== undefined) return id;
  }
  return undefined;
}

/** TLS and certificates, as Node's errors call them; SASL, as the client does. */
const NOT_TRUSTED = /^(UNABLE_TO_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_|ERR_SSL_|PLT_KFK_AUTHENTICATION$)/;

/** What no further attempt cures: one side does not believe who the other is. Undefined where it is something else. */
function distrustOf(error: unknown): string | undefined {
  for (let each = error; each instanceof Error; each = each.cause) {
    // What OpenSSL says is in the reason; the message has places of its source code around it.
    const { code, reason = each.message } = each as { code?: unknown; reason?: string };
    if (NOT_TRUSTED.test(String(code))) return reason.replace(/\.$/, '');
  }
  return undefined;
}

/** Whether the request never reached a broker, or its answer never us. */
export function isNetworkError(error: unknown): boolean {
  if (distrustOf(error) !== undefined) return false;
  const { code, errors = [], cause } = error as { code?: string; errors?: unknown[]; cause?: unknown };
  if (code === 'PLT_KFK_NETWORK' || code === 'PLT_KFK_TIMEOUT') return true;
  if (typeof code === 'string' && /^(ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN)/.test(code)) return true;
  return errors.some(isNetworkError) || (cause instanceof Error && isNetworkError(cause));
}

export function isPassing(error: unknown): boolean {
  return isNetworkError(error) || PASSING.has(brokerErrorOf(error) ?? '');
}

export class KafkaCluster {
  private readonly settings: KafkaSettings;
  private readonly clientId: string;
  private readonly pools = new Map<string, ConnectionPool>();
  private readonly brokers = new Map<number, BrokerAddress>();
  private readonly everFound = new Set<number>();
  private readonly leaders = new Map<string, number[]>();
  private readonly topicIds = new Map<string, string>();
  private readonly awaitsTopics: boolean;
  private readonly requestWithinMs: number;
  private closed = false;

  /** `awaitsTopics`: a topic that a broker does not know is asked for again, as one that was just made; else it is gone. */
  constructor(settings: KafkaSettings, clientId: string, { awaitsTopics = true, requestWithinMs = REQUEST_WITHIN_MS } = {}) {
    this.settings = settings;
    this.clientId = clientId;
    this.awaitsTopics = awaitsTopics;
    this.requestWithinMs = requestWithinMs;
  }

  get compression(): KafkaSettings['compression'] {
    return this.settings.compression;
  }

  /** Connections for one use, as a broker answers the requests of a connection one after the other. */
  private pool(use: string): ConnectionPool {
    let pool = this.pools.get(use);
    if (!pool) {
      const { tls, sasl } = this.settings;
      const limits = { connectTimeout: CONNECT_WITHIN_MS, requestTimeout: this.requestWithinMs, maxInflights: MAX_REQUESTS };
      pool = new ConnectionPool(this.clientId, { ...limits, ...(tls && { tls }), ...(sasl && { sasl }) });
      // A connection may say a second time that it failed, as when its socket ends after it was not let in; whom nobody hears
      // then ends the process. Requests fail by themselves.
      pool.on('connecting', ({ connection }) => void connection.on('error', () => {}));
      this.pools.set(use, pool);
    }
    return pool;
  }

  async send<A extends unknown[], R>(use: string, broker: BrokerAddress, api: API<A, R>, ...given: A): Promise<R> {
    if (this.closed) throw new IflexError('KAFKA_UNREACHABLE', 'The log is closed.');
    return api.async(await this.pool(use).get(broker), ...given);
  }

  /** To any broker that answers, those of the settings last. */
  async sendToAny<A extends unknown[], R>(api: API<A, R>, ...given: A): Promise<R> {
    const known = [...this.brokers.values(), ...this.settings.brokers.map(brokerOf)];
    let failure: unknown;
    for (const broker of known) {
      try {
        return await this.send('any', broker, api, ...given);
      } catch (error) {
        if (!isNetworkError(error)) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  async sendToNode<A extends unknown[], R>(use: string, node: number, api: API<A, R>, ...given: A): Promise<R> {
    const broker = this.brokers.get(node);
    if (!broker) throw new BrokerError(8, `a request to broker ${node}`);
    return this.send(use, broker, api, ...given);
  }

  /** Looks up brokers and leaders. Throws where a topic is not there, or a partition of it has no leader now. */
  async refresh(topics: readonly string[]): Promise<void> {
    const found = await this.sendToAny(metadataV12.api, [...topics], false, false);
    // One that is gone would be asked again and again, and its address may be another's by now.
    this.brokers.clear();
    for (const { nodeId, host, port } of found.brokers) {
      this.brokers.set(nodeId, { host, port });
      this.everFound.add(nodeId);
    }
    for (const { name, errorCode, partitions, topicId } of found.topics) {
      if (errorCode !== 0) throw new BrokerError(errorCode, `a question about ${name}`);
      const leaders: number[] = [];
      for (const each of partitions) {
        if (each.leaderId < 0) throw new BrokerError(5, `a question about ${name}/${each.partitionIndex}`);
        leaders[each.partitionIndex] = each.leaderId;
      }
      this.leaders.set(name!, leaders);
      this.topicIds.set(name!, topicId);
    }
  }

  /** Partitions of a topic that was looked up. */
  partitionCount(topic: string): number {
    return this.leaders.get(topic)?.length ?? 0;
  }

  /** Of a topic that was looked up: one that is made anew under the same name has another. */
  topicId(topic: string): string {
    return this.topicIds.get(topic)!;
  }

  /** Brokers that were found so far, also those that are away: of these nobody knows which transactions they have under way. */
  nodes(): number[] {
    return [...this.everFound];
  }

  forget(topics: Iterable<string>): void {
    for (const topic of topics) this.leaders.delete(topic);
  }

  /** Items by the broker that leads their partition. */
  async byLeader<T extends TopicPartition>(items: readonly T[]): Promise<ByLeader<T>> {
    const missing = new Set(items.map(({ topic }) => topic).filter((topic) => !this.leaders.has(topic)));
    if (missing.size > 0) await this.refresh([...missing]);
    const byLeader: ByLeader<T> = new Map();
    for (const item of items) {
      const leader = this.leaders.get(item.topic)?.[item.partition];
      if (leader === undefined) throw new BrokerError(3, `a request for ${item.topic}/${item.partition}`);
      const list = byLeader.get(leader);
      if (list) list.push(item);
      else byLeader.set(leader, [item]);
    }
    return byLeader;
  }

  async coordinatorOf(transactionalId: string): Promise<BrokerAddress> {
    const { coordinators } = await this.sendToAny(findCoordinatorV6.api, FindCoordinatorKeyTypes.TRANSACTION, [transactionalId]);
    const { host, port } = coordinators[0];
    return { host, port };
  }

  /**
   * Does work that may be repeated until it succeeds, or fails in a way that does not pass by itself, or the time is
   * over. `topics` are looked up anew before each repetition.
   */
  async untilDone<T>(work: () => Promise<T>, { topics = [], withinMs }: { topics?: Iterable<string>; withinMs: number }): Promise<T> {
    const started = performance.now();
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)) {
      try {
        return await work();
      } catch (error) {
        if (!this.passes(error) || this.closed || performance.now() - started > withinMs) throw kafkaError(error);
        this.forget(topics);
        await pause(pauseMs);
      }
    }
  }

  private passes(error: unknown): boolean {
    return isPassing(error) && (this.awaitsTopics || brokerErrorOf(error) !== 'UNKNOWN_TOPIC_OR_PARTITION');
  }

  /** Closes all connections, whose requests fail as where the network broke; the next ones are sent over new ones. */
  async disconnect(): Promise<void> {
    const pools = [...this.pools.values()];
    this.pools.clear();
    await Promise.all(pools.map((pool) => pool.close()));
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.disconnect();
  }
}

/** Gives what a broker or the network did a documented code; other errors stay as they are. */
export function kafkaError(error: unknown): unknown {
  if (error instanceof IflexError || !(error instanceof Error)) return error;
  const distrust = distrustOf(error);
  if (distrust !== undefined)
    return new IflexError(
      'CONFIG_INVALID',
      `Kafka and this process do not trust each other: ${distrust}. Check KAFKA_TLS and its files, KAFKA_SASL_MECHANISM, KAFKA_USERNAME and KAFKA_PASSWORD.`,
      {},
      error,
    );
  const id = brokerErrorOf(error);
  if (id === undefined && !isNetworkError(error)) return error;
  if (id !== undefined && id in REFUSALS)
    return new IflexError('CONFIG_INVALID', `Kafka refuses what is asked, and would again: ${id}. ${REFUSALS[id]}`, {}, error);
  if (id !== undefined && /AUTHORIZATION|SASL|AUTHENTICATION/.test(id))
    return new IflexError('CONFIG_INVALID', `Kafka does not allow it: ${id}. Check the user's rights and KAFKA_USERNAME.`, {}, error);
  return new IflexError('KAFKA_UNREACHABLE', `Kafka does not answer as it should: ${id ?? error.message.replace(/\.$/, '')}.`, {}, error);
}
