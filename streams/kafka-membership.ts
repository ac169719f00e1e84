/**
 * Members of a group of Kafka's coordinator share the tasks of a namespace. They fetch and commit nothing through the
 * group: it only says who is there and who runs what. The leader of each generation shares the tasks out (membership.ts);
 * members go on with theirs meanwhile.
 */
import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import {
  type API,
  FindCoordinatorKeyTypes,
  findCoordinatorV6,
  heartbeatV4,
  joinGroupV9,
  leaveGroupV5,
  syncGroupV5,
} from '@platformatic/kafka';
import { IflexError } from './errors.ts';
import { type BrokerAddress, brokerErrorOf, isPassing, KafkaCluster, kafkaError } from './kafka-cluster.ts';
import type { KafkaSettings } from './kafka-settings.ts';
import { MEMBER_HEARTBEAT_MS, MEMBER_SESSION_MS } from './limits.ts';
import { ALL_PARTITIONS, type Claim, type Crew, type Membership, shareOut } from './membership.ts';
import { Patience } from './retry.ts';

/** Not that of consumers, whose tools would take our bytes for theirs. */
const PROTOCOL_TYPE = 'iflex-tasks';
/** The form of claims and shares, which are JSON; members of different forms do not get into one group. */
const PROTOCOL = 'held-first.1';
const LEAVE_WITHIN_MS = 5_000;
/** So much longer than the others may take is the wait for a new generation, which the coordinator begins without those that are late. */
const JOIN_MARGIN_MS = 5_000;

type JoinAnswer = Awaited<ReturnType<typeof joinGroupV9.api.async>>;

export function kafkaMembership(settings: KafkaSettings, namespace: string): Membership {
  return {
    isShared: true,
    async follow(crew, signal) {
      const sessionMs = settings.sessionMs ?? MEMBER_SESSION_MS;
      // The coordinator shows this name, so it tells members apart.
      const name = `iflex ${namespace} ${hostname()} ${process.pid}`;
      const cluster = new KafkaCluster(settings, name, { requestWithinMs: sessionMs + JOIN_MARGIN_MS });
      const member = new Member(cluster, taskGroup(namespace), sessionMs);
      try {
        await member.follow(crew, signal);
      } finally {
        await crew.run([]);
        await member.leave();
        await cluster.close();
      }
    },
  };
}

/** The group's name, for tools and for rights. */
export function taskGroup(namespace: string): string {
  return `${namespace}.tasks`;
}

class Member {
  private readonly cluster: KafkaCluster;
  private readonly group: string;
  private readonly sessionMs: number;
  private coordinator: BrokerAddress | undefined;
  private id = '';
  private generation = -1;

  constructor(cluster: KafkaCluster, group: string, sessionMs: number) {
    this.cluster = cluster;
    this.group = group;
    this.sessionMs = sessionMs;
  }

  async follow(crew: Crew, signal: AbortSignal): Promise<void> {
    const patience = new Patience();
    while (!signal.aborted)
      try {
        const held = crew.held();
        const share = await this.join(held, signal);
        if (share === undefined) return;
        patience.afterSuccess();
        const stopped = crew.run(share);
        // What this one gave up can go to others once it is known to have stopped.
        const givesUp = held.some((partition) => !share.includes(partition));
        await this.beatUntil(givesUp ? stopped : undefined, signal);
      } catch (error) {
        await this.afterFailure(error, crew, patience, signal);
      }
  }

  private async afterFailure(error: unknown, crew: Crew, patience: Patience, signal: AbortSignal): Promise<void> {
    const id = brokerErrorOf(error);
    if (id === 'REBALANCE_IN_PROGRESS') return;
    if (id === 'UNKNOWN_MEMBER_ID' || id === 'ILLEGAL_GENERATION') {
      // It was taken for dead: others have its tasks by now, or will in a moment.
      this.id = id === 'UNKNOWN_MEMBER_ID' ? '' : this.id;
      this.generation = -1;
      await crew.run([]);
      return;
    }
    this.coordinator = undefined;
    if (id === 'INVALID_SESSION_TIMEOUT')
      throw new IflexError(
        'CONFIG_INVALID',
        `The brokers do not allow KAFKA_SESSION_TIMEOUT_MS = ${this.sessionMs}: their bounds are group.min.session.timeout.ms and ` +
          'group.max.session.timeout.ms.',
        {},
        error,
      );
    if (!isPassing(error)) throw kafkaError(error);
    await patience.afterFailure(kafkaError(error), signal);
  }

