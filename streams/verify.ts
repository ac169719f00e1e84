/**
 * Replay of what tasks did: the journal says in which order a task took its facts, so a fresh drive that takes them in
 * that order must emit the same canonical bytes. Nothing is taken over and nothing is written, so that a live pipeline
 * may go on beside it.
 */
import { bodyOf, type Codec, schemaIdOf } from '../schemas/codec.ts';
import type { Rejected } from '../schemas/types.ts';
import { Drive } from './drive.ts';
import { IflexError } from './errors.ts';
import type { EventLog, KeptSnapshot, LogRecord, NewRecord, StepJournalEntry } from './event-log.ts';
import { MAX_STEP_BYTES, MAX_STEP_RECORDS } from './limits.ts';
import type { Processor } from './processor.ts';
import { findTopic } from './topics.ts';

export interface JournalReplay {
  log: EventLog;
  codec: Codec;
  processors: readonly Processor[];
  /** The task: partition p of all fact topics. */
  partition: number;
  /** Where to begin: a kept snapshot of the task with the same processors and settings. Default: its first step. */
  start?: KeptSnapshot;
  /** Last step to replay; default: the last one committed when the replay gets there. */
  throughStep?: number;
}

/** What one step took and emitted. `outputs` are in the order of emission and carry no run id. */
export interface ReplayedStep {
  step: number;
  records: number;
  outputs: NewRecord[];
}

export interface Verification {
  partition: number;
  steps: number;
  records: number;
  /** Derived events that the replay emitted; each had its equal in the log unless `difference` tells otherwise. */
  outputs: number;
  /** The first difference in words, or null where the log holds exactly what the replay emitted. */
  difference: string | null;
  /** The events of that difference: what the replay emitted, and what the log holds in its place. */
  emitted: NewRecord | null;
  found: LogRecord | null;
}

const READ = { maxRecords: MAX_STEP_RECORDS, maxBytes: MAX_STEP_BYTES };
const JOURNAL_STEPS = 500;

/**
 * What replays compare: key, Avro body, schema fingerprint and derived id. Run id, positions, appended time and
 * registry ids are outside. `fingerprintOf` gives the fingerprint of a registry id (`codec.fingerprintOf`).
 */
export function canonicalBytes(record: NewRecord, fingerprintOf: (schemaId: number) => string): Buffer {
  const key = Buffer.from(record.key);
  const body = bodyOf(record.value);
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32LE(key.length, 0);
  lengths.writeUInt32LE(body.length, 4);
  return Buffer.concat([lengths, key, body, Buffer.from(`${fingerprintOf(schemaIdOf(record.value))} ${record.headers.id ?? ''}`)]);
}

/**
 * Takes the facts of a task in the order of its journal through a fresh drive, or one that begins with a snapshot; yields
 * what each step emits. Events on which a processor throws are set aside as the task did. Throws NOT_FOUND where the log no longer
 * holds a fact of the journal, and PoisonedError where a processor throws on a key for which it never did.
 */
export async function* replayJournal(options: JournalReplay): AsyncGenerator<ReplayedStep> {
  const { log, codec, processors, partition, start, throughStep = Number.POSITIVE_INFINITY } = options;
  const drive = new Drive({ processors, codec }, await recordedSuspects(log, codec, partition));
  if (start) drive.applyState(start.bytes);
  drive.markCommitted();
  const readers = new Map<string, TopicReader>();
  for (const [topic, offset] of Object.entries(start?.positions ?? {}))
    readers.set(topic, new TopicReader(log, topic, partition, { offset }));
  for (let from = (start?.stepNumber ?? 0) + 1; ; ) {
    const journal = await log.journal(partition, from, JOURNAL_STEPS);
    for (const { step, entries } of journal) {
      if (step > throughStep) return;
      let records = 0;
      for (const entry of entries) records += await takeEntry(log, drive, readers, partition, entry);
      yield { step, records, outputs: drive.outputs };
      drive.markCommitted();
      from = step + 1;
    }
    if (journal.length < JOURNAL_STEPS) return;
  }
}

async function takeEntry(
  log: EventLog,
  drive: Drive,
  readers: Map<string, TopicReader>,
  partition: number,
  { topic, firstOffset, endOffset, count }: StepJournalEntry,
): Promise<number> {
  let reader = readers.get(topic);
  if (!reader) readers.set(topic, (reader = new TopicReader(log, topic, partition)));
  for (let i = 0; i < count; i++) {
    const record = await reader.next();
    if (record === undefined || record.offset < firstOffset || record.offset >= endOffset)
      throw new IflexError(
        'NOT_FOUND',
        `The log does not hold the ${count} events of ${topic}/${partition}:${firstOffset}-${endOffset - 1} that the journal names.`,
      );
    drive.take(record);
  }
  return count;
}

/**
 * Replays the journal of a task and compares every derived event with the log's, topic by topic in order. A snapshot does
 * not say how far its task had written, so a replay from one begins to compare each topic at the first event that it
 * emits there, and leaves out topics that are compacted or expire.
 */
