/** Topics of a namespace on Kafka: their names, settings, and making and deleting them. */
import {
  ConfigResourceTypes,
  createTopicsV7,
  deleteTopicsV6,
  describeConfigsV4,
  IncrementalAlterConfigOperationTypes,
  incrementalAlterConfigsV1,
  metadataV12,
  ResponseError,
} from '@platformatic/kafka';
import { IflexError } from './errors.ts';
import type { TopicPartition } from './event-log.ts';
import { BrokerError, isPassing, KafkaCluster } from './kafka-cluster.ts';
import type { KafkaSettings } from './kafka-settings.ts';
import { MAX_BATCH_BYTES } from './limits.ts';
import type { Topic } from './topics.ts';

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
}

const ONE_PARTITION: ReadonlySet<OwnTopic> = new Set(['sources', 'schemas']);
/** Beside the values of the largest batch, for keys and headers. */
const BATCH_HEAD_ROOM_BYTES = 2 * 1024 * 1024;
const ADMIN_WITHIN_MS = 30_000;
/** Who only looks is told soon where no broker answers. */
const LOOK_WITHIN_MS = 5_000;
const UNKNOWN_TOPIC = 3;
const TOPIC_ALREADY_EXISTS = 36;
/** As many copies as the brokers make of every topic. */
const DEFAULT_REPLICATION = -1;

export function topicName(namespace: string, topic: string): string {
  return `${namespace}.${topic}`;
}

export function ownTopicName(namespace: string, topic: OwnTopic): string {
  return `${namespace}.log.${topic}`;
}

/** All partitions of a topic. */
export function placesOf({ name, partitions }: { name: string; partitions: number }): TopicPartition[] {
  return Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition }));
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
      for (const { name, errorCode } of responses) if (errorCode !== UNKNOWN_TOPIC) checkAnswer(errorCode, `to delete ${name}`);
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

/** Makes the topics that are missing. Whoever else makes or deletes them at the same time is welcome. */
export async function makeTopics(cluster: KafkaCluster, wanted: readonly WantedTopic[], withinMs: number): Promise<void> {
  const names = wanted.map(({ name }) => name);
  await cluster.untilDone(
    async () => {
      const there = new Set(await listTopics(cluster));
      const missing = wanted.filter(({ name }) => !there.has(name));
      if (missing.length > 0) await createTopics(cluster, missing);
      await cluster.refresh(names);
    },
    { withinMs },
  );
}

async function createTopics(cluster: KafkaCluster, missing: readonly WantedTopic[]) {
  const asked = missing.map(({ name, partitions, settings }) => ({
    name,
    numPartitions: partitions,
    replicationFactor: DEFAULT_REPLICATION,
    assignments: [],
    configs: Object.entries(settings).map(([key, value]) => ({ name: key, value })),
  }));
  const { topics } = await answerOf(cluster.sendToAny(createTopicsV7.api, asked, ADMIN_WITHIN_MS, false));
  for (const { name, errorCode } of topics) if (errorCode !== TOPIC_ALREADY_EXISTS) checkAnswer(errorCode, `to make ${name}`);
}

/** Compares topics with what is wanted; of settings only those that the table names. */
async function driftOf(cluster: KafkaCluster, wanted: readonly WantedTopic[]): Promise<TopicDrift[]> {
  const names = wanted.map(({ name }) => name);
  const { topics } = await answerOf(cluster.sendToAny(metadataV12.api, names, false, false));
  for (const { name, errorCode } of topics) if (errorCode !== UNKNOWN_TOPIC) checkAnswer(errorCode, `to tell of ${name}`);
  const counts = new Map(topics.flatMap(({ name, errorCode, partitions }) => (errorCode === 0 ? [[name, partitions.length]] : [])));
  const found = await readSettings(
    cluster,
    wanted.filter(({ name }) => counts.has(name)),
  );
  return wanted.map(({ name, partitions, settings }) => {
    const is = counts.get(name);
    const entries = found.get(name);
    // One that went between the two questions is missing as well.
    if (is === undefined || entries === undefined) return { topic: name, partitions: null, settings: [] };
    const differing = Object.entries(settings).filter(([key, value]) => entries.get(key) !== value);
    return {
      topic: name,
      partitions: { is, wanted: partitions },
      settings: differing.map(([key, value]) => ({ name: key, is: entries.get(key) ?? '', wanted: value })),
    };
  });
}

/** The settings that the table names, by topic; none of a topic that is not there. */
async function readSettings(
  cluster: KafkaCluster,
  present: readonly WantedTopic[],
): Promise<Map<string, Map<string, string | null | undefined>>> {
  if (present.length === 0) return new Map();
  const asked = present.map(({ name, settings }) => ({
    resourceType: ConfigResourceTypes.TOPIC,
    resourceName: name,
    configurationKeys: Object.keys(settings),
  }));
  const { results } = await answerOf(cluster.sendToAny(describeConfigsV4.api, asked, false, false));
  const found = new Map<string, Map<string, string | null | undefined>>();
  for (const { resourceName, errorCode, configs } of results) {
    if (errorCode === UNKNOWN_TOPIC) continue;
    checkAnswer(errorCode, `to tell the settings of ${resourceName}`);
    found.set(resourceName, new Map(configs.map(({ name, value }) => [name, value])));
  }
  return found;
}

/** What has to be done so that a namespace's topics are as wanted; empty where nothing has. Makes nothing. */
export async function planTopics(settings: KafkaSettings, wanted: readonly WantedTopic[]): Promise<TopicDrift[]> {
  const cluster = new KafkaCluster(settings, 'iflex topics');
  const look = cluster.untilDone(() => driftOf(cluster, wanted), { withinMs: LOOK_WITHIN_MS });
  const drift = await look.finally(() => cluster.close());
  return drift.filter(
    ({ partitions, settings: differing }) => partitions === null || partitions.is !== partitions.wanted || differing.length > 0,
  );
}

/** Makes what is missing and sets what differs, but no number of partitions: that would move keys to others. */
export async function applyTopics(cluster: KafkaCluster, wanted: readonly WantedTopic[], drift: readonly TopicDrift[]): Promise<void> {
  const missing = new Set(drift.filter(({ partitions }) => partitions === null).map(({ topic }) => topic));
  await makeTopics(
    cluster,
    wanted.filter(({ name }) => missing.has(name)),
    ADMIN_WITHIN_MS,
  );
  const resources = drift
    .filter((each) => each.settings.length > 0)
    .map(({ topic, settings: differing }) => ({
      resourceType: ConfigResourceTypes.TOPIC,
      resourceName: topic,
      configs: differing.map(({ name, wanted: value }) => ({ name, configOperation: IncrementalAlterConfigOperationTypes.SET, value })),
    }));
  if (resources.length > 0)
    await cluster.untilDone(() => cluster.sendToAny(incrementalAlterConfigsV1.api, resources, false), { withinMs: ADMIN_WITHIN_MS });
}
