/**
 * The port of the event log: ordered, partitioned, durable records, and the atomic step of a task. Two implementations
 * (postgres-log.ts, kafka-log.ts) pass one contract suite: test/streams/event-log-contract.ts.
 */

/** Who delivered a record and as its which delivery: what makes a redelivery recognisable (`ce_id` = source#number). */
export interface RecordHeaders {
  /** CloudEvents source: a file hash, a meter gateway, or the processor of a derived event. */
  source: string;
  /** Number of the delivery within its source and partition, ascending; -1 where `id` is a hash of content. */
  number: number;
  /** Derived events: hash of content. Facts: undefined, the id is source#number. */
  id?: string;
  /** CloudEvents type: the name of the Avro record. */
  type: string;
  /** When the content became known (UTC epoch ms); CloudEvents time. */
  knownAtMs: number;
  /** Derived events: the trigger's id and the ranges of positions read, e.g. "src#12 meter.readings/3:100-164". */
  causes?: string;
  /** Derived events: id of the `runs` event. */
  run?: string;
  /**
   * W3C trace context of who delivered, as they gave it: it stays with the record, in reads, taps and replays. Derived
   * events have none, as they come of many records; the first of their `causes` names the one that they were made at.
   */
  traceparent?: string;
}

/** A record on its way into the log. `value` is a Confluent-framed Avro body. */
export interface NewRecord {
  topic: string;
  key: string;
  value: Uint8Array;
  headers: RecordHeaders;
  /** Only for topics keyed by partition (ticks, runs): overrides the partitioner. */
  partition?: number;
}

/** A record of the log. `offset` ascends within (topic, partition), holes are legal. */
export interface LogRecord extends NewRecord {
  partition: number;
  offset: number;
  /** Set by the log, never falls within a partition (UTC epoch ms). */
  appendedMs: number;
  /** Why an event that others wrote past this port cannot be used, where its headers do not say what they must. */
  fault?: string;
}

export interface TopicPartition {
  topic: string;
  partition: number;
}

export interface AppendResult {
  appended: number;
  /** Records whose (source, number) the partition had seen: skipped, as they are redeliveries. */
  redelivered: number;
}

/** Next offset to read, by "topic" for a task's partition. */
export type Positions = Record<string, number>;

export interface StepJournalEntry {
  topic: string;
  firstOffset: number;
  /** Offset after the last record read (holes are legal, so a count alone would not say where it ends). */
  endOffset: number;
  count: number;
}

/** One atomic step of a task. Everything of it becomes visible together, or nothing. */
export interface Step {
  /** Names what made the state (processors, versions, settings), so that others do not take it over. */
  label: string;
  outputs: NewRecord[];
  /** Changed keys' state; opaque to the log. */
  delta: Uint8Array;
  /** Order in which inputs were read. */
  journal: StepJournalEntry[];
  positions: Positions;
  /** A full snapshot to keep from this step on, which lets earlier deltas go. */
  snapshot?: { streamTimeMs: number; bytes: Uint8Array };
}

/** What an owner finds when it takes a task over. */
export interface TaskState {
  stepNumber: number;
  /** Of the latest step; null before the first. */
  label: string | null;
  positions: Positions;
  /** The latest full snapshot. */
  snapshot: Uint8Array | null;
  /** Deltas after the snapshot, in order. */
  deltas: Uint8Array[];
}

/** A full snapshot of a task that was kept: the last of each of the latest days, and of each month. */
export interface KeptSnapshot {
  stepNumber: number;
  label: string;
  streamTimeMs: number;
  positions: Positions;
  bytes: Uint8Array;
}

/**
 * An owned task. Commits of a fenced owner throw TASK_FENCED and leave nothing. After DATABASE_UNREACHABLE, KAFKA_UNREACHABLE
 * (or any other failure) it is not known whether the step was committed: take the task over again, its state says.
 */
export interface TaskHandle {
  readonly partition: number;
  readonly state: TaskState;
  commit(step: Step): Promise<void>;
  /** Forgets the handle without touching the log. */
  release(): Promise<void>;
}

export interface ReadOptions {
  maxRecords: number;
  maxBytes: number;
}

