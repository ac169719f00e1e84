/** Pure part of appending: records by partition, repeats dropped, cut into batches, laid end to end for one statement. */
import { packBatch } from './batch.ts';
import { IflexError } from './errors.ts';
import type { NewRecord } from './event-log.ts';
import { MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_EVENT_BYTES, MAX_NAME_CHARS } from './limits.ts';
import { partitionOf } from './partitioner.ts';
import type { Topic } from './topics.ts';

/** Records of one partition, in the order given. */
export interface Group {
  topic: string;
  partition: number;
  records: NewRecord[];
  /** Delivery numbers by source; filled by dropRepeats(). */
  sources: Map<string, { first: number; last: number }>;
}

/** Batches of an append as the parallel arrays that the SQL functions take. */
export interface Packed {
  topics: string[];
  partitions: number[];
  counts: number[];
  sizes: number[];
  blob: Buffer;
  /** Number of the batch (from 1) that a source's range belongs to. */
  sourceBatch: number[];
  sourceNames: string[];
  sourceFirst: number[];
  sourceLast: number[];
}

/** The topics of one log, by name. */
export class TopicTable {
  private readonly byName: ReadonlyMap<string, Topic>;
  constructor(topics: readonly Topic[]) {
    this.byName = new Map(topics.map((topic) => [topic.name, topic]));
  }

  /** Throws TOPIC_UNKNOWN where there is no such topic, or no such partition of it. */
  find(name: string, partition = 0): Topic {
    const topic = this.byName.get(name);
    if (!topic) throw new IflexError('TOPIC_UNKNOWN', `There is no topic "${name}". \`iflex topics\` lists them.`);
    if (!Number.isInteger(partition) || partition < 0 || partition >= topic.partitions)
      throw new IflexError('TOPIC_UNKNOWN', `The topic ${name} has the partitions 0 to ${topic.partitions - 1}, but no ${partition}.`);
    return topic;
  }

  all(): readonly Topic[] {
    return [...this.byName.values()];
  }
}

/** Groups of one topic while records are sorted into them. */
interface Lane {
  topic: Topic;
  byKey: Map<string, Group>;
  byPartition: Group[];
}

/** Records by partition, in the order in which partitions are locked. Throws TOPIC_UNKNOWN, EVENT_TOO_LARGE, EVENT_INVALID. */
export function groupByPartition(records: readonly NewRecord[], topics: TopicTable): Group[] {
  const lanes = new Map<string, Lane>();
  const groups: Group[] = [];
  let lane: Lane | undefined;
  for (const record of records) {
    if (lane?.topic.name !== record.topic) {
      lane = lanes.get(record.topic);
      if (!lane) lanes.set(record.topic, (lane = { topic: topics.find(record.topic), byKey: new Map(), byPartition: [] }));
    }
    checkRecord(record);
    let group = record.partition === undefined ? lane.byKey.get(record.key) : lane.byPartition[record.partition];
    if (!group) {
      const partition = record.partition ?? partitionOf(checkedName('key', record.key), lane.topic.partitions);
      topics.find(record.topic, partition);
      group = lane.byPartition[partition];
      if (!group) groups.push((group = lane.byPartition[partition] = { topic: record.topic, partition, records: [], sources: new Map() }));
      if (record.partition === undefined) lane.byKey.set(record.key, group);
    }
    group.records.push(record);
  }
  return groups.sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
}

/** Sources are part of an index and keys are in each record's head, so both are bounded; PostgreSQL's text knows no NUL. */
function checkedName(what: string, name: string): string {
  if (name.length > MAX_NAME_CHARS || name.includes('\0'))
    throw new IflexError('EVENT_INVALID', `The ${what} of an event has at most ${MAX_NAME_CHARS} characters, and no NUL among them.`);
  return name;
}

/** Times and numbers are stored as steps, which must be exact: half of the safe integers, or the year 73,000. */
const MAX_STORED = 2 ** 51;

function checkRecord({ topic, value, headers: { number, knownAtMs, causes } }: NewRecord): void {
  const bytes = value.length + (causes === undefined ? 0 : causes.length);
  if (bytes > MAX_EVENT_BYTES)
    throw new IflexError('EVENT_TOO_LARGE', `An event of ${bytes} bytes for ${topic} is above the limit of ${MAX_EVENT_BYTES}.`);
  if (!Number.isInteger(number) || number < -1 || number > MAX_STORED || !Number.isInteger(knownAtMs) || Math.abs(knownAtMs) > MAX_STORED)
    throw new IflexError(
      'EVENT_INVALID',
      `An event for ${topic} has the number ${number} and is known at ${knownAtMs} ms: not whole, or out of range.`,
    );
}

/**
 * Drops records whose number is not above an earlier one of the same source in the same group, and notes the ranges of
 * numbers. Returns how many were dropped.
 */
export function dropRepeats(groups: readonly Group[]): number {
  let repeated = 0;
  for (const { records, sources } of groups) {
    let kept = 0;
    for (const record of records) {
      const { source, number } = record.headers;
      if (number >= 0) {
        const range = sources.get(source);
        if (range === undefined) sources.set(checkedName('source', source), { first: number, last: number });
        else if (number > range.last) range.last = number;
        else continue;
      }
      records[kept++] = record;
    }
    repeated += records.length - kept;
    records.length = kept;
  }
  return repeated;
}

/** Cuts groups into batches within the bounds and lays them end to end. */
export function pack(groups: readonly Group[]): Packed {
  const packed: Packed = {
    topics: [],
    partitions: [],
    counts: [],
    sizes: [],
    blob: Buffer.alloc(0),
    sourceBatch: [],
    sourceNames: [],
    sourceFirst: [],
    sourceLast: [],
  };
  const payloads: Buffer[] = [];
  for (const group of groups) {
    for (const records of cut(group.records)) {
      const payload = packBatch(records);
      payloads.push(payload);
      packed.topics.push(group.topic);
      packed.partitions.push(group.partition);
      packed.counts.push(records.length);
      packed.sizes.push(payload.length);
    }
    for (const [source, range] of group.sources) {
      packed.sourceBatch.push(packed.topics.length);
      packed.sourceNames.push(source);
      packed.sourceFirst.push(range.first);
      packed.sourceLast.push(range.last);
    }
  }
  packed.blob = payloads.length === 1 ? payloads[0] : Buffer.concat(payloads);
  return packed;
}

function* cut(records: NewRecord[]): Generator<NewRecord[]> {
  let from = 0;
  let bytes = 0;
  for (let i = 0; i < records.length; i++) {
    bytes += records[i].value.length;
    if (i + 1 - from >= MAX_BATCH_RECORDS || bytes >= MAX_BATCH_BYTES) {
      yield records.slice(from, i + 1);
      from = i + 1;
      bytes = 0;
    }
  }
  if (from < records.length) yield from === 0 ? records : records.slice(from);
}
