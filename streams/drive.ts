/**
 * Runs a topology synchronously, without a log: the heart of the task runner, of replays and of tests. One drive is the
 * memory of one task. Each fact goes depth-first through all processors; what they emit is encoded, given an id that is
 * a hash of its content, and handed on to the processors that read it.
 */
import { bodyOf, type Codec, CodecError } from '../schemas/codec.ts';
import type { ErrorCode } from './errors.ts';
import { type LogRecord, type NewRecord, SharingRecord } from './event-log.ts';
import { isFailedTickTold, isInitial, type KeyMemory } from './key-memory.ts';
import { MAX_EVENT_BYTES } from './limits.ts';
import { type Emit, type Processor, type ProcessorEvent, type RejectedPlace, topicsOf } from './processor.ts';
import { ReadRanges } from './read-ranges.ts';
import { readingCountOf } from './reading-columns.ts';
import { causesOf, contentId, idOf } from './record-ids.ts';
import { rejectedEvent, withoutPlace } from './rejected-event.ts';
import { StateReader, StateWriter } from './state-bytes.ts';
import { findTopic, type Topic } from './topics.ts';

/** A processor threw: the memory of the key may be half changed, so the task has to be restored before a retry. */
export class PoisonedError extends Error {
  readonly key: string;
  constructor(key: string, cause: unknown) {
    super((cause as Error).message ?? String(cause), { cause });
    this.key = key;
  }
}

export interface DriveOptions {
  processors: readonly Processor[];
  codec: Codec;
  /** Id of the `runs` event that outputs carry. */
  run?: string;
}

/** Of the bytes of state; part of the label under which they are kept. */
export const STATE_FORM = 3;
/** Records whose readers keep nothing of them, as the next one is read into the same objects. */
const REFILLED = new Set(['ReadingsDelivery', 'Tick']);
/** An event of a suspect that throws twice goes to `rejected`: what fails by chance once is none of the event's doing. */
const MAX_EVENT_ATTEMPTS = 2;
const NO_READERS: readonly number[] = [];

export class Drive {
  /** Filled by `take`, emptied by the caller. */
  outputs: NewRecord[] = [];
  outputBytes = 0;
  /** Latest tick. */
  streamTimeMs = Number.NEGATIVE_INFINITY;
  private readonly processors: readonly Processor[];
  private readonly codec: Codec;
  private readonly readers = new Map<string, number[]>();
  private readonly keys = new Map<string, KeyMemory>();
  private readonly suspects: ReadonlySet<string>;
  private readonly touchedKeys = new Set<string>();
  /** Ids given since the trigger came, to number events that are equal in everything. */
  private readonly idsOfTrigger = new Set<string>();
  private readonly savepoint = new StateWriter();
  private readonly run: string | undefined;
  /** What is being taken in. */
  private trigger!: LogRecord;
  /** What the last fact had: mostly what the next one has. */
  private latestTopic: Topic | undefined;
  private latestRefilled = false;
  private latestReaders: readonly number[] = NO_READERS;
  /** The last two texts that were found to be the same: mostly the next ones are these very strings. */
  private latestSiteId = '';
  private latestKey = '';
  private latestMemory: KeyMemory | undefined;
  /** Used for every fact. */
  private readonly fact: ProcessorEvent = { topic: '', key: '', value: null, knownAtMs: 0, streamTimeMs: 0 };

  /**
   * `suspects` are keys for which a processor threw before. Their state is saved before each event, so that one which
   * throws is undone, tried once more, and set aside; for other keys a throw ends in PoisonedError.
   */
  constructor({ processors, codec, run }: DriveOptions, suspects: ReadonlySet<string> = new Set()) {
    this.processors = processors;
    this.codec = codec;
    this.run = run;
    this.suspects = suspects;
    processors.forEach((processor, index) => {
      for (const topic of processor.reads) this.readers.set(topic, [...(this.readers.get(topic) ?? []), index]);
    });
  }

  /** Fact topics that the topology consumes. */
  get inputs(): string[] {
    return topicsOf(this.processors).inputs;
  }

  get keyCount(): number {
    return this.keys.size;
  }

