/**
 * Tasks of the log on Kafka. A step is one transaction: outputs, the change of state, and a line of the journal, whose
 * latest one says up to where inputs are taken and where the state lies. Taking a task over shuts its former owner out,
 * and only then reads: the latest line, the snapshot, the changes after it.
 */
import { deleteRecordsV2 } from '@platformatic/kafka';
import { groupByPartition, type TopicTable } from './append-groups.ts';
import { IflexError } from './errors.ts';
import type { KeptSnapshot, LogRecord, Positions, Step, StepJournalEntry, TaskHandle, TaskState, TopicPartition } from './event-log.ts';
import type { Lane } from './kafka-batches.ts';
import type { KafkaCluster } from './kafka-cluster.ts';
import { placesHeldBy } from './kafka-hanging.ts';
import type { KafkaReader } from './kafka-reader.ts';
import type { WireRecord } from './kafka-records.ts';
import { type OwnTopic, ownTopicName, placesOf, topicName } from './kafka-topics.ts';
import { TransactionWriter, type Written } from './kafka-transaction.ts';
import { DAILY_SNAPSHOTS_KEPT, DAY_MS } from './limits.ts';

export interface KafkaTaskPlace {
  cluster: KafkaCluster;
  reader: KafkaReader;
  namespace: string;
  topics: TopicTable;
  /** Resolves once what was written can be read. */
  visible(written: readonly Written[]): Promise<void>;
}

/** A line of the journal. */
interface JournalLine {
  step: number;
  label: string;
  positions: Positions;
  /** Topic, first offset, end offset, count. */
  entries: [string, number, number, number][];
  /** The latest snapshot; null where there is none. */
  snapshot: SnapshotPlace | null;
  /** Changes of state after the snapshot lie at this offset and after. */
  deltasFrom: number;
}

interface SnapshotPlace {
  step: number;
  /** Its parts lie at this offset and after. */
  from: number;
  parts: number;
}

/** A line of the index of snapshots. */
export interface SnapshotEntry extends SnapshotPlace {
  label: string;
  streamTimeMs: number;
  positions: Positions;
}

/** State and snapshots are cut into records of at most this. */
const PART_BYTES = 512 * 1024;
/** Topics of the log itself that a step writes to, beside the journal. */
const STEP_TOPICS = ['deltas', 'snapshots', 'snapshot-index'] as const;
const DELETE_WITHIN_MS = 10_000;

/** Shuts every earlier owner out, then reads the state. */
export async function takeKafkaTask(place: KafkaTaskPlace, partition: number): Promise<TaskHandle> {
  const writer = new TransactionWriter(place.cluster, `${place.namespace}.task.${partition}`);
  await writer.open();
  await formerDecided(place, partition, writer);
  const line = await lastLine(place, partition);
  const [snapshot, deltas, kept] = await Promise.all([
    line?.snapshot ? readSnapshot(place, partition, line.snapshot) : null,
    readDeltas(place, partition, line),
    readIndex(place, partition),
  ]);
  const state: TaskState = {
    stepNumber: line?.step ?? 0,
    label: line?.label ?? null,
    positions: line?.positions ?? {},
    snapshot,
    deltas,
  };
  const ownPlaces = (['deltas', 'snapshots'] as const).map((topic) => ownPlace(place, topic, partition));
  const [deltasEnd, snapshotsEnd] = await place.reader.highWatermarks(ownPlaces);
  const owner = new KafkaTask(place, partition, writer, { line, kept, deltasEnd, snapshotsEnd });
  return { partition, state, commit: (step) => owner.commit(step), release: async () => {} };
}

/**
 * The former owner's transaction has ended, yet its mark may be missing somewhere. In the journal, a step that counts could
 * not be read, and would be done twice. Elsewhere, the next transaction of the same producer would take along what was
 * aborted, and commit it. Throws KAFKA_STALLED where a mark stays missing.
 */
