/**
 * The clock adapter: the one place where the wall clock enters the log. It appends a tick to every partition, and only
 * these ticks move stream time. Ticks that were missed (the machine slept, the process was down) are made up for hour by
 * hour from the partition's latest tick on, so that a step closes the windows of an hour at most per tick and stays as
 * small as ever. Longer ago than anything can be due (CLOCK_CATCH_UP_MS), time jumps to now.
 *
 * Stream time never goes back, so ticks of a clock that was wrong stand for good. They cannot be told from those after a
 * long stop, so they are appended, but told; and where they lie ahead, so is that nothing closes until time comes there.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Codec } from '../../schemas/codec.ts';
import type { EventLog, LogRecord, NewRecord } from '../event-log.ts';
import { latestRecord } from '../latest-record.ts';
import {
  CLOCK_CATCH_UP_MS,
  CLOCK_TICK_MS,
  DAY_MS,
  FEED_BATCH_RECORDS,
  HOUR_MS,
  MAX_CLOCK_LEAD_MS,
  MAX_IMPORT_LEAD_MS,
  MAX_QUIET_CLOCK_STEP_MS,
  MINUTE_MS,
  PARTITION_COUNT,
} from '../limits.ts';

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

/** How far stream time is ahead of a clock. */
export interface ClockLead {
  /** The clock (UTC epoch ms). */
  nowMs: number;
  /** From the clock to the latest tick of any partition (ms); 0 where none is later. */
  aheadMs: number;
  /** Whether a clock must be wrong, or have been: this one, that of then, or that of a delivery. */
  isWrong: boolean;
}

export async function clockLead(log: EventLog, nowMs: number): Promise<ClockLead> {
  const leads = (await latestTicks(log)).map((tick) => ({
    aheadMs: Math.max(0, (tick?.headers.knownAtMs ?? nowMs) - nowMs),
    allowedMs: tick?.headers.source === CLOCK_SOURCE ? MAX_CLOCK_LEAD_MS : MAX_IMPORT_LEAD_MS,
  }));
  return {
    nowMs,
    aheadMs: Math.max(...leads.map(({ aheadMs }) => aheadMs)),
    isWrong: leads.some(({ aheadMs, allowedMs }) => aheadMs > allowedMs),
  };
}

/** By partition; undefined where there is none. */
function latestTicks(log: EventLog): Promise<(LogRecord | undefined)[]> {
  return Promise.all(Array.from({ length: PARTITION_COUNT }, (_, partition) => latestRecord(log, { topic: 'ticks', partition })));
}

export interface ClockOptions {
  log: EventLog;
  codec: Codec;
  nowMs: () => number;
  /** Is told in a sentence or two of what may come of a wrong clock. */
  warn: (text: string) => void;
  signal: AbortSignal;
}

/** Appends ticks until the signal. A clock that is set back appends nothing until it has caught up. */
export async function runClock({ log, codec, nowMs, warn, signal }: ClockOptions): Promise<void> {
  const latestMs = (await latestTicks(log)).map((tick) => tick?.headers.knownAtMs);
  let isAhead = false;
  while (!signal.aborted) {
    const lookMs = nowMs();
    const known = latestMs.filter((tickMs) => tickMs !== undefined);
    const aheadMs = known.length === 0 ? 0 : Math.max(...known) - lookMs;
    if (aheadMs > MAX_CLOCK_LEAD_MS && !isAhead) warn(leadText({ nowMs: lookMs, aheadMs }));
    isAhead = aheadMs > MAX_CLOCK_LEAD_MS;
    if (-aheadMs > MAX_QUIET_CLOCK_STEP_MS) warn(stepText(lookMs, -aheadMs));
    const ticks = ticksAt(codec, lookMs, latestMs);
    for (let at = 0; at < ticks.length && !signal.aborted; at += FEED_BATCH_RECORDS)
      await log.append(ticks.slice(at, at + FEED_BATCH_RECORDS));
    for (const { partition, headers } of ticks) latestMs[partition!] = Math.max(latestMs[partition!] ?? 0, headers.knownAtMs);
    const untilNextMs = CLOCK_TICK_MS - (nowMs() % CLOCK_TICK_MS);
    await pause(untilNextMs, undefined, { signal }).catch(() => {});
  }
}

/** What it means that the latest tick is so far ahead of the clock. */
export function leadText({ nowMs, aheadMs }: Pick<ClockLead, 'nowMs' | 'aheadMs'>): string {
  const [latest, now] = [nowMs + aheadMs, nowMs].map(timeText);
  return (
    `The latest tick is of ${latest}, ${spanText(aheadMs)} ahead of the clock (${now}): until then no window closes. ` +
    'Set the clock right; if it was wrong before, replay what came until now into a new namespace.'
  );
}

function stepText(nowMs: number, stepMs: number): string {
  const [latest, now] = [nowMs - stepMs, nowMs].map(timeText);
  return (
    `The clock steps ${spanText(stepMs)}, from the latest tick (${latest}) to ${now}. ` +
    'If that is not the time, stop, set the clock right, and replay what came until now into a new namespace.'
  );
}

function timeText(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 16).concat('Z');
}

function spanText(spanMs: number): string {
  return spanMs < 2 * DAY_MS ? `${Math.round(spanMs / MINUTE_MS)} minutes` : `${Math.round(spanMs / DAY_MS)} days`;
}