  take(record: LogRecord): void {
    // Clearing an empty set costs a new table.
    if (this.idsOfTrigger.size > 0) this.idsOfTrigger.clear();
    this.trigger = record;
    if (record.topic === 'ticks') this.takeTick(record);
    else this.takeFact(record);
  }

  /** The value of a fact, or undefined where it was rejected. */
  private decode(record: LogRecord): { knownAtMs: number; siteId?: string } | undefined {
    if (this.latestTopic?.name !== record.topic) {
      this.latestTopic = findTopic(record.topic)!;
      this.latestRefilled = REFILLED.has(this.latestTopic.schema);
      this.latestReaders = this.readers.get(record.topic) ?? NO_READERS;
    }
    const topic = this.latestTopic;
    if (record.fault !== undefined) {
      this.reject(record, 'EVENT_INVALID', record.fault);
      return undefined;
    }
    let value: { knownAtMs: number; siteId?: string };
    try {
      const { codec } = this;
      value = (
        this.latestRefilled
          ? codec.refillAs(topic.schema, record.value, SharingRecord.memoryOf(record))
          : codec.decodeAs(topic.schema, record.value)
      ) as never;
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      this.reject(record, error.code, error.message);
      return undefined;
    }
    const problem =
      topic.key === 'site' && !this.isSiteOf(value.siteId!, record.key)
        ? `The key ${record.key} is not the site ${value.siteId} of the event.`
        : value.knownAtMs !== record.headers.knownAtMs
          ? `The event says that it became known at ${value.knownAtMs}, its headers say ${record.headers.knownAtMs}.`
          : undefined;
    if (problem === undefined) return value;
    this.reject(record, 'EVENT_INVALID', problem, { readingCount: readingCountOf(topic.schema, value) });
    return undefined;
  }

  private isSiteOf(siteId: string, key: string): boolean {
    if (siteId === this.latestSiteId && key === this.latestKey) return true;
    if (siteId !== key) return false;
    this.latestSiteId = siteId;
    this.latestKey = key;
    return true;
  }

  private takeTick(record: LogRecord): void {
    const tick = this.decode(record);
    if (tick === undefined || tick.knownAtMs <= this.streamTimeMs) return;
    this.streamTimeMs = tick.knownAtMs;
    for (const memory of this.keys.values()) {
      this.touch(memory);
      this.guarded(record, memory, this.tickProcessors);
    }
  }

  private readonly tickProcessors = (memory: KeyMemory): void => {
    for (let i = 0; i < this.processors.length; i++) this.processors[i].onTick(memory.states[i], this.streamTimeMs, memory.emits[i]);
  };

  private takeFact(record: LogRecord): void {
    const value = this.decode(record);
    if (value === undefined) return;
    const { fact } = this;
    fact.topic = record.topic;
    fact.key = record.key;
    fact.value = value;
    fact.knownAtMs = value.knownAtMs;
    fact.streamTimeMs = this.streamTimeMs;
    const memory = this.memoryOf(record.key);
    this.touch(memory);
    this.guarded(record, memory, this.deliverFact);
    if (memory.fresh) this.keepIfChanged(memory);
  }

  /**
   * Forgets a key whose first event has left the state of all processors as it was: deliveries for keys that nobody
   * declares would else fill memory and snapshots for ever. What such an event was known by, and that it was read, goes
   * with it: nothing comes of it.
   */
  private keepIfChanged(taken: KeyMemory): void {
    const { key } = taken;
    taken.fresh = false;
    // Where the event was undone, another memory stands in its place.
    const memory = this.keys.get(key)!;
    if (!isInitial(this.processors, memory)) return;
    this.keys.delete(key);
    this.touchedKeys.delete(key);
    this.latestMemory = undefined;
  }

  private readonly deliverFact = (memory: KeyMemory): void => {
    const { topic, knownAtMs } = this.fact;
    memory.ranges.note(topic, this.trigger.offset);
    if (knownAtMs > memory.knownAtMs) memory.knownAtMs = knownAtMs;
    this.deliver(memory, this.fact, this.latestReaders);
  };

