/** Namespaces of a Kafka cluster: which there are, how far they reach, and dropping one. */
import { setTimeout as pause } from 'node:timers/promises';
import { describeLogDirsV4 } from '@platformatic/kafka';
import { IflexError } from './errors.ts';
import { brokerErrorOf, KafkaCluster } from './kafka-cluster.ts';
import { KafkaReader } from './kafka-reader.ts';
import type { KafkaSettings } from './kafka-settings.ts';
import { deleteTopics, listTopics, ownTopicName, placesOf } from './kafka-topics.ts';
import type { Namespace } from './namespaces.ts';

const JOURNAL = ownTopicName('', 'journal');
const REQUEST_WITHIN_MS = 30_000;
const DROP_WITHIN_MS = 30_000;
const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 200;

/** By name; their notes are kept with their projections. One that is dropped while it is looked at is left out. */
export async function listKafkaNamespaces(settings: KafkaSettings): Promise<Omit<Namespace, 'note'>[]> {
  return withCluster(settings, async (cluster) => {
    const topics = await listTopics(cluster);
    const names = topics.filter((topic) => topic.endsWith(JOURNAL)).map((topic) => topic.slice(0, -JOURNAL.length));
    const namespaces: Omit<Namespace, 'note'>[] = [];
    for (const name of names.sort()) {
      const found = await lookUp(cluster, name);
      if (found) namespaces.push(found);
    }
    return namespaces;
  });
}

export async function lookUpKafkaNamespace(settings: KafkaSettings, name: string): Promise<Omit<Namespace, 'note'> | undefined> {
  return withCluster(settings, (cluster) => lookUp(cluster, name));
}

/** Looks again where a topic is not known: it was just made, or is being dropped. */
async function lookUp(cluster: KafkaCluster, name: string): Promise<Omit<Namespace, 'note'> | undefined> {
  const untilMs = performance.now() + REQUEST_WITHIN_MS;
  for (;;) {
    const topics = await listTopics(cluster);
    if (!topics.includes(ownTopicName(name, 'journal'))) return undefined;
    try {
      return { name, ...(await reachOf(cluster, topicsOf(name, topics))) };
    } catch (error) {
      const isUnknown = brokerErrorOf((error as Error).cause ?? error) === 'UNKNOWN_TOPIC_OR_PARTITION';
      if (!isUnknown || performance.now() > untilMs) throw error;
      await pause(LONGEST_PAUSE_MS);
    }
  }
}

async function withCluster<T>(settings: KafkaSettings, work: (cluster: KafkaCluster) => Promise<T>): Promise<T> {
  const cluster = new KafkaCluster(settings, 'iflex namespaces', { awaitsTopics: false });
  try {
    return await work(cluster);
  } finally {
    await cluster.close();
  }
}

/**
 * Deletes all topics of a namespace, and ends once the broker that it asks names none. Readers and writers of it fail from
 * then on. Whoever else deletes them at the same time is welcome.
 */
export async function dropKafkaNamespace(settings: KafkaSettings, name: string): Promise<void> {
  await withCluster(settings, async (cluster) => {
    const untilMs = performance.now() + DROP_WITHIN_MS;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)) {
      const left = topicsOf(name, await listTopics(cluster, untilMs - performance.now()));
      if (left.length === 0) return;
      const withinMs = untilMs - performance.now();
      if (withinMs < 0) throw notDropped(name, left);
      await deleteTopics(cluster, left, withinMs);
      // A broker hears of it from the controller, and names deleted topics until then.
      await pause(pauseMs);
    }
  });
}

function notDropped(name: string, left: readonly string[]): IflexError {
  return new IflexError(
    'KAFKA_UNREACHABLE',
    `Kafka still has ${left.length} topics of the namespace "${name}" after ${DROP_WITHIN_MS / 1000} s of deleting, as ${left[0]}. ` +
      'Stop what still makes them, check that all brokers run, and drop it again.',
  );
}

/** Names of namespaces have no dot. */
function topicsOf(name: string, topics: readonly string[]): string[] {
  return topics.filter((topic) => topic.startsWith(`${name}.`));
}

/** `events` counts offsets of the event topics, which the ends of transactions have too. */
async function reachOf(cluster: KafkaCluster, topics: readonly string[]): Promise<Omit<Namespace, 'name' | 'note'>> {
  await cluster.untilDone(() => cluster.refresh(topics), { withinMs: REQUEST_WITHIN_MS });
  const reader = new KafkaReader(cluster);
  const places = topics.flatMap((name) => placesOf({ name, partitions: cluster.partitionCount(name) }));
  const ofEvents = places.filter(({ topic }) => !topic.includes('.log.'));
  const ends = await reader.ends(ofEvents);
  const filled = ofEvents.filter((_, i) => ends[i] > 0);
  const latest = await Promise.all(filled.map((place) => reader.last(place)));
  const times = latest.flatMap((record) => (record ? [record.appendedMs] : []));
  return {
    bytes: await bytesOf(cluster, places),
    events: ends.reduce((sum, end) => sum + end, 0),
    lastAppendedMs: times.length > 0 ? Math.max(...times) : null,
  };
}

/** On the disks of all brokers. */
async function bytesOf(cluster: KafkaCluster, places: readonly { topic: string; partition: number }[]): Promise<number> {
  let bytes = 0;
  for (const [node, of] of await cluster.byLeader(places)) {
    const topics = [...new Set(of.map(({ topic }) => topic))].map((name) => ({
      name,
      partitions: of.filter(({ topic }) => topic === name).map(({ partition }) => partition),
    }));
    const { results } = await cluster.sendToNode('read', node, describeLogDirsV4.api, topics);
    for (const { topics: found } of results)
      for (const { partitions } of found) for (const each of partitions) bytes += Number(each.partitionSize);
  }
  return bytes;
}
