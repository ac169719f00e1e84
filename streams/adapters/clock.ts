/**
 * The clock adapter: the one place where the wall clock enters the log. It appends a tick to every partition, and only
 * these ticks move stream time. Ticks that were missed (the machine slept, the process was down) are not made up for:
 * the latest one closes all that is due.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Codec } from '../../schemas/codec.ts';
import type { EventLog, NewRecord } from '../event-log.ts';
import { CLOCK_TICK_MS, PARTITION_COUNT } from '../limits.ts';

export const CLOCK_SOURCE = 'clock';

/** The latest whole tick at a time (UTC epoch ms), for every partition. The same tick twice is a redelivery. */
export function ticksAt(codec: Codec, nowMs: number): NewRecord[] {
  const number = Math.floor(nowMs / CLOCK_TICK_MS);
  const knownAtMs = number * CLOCK_TICK_MS;
  const value = codec.encode('Tick', { knownAtMs });
  return Array.from({ length: PARTITION_COUNT }, (_, partition) => ({
    ...{ topic: 'ticks', key: String(partition), partition, value },
    headers: { source: CLOCK_SOURCE, number, type: 'Tick', knownAtMs },
  }));
}

/** Appends ticks until the signal. A clock that is set back appends nothing until it has caught up. */
export async function runClock(options: { log: EventLog; codec: Codec; nowMs: () => number; signal: AbortSignal }): Promise<void> {
  const { log, codec, nowMs, signal } = options;
  while (!signal.aborted) {
    await log.append(ticksAt(codec, nowMs()));
    const untilNextMs = CLOCK_TICK_MS - (nowMs() % CLOCK_TICK_MS);
    await pause(untilNextMs, undefined, { signal }).catch(() => {});
  }
}