async function formerDecided(place: KafkaTaskPlace, partition: number, { producerId }: TransactionWriter): Promise<void> {
  const { cluster, reader, namespace, topics } = place;
  await journalDecided(place, partition);
  const derived = topics.all().filter(({ kind }) => kind === 'derived');
  const written = [
    // An event that was set aside lies in the partition of its key.
    ...derived.flatMap(({ name, partitions }) => placesOf({ name: topicName(namespace, name), partitions })),
    ...STEP_TOPICS.map((topic) => ownPlace(place, topic, partition)),
  ];
  await reader.untilDecided(await placesHeldBy(producerId, cluster, reader, written));
}

async function journalDecided(place: ReadPlace, partition: number): Promise<void> {
  const journal = ownPlace(place, 'journal', partition);
  const [endOffset] = await place.reader.highWatermarks([journal]);
  await place.reader.untilDecided([{ ...journal, endOffset }]);
}

class KafkaTask {
  private readonly place: KafkaTaskPlace;
  private readonly partition: number;
  private readonly writer: TransactionWriter;
  private step: number;
  private snapshot: SnapshotPlace | null;
  private deltasFrom: number;
  private deltasEnd: number;
  private snapshotsEnd: number;
  private kept: SnapshotEntry[];
  private failure: unknown;

  constructor(
    place: KafkaTaskPlace,
    partition: number,
    writer: TransactionWriter,
    found: { line: JournalLine | undefined; kept: SnapshotEntry[]; deltasEnd: number; snapshotsEnd: number },
  ) {
    this.place = place;
    this.partition = partition;
    this.writer = writer;
    this.step = found.line?.step ?? 0;
    this.snapshot = found.line?.snapshot ?? null;
    this.deltasFrom = found.line?.deltasFrom ?? 0;
    this.deltasEnd = found.deltasEnd;
    this.snapshotsEnd = found.snapshotsEnd;
    this.kept = found.kept;
  }

  /** After a failure whether the step was committed is not known, and the writer is of no use: the task is taken anew. */
  async commit(step: Step): Promise<void> {
    const { namespace, topics } = this.place;
    const groups = groupByPartition(step.outputs, topics);
    if (this.failure !== undefined) throw this.failure;
    const outputs = groups.map(({ topic, partition, records }): Lane => ({ topic: topicName(namespace, topic), partition, records }));
    const number = this.step + 1;
    const state = step.snapshot ? this.snapshotLanes(number, step, step.snapshot) : this.deltaLanes(number, step.delta);
    const line: JournalLine = {
      step: number,
      label: step.label,
      positions: step.positions,
      entries: step.journal.map((entry) => [entry.topic, entry.firstOffset, entry.endOffset, entry.count]),
      snapshot: state.snapshot,
      deltasFrom: state.deltasFrom,
    };
    try {
      await this.writer.write([...outputs, ...state.lanes, this.lane('journal', [jsonRecord('step', line)])]);
      const written = await this.writer.end(true);
      this.noteEnds(written);
      await this.place.visible(written);
    } catch (error) {
      this.failure = error;
      throw error;
    }
    this.step = number;
    if (state.deltasFrom !== this.deltasFrom) this.forgetDeltas(state.deltasFrom);
    Object.assign(this, { snapshot: state.snapshot, deltasFrom: state.deltasFrom, kept: state.kept });
  }

  private deltaLanes(number: number, delta: Uint8Array) {
    const lanes = delta.length === 0 ? [] : [this.lane('deltas', partsOf(number, delta))];
    return { lanes, snapshot: this.snapshot, deltasFrom: this.deltasFrom, kept: this.kept };
  }

  /** A snapshot holds the step's own change too. What is let go by the rule is forgotten in the same transaction. */
  private snapshotLanes(number: number, { label, positions }: Step, { streamTimeMs, bytes }: NonNullable<Step['snapshot']>) {
    const parts = partsOf(number, bytes);
    const snapshot = { step: number, from: this.snapshotsEnd, parts: parts.length };
    const entry: SnapshotEntry = { ...snapshot, label, streamTimeMs: Math.max(0, streamTimeMs), positions };
    const gone = expiredSnapshots(this.kept, entry);
    const kept = [...this.kept.filter((each) => !gone.includes(each)), entry];
    const lanes = [
      this.lane('snapshots', [...parts, ...gone.flatMap((each) => partKeys(each).map(forgotten))]),
      this.lane('snapshot-index', [jsonRecord(String(number), entry), ...gone.map((each) => forgotten(String(each.step)))]),
    ];
    return { lanes, snapshot, deltasFrom: this.deltasEnd, kept };
  }

