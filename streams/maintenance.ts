/**
 * Upkeep of a log: compaction and retention of the topics of which the table says so, and of no other. A topic's age
 * counts from the latest time that anything was appended to the log, so that a log which stood still for a year loses
 * nothing when it goes on, and no clock but the log's decides. Readers, tasks and replays go on meanwhile.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { EventLog, TopicPartition } from './event-log.ts';
import { latestRecord } from './latest-record.ts';
import { MAINTENANCE_INTERVAL_MS, MAX_BATCH_RECORDS, MAX_STEP_BYTES } from './limits.ts';
import { TOPICS, type Topic } from './topics.ts';

/** What upkeep would do to a topic. */
export interface TopicUpkeep {
  topic: string;
  rule: 'compact' | 'retain';
  /** Events that the topic holds, and those of them that would go. */
  held: number;
  toRemove: number;
  /** Of a topic with retention: events appended before this time would go (UTC epoch ms). */
  beforeAppendedMs: number | null;
}

export interface MaintenanceOptions {
  log: EventLog;
  /** The log's topics; default: those of the pipeline. */
  topics?: readonly Topic[];
  signal?: AbortSignal;
}

/** Looks through the topics that upkeep bears on; changes nothing. Holds the keys of one partition in memory. */
export async function planMaintenance({ log, topics = TOPICS }: MaintenanceOptions): Promise<TopicUpkeep[]> {
  const plans: TopicUpkeep[] = [];
  for (const topic of topics) {
    if (topic.cleanup === 'keep') continue;
    const beforeAppendedMs = await expiryOf(log, topic, topics);
    const plan: TopicUpkeep = { topic: topic.name, rule: topic.cleanup, held: 0, toRemove: 0, beforeAppendedMs };
    for (let partition = 0; partition < topic.partitions; partition++) await count(log, { topic: topic.name, partition }, plan);
    plans.push(plan);
  }
  return plans;
}

async function count(log: EventLog, at: TopicPartition, plan: TopicUpkeep): Promise<void> {
  const keys = new Set<string>();
  for (let offset = 0; ; ) {
    const { records, nextOffset } = await log.read(at, offset, { maxRecords: MAX_BATCH_RECORDS, maxBytes: MAX_STEP_BYTES });
    plan.held += records.length;
    for (const { key, appendedMs } of records) {
      // Of each key all but one go: a further record of a key is the end of the one before.
      if (plan.beforeAppendedMs === null ? keys.has(key) : appendedMs < plan.beforeAppendedMs) plan.toRemove++;
      if (plan.beforeAppendedMs === null) keys.add(key);
    }
    if (nextOffset === offset) return;
    offset = nextOffset;
  }
}

/** Does what the table asks for, once; returns by topic how many events went. Ends early at the signal. */
export async function maintain(
  { log, topics = TOPICS, signal }: MaintenanceOptions,
  isDue: (topic: Topic) => boolean = () => true,
): Promise<Map<string, number>> {
  const removed = new Map<string, number>();
  for (const topic of topics) {
    if (topic.cleanup === 'keep' || signal?.aborted || !isDue(topic)) continue;
    const beforeAppendedMs = await expiryOf(log, topic, topics);
    const done = beforeAppendedMs === null ? await log.compact(topic.name) : await log.retain(topic.name, beforeAppendedMs);
    removed.set(topic.name, done.removed);
  }
  return removed;
}

/** Null for what does not expire. */
async function expiryOf(log: EventLog, { cleanup, retentionMs }: Topic, topics: readonly Topic[]): Promise<number | null> {
  return cleanup === 'retain' ? (await latestAppendedMs(log, topics)) - retentionMs! : null;
}

/** When anything was appended last, as the log says. */
async function latestAppendedMs(log: EventLog, topics: readonly Topic[]): Promise<number> {
  let latestMs = 0;
  for (const { name, partitions } of topics)
    for (let partition = 0; partition < partitions; partition++) {
      const record = await latestRecord(log, { topic: name, partition });
      if (record !== undefined && record.appendedMs > latestMs) latestMs = record.appendedMs;
    }
  return latestMs;
}

export interface RegularMaintenance extends MaintenanceOptions {
  signal: AbortSignal;
  everyMs?: number;
  /** After each pass, with what `maintain` gave. */
  onPass?: (removed: Map<string, number>) => void;
}

/** Upkeep now and then until the signal, one topic at a time. A compacted topic that has not grown is left alone. */
export async function runMaintenance(options: RegularMaintenance): Promise<void> {
  const { log, topics = TOPICS, everyMs = MAINTENANCE_INTERVAL_MS, signal, onPass } = options;
  const compacted = topics.filter(({ cleanup }) => cleanup === 'compact');
  const seen = new Map<string, string>();
  for (;;) {
    // The first pass waits too: a start has more urgent things to do.
    await pause(everyMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    const grown = new Set<string>();
    for (const { name } of compacted) {
      const ends = (await log.endOffsets(name)).join();
      if (seen.get(name) !== ends) grown.add(name);
      seen.set(name, ends);
    }
    // What expires does so as the log goes on, elsewhere too.
    const removed = await maintain({ log, topics, signal }, ({ name, cleanup }) => cleanup === 'retain' || grown.has(name));
    onPass?.(removed);
  }
}
