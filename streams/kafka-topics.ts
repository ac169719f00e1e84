/** Topics of a namespace on Kafka: their names, settings, and making them. The one importer of kafkajs, for its admin client. */
import {
  deleteTopicsV6,
  IncrementalAlterConfigOperationTypes,
  incrementalAlterConfigsV1,
  metadataV12,
  ConfigResourceTypes as ResourceTypes,
  ResponseError,
} from '@platformatic/kafka';
import kafkajs, { type Admin, type KafkaConfig } from 'kafkajs';
import { IflexError } from './errors.ts';
import { BrokerError, isPassing, type KafkaCluster } from './kafka-cluster.ts';
import type { KafkaSettings } from './kafka-settings.ts';
import { MAX_BATCH_BYTES } from './limits.ts';
import type { Topic } from './topics.ts';

const { ConfigResourceTypes, Kafka, KafkaJSAggregateError, logLevel } = kafkajs;

/** What the log keeps for itself, beside the events. */
export const OWN_TOPICS = {
  /** Per task: its steps, each with where its state is. Kept for ever, as replays follow it. */
  journal: { cleanup: 'keep' },
  /** Per task: changes of state since its latest snapshot; older ones are deleted when a snapshot is written. */
  deltas: { cleanup: 'keep' },
  /** Per task: full snapshots, in parts; those that are let go are forgotten by their key. */
  snapshots: { cleanup: 'compact' },
  /** Per task: which snapshots there are, and where. */
  'snapshot-index': { cleanup: 'compact' },
  /** The latest delivery number of each source by topic and partition, in one partition, whose order settles who came first. */
  sources: { cleanup: 'compact' },
  /** What schema ids mean in this namespace; of an id the first record counts, so none is let go. */
  schemas: { cleanup: 'keep' },
} as const;

export type OwnTopic = keyof typeof OWN_TOPICS;

/** A topic as Kafka is to have it. */
export interface WantedTopic {
  name: string;
  partitions: number;
  settings: Record<string, string>;
}

/** What differs between a topic as it is and as it is to be. */
export interface TopicDrift {
  topic: string;
  /** null: the topic is missing. */
  partitions: { is: number; wanted: number } | null;
  settings: { name: string; is: string; wanted: string }[];
}

export interface KeepingOptions {
  /** A compacted topic's records are compacted within this span. */
  compactionLagMs: number;
  /** Copies of each partition; the broker's own default where it is not given. */
  replicationFactor?: number;
}

const ONE_PARTITION: ReadonlySet<OwnTopic> = new Set(['sources', 'schemas']);
/** Beside the values of the largest batch, for keys and headers. */
const BATCH_HEAD_ROOM_BYTES = 2 * 1024 * 1024;
const ADMIN_WITHIN_MS = 30_000;
/** Who only looks is told soon where no broker answers. */
const LOOK_WITHIN_MS = 5_000;
const UNKNOWN_TOPIC = 3;

export function topicName(namespace: string, topic: string): string {
  return `${namespace}.${topic}`;
}

export function ownTopicName(namespace: string, topic: OwnTopic): string {
  return `${namespace}.log.${topic}`;
}

/** All topics of a namespace, with the settings that the table of topics asks for. */
export function wantedTopics(namespace: string, topics: readonly Topic[], { compactionLagMs }: KeepingOptions): WantedTopic[] {
  const tasks = Math.max(...topics.map(({ partitions }) => partitions));
  const settingsOf = (cleanup: Topic['cleanup']) => ({
    'message.timestamp.type': 'LogAppendTime',
    'max.message.bytes': String(MAX_BATCH_BYTES + BATCH_HEAD_ROOM_BYTES),
    'retention.ms': '-1',
    'retention.bytes': '-1',
    'cleanup.policy': cleanup === 'compact' ? 'compact' : 'delete',
    ...(cleanup === 'compact' && { 'max.compaction.lag.ms': String(compactionLagMs), 'segment.ms': String(compactionLagMs) }),
  });
  return [
    ...topics.map(({ name, partitions, cleanup }) => ({ name: topicName(namespace, name), partitions, settings: settingsOf(cleanup) })),
    ...(Object.keys(OWN_TOPICS) as OwnTopic[]).map((topic) => ({
      name: ownTopicName(namespace, topic),
      partitions: ONE_PARTITION.has(topic) ? 1 : tasks,
      settings: settingsOf(OWN_TOPICS[topic].cleanup),
    })),
  ];
}