export interface ReadResult {
  records: LogRecord[];
  /** Where to read on: after the last record, or after trailing holes. */
  nextOffset: number;
}

export interface EventLog {
  readonly namespace: string;
  /**
   * Appends atomically; per partition in the order given. A call with an unknown topic or partition (TOPIC_UNKNOWN), an
   * oversized event (EVENT_TOO_LARGE) or a bad key or source (EVENT_INVALID) is refused whole. A source is one writer
   * at a time. Where the connection breaks, a call of numbered records is repeated, and what had been committed already
   * counts as redelivered; other calls throw DATABASE_UNREACHABLE (KAFKA_UNREACHABLE). Once the call ends, its records can
   * be read.
   */
  append(records: NewRecord[]): Promise<AppendResult>;
  /** Records from `offset` on, in order, whole up to the bounds (at least one if there is one). */
  read(at: TopicPartition, offset: number, options: ReadOptions): Promise<ReadResult>;
  /**
   * Several positions in one consistent look: where a result holds a record, every record whose append had ended before
   * that one's began is in the other results too (within their bounds). And of an append of which one look shows anything,
   * all the rest can be read then; of a step of a task on Kafka only what it emitted to partitions of the requested numbers:
   * its line in the journal may come later, which `taskPositions` waits for. Tasks rest on it: a tick is taken only when all
   * facts that were appended before it, or with it, are seen.
   *
   * Where all partitions are in one table, one statement gives it. Where they are not (Kafka), fetching one after the
   * other does not, see kafka-look.ts. A result of which something was held back ends in `nextOffset` after its last
   * record, not at the end of the log, and what is there comes in the end, however much is appended elsewhere.
   */
  readMany(requests: { at: TopicPartition; offset: number }[], options: ReadOptions): Promise<ReadResult[]>;
  /** First offset whose record was appended at or after the time; the end where there is none. */
  offsetAtAppendedTime(at: TopicPartition, appendedMs: number): Promise<number>;
  /** Next offsets of all partitions. Offsets below may be holes. */
  endOffsets(topic: string): Promise<number[]>;
  /** Takes the task of a partition over: fences every earlier owner first, then reads its state. */
  takeTask(partition: number): Promise<TaskHandle>;
  /** Positions committed by a task, without taking it. */
  taskPositions(partition: number): Promise<Positions>;
  /** The latest kept snapshot under a label whose stream time is at or before the given one. */
  keptSnapshot(partition: number, label: string, atOrBeforeMs: number): Promise<KeptSnapshot | null>;
  /** The journal of a task from a step on, for verify replays. */
  journal(partition: number, fromStep: number, maxSteps: number): Promise<{ step: number; entries: StepJournalEntry[] }[]>;
  /**
   * Keeps the latest record of each key of a compacted topic; others become holes, at once or (where a broker does it
   * in its own time) later. `removed` counts what this call removed.
   */
  compact(topic: string): Promise<{ removed: number }>;
  /** Drops records appended before the time from a topic with retention. All that were appended later stay. */
  retain(topic: string, beforeAppendedMs: number): Promise<{ removed: number }>;
  /** Resolves when something may have been appended, after the time-out, or when aborted; look again after each. */
  waitForAppend(timeoutMs: number, signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/**
 * A record whose value lies in memory that it shares with others. It has a view of all of that memory at hand, as asking
 * each value for its own would cost as much as reading it; what one sees of the record is that of any other.
 */
export class SharingRecord implements LogRecord {
  topic: string;
  partition: number;
  offset: number;
  appendedMs: number;
  key: string;
  headers: RecordHeaders;
  value: Uint8Array;
  declare fault?: string;
  readonly #memory: DataView;

  constructor(
    place: { topic: string; partition: number; appendedMs: number },
    offset: number,
    key: string,
    headers: RecordHeaders,
    value: Uint8Array,
    memory: DataView,
  ) {
    this.topic = place.topic;
    this.partition = place.partition;
    this.offset = offset;
    this.appendedMs = place.appendedMs;
    this.key = key;
    this.headers = headers;
    this.value = value;
    this.#memory = memory;
  }

  /** The memory of a record's value, where it is at hand. */
  static memoryOf(record: LogRecord): DataView | undefined {
    return #memory in record ? record.#memory : undefined;
  }
}