  private memoryOf(key: string): KeyMemory {
    if (this.latestMemory?.key === key) return this.latestMemory;
    let memory = this.keys.get(key);
    if (!memory) {
      this.keys.set(key, (memory = this.emptyMemory(key)));
      memory.fresh = true;
    }
    return (this.latestMemory = memory);
  }

  private emptyMemory(key: string): KeyMemory {
    const memory: KeyMemory = {
      key,
      states: this.processors.map((processor) => processor.initialState(key)),
      emits: this.processors.map((processor): Emit => {
        return (topic, value) => this.emit(memory, processor, topic, value);
      }),
      reject: (code, reason, at) => this.reject(this.trigger, code, reason, at, key),
      ranges: new ReadRanges(),
      knownAtMs: Number.NEGATIVE_INFINITY,
      failedTicks: 0,
      lastFailedTickMs: Number.NEGATIVE_INFINITY,
      touched: false,
      fresh: false,
      whole: false,
    };
    return memory;
  }

  private touch(memory: KeyMemory): void {
    if (memory.touched) return;
    memory.touched = true;
    this.touchedKeys.add(memory.key);
  }

  /** Turns a throw into PoisonedError, so that the task is restored and retries; for suspects undoes it and retries here. */
  private guarded(record: LogRecord, memory: KeyMemory, work: (memory: KeyMemory) => void): void {
    const { key } = memory;
    if (this.suspects.size === 0 || !this.suspects.has(key)) {
      try {
        return work(memory);
      } catch (error) {
        throw new PoisonedError(key, error);
      }
    }
    const { outputBytes } = this;
    const outputCount = this.outputs.length;
    this.encodeKey(this.savepoint, memory, true);
    const before = this.savepoint.finish();
    let current = memory;
    for (let attempt = 1; attempt <= MAX_EVENT_ATTEMPTS; attempt++) {
      try {
        return work(current);
      } catch {
        this.outputs.length = outputCount;
        this.outputBytes = outputBytes;
        this.idsOfTrigger.clear();
        current = this.decodeKey(new StateReader(before));
        current.whole = current.touched = true;
      }
    }
    const isTick = record.topic === 'ticks';
    if (isTick && !isFailedTickTold(current, this.streamTimeMs)) return;
    const count = isTick && current.failedTicks > 1 ? ` So it was on ${current.failedTicks} ticks by now.` : '';
    const readingCount = isTick ? 0 : readingCountOf(this.latestTopic!.schema, this.fact.value);
    const reason = `A processor failed on this event for ${key}; its state was left as it was.${count}`;
    this.reject(record, 'PROCESSOR_FAILED', reason, { readingCount }, key);
  }

  private deliver(memory: KeyMemory, event: ProcessorEvent, readers: readonly number[]): void {
    for (let i = 0; i < readers.length; i++) {
      const by = readers[i];
      this.processors[by].onEvent(memory.states[by], event, memory.emits[by], memory.reject);
    }
  }

  private emit(memory: KeyMemory, { name, writes }: Processor, topic: string, value: { knownAtMs: number }): void {
    if (!writes.includes(topic)) throw new Error(`${name} does not declare that it writes ${topic}.`);
    const { trigger } = this;
    const { key } = memory;
    const knownAtMs = Math.max(value.knownAtMs, memory.knownAtMs, this.streamTimeMs);
    const known = knownAtMs === value.knownAtMs ? value : { ...value, knownAtMs };
    this.publish(trigger, key, name, topic, known, causesOf(trigger, memory.ranges));
    memory.ranges.clear();
    const readers = this.readers.get(topic);
    if (readers !== undefined) this.deliver(memory, { topic, key, value: known, knownAtMs, streamTimeMs: this.streamTimeMs }, readers);
  }

