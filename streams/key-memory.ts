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
