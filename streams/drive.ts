/**
 * Runs a topology synchronously, without a log: the heart of the task runner, of replays and of tests. One drive is the
 * memory of one task. Each fact goes depth-first through all processors; what they emit is encoded, given an id that is
 * a hash of its content, and handed on to the processors that read it.
 */
import { hash } from 'node:crypto';
import { bodyOf, type Codec, CodecError } from '../schemas/codec.ts';
import type { Rejected } from '../schemas/types.ts';
import type { ErrorCode } from './errors.ts';
import type { LogRecord, NewRecord } from './event-log.ts';
import { REJECTED_BYTES_KEPT } from './limits.ts';
import type { Processor, ProcessorEvent } from './processor.ts';
import { StateReader, StateWriter } from './state-bytes.ts';
import { findTopic } from './topics.ts';

/** A processor threw: the memory of its key may be half changed, so the task has to be restored before a retry. */
export class PoisonedError extends Error {
  readonly poison: string;
  constructor(poison: string, cause: unknown) {
    super((cause as Error).message ?? String(cause), { cause });
    this.poison = poison;
  }
}

/** What the step has read of one topic since the key last emitted: where its next outputs come from. */
type Ranges = Map<string, { first: number; last: number }>;

interface KeyMemory {
  states: unknown[];
  ranges: Ranges;
  touched: boolean;
}

export interface DriveOptions {
  processors: readonly Processor[];
  codec: Codec;
  /** Id of the `runs` event that outputs carry. */
  run?: string;
}

const STATE_FORM = 1;