  /** Makes a record of what was emitted. `identity` is the value without what must not decide about its id. */
  protected publish(
    trigger: LogRecord,
    key: string,
    processor: string,
    topicName: string,
    value: { knownAtMs: number },
    causes: string,
    identity: object = value,
  ): void {
    const { schema } = findTopic(topicName)!;
    const bytes = this.codec.encode(schema, value);
    const body = bodyOf(identity === value ? bytes : this.codec.encode(schema, identity));
    if (bytes.length > MAX_EVENT_BYTES) throw new Error(`${processor} emitted an event of ${bytes.length} bytes for ${topicName}.`);
    let id = contentId(processor, topicName, key, body, idOf(trigger));
    // Two equal events of one trigger are two events (two equal series of one delivery were rejected): neither may get lost.
    for (let more = 1; this.idsOfTrigger.has(id); more++) id = contentId(processor, topicName, key, body, `${idOf(trigger)}\0${more}`);
    this.idsOfTrigger.add(id);
    this.outputs.push({
      topic: topicName,
      key,
      value: bytes,
      headers: { source: processor, number: -1, id, type: schema, knownAtMs: value.knownAtMs, causes, run: this.run },
    });
    this.outputBytes += bytes.length;
  }

  private reject(record: LogRecord, code: ErrorCode, reason: string, at: RejectedPlace = {}, key = record.key): void {
    const knownAtMs = Math.max(record.headers.knownAtMs, this.streamTimeMs);
    const rejected = rejectedEvent(record, knownAtMs, code, reason, at, key);
    this.publish(
      record,
      key,
      'reject',
      'rejected',
      rejected,
      `${idOf(record)} ${record.topic}/${record.partition}:${record.offset}-${record.offset}`,
      withoutPlace(rejected),
    );
  }

  /** Changes of all keys touched since the last call (or everything), for a delta or a snapshot. */
  encodeState(everything: boolean): Buffer {
    const out = new StateWriter();
    out.count(STATE_FORM);
    out.double(this.streamTimeMs);
    for (const key of everything ? this.keys.keys() : this.touchedKeys) this.encodeKey(out, this.keys.get(key)!, everything);
    return out.finish();
  }

  private encodeKey(out: StateWriter, memory: KeyMemory, everything: boolean): void {
    const whole = everything || memory.whole;
    out.text(memory.key);
    out.count(whole ? 1 : 0);
    out.double(memory.knownAtMs);
    out.count(memory.failedTicks);
    if (memory.failedTicks > 0) out.double(memory.lastFailedTickMs);
    out.count(memory.ranges.byTopic.size);
    for (const [topic, range] of memory.ranges.byTopic) {
      out.text(topic);
      out.count(range.first);
      out.count(range.last);
    }
    for (let i = 0; i < this.processors.length; i++) {
      const mark = out.mark();
      this.processors[i].encodeChanges(memory.states[i], out, whole);
      out.patch(mark);
    }
  }

  /** Applies what `encodeKey` wrote. A whole state takes the place of what the key has; its turn among the keys stays. */
  private decodeKey(from: StateReader): KeyMemory {
    const key = from.text();
    const whole = from.count() === 1;
    this.latestMemory = undefined;
    if (whole) this.keys.set(key, this.emptyMemory(key));
    const memory = this.memoryOf(key);
    memory.knownAtMs = from.double();
    memory.failedTicks = from.count();
    if (memory.failedTicks > 0) memory.lastFailedTickMs = from.double();
    memory.ranges.clear();
    for (let count = from.count(); count > 0; count--) memory.ranges.byTopic.set(from.text(), { first: from.count(), last: from.count() });
    for (let i = 0; i < this.processors.length; i++) {
      from.length();
      this.processors[i].applyChanges(memory.states[i], from);
      this.processors[i].markCommitted(memory.states[i]);
    }
    return memory;
  }

  /** What is in memory now is what the log has. */
  markCommitted(): void {
    for (const key of this.touchedKeys) {
      const memory = this.keys.get(key)!;
      memory.touched = memory.whole = false;
      for (let i = 0; i < this.processors.length; i++) this.processors[i].markCommitted(memory.states[i]);
    }
    this.touchedKeys.clear();
    this.outputs = [];
    this.outputBytes = 0;
  }

  /** Applies a snapshot or a delta. */
  applyState(bytes: Uint8Array): void {
    const from = new StateReader(bytes);
    if (from.count() !== STATE_FORM) throw new Error('The state has an unknown form.');
    this.streamTimeMs = from.double();
    while (!from.done) this.decodeKey(from);
  }
}