  private lane(topic: OwnTopic, records: WireRecord[]): Lane {
    return { ...ownPlace(this.place, topic, this.partition), records };
  }

  private noteEnds(written: readonly Written[]): void {
    const { namespace } = this.place;
    for (const { topic, endOffset } of written) {
      if (topic === ownTopicName(namespace, 'deltas')) this.deltasEnd = endOffset;
      if (topic === ownTopicName(namespace, 'snapshots')) this.snapshotsEnd = endOffset;
    }
  }

  /** What the snapshot made superfluous. If it cannot be deleted now, the next snapshot's turn deletes it. */
  private forgetDeltas(before: number): void {
    const { topic, partition } = ownPlace(this.place, 'deltas', this.partition);
    deleteBefore(this.place.cluster, { topic, partition }, before).catch(() => {});
  }
}

/** Deletes what lies before an offset. */
export async function deleteBefore(cluster: KafkaCluster, { topic, partition }: TopicPartition, offset: number): Promise<void> {
  await cluster.untilDone(
    async () => {
      const [[node]] = await cluster.byLeader([{ topic, partition }]);
      const partitions = [{ partitionIndex: partition, offset: BigInt(offset) }];
      await cluster.sendToNode('write', node, deleteRecordsV2.api, [{ name: topic, partitions }], DELETE_WITHIN_MS);
    },
    { topics: [topic], withinMs: DELETE_WITHIN_MS },
  );
}

/** Of each day the last is kept, and of each month the last of those that are older than the days kept. */
export function expiredSnapshots(kept: readonly SnapshotEntry[], latest: SnapshotEntry): SnapshotEntry[] {
  const dailyFromMs = latest.streamTimeMs - DAILY_SNAPSHOTS_KEPT * DAY_MS;
  const dayOf = ({ streamTimeMs }: SnapshotEntry) => Math.floor(streamTimeMs / DAY_MS);
  const monthOf = ({ streamTimeMs }: SnapshotEntry) => new Date(streamTimeMs).toISOString().slice(0, -17);
  const all = [...kept, latest];
  return kept.filter((each) =>
    all.some(
      (later) =>
        later.step > each.step && (dayOf(later) === dayOf(each) || (each.streamTimeMs < dailyFromMs && monthOf(later) === monthOf(each))),
    ),
  );
}

function partsOf(step: number, bytes: Uint8Array): WireRecord[] {
  const count = Math.max(1, Math.ceil(bytes.length / PART_BYTES));
  return partKeys({ step, parts: count }).map((key, i) => ({
    key,
    value: bytes.subarray(i * PART_BYTES, (i + 1) * PART_BYTES),
    headers: null,
  }));
}

function partKeys({ step, parts }: { step: number; parts: number }): string[] {
  return Array.from({ length: parts }, (_, i) => `${step}/${i}/${parts}`);
}

function forgotten(key: string): WireRecord {
  return { key, value: null, headers: null };
}

function jsonRecord(key: string, value: unknown): WireRecord {
  return { key, value: Buffer.from(JSON.stringify(value)), headers: null };
}

function ownPlace({ namespace }: { namespace: string }, topic: OwnTopic, partition: number): TopicPartition {
  return { topic: ownTopicName(namespace, topic), partition };
}

type ReadPlace = Pick<KafkaTaskPlace, 'reader' | 'namespace'>;

async function lastLine(place: ReadPlace, partition: number): Promise<JournalLine | undefined> {
  const last = await place.reader.last(ownPlace(place, 'journal', partition));
  return last && lineOf(last);
}

function lineOf({ value }: LogRecord): JournalLine {
  return JSON.parse(Buffer.from(value).toString()) as JournalLine;
}

