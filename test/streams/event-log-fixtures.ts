/** Records, topics and readings for tests of a log. */
import assert from 'node:assert/strict';
import type { EventLog, LogRecord, NewRecord, ReadOptions, Step, TaskHandle, TopicPartition } from '../../streams/event-log.ts';
import type { Topic } from '../../streams/topics.ts';

export interface LogFactory {
  /** Opens the log of a namespace. Under the same name again, it is as another process would open it. */
  open(namespace: string, topics: readonly Topic[]): Promise<EventLog>;
  /** A name that nothing else uses. */
  namespace(): string;
}

export type Check = (what: string, run: (log: EventLog, namespace: string) => Promise<void>) => void;
export type Again = <T>(namespace: string, run: (log: EventLog) => Promise<T>) => Promise<T>;

const topic = (name: string, partitions: number, cleanup: Topic['cleanup'] = 'keep'): Topic => ({
  name,
  schema: 'Tick',
  key: 'site',
  kind: cleanup === 'keep' ? 'fact' : 'derived',
  partitions,
  cleanup,
  retentionMs: cleanup === 'retain' ? 1 : null,
  draft: false,
  why: 'For the contract.',
});

export const CONTRACT_TOPICS: readonly Topic[] = [
  topic('facts.a', 4),
  topic('facts.b', 4),
  topic('derived', 4),
  topic('narrow', 1),
  topic('things.latest', 2, 'compact'),
  topic('short', 2, 'retain'),
];

export const ALL: ReadOptions = { maxRecords: 10_000, maxBytes: 4 * 1024 * 1024 };

export function record(given: Partial<Omit<NewRecord, 'headers'>> & { headers?: Partial<NewRecord['headers']> }): NewRecord {
  const { headers, ...rest } = given;
  return {
    topic: 'facts.a',
    key: 'k',
    value: Buffer.from('value'),
    ...rest,
    headers: { source: 'test', number: -1, type: 'T', knownAtMs: 1_700_000_000_000, ...headers },
  };
}

/** A numbered record whose value is its number. */
export function numbered(source: string, number: number, given: Partial<Omit<NewRecord, 'headers'>> = {}): NewRecord {
  return record({ value: Buffer.from(String(number)), ...given, headers: { source, number } });
}

/** All records from an offset to the end, in reads within the bounds. */
export async function readAll(log: EventLog, at: TopicPartition, from = 0, options = ALL): Promise<LogRecord[]> {
  const end = (await log.endOffsets(at.topic))[at.partition];
  const all: LogRecord[] = [];
  for (let offset = from; offset < end; ) {
    const { records, nextOffset } = await log.read(at, offset, options);
    assert.ok(nextOffset > offset, `a read at ${offset} of ${end} goes on`);
    assert.ok(records.length <= options.maxRecords);
    assert.ok(records.every((each) => each.offset >= offset && each.offset < nextOffset));
    all.push(...records);
    offset = nextOffset;
  }
  return all;
}

export const textOf = ({ value }: LogRecord): string => Buffer.from(value).toString();
export const texts = async (log: EventLog, at: TopicPartition) => (await readAll(log, at)).map(textOf);
export const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;

export function step(given: Partial<Step> = {}): Step {
  return { label: 'label', outputs: [], delta: Buffer.from('delta'), journal: [], positions: {}, ...given };
}

/** State as text: the snapshot, then the deltas. */
export function stateOf({ state }: TaskHandle): string[] {
  return [...(state.snapshot ? [state.snapshot] : []), ...state.deltas].map((bytes) => Buffer.from(bytes).toString());
}

/** Appends until the log's clock has moved on; returns the appended time of the last record. */
export async function appendLater(log: EventLog, at: TopicPartition, afterMs: number): Promise<number> {
  for (let i = 0; ; i++) {
    await log.append([record({ ...at, key: `filler-${i}`, value: Buffer.from('later') })]);
    const { appendedMs } = (await readAll(log, at)).at(-1)!;
    if (appendedMs > afterMs) return appendedMs;
  }
}

/** Seeded, so that a failure comes again. */
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
