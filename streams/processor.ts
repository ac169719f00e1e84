/**
 * The contract of a processor: a value that folds the events of one key (a site) into state and emits derived events.
 * No clock, no I/O, no randomness. It may change its own state in place. Every processor passes the suite of laws in
 * test/processors/laws.test.ts: writes only what it declares; same input, same output; restart from its own state at
 * every event changes nothing; interleaving with other keys changes nothing; redelivery changes nothing.
 */

import type { ErrorCode } from './errors.ts';
import type { StateReader, StateWriter } from './state-bytes.ts';

/** One decoded event on its way through the topology. `value` belongs to the caller and must not be kept. */
export interface ProcessorEvent {
  topic: string;
  key: string;
  value: unknown;
  knownAtMs: number;
  /** Latest tick of the partition (stream time), or -Infinity before the first. */
  streamTimeMs: number;
}

/** Emits a derived event of the key that is being processed. The value is encoded before the call returns. */
export type Emit = (topic: string, value: { knownAtMs: number }) => void;

/** Sets readings or a whole event aside: ends in `rejected` with the bytes of the event. */
export type Reject = (code: ErrorCode, reason: string, at?: RejectedPlace) => void;

/** What of a fact is set aside: all of it, all of a point, or single readings of a point (which are then counted). */
export interface RejectedPlace {
  pointId?: string;
  startsMs?: readonly number[];
  readingCount?: number;
}

export interface Processor<S = unknown> {
  name: string;
  /** Raised with every change of what it computes or of its state's form. */
  version: number;
  reads: readonly string[];
  writes: readonly string[];
  initialState(key: string): S;
  onEvent(state: S, event: ProcessorEvent, emit: Emit, reject: Reject): void;
  onTick(state: S, tickMs: number, emit: Emit): void;
  /** Writes what changed since the last `markCommitted` (or everything), in a form that `applyChanges` understands. */
  encodeChanges(state: S, out: StateWriter, everything: boolean): void;
  applyChanges(state: S, changes: StateReader): void;
  markCommitted(state: S): void;
}

/** Fact topics that tasks of these processors consume, and topics that they write. */
export function topicsOf(processors: readonly Processor[]): { inputs: string[]; outputs: string[] } {
  const written = new Set(processors.flatMap(({ writes }) => writes));
  const inputs = new Set(processors.flatMap(({ reads }) => reads.filter((topic) => !written.has(topic))));
  return { inputs: [...inputs, 'ticks'], outputs: [...written, 'rejected', 'runs'] };
}