async function readSnapshot(place: ReadPlace, partition: number, { step, from, parts }: SnapshotPlace): Promise<Buffer> {
  const wanted = new Set(partKeys({ step, parts }));
  const found: Uint8Array[] = [];
  for await (const records of place.reader.readToEnd(ownPlace(place, 'snapshots', partition), from)) {
    for (const { key, value } of records) if (wanted.delete(key)) found.push(value);
    if (wanted.size === 0) return Buffer.concat(found);
  }
  throw new IflexError(
    'INTERNAL',
    `The log has lost ${wanted.size} of ${parts} parts of the snapshot of step ${step} of task ${partition}. ` +
      'Restore its topics from a copy, or replay into a new namespace.',
  );
}

/** Of each step its change of state, in order; steps up to the snapshot are in it. */
async function readDeltas(place: ReadPlace, partition: number, line: JournalLine | undefined): Promise<Buffer[]> {
  if (!line) return [];
  const after = line.snapshot?.step ?? 0;
  const byStep = new Map<number, Uint8Array[]>();
  for await (const records of place.reader.readToEnd(ownPlace(place, 'deltas', partition), line.deltasFrom))
    for (const { key, value } of records) {
      const step = Number(key.slice(0, key.indexOf('/')));
      if (step <= after) continue;
      const parts = byStep.get(step);
      if (parts) parts.push(value);
      else byStep.set(step, [value]);
    }
  return [...byStep.values()].map((parts) => (parts.length === 1 ? Buffer.from(parts[0]) : Buffer.concat(parts)));
}

async function readIndex(place: ReadPlace, partition: number): Promise<SnapshotEntry[]> {
  const entries = new Map<string, SnapshotEntry>();
  for await (const records of place.reader.readToEnd(ownPlace(place, 'snapshot-index', partition), 0))
    for (const { key, value } of records) {
      if (value.length === 0) entries.delete(key);
      else entries.set(key, JSON.parse(Buffer.from(value).toString()) as SnapshotEntry);
    }
  return [...entries.values()].sort((a, b) => a.step - b.step);
}

/** Marks come partition by partition: what a step emitted may be read before its line can, which is waited for. */
export async function kafkaTaskPositions(place: ReadPlace, partition: number): Promise<Positions> {
  await journalDecided(place, partition);
  return (await lastLine(place, partition))?.positions ?? {};
}

export async function kafkaKeptSnapshot(
  place: ReadPlace,
  partition: number,
  label: string,
  atOrBeforeMs: number,
): Promise<KeptSnapshot | null> {
  const entries = await readIndex(place, partition);
  const entry = entries.findLast((each) => each.label === label && each.streamTimeMs <= atOrBeforeMs);
  if (!entry) return null;
  const { step: stepNumber, streamTimeMs, positions } = entry;
  return { stepNumber, label, streamTimeMs, positions, bytes: await readSnapshot(place, partition, entry) };
}

/** Lines of the journal from a step on. They lie in order, so where they begin is found by halving. */
export async function kafkaJournal(
  place: ReadPlace,
  partition: number,
  fromStep: number,
  maxSteps: number,
): Promise<{ step: number; entries: StepJournalEntry[] }[]> {
  const at = ownPlace(place, 'journal', partition);
  const [end] = await place.reader.ends([at]);
  let [low] = await place.reader.starts([at]);
  for (let high = end; low < high; ) {
    const middle = Math.floor((low + high) / 2);
    const { records } = await place.reader.read(at, middle, { maxRecords: 1, maxBytes: 1 });
    if (records.length === 0 || lineOf(records[0]).step >= fromStep) high = middle;
    else low = records[0].offset + 1;
  }
  const lines: JournalLine[] = [];
  for (let offset = low; offset < end && lines.length < maxSteps; ) {
    const { records, nextOffset } = await place.reader.read(at, offset, { maxRecords: maxSteps - lines.length, maxBytes: 1 << 20 });
    lines.push(...records.map(lineOf).filter(({ step }) => step >= fromStep));
    if (nextOffset === offset) break;
    offset = nextOffset;
  }
  return lines.map(({ step, entries }) => ({
    step,
    entries: entries.map(([topic, firstOffset, endOffset, count]) => ({ topic, firstOffset, endOffset, count })),
  }));
}