/** Identifies records for causes and poison: source#number of facts, the hash of derived ones. */
export function idOf(record: NewRecord): string {
  return record.headers.id ?? `${record.headers.source}#${record.headers.number}`;
}

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
  /** Events (with their key) that threw before and are set aside now. */
  private readonly poisoned: ReadonlySet<string>;
  private readonly touchedKeys = new Set<string>();
  run: string | undefined;

  constructor({ processors, codec, run }: DriveOptions, poisoned: ReadonlySet<string> = new Set()) {
    this.processors = processors;
    this.codec = codec;
    this.run = run;
    this.poisoned = poisoned;
    processors.forEach((processor, index) => {
      for (const topic of processor.reads) this.readers.set(topic, [...(this.readers.get(topic) ?? []), index]);
    });
  }

  /** Fact topics that the topology consumes. */
  get inputs(): string[] {
    const written = new Set(this.processors.flatMap((processor) => processor.writes));
    return [...this.readers.keys()].filter((topic) => !written.has(topic)).concat('ticks');
  }

  get keyCount(): number {
    return this.keys.size;
  }

  take(record: LogRecord): void {
    if (record.topic === 'ticks') this.takeTick(record);
    else this.takeFact(record);
  }

  private takeTick(record: LogRecord): void {
    let tickMs: number;
    try {
      tickMs = (this.codec.decodeAs('Tick', record.value) as { knownAtMs: number }).knownAtMs;
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      return this.reject(record, error.code, error.message);
    }
    if (tickMs <= this.streamTimeMs) return;
    this.streamTimeMs = tickMs;
    for (const [key, memory] of this.keys) {
      this.guarded(record, key, () => {
        for (let i = 0; i < this.processors.length; i++) {
          const processor = this.processors[i];
          processor.onTick(memory.states[i], tickMs, (topic, value) => this.emit(record, key, memory, i, topic, value));
        }
      });
      this.touch(key, memory);
    }
  }

  private takeFact(record: LogRecord): void {
    const topic = findTopic(record.topic)!;
    let value: { knownAtMs: number; siteId?: string };
    try {
      value = this.codec.decodeAs(topic.schema, record.value) as never;
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      return this.reject(record, error.code, error.message);
    }
    if (topic.key === 'site' && value.siteId !== record.key)
      return this.reject(record, 'EVENT_INVALID', `The key ${record.key} is not the site ${value.siteId} of the event.`);
    let memory = this.keys.get(record.key);
    if (!memory)
      this.keys.set(
        record.key,
        (memory = {
          states: this.processors.map((processor) => processor.initialState(record.key)),
          ranges: new Map(),
          touched: false,
        }),
      );
    this.touch(record.key, memory);
    const range = memory.ranges.get(record.topic);
    if (range) range.last = record.offset;
    else memory.ranges.set(record.topic, { first: record.offset, last: record.offset });
    const event: ProcessorEvent = {
      topic: record.topic,
      key: record.key,
      value,
      knownAtMs: value.knownAtMs,
      streamTimeMs: this.streamTimeMs,
    };
    this.guarded(record, record.key, () => this.deliver(record, memory, event));
  }

  private touch(key: string, memory: KeyMemory): void {
    if (memory.touched) return;
    memory.touched = true;
    this.touchedKeys.add(key);
  }

  /** Sets aside what has thrown before; turns a throw into PoisonedError, so that the task is restored and retries. */
  private guarded(record: LogRecord, key: string, work: () => void): void {
    const poison = `${record.topic}/${record.partition}:${record.offset} ${key}`;
    if (this.poisoned.has(poison))
      return this.reject(record, 'PROCESSOR_FAILED', `A processor failed on this event for ${key}; its state was left as it was.`, {}, key);
    try {
      work();
    } catch (error) {
      throw new PoisonedError(poison, error);
    }
  }

  private deliver(record: LogRecord, memory: KeyMemory, event: ProcessorEvent): void {
    const readers = this.readers.get(event.topic);
    if (!readers) return;
    for (const i of readers) {
      this.processors[i].onEvent(
        memory.states[i],
        event,
        (topic, value) => this.emit(record, event.key, memory, i, topic, value),
        (code, reason, at) => this.reject(record, code, reason, at, event.key),
      );
    }
  }

  private emit(trigger: LogRecord, key: string, memory: KeyMemory, by: number, topicName: string, value: { knownAtMs: number }): void {
    const processor = this.processors[by];
    if (!processor.writes.includes(topicName)) throw new Error(`${processor.name} does not declare that it writes ${topicName}.`);
    this.publish(trigger, key, processor.name, topicName, value, causesOf(trigger, memory.ranges));
    memory.ranges.clear();
    this.deliver(trigger, memory, {
      topic: topicName,
      key,
      value,
      knownAtMs: value.knownAtMs,
      streamTimeMs: this.streamTimeMs,
    });
  }

  private publish(
    trigger: LogRecord,
    key: string,
    processor: string,
    topicName: string,
    value: { knownAtMs: number },
    causes: string,
  ): void {
    const { schema } = findTopic(topicName)!;
    const bytes = this.codec.encode(schema, value);
    const id = contentId(processor, topicName, key, bodyOf(bytes), idOf(trigger));
    this.outputs.push({
      topic: topicName,
      key,
      value: bytes,
      headers: { source: processor, number: -1, id, type: schema, knownAtMs: value.knownAtMs, causes, run: this.run },
    });
    this.outputBytes += bytes.length;
  }

  private reject(
    record: LogRecord,
    code: ErrorCode,
    reason: string,
    at: { pointId?: string; startMs?: number; readingCount?: number } = {},
    key = record.key,
  ): void {
    const rejected: Rejected = {
      siteId: key || null,
      knownAtMs: record.headers.knownAtMs,
      code,
      reason,
      source: `${record.topic}/${record.partition}/${record.offset}`,
      pointId: at.pointId ?? null,
      startMs: at.startMs ?? null,
      readingCount: at.readingCount ?? 0,
      bytes: record.value.subarray(0, REJECTED_BYTES_KEPT),
      byteLength: record.value.length,
      sha256: hash('sha256', record.value),
    };
    this.publish(
      record,
      key,
      'reject',
      'rejected',
      rejected,
      `${idOf(record)} ${record.topic}/${record.partition}:${record.offset}-${record.offset}`,
    );
  }

  /** Changes of all keys touched since the last call (or everything), for a delta or a snapshot. */
  encodeState(everything: boolean): Buffer {
    const out = new StateWriter();
    out.count(STATE_FORM);
    out.double(this.streamTimeMs);
    for (const key of everything ? this.keys.keys() : this.touchedKeys) {
      const memory = this.keys.get(key)!;
      out.text(key);
      out.count(memory.ranges.size);
      for (const [topic, range] of memory.ranges) {
        out.text(topic);
        out.count(range.first);
        out.count(range.last);
      }
      this.processors.forEach((processor, i) => {
        const mark = out.mark();
        processor.encodeChanges(memory.states[i], out, everything);
        out.patch(mark);
      });
    }
    return out.finish();
  }

  /** What is in memory now is what the log has. */
  markCommitted(): void {
    for (const key of this.touchedKeys) {
      const memory = this.keys.get(key)!;
      memory.touched = false;
      this.processors.forEach((processor, i) => {
        processor.markCommitted(memory.states[i]);
      });
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
    while (!from.done) {
      const key = from.text();
      let memory = this.keys.get(key);
      if (!memory)
        this.keys.set(
          key,
          (memory = {
            states: this.processors.map((processor) => processor.initialState(key)),
            ranges: new Map(),
            touched: false,
          }),
        );
      memory.ranges = new Map(Array.from({ length: from.count() }, () => [from.text(), { first: from.count(), last: from.count() }]));
      for (let i = 0; i < this.processors.length; i++) {
        from.length();
        this.processors[i].applyChanges(memory.states[i], from);
        this.processors[i].markCommitted(memory.states[i]);
      }
    }
  }
}

function causesOf(trigger: LogRecord, ranges: Ranges): string {
  let causes = `${idOf(trigger)} ${trigger.topic}/${trigger.partition}:${trigger.offset}-${trigger.offset}`;
  for (const [topic, { first, last }] of ranges)
    if (topic !== trigger.topic || first !== trigger.offset) causes += ` ${topic}/${trigger.partition}:${first}-${last}`;
  return causes;
}

/** Id of a derived event: SHA-256 of processor, topic, key, body and the trigger's id, cut to 128 bits (hex). */
export function contentId(processor: string, topic: string, key: string, body: Uint8Array, triggerId: string): string {
  const head = Buffer.from(`${processor}\0${topic}\0${key}\0${triggerId}\0`);
  return hash('sha256', Buffer.concat([head, body])).slice(0, 32);
}
