/** Namespaces of a Kafka cluster: which there are, how far they reach, and dropping one. */
import { describeLogDirsV4 } from '@platformatic/kafka';
import { KafkaCluster } from './kafka-cluster.ts';
import { KafkaReader } from './kafka-reader.ts';
import type { KafkaSettings } from './kafka-settings.ts';
import { ownTopicName, withAdmin } from './kafka-topics.ts';
import type { Namespace } from './namespaces.ts';

const JOURNAL = ownTopicName('', 'journal');
const REQUEST_WITHIN_MS = 30_000;

/** By name; their notes are kept with their projections. */
export async function listKafkaNamespaces(settings: KafkaSettings): Promise<Omit<Namespace, 'note'>[]> {
  const topics = await withAdmin(settings, (admin) => admin.listTopics());
  const names = topics.filter((topic) => topic.endsWith(JOURNAL)).map((topic) => topic.slice(0, -JOURNAL.length));
  const cluster = new KafkaCluster(settings, 'iflex namespaces');
  try {
    const namespaces: Omit<Namespace, 'note'>[] = [];
    for (const name of names.sort()) namespaces.push({ name, ...(await reachOf(cluster, topicsOf(name, topics))) });
    return namespaces;
  } finally {
    await cluster.close();
  }
}

export async function lookUpKafkaNamespace(settings: KafkaSettings, name: string): Promise<Omit<Namespace, 'note'> | undefined> {
  const topics = await withAdmin(settings, (admin) => admin.listTopics());
  if (!topics.includes(ownTopicName(name, 'journal'))) return undefined;
  const cluster = new KafkaCluster(settings, 'iflex namespaces');
  try {
    return { name, ...(await reachOf(cluster, topicsOf(name, topics))) };
  } finally {
    await cluster.close();
  }
}

/** Deletes all topics of a namespace. Readers and writers of it fail from then on. */
export async function dropKafkaNamespace(settings: KafkaSettings, name: string): Promise<void> {
  await withAdmin(settings, async (admin) => {
    const topics = topicsOf(name, await admin.listTopics());
    if (topics.length > 0) await admin.deleteTopics({ topics, timeout: REQUEST_WITHIN_MS });
  });
}

/** Names of namespaces have no dot. */
function topicsOf(name: string, topics: readonly string[]): string[] {
  return topics.filter((topic) => topic.startsWith(`${name}.`));
}

/** `events` counts offsets of the event topics, which the ends of transactions have too. */
async function reachOf(cluster: KafkaCluster, topics: readonly string[]): Promise<Omit<Namespace, 'name' | 'note'>> {
  await cluster.untilDone(() => cluster.refresh(topics), { withinMs: REQUEST_WITHIN_MS });
  const reader = new KafkaReader(cluster);
  const places = topics.flatMap((topic) => Array.from({ length: cluster.partitionCount(topic) }, (_, partition) => ({ topic, partition })));
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