/** Names of all topics of the cluster, as one of its brokers knows them: what was just made or deleted it may not know yet. */
export async function listTopics(cluster: KafkaCluster, withinMs = LOOK_WITHIN_MS): Promise<string[]> {
  const { topics } = await cluster.untilDone(() => answerOf(cluster.sendToAny(metadataV12.api, null, false, false)), { withinMs });
  return topics.map(({ name }) => name!);
}

/** Deletes topics. Those that are not there any more are well. */
export async function deleteTopics(cluster: KafkaCluster, names: readonly string[], withinMs: number): Promise<void> {
  const asked = names.map((name) => ({ name }));
  await cluster.untilDone(
    async () => {
      const { responses } = await answerOf(cluster.sendToAny(deleteTopicsV6.api, asked, ADMIN_WITHIN_MS));
      for (const { name, errorCode } of responses) if (errorCode !== UNKNOWN_TOPIC) checkAnswer(errorCode, `the deletion of ${name}`);
    },
    { withinMs },
  );
}

/** The whole answer also where it names errors, for which the client throws: what became of each topic is for the caller to see. */
async function answerOf<R>(answer: Promise<R>): Promise<R> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ResponseError) return error.response as R;
    throw error;
  }
}

/** Throws what passes by itself for another attempt, and what does not as a refusal. */
function checkAnswer(errorCode: number, what: string): void {
  if (errorCode === 0) return;
  const error = new BrokerError(errorCode, what);
  if (isPassing(error) || /AUTHORIZATION/.test(error.id)) throw error;
  throw new IflexError('CONFIG_INVALID', `Kafka refuses ${what}: ${error.id}.`, {}, error);
}

/** Does something with an admin client, and closes it. */
export async function withAdmin<T>(settings: KafkaSettings, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Kafka(clientConfig(settings)).admin();
  const warn = muteTimerWarning();
  try {
    await admin.connect();
    return await work(admin);
  } catch (error) {
    if (error instanceof IflexError) throw error;
    const { name, message } = error as Error;
    if (/Connection|BrokerNotFound|Timeout|NumberOfRetries|Metadata/.test(name))
      throw new IflexError(
        'KAFKA_UNREACHABLE',
        `Kafka does not answer: ${message}. Check KAFKA_BROKERS and that the brokers run.`,
        {},
        error,
      );
    throw new IflexError('CONFIG_INVALID', `Kafka refuses: ${message}`, {}, error);
  } finally {
    await admin.disconnect();
    process.emitWarning = warn;
  }
}

/** kafkajs sets timers to times that have passed, of which Node warns; gives what it put another function in the place of. */
function muteTimerWarning(): typeof process.emitWarning {
  const warn = process.emitWarning;
  process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
    if (rest[0] !== 'TimeoutNegativeWarning') (warn as (...given: unknown[]) => void)(warning, ...rest);
  }) as typeof process.emitWarning;
  return warn;
}

function clientConfig({ brokers, tls, sasl }: KafkaSettings): KafkaConfig {
  return {
    brokers,
    clientId: 'iflex',
    logLevel: logLevel.NOTHING,
    connectionTimeout: 5_000,
    requestTimeout: ADMIN_WITHIN_MS,
    retry: { initialRetryTime: 50, retries: 6 },
    ...(tls && { ssl: tls }),
    ...(sasl && { sasl: { ...sasl, mechanism: sasl.mechanism.toLowerCase() } as KafkaConfig['sasl'] }),
  };
}

