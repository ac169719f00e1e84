/**
 * Revises the windows of a day that is older than the hot state, from the raw readings of `day.reloaded` events.
 *
 * What a reload tells beside the windows is what the hot state would have told: conflicts of the late readings, what a
 * register went through, hours that turned out negative, stuck or far above the usual. Flags are those of the day: stuck
 * by its own hours and the ones emitted for the day before; a far peak by the usual load of now, as that of then is
 * gone. Old days do not count for what is usual: the trailing summary is of late, and a day may be reloaded many times.
 */
import type { DayReloaded } from '../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MAX_REGISTER_GAP_MS } from '../../streams/limits.ts';
import type { Emit, ProcessorEvent } from '../../streams/processor.ts';
import {
  compose,
  Emission,
  emptyWindow,
  FLAG_NEGATIVE,
  FLAG_OUTLIER,
  FLAG_STUCK,
  readingCountOf,
  WIDTHS,
  type Window,
  windowDigest,
} from './emission.ts';
import { hotFromMs, markPending } from './intake.ts';
import { type PointState, REASON_LATE, REASON_RELOADED } from './point-state.ts';
import { noticeHour, noticeLateReadings } from './reload-notices.ts';
import { markReasons, type ReloadedReadings, readingsOf } from './reload-readings.ts';
import type { SiteState } from './resampler.ts';
import { affectedToMs, computeWindows, hasEnergy } from './segments.ts';
import { StuckHours } from './stuck-hours.ts';
import { MAX_STEPS, STEP_MS, WindowScratch } from './window-scratch.ts';

const scratch = new WindowScratch();
const window = emptyWindow();
const reasons = new Uint8Array(MAX_STEPS);

/** A window as it was emitted last. */
interface Previous {
  revision: number;
  digest: string;
  flags: number;
}

/** What is revised at once: a day, or the part of one that an event holds, as far as it is not hot. */
interface Part {
  site: SiteState;
  point: PointState;
  day: DayReloaded;
  readings: ReloadedReadings;
  fromMs: number;
  endMs: number;
  hotMs: number;
  event: ProcessorEvent;
  emit: Emit;
}

/** What a reload has changed: the first and the last window of its day, since when its end is stuck, and how many readings more are counted. */
interface Changes {
  first: boolean;
  last: boolean;
  stuck: boolean;
  readingCount: number;
}

/** So many hours without a move before the end of a day bear on the flags of the next one; that of fewer is none to tell. */
const TELLING_STUCK_MS = 3 * HOUR_MS;

/** Takes the answer to a request; one that was not asked for, or comes again, changes nothing. */
export function reviseReloadedDay(site: SiteState, day: DayReloaded, event: ProcessorEvent, emit: Emit): void {
  const point = site.points.get(day.pointId);
  const pending = point?.pending?.get(day.dayStartMs);
  if (!point || !pending?.requested) return;
  point.touched = point.news = true;
  const dayEndMs = day.dayStartMs + DAY_MS;
  const [fromMs, toMs] = [day.fromMs ?? day.dayStartMs, day.toMs ?? dayEndMs];
  const hotMs = hotFromMs(point, event.streamTimeMs);
  // What is hot is revised from the hot state, and what is not closed yet will be closed from it.
  const endMs = Math.min(toMs, Math.max(hotMs, fromMs));
  const counted = endMs > fromMs ? revise({ site, point, day, readings: readingsOf(day), fromMs, endMs, hotMs, event, emit }) : 0;
  pending.lateCount = Math.max(0, pending.lateCount - counted - day.setAsideCount);
  if (toMs < dayEndMs) return;
  // Late readings that added nothing to what was counted before were doubles.
  point.doubles += pending.lateCount;
  point.pending!.delete(day.dayStartMs);
  if (point.pending!.size === 0) point.pending = null;
}

/** Returns how many readings are counted now that were not before. */
function revise(part: Part): number {
  const { site, point, day, readings, fromMs, endMs, event, emit } = part;
  const emission = new Emission(site.siteId, event.knownAtMs, emit);
  computeWindows(readings.hot, point.declared, fromMs, endMs, scratch);
  markReasons(readings, point.declared, fromMs, endMs, reasons);
  const changes: Changes = { first: false, last: false, stuck: false, readingCount: 0 };
  const hours = previousWindows(day, HOUR_MS);
  const stuck = stuckHours(part, (startMs) => composeAt(startMs, fromMs, HOUR_MS));
  for (let width = 0; width < WIDTHS.length; width++) emitChanged(part, width, stuck, emission, changes);
  emission.endPoint(day.pointId, hasEnergy(point.declared.kind));
  emission.end();
  noticeLateReadings(part, readings);
  if (hasEnergy(point.declared.kind)) {
    const stuckBefore = stuckHours(part, (startMs) => windowOf(startMs, hours.get(startMs)?.digest));
    for (let startMs = fromMs; startMs + HOUR_MS <= endMs; startMs += HOUR_MS) {
      const before = windowOf(startMs, hours.get(startMs)?.digest);
      noticeHour(part, composeAt(startMs, fromMs, HOUR_MS), before, stuck, stuckBefore);
    }
    const [sinceMs, sinceBeforeMs] = [stuck, stuckBefore].map((hoursOf) => hoursOf.stuckSinceMs(endMs));
    changes.stuck = sinceMs !== sinceBeforeMs && endMs - Math.min(sinceMs, sinceBeforeMs) >= TELLING_STUCK_MS;
  }
  passOn(part, changes);
  // A point that was not open, or silent for long: its windows go on from here, lest any is emitted twice.
  if (point.closedToMs < endMs) point.openedFromMs = point.closedToMs = endMs;
  return changes.readingCount;
}

