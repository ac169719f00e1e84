/** Reads a topic's records across partitions, from a place in the log on, and as they come. */
import type { EventLog, LogRecord } from '../streams/event-log.ts';
import { MAX_BATCH_RECORDS } from '../streams/limits.ts';
import { partitionOf } from '../streams/partitioner.ts';
import { findTopic } from '../streams/topics.ts';

/** A place in every partition: an offset, the first record appended at or after a time, or the end as it is now. */
export type TapPlace = { offset: number } | { appendedMs: number } | 'end';

export interface TapOptions {
  log: EventLog;
  topic: string;
  from: TapPlace;
  /** Exclusive; what is appended after the tap began is read only where it follows. */
  to: TapPlace;
  /** Goes on with what is appended; `to` is then of no account. */
  follow: boolean;
  /** Only this key, and only its partition. */
  key?: string;
  signal: AbortSignal;
}

interface Cursor {
  partition: number;
  offset: number;
  endOffset: number;
  buffer: LogRecord[];
  at: number;
}

const READ = { maxRecords: MAX_BATCH_RECORDS, maxBytes: 256 * 1024 };
const IDLE_WAIT_MS = 500;

/** Records in the order of their appended times (within a partition: of their offsets), in pieces, until the signal. */
export async function* tap(options: TapOptions): AsyncGenerator<LogRecord[]> {
  const { log, follow, key, signal } = options;
  const cursors = await openCursors(options);
  while (!signal.aborted) {
    const found = await refill(options, cursors);
    const merged = mergeWhileFull(cursors);
    const wanted = key === undefined ? merged : merged.filter((record) => record.key === key);
    if (wanted.length > 0) yield wanted;
    if (found || merged.length > 0) continue;
    if (!follow) return;
    await log.waitForAppend(IDLE_WAIT_MS, signal);
  }
}

async function openCursors({ log, topic, from, to, follow, key }: TapOptions): Promise<Cursor[]> {
  const { partitions, key: keyedBy } = findTopic(topic)!;
  const only = key === undefined ? undefined : keyedBy === 'partition' ? Number(key) : partitionOf(key, partitions);
  const ends = await log.endOffsets(topic);
  const offsetOf = (partition: number, place: TapPlace) => {
    if (place === 'end') return ends[partition];
    return 'offset' in place ? place.offset : log.offsetAtAppendedTime({ topic, partition }, place.appendedMs);
  };
  const cursors: Cursor[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    if (only !== undefined && only !== partition) continue;
    const offset = await offsetOf(partition, from);
    const endOffset = follow ? Number.POSITIVE_INFINITY : Math.min(ends[partition], await offsetOf(partition, to));
    cursors.push({ partition, offset, endOffset, buffer: [], at: 0 });
  }
  return cursors;
}

/** One look at all partitions whose buffer is used up; false where it found nothing and there is nothing further to look at. */
async function refill({ log, topic }: TapOptions, cursors: readonly Cursor[]): Promise<boolean> {
  const empty = cursors.filter(({ buffer, at, offset, endOffset }) => at >= buffer.length && offset < endOffset);
  if (empty.length === 0) return false;
  const results = await log.readMany(
    empty.map(({ partition, offset }) => ({ at: { topic, partition }, offset })),
    READ,
  );
  let found = false;
  results.forEach(({ records, nextOffset }, i) => {
    const cursor = empty[i];
    if (nextOffset > cursor.offset) found = true;
    cursor.buffer = records.filter(({ offset }) => offset < cursor.endOffset);
    cursor.at = 0;
    cursor.offset = nextOffset;
  });
  return found;
}

/** Takes records until a buffer that had some is used up, as the next of that partition may come before the others'. */
function mergeWhileFull(cursors: readonly Cursor[]): LogRecord[] {
  const filled = cursors.filter(({ buffer, at }) => at < buffer.length);
  const merged: LogRecord[] = [];
  if (filled.length === 0) return merged;
  for (;;) {
    let next = filled[0];
    for (const cursor of filled) if (cursor.buffer[cursor.at].appendedMs < next.buffer[next.at].appendedMs) next = cursor;
    merged.push(next.buffer[next.at++]);
    if (next.at >= next.buffer.length) return merged;
  }
}