/** Makes the topics that are missing. Whoever else makes them at the same time is welcome. */
export async function createTopics(
  admin: Admin,
  missing: readonly WantedTopic[],
  { replicationFactor = -1 }: KeepingOptions,
): Promise<void> {
  if (missing.length === 0) return;
  const topics = missing.map(({ name, partitions, settings }) => ({
    topic: name,
    numPartitions: partitions,
    replicationFactor,
    configEntries: Object.entries(settings).map(([key, value]) => ({ name: key, value })),
  }));
  try {
    await admin.createTopics({ topics, waitForLeaders: false, timeout: ADMIN_WITHIN_MS });
  } catch (error) {
    const errors = error instanceof KafkaJSAggregateError ? error.errors : [error];
    if (!errors.every((each) => (each as { type?: string }).type === 'TOPIC_ALREADY_EXISTS')) throw error;
  }
}

/** Compares topics with what is wanted; of settings only those that the table names. */
async function driftOf(admin: Admin, wanted: readonly WantedTopic[]): Promise<TopicDrift[]> {
  const there = new Set(await admin.listTopics());
  const present = wanted.filter(({ name }) => there.has(name));
  if (present.length === 0) return wanted.map(({ name }) => ({ topic: name, partitions: null, settings: [] }));
  const { topics } = await admin.fetchTopicMetadata({ topics: present.map(({ name }) => name) });
  const counts = new Map(topics.map(({ name, partitions }) => [name, partitions.length]));
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: present.map(({ name, settings }) => ({ type: ConfigResourceTypes.TOPIC, name, configNames: Object.keys(settings) })),
  });
  const found = new Map(resources.map(({ resourceName, configEntries }) => [resourceName, configEntries]));
  return wanted.map(({ name, partitions, settings }) => {
    const is = counts.get(name);
    if (is === undefined) return { topic: name, partitions: null, settings: [] };
    const entries = new Map(found.get(name)?.map(({ configName, configValue }) => [configName, configValue]));
    const differing = Object.entries(settings).filter(([key, value]) => entries.get(key) !== value);
    return {
      topic: name,
      partitions: { is, wanted: partitions },
      settings: differing.map(([key, value]) => ({ name: key, is: entries.get(key) ?? '', wanted: value })),
    };
  });
}

/** What has to be done so that a namespace's topics are as wanted; empty where nothing has. Makes nothing. */
export async function planTopics(settings: KafkaSettings, wanted: readonly WantedTopic[]): Promise<TopicDrift[]> {
  const drift = await withAdmin(settings, (admin) => driftOf(admin, wanted));
  return drift.filter(
    ({ partitions, settings: differing }) => partitions === null || partitions.is !== partitions.wanted || differing.length > 0,
  );
}

/** Makes what is missing and sets what differs, but no number of partitions: that would move keys to others. */
export async function applyTopics(
  settings: KafkaSettings,
  cluster: KafkaCluster,
  wanted: readonly WantedTopic[],
  drift: readonly TopicDrift[],
  keeping: KeepingOptions,
): Promise<void> {
  const missing = new Set(drift.filter(({ partitions }) => partitions === null).map(({ topic }) => topic));
  await withAdmin(settings, (admin) =>
    createTopics(
      admin,
      wanted.filter(({ name }) => missing.has(name)),
      keeping,
    ),
  );
  const resources = drift
    .filter((each) => each.settings.length > 0)
    .map(({ topic, settings: differing }) => ({
      resourceType: ResourceTypes.TOPIC,
      resourceName: topic,
      configs: differing.map(({ name, wanted: value }) => ({ name, configOperation: IncrementalAlterConfigOperationTypes.SET, value })),
    }));
  if (resources.length > 0)
    await cluster.untilDone(() => cluster.sendToAny(incrementalAlterConfigsV1.api, resources, false), { withinMs: ADMIN_WITHIN_MS });
}