export async function verifyTask(options: JournalReplay): Promise<Verification> {
  const { log, codec, processors, partition } = options;
  const names = new Set([...processors.map(({ name }) => name), 'reject']);
  const isOfTask = (record: LogRecord) => names.has(record.headers.source);
  const written = new Map<string, TopicReader>();
  const readerOf = (topic: string) => {
    let reader = written.get(topic);
    if (!reader) written.set(topic, (reader = new TopicReader(log, topic, partition, { wanted: isOfTask })));
    return reader;
  };
  const result: Verification = { partition, steps: 0, records: 0, outputs: 0, difference: null, emitted: null, found: null };
  const bytesOf = (record: NewRecord) => canonicalBytes(record, (id) => codec.fingerprintOf(id));
  // Compaction and retention take events away, which a replay makes again.
  const mayLack = (topic: string) => (findTopic(topic)?.cleanup ?? 'keep') !== 'keep';
  let lastStep = options.start?.stepNumber ?? 0;
  for await (const { step, records, outputs } of replayJournal(options)) {
    lastStep = step;
    result.steps++;
    result.records += records;
    for (const output of outputs) {
      result.outputs++;
      if (options.start && mayLack(output.topic)) continue;
      const isFirst = !written.has(output.topic);
      const reader = readerOf(output.topic);
      if (isFirst && options.start) await reader.skipUntil((record) => bytesOf(record).equals(bytesOf(output)));
      const found = await reader.peek();
      if (found !== undefined && bytesOf(found).equals(bytesOf(output))) reader.skip();
      // Of such a topic not everything is left; what is still there must come in this order.
      else if (!mayLack(output.topic))
        return { ...result, difference: differenceOf(step, output, found, partition), emitted: output, found: found ?? null };
    }
  }
  for (const topic of new Set([...processors.flatMap(({ writes }) => writes), 'rejected'])) {
    if (options.start && !written.has(topic)) continue;
    const extra = await readerOf(topic).peek();
    if (extra === undefined) continue;
    // A live task may have gone on; what it emitted came with a further step. Steps are seen whole or not at all.
    const further = await log.journal(partition, lastStep + 1, 1);
    if (further.length === 0)
      return { ...result, difference: `The log holds ${topic}/${partition}:${extra.offset}, which the replay did not emit.`, found: extra };
  }
  return result;
}

function differenceOf(step: number, output: NewRecord, found: LogRecord | undefined, partition: number): string {
  const what = `Step ${step} emitted ${output.topic} ${output.headers.id} of ${output.key}`;
  if (found === undefined) return `${what}, which the log does not hold.`;
  const place = `${found.topic}/${partition}:${found.offset}`;
  if (found.key !== output.key) return `${what}; at ${place} the log holds one of ${found.key}.`;
  return `${what}; the log holds ${found.headers.id} at ${place}${found.headers.id === output.headers.id ? ' under another schema' : ''}.`;
}

/** Keys for which the log says that a processor threw: the drive undoes their failing events again. */
async function recordedSuspects(log: EventLog, codec: Codec, partition: number): Promise<Set<string>> {
  const suspects = new Set<string>();
  const reader = new TopicReader(log, 'rejected', partition, { wanted: ({ headers }) => headers.source === 'reject' });
  for (let record = await reader.next(); record; record = await reader.next())
    if ((codec.decodeAs('Rejected', record.value) as Rejected).code === 'PROCESSOR_FAILED') suspects.add(record.key);
  return suspects;
}

/** Reads one partition of a topic from an offset on (default: its beginning), in order, a batch at a time. */
class TopicReader {
  private readonly log: EventLog;
  private readonly at: { topic: string; partition: number };
  private readonly wanted: (record: LogRecord) => boolean;
  private batch: LogRecord[] = [];
  private index = 0;
  private offset: number;

  constructor(log: EventLog, topic: string, partition: number, from: { offset?: number; wanted?: (record: LogRecord) => boolean } = {}) {
    this.log = log;
    this.at = { topic, partition };
    this.offset = from.offset ?? 0;
    this.wanted = from.wanted ?? (() => true);
  }

  async peek(): Promise<LogRecord | undefined> {
    while (this.index >= this.batch.length) {
      const { records, nextOffset } = await this.log.read(this.at, this.offset, READ);
      if (nextOffset === this.offset) return undefined;
      this.offset = nextOffset;
      this.batch = records.filter(this.wanted);
      this.index = 0;
    }
    return this.batch[this.index];
  }

  skip(): void {
    this.index++;
  }

  /** Stays before the first record that is meant, or at the end where there is none. */
  async skipUntil(isMeant: (record: LogRecord) => boolean): Promise<void> {
    for (let record = await this.peek(); record && !isMeant(record); record = await this.peek()) this.skip();
  }

  async next(): Promise<LogRecord | undefined> {
    const record = await this.peek();
    if (record) this.skip();
    return record;
  }
}