  /** Waits for all members to say what they hold; returns this one's share, undefined where the signal came before. */
  private async join(held: readonly number[], signal: AbortSignal): Promise<number[] | undefined> {
    const claim: Omit<Claim, 'id'> = { held, generation: this.generation };
    const joined = await this.joinGroup(Buffer.from(JSON.stringify(claim)), signal);
    if (joined === undefined) return undefined;
    this.generation = joined.generationId;
    const isLeader = joined.leader === this.id;
    const shares = isLeader ? shareOut(joined.members!.map(claimOf), ALL_PARTITIONS.length) : new Map<string, number[]>();
    const assignments = [...shares].map(([memberId, share]) => ({ memberId, assignment: Buffer.from(JSON.stringify(share)) }));
    const synced = this.ask(syncGroupV5.api, this.group, this.generation, this.id, null, PROTOCOL_TYPE, PROTOCOL, assignments);
    const answer = await untilAborted(synced, signal);
    return answer && (JSON.parse(answer.assignment.toString()) as number[]);
  }

  private async joinGroup(metadata: Buffer, signal: AbortSignal): Promise<JoinAnswer | undefined> {
    const protocols = [{ name: PROTOCOL, metadata }];
    const send = () => this.ask(joinGroupV9.api, this.group, this.sessionMs, this.sessionMs, this.id, null, PROTOCOL_TYPE, protocols, null);
    if (this.id === '')
      try {
        const joined = await send();
        this.id = joined.memberId!;
        return joined;
      } catch (error) {
        // The coordinator gives an id first, under which the member has to ask again.
        if (brokerErrorOf(error) !== 'MEMBER_ID_REQUIRED') throw error;
        this.id = memberIdIn(error);
      }
    return untilAborted(send(), signal);
  }

  /** Says that it is there until the signal, or until the work is done. */
  private async beatUntil(work: Promise<void> | undefined, signal: AbortSignal): Promise<void> {
    let isDone = false;
    const done = work?.then(() => {
      isDone = true;
    });
    while (!signal.aborted) {
      const waited = pause(MEMBER_HEARTBEAT_MS, undefined, { signal }).catch(() => {});
      await (done ? Promise.race([waited, done]) : waited);
      if (signal.aborted || isDone) return;
      const beat = () => this.ask(heartbeatV4.api, this.group, this.generation, this.id, null);
      await untilAborted(this.promptly(beat), signal);
    }
  }

  /**
   * For what is answered at once. A connection that died without a word would be waited for until the session is over and
   * others have the tasks: after a third of it everything is asked over new ones.
   */
  private async promptly<T>(work: () => Promise<T>): Promise<T> {
    const asking = setInterval(() => void this.cluster.disconnect().catch(() => {}), this.sessionMs / 3);
    try {
      return await work();
    } finally {
      clearInterval(asking);
    }
  }

  private async ask<A extends unknown[], R>(api: API<A, R>, ...given: A): Promise<R> {
    this.coordinator ??= await this.coordinatorOf();
    return this.cluster.send('member', this.coordinator, api, ...given);
  }

  private async coordinatorOf(): Promise<BrokerAddress> {
    const find = () => this.cluster.sendToAny(findCoordinatorV6.api, FindCoordinatorKeyTypes.GROUP, [this.group]);
    const { coordinators } = await this.promptly(find);
    const { host, port } = coordinators[0];
    return { host, port };
  }

  /** Others need not wait for its session to end then. Where it cannot be told, they do. */
  async leave(): Promise<void> {
    if (this.id === '' || this.coordinator === undefined) return;
    // Over a connection of its own: on the other one an unanswered join may be before it.
    const members = [{ memberId: this.id, groupInstanceId: null, reason: 'stopped' }];
    const left = this.cluster.send('leave', this.coordinator, leaveGroupV5.api, this.group, members).catch(() => {});
    const limit = new AbortController();
    await Promise.race([left, pause(LEAVE_WITHIN_MS, undefined, { signal: limit.signal }).catch(() => {})]);
    limit.abort();
  }
}

function claimOf({ memberId, metadata }: { memberId: string | null; metadata?: Buffer | null }): Claim {
  return { id: memberId!, ...(JSON.parse(metadata!.toString()) as Omit<Claim, 'id'>) };
}

function memberIdIn(error: unknown): string {
  const { response, errors = [] } = error as { response?: { memberId?: string }; errors?: unknown[] };
  const given = response?.memberId ?? errors.map(memberIdIn).find((id) => id !== '');
  return given ?? '';
}

/** Undefined where the signal comes first; what becomes of the work then is of no account. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const listening = new AbortController();
  const aborted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined), { signal: listening.signal });
  });
  work.catch(() => {});
  try {
    return await Promise.race([work, aborted]);
  } finally {
    listening.abort();
  }
}
