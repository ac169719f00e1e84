/**
 * The clock adapter: the one place where the wall clock enters the log. It appends a tick to every partition, and only
 * these ticks move stream time. Ticks that were missed (the machine slept, the process was down) are made up for hour by
 * hour from the partition's latest tick on, so that a step closes the windows of an hour at most per tick and stays as
 * small as ever. Longer ago than anything can be due (CLOCK_CATCH_UP_MS), time jumps to now.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Codec } from '../../schemas/codec.ts';
import type { EventLog, NewRecord } from '../event-log.ts';
import { latestRecord } from '../latest-record.ts';
import { CLOCK_CATCH_UP_MS, CLOCK_TICK_MS, FEED_BATCH_RECORDS, HOUR_MS, PARTITION_COUNT } from '../limits.ts';

export const CLOCK_SOURCE = 'clock';

/**
 * The latest whole tick at a time (UTC epoch ms) for every partition, and before it those that make up for a gap since
 * `latestMs` (by partition; nothing is made up for where it is undefined), in the order in which they were due. The same
 * tick twice is a redelivery.
 */
export function ticksAt(codec: Codec, nowMs: number, latestMs: readonly (number | undefined)[] = []): NewRecord[] {
  const lastMs = Math.floor(nowMs / CLOCK_TICK_MS) * CLOCK_TICK_MS;
  const ticks = Array.from({ length: PARTITION_COUNT }, (_, partition) =>
    [...missedBetween(latestMs[partition] ?? lastMs, lastMs), lastMs].map((knownAtMs) => ({ partition, knownAtMs })),
  ).flat();
  ticks.sort((a, b) => a.knownAtMs - b.knownAtMs || a.partition - b.partition);
  return ticks.map(({ partition, knownAtMs }) => ({
    topic: 'ticks',
    key: String(partition),
    partition,
    value: codec.encode('Tick', { knownAtMs }),
    headers: { source: CLOCK_SOURCE, number: knownAtMs / CLOCK_TICK_MS, type: 'Tick', knownAtMs },
  }));
}

/** Whole hours between two ticks, both excluded; of a longer gap those of its beginning. */
function missedBetween(latestMs: number, lastMs: number): number[] {
  const missed: number[] = [];
  const untilMs = Math.min(lastMs, latestMs + CLOCK_CATCH_UP_MS);
  for (let hourMs = (Math.floor(latestMs / HOUR_MS) + 1) * HOUR_MS; hourMs < untilMs; hourMs += HOUR_MS) missed.push(hourMs);
  return missed;
}

/** Appends ticks until the signal. A clock that is set back appends nothing until it has caught up. */
export async function runClock(options: { log: EventLog; codec: Codec; nowMs: () => number; signal: AbortSignal }): Promise<void> {
  const { log, codec, nowMs, signal } = options;
  const latestMs = await Promise.all(
    Array.from(
      { length: PARTITION_COUNT },
      async (_, partition) => (await latestRecord(log, { topic: 'ticks', partition }))?.headers.knownAtMs,
    ),
  );
  while (!signal.aborted) {
    const ticks = ticksAt(codec, nowMs(), latestMs);
    for (let at = 0; at < ticks.length && !signal.aborted; at += FEED_BATCH_RECORDS)
      await log.append(ticks.slice(at, at + FEED_BATCH_RECORDS));
    for (const { partition, headers } of ticks) latestMs[partition!] = headers.knownAtMs;
    const untilNextMs = CLOCK_TICK_MS - (nowMs() % CLOCK_TICK_MS);
    await pause(untilNextMs, undefined, { signal }).catch(() => {});
  }
}
