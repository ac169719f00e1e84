/**
 * Compares what two namespaces derived, by canonical bytes. A task emits in an order that is fixed by the order of its
 * facts, whatever its steps were, and a what-if replay fixes the order of all facts of a partition; so whole partitions
 * are compared in order, across keys too. Of a compacted topic only the latest event of each key is compared. Lines that an
 * import set aside are left out.
 */
import { bodyOf, type Codec } from '../schemas/codec.ts';
import type { Rejected } from '../schemas/types.ts';
import type { EventLog, LogRecord, TopicPartition } from '../streams/event-log.ts';
import { MAX_BATCH_RECORDS } from '../streams/limits.ts';
import { withoutPlace } from '../streams/rejected-event.ts';
import { TOPICS } from '../streams/topics.ts';
import { canonicalBytes } from '../streams/verify.ts';
import { type Difference, differencesOf, type EventMark, markOf } from './compare-events.ts';

/** `runs` tells versions of code and settings apart, so it is no result; what has expired on one side is no difference. */
export const COMPARED_TOPICS: readonly string[] = TOPICS.filter(
  ({ kind, draft, name, cleanup }) => kind === 'derived' && !draft && name !== 'runs' && cleanup !== 'retain',
).map(({ name }) => name);

export interface Side {
  log: EventLog;
  codec: Codec;
}

export interface TopicComparison {
  topic: string;
  /** Events on either side; of a compacted topic the keys. */
  leftCount: number;
  rightCount: number;
  /** The first in order of partition and place; null where all are equal. */
  divergence: Divergence | null;
}

export interface Divergence {
  topic: string;
  partition: number;
  /** How many events of the partition were equal before. */
  equalBefore: number;
  /** null: the side has ended. */
  left: EventMark | null;
  right: EventMark | null;
  /** Where the same event of both sides differs, at most a few places. */
  differences: Difference[];
}

/** Compares topics one by one, as far as the logs reach when each is read. */
export async function* compareLogs(left: Side, right: Side, topics: readonly string[] = COMPARED_TOPICS): AsyncGenerator<TopicComparison> {
  for (const topic of topics) {
    const { partitions, cleanup } = TOPICS.find(({ name }) => name === topic)!;
    const comparison: TopicComparison = { topic, leftCount: 0, rightCount: 0, divergence: null };
    for (let partition = 0; partition < partitions; partition++) {
      const read = cleanup === 'compact' ? latestOfKeys : recordsOf;
      await comparePartition(
        comparison,
        partition,
        read(left.log, { topic, partition }),
        read(right.log, { topic, partition }),
        left,
        right,
      );
    }
    yield comparison;
  }
}

async function comparePartition(
  comparison: TopicComparison,
  partition: number,
  lefts: AsyncGenerator<LogRecord>,
  rights: AsyncGenerator<LogRecord>,
  left: Side,
  right: Side,
): Promise<void> {
  for (let equalBefore = 0; ; equalBefore++) {
    const [a, b] = await Promise.all([lefts.next(), rights.next()]);
    if (!a.done) comparison.leftCount++;
    if (!b.done) comparison.rightCount++;
    if (a.done && b.done) return;
    if (comparison.divergence) continue;
    if (!a.done && !b.done && canonicalOf(left, a.value).equals(canonicalOf(right, b.value))) continue;
    const [leftRecord, rightRecord] = [a.done ? null : a.value, b.done ? null : b.value];
    comparison.divergence = {
      topic: comparison.topic,
      partition,
      equalBefore,
      left: leftRecord && markOf(left.codec, leftRecord),
      right: rightRecord && markOf(right.codec, rightRecord),
      differences: leftRecord && rightRecord ? differencesOf(left.codec, leftRecord, right.codec, rightRecord) : [],
    };
  }
}

/** Canonical bytes, less what a rejected event tells of the log it stands in. */
export function canonicalOf({ codec }: Pick<Side, 'codec'>, record: LogRecord): Buffer {
  return canonicalBytes(ofAnyLog(codec, record), (id) => codec.fingerprintOf(id));
}

/** What is of a log alone is outside of what is compared, but a rejected event has some of it within its body. */
function ofAnyLog(codec: Codec, record: LogRecord): LogRecord {
  if (record.topic !== 'rejected') return record;
  const rejected = codec.decodeAs('Rejected', record.value) as Rejected;
  if (!POSITION.test(rejected.source)) return record;
  const body = bodyOf(codec.encode('Rejected', withoutPlace(rejected)));
  // The frame stays: under which schema it was written is compared.
  return { ...record, value: Buffer.concat([record.value.subarray(0, record.value.length - bodyOf(record.value).length), body]) };
}

/** "topic/partition/offset" */
const POSITION = /^[a-z0-9.]+\/\d+\/\d+$/;

/**
 * An import sets lines of files aside in `rejected` by itself (the source of such an event ends so); a what-if replay of
 * its log has no file.
 */
function isSetAsideLine({ topic, headers }: LogRecord): boolean {
  return topic === 'rejected' && headers.source.endsWith(' rejected');
}

async function* recordsOf(log: EventLog, at: TopicPartition): AsyncGenerator<LogRecord> {
  for (let offset = 0; ; ) {
    const { records, nextOffset } = await log.read(at, offset, { maxRecords: MAX_BATCH_RECORDS, maxBytes: 1024 * 1024 });
    if (nextOffset === offset) return;
    for (const record of records) if (!isSetAsideLine(record)) yield record;
    offset = nextOffset;
  }
}

/** The state that a compacted topic stands for, whether or not it was compacted; in order of keys. */
async function* latestOfKeys(log: EventLog, at: TopicPartition): AsyncGenerator<LogRecord> {
  const latest = new Map<string, LogRecord>();
  for await (const record of recordsOf(log, at)) latest.set(record.key, record);
  for (const key of [...latest.keys()].sort()) yield latest.get(key)!;
}

/** In words, for people: one line a topic, and what is known of its divergence. */
export function describeComparison({ topic, leftCount, rightCount, divergence }: TopicComparison): string {
  if (!divergence) return `${topic.padEnd(20)} ${leftCount} events, equal`;
  const { partition, equalBefore, left, right, differences } = divergence;
  const lines = [
    `${topic.padEnd(20)} ${leftCount} and ${rightCount} events, differ in partition ${partition} after ${equalBefore} equal ones`,
  ];
  for (const [side, mark] of [['left', left] as const, ['right', right] as const]) {
    if (!mark) lines.push(`  ${side}: has ended`);
    else {
      lines.push(`  ${side}: ${mark.id} at offset ${mark.offset}, of ${mark.key}, ${mark.what}, known at ${mark.knownAt}`);
      lines.push(`    because of ${mark.causes}`);
    }
  }
  for (const { path, left, right } of differences) lines.push(`  ${path}: ${left} and ${right}`);
  return lines.join('\n');
}
