import { DAY_MS } from './limits.ts';
import type { Emit, Processor, Reject } from './processor.ts';
import type { ReadRanges } from './read-ranges.ts';
import { StateWriter } from './state-bytes.ts';

/** What a drive holds of one key. */
export interface KeyMemory {
  key: string;
  states: unknown[];
  /** What the processors are given to emit and reject with, made once. */
  emits: Emit[];
  reject: Reject;
  ranges: ReadRanges;
  /** Latest knownAt of all that the key has read: nothing that it emits was known earlier. */
  knownAtMs: number;
  /** Ticks that failed for the key, none of them more than a day after the one before; and the latest of them (UTC epoch ms). */
  failedTicks: number;
  lastFailedTickMs: number;
  touched: boolean;
  /** Made for the event that is being taken in: kept only if that leaves something. */
  fresh: boolean;
  /** The next delta holds all of its state: what has changed since the last commit went lost with an undone event. */
  whole: boolean;
}

/** Used for every comparison. */
const writer = new StateWriter();

/** Whether the states of a key are what they were before its first event: a new one would say the same. */
export function isInitial(processors: readonly Processor[], { key, states }: KeyMemory): boolean {
  const initial = processors.map((processor) => processor.initialState(key));
  return bytesOf(processors, states).equals(bytesOf(processors, initial));
}

function bytesOf(processors: readonly Processor[], states: readonly unknown[]): Buffer {
  processors.forEach((processor, i) => {
    processor.encodeChanges(states[i], writer, true);
  });
  return writer.finish();
}

/**
 * Counts a tick on which a processor failed for the key; whether it is told. A key that fails on one tick mostly fails on
 * all that follow: the first is told, then the second, fourth, eighth …, and again the first after a day without any. The
 * ticks themselves stay in the log.
 */
export function isFailedTickTold(memory: KeyMemory, tickMs: number): boolean {
  const isApart = tickMs - memory.lastFailedTickMs > DAY_MS;
  memory.failedTicks = isApart ? 1 : memory.failedTicks + 1;
  memory.lastFailedTickMs = tickMs;
  return Number.isInteger(Math.log2(memory.failedTicks));
}