function composeAt(startMs: number, fromMs: number, widthMs: number): Window {
  return compose(scratch, (startMs - fromMs) / STEP_MS, widthMs / STEP_MS, window);
}

/** Since when the value has not moved, by hours: those emitted for the day before, then those of the part. */
function stuckHours({ day, fromMs, endMs }: Part, hourAt: (startMs: number) => Window | undefined): StuckHours {
  const stuck = new StuckHours(fromMs);
  for (const [startMs, { digest }] of previousWindows(day, HOUR_MS)) if (startMs < fromMs) stuck.before(windowOf(startMs, digest)!);
  for (let startMs = fromMs; startMs + HOUR_MS <= endMs; startMs += HOUR_MS) stuck.add(hourAt(startMs));
  return stuck;
}

/** Neighbouring days whose windows or flags the same readings bear on are reloaded too; no change, no further reload. */
function passOn({ point, day, readings: { hot: readings }, endMs, hotMs, event }: Part, changes: Changes): void {
  const { declared } = point;
  const clockMs = event.streamTimeMs;
  const dayEndMs = day.dayStartMs + DAY_MS;
  if (changes.stuck && endMs === dayEndMs && endMs < hotMs) markPending(point, endMs, endMs + 1, clockMs);
  const next = readings.firstAtOrAfter(dayEndMs);
  if (changes.last && next > 0) {
    const registerToMs = next < readings.count ? readings.startMs(next) : dayEndMs;
    const toMs = declared.kind === 'REGISTER' ? registerToMs : affectedToMs(readings, next - 1, declared);
    if (toMs - dayEndMs <= MAX_REGISTER_GAP_MS) markPending(point, dayEndMs, Math.min(toMs, hotMs), clockMs);
  }
  const first = readings.firstAtOrAfter(day.dayStartMs);
  if (!changes.first || declared.kind !== 'REGISTER' || first === 0) return;
  const fromMs = readings.startMs(first - 1);
  if (day.dayStartMs - fromMs <= MAX_REGISTER_GAP_MS) markPending(point, fromMs, day.dayStartMs, clockMs);
}

function emitChanged(part: Part, width: number, stuck: StuckHours, emission: Emission, changes: Changes): void {
  const { point, day, fromMs, endMs } = part;
  const { widthMs } = WIDTHS[width];
  const previous = previousWindows(day, widthMs);
  for (let startMs = fromMs; startMs + widthMs <= endMs; startMs += widthMs) {
    composeAt(startMs, fromMs, widthMs);
    const before = previous.get(startMs);
    if (before === undefined && window.coveredMs === 0 && window.readingCount === 0) continue;
    const flags = flagsOf(point, widthMs, stuck);
    if (before?.digest === windowDigest(window) && !(widthMs === HOUR_MS && isOtherwiseStuck(before, flags))) continue;
    const more = window.readingCount - (before ? readingCountOf(before.digest) : 0);
    if (width === 0) {
      if (startMs === day.dayStartMs) changes.first = true;
      if (startMs + widthMs === day.dayStartMs + DAY_MS) changes.last = true;
      changes.readingCount += more;
    }
    const reason = reasonOf((startMs - fromMs) / STEP_MS, widthMs / STEP_MS) || (more > 0 ? REASON_LATE : REASON_RELOADED);
    emission.push(width, window, flags, before ? before.revision + 1 : 0, reason);
  }
}

/** For this flag alone an hour is revised, as it may be that of a day before; narrower windows get it with other values only. */
function isOtherwiseStuck(before: Previous, flags: number): boolean {
  return ((before.flags ^ flags) & FLAG_STUCK) !== 0;
}

/** Late or corrected by a reading of the day that bears on the window, as in the hot state; 0 where it was a neighbour's. */
function reasonOf(from: number, steps: number): number {
  let reason = 0;
  for (let i = from; i < from + steps; i++) if (reasons[i] > reason) reason = reasons[i];
  return reason;
}

function flagsOf({ declared, summary }: PointState, widthMs: number, stuck: StuckHours): number {
  if (window.coveredMs === 0 || !hasEnergy(declared.kind)) return 0;
  let flags = widthMs === HOUR_MS && summary.isOutlier(window.mean) ? FLAG_OUTLIER : 0;
  if (stuck.isStuckAt(window.startMs + widthMs)) flags |= FLAG_STUCK;
  if (window.energyMilliWh < 0 && !declared.mayExport) flags |= FLAG_NEGATIVE;
  return flags;
}

function previousWindows(day: DayReloaded, widthMs: number): Map<number, Previous> {
  const found = new Map<number, Previous>();
  for (const previous of day.previous) {
    if (previous.widthMs !== widthMs) continue;
    let startMs = 0;
    for (let i = 0; i < previous.startMs.length; i++) {
      startMs += previous.startMs[i];
      found.set(startMs, { revision: previous.revision[i], digest: previous.digest[i], flags: previous.flags[i] ?? 0 });
    }
  }
  return found;
}

/** The window that a digest is of. */
function windowOf(startMs: number, digest: string | undefined): Window | undefined {
  if (digest === undefined) return undefined;
  const [energyMilliWh, mean, min, max, last, readingCount, coveredMs, measuredMs, quality] = digest.split(' ').map(Number);
  return { startMs, energyMilliWh, mean, min, max, last, readingCount, coveredMs, measuredMs, quality };
}
