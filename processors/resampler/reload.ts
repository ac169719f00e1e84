/** Revises the windows of a day that is older than the hot state, from the raw readings of a `day.reloaded` event. */
import type { DayReloaded } from '../../schemas/types.ts';
import { DAY_MS, MAX_REGISTER_GAP_MS } from '../../streams/limits.ts';
import type { Emit, ProcessorEvent } from '../../streams/processor.ts';
import { flagsOf } from './closing.ts';
import { compose, Emission, emptyWindow, readingCountOf, WIDTHS, windowDigest } from './emission.ts';
import { HotReadings } from './hot-readings.ts';
import { hotFromMs, markPending } from './intake.ts';
import { type PointState, REASON_RELOADED } from './point-state.ts';
import type { SiteState } from './resampler.ts';
import { affectedToMs, computeWindows, hasEnergy } from './segments.ts';
import { STEP_MS, WindowScratch } from './window-scratch.ts';

const scratch = new WindowScratch();
const window = emptyWindow();

/** Takes the answer to a request; one that was not asked for, or comes again, changes nothing. */
export function reviseReloadedDay(site: SiteState, day: DayReloaded, event: ProcessorEvent, emit: Emit): void {
  const point = site.points.get(day.pointId);
  const pending = point?.pending?.get(day.dayStartMs);
  if (!point || !pending?.requested) return;
  point.pending!.delete(day.dayStartMs);
  if (point.pending!.size === 0) point.pending = null;
  point.touched = point.news = true;
  const readings = readingsOf(day);
  // What is hot is revised from the hot state, and what is not closed yet will be closed from it.
  const hotMs = hotFromMs(point, event.streamTimeMs);
  const endMs = Math.min(day.dayStartMs + DAY_MS, Math.max(hotMs, day.dayStartMs));
  if (endMs <= day.dayStartMs) return;
  const emission = new Emission(site.siteId, event.knownAtMs, emit);
  computeWindows(readings, point.declared, day.dayStartMs, endMs, scratch);
  const changed = { first: false, last: false, readingCount: 0 };
  for (let width = 0; width < WIDTHS.length; width++) emitChanged(point, day, width, endMs, emission, changed);
  emission.endPoint(day.pointId, hasEnergy(point.declared.kind));
  emission.end();
  // Late readings that added nothing to what was counted before were doubles.
  point.doubles += Math.max(0, pending.lateCount - changed.readingCount);
  passOn(point, day, readings, hotMs, changed, event.streamTimeMs);
  if (point.closedToMs >= endMs) return;
  // A point that was not open, or silent for long: its windows go on from here, lest any is emitted twice.
  point.openedFromMs = point.closedToMs = endMs;
}

/** Neighbouring days whose windows the same readings bear on are reloaded too; no change, no further reload. */
function passOn(
  point: PointState,
  day: DayReloaded,
  readings: HotReadings,
  hotMs: number,
  changed: { first: boolean; last: boolean },
  clockMs: number,
): void {
  const { declared } = point;
  const dayEndMs = day.dayStartMs + DAY_MS;
  const next = readings.firstAtOrAfter(dayEndMs);
  if (changed.last && next > 0) {
    const registerToMs = next < readings.count ? readings.startMs(next) : dayEndMs;
    const toMs = declared.kind === 'REGISTER' ? registerToMs : affectedToMs(readings, next - 1, declared);
    if (toMs - dayEndMs <= MAX_REGISTER_GAP_MS) markPending(point, dayEndMs, Math.min(toMs, hotMs), clockMs);
  }
  const first = readings.firstAtOrAfter(day.dayStartMs);
  if (!changed.first || declared.kind !== 'REGISTER' || first === 0) return;
  const fromMs = readings.startMs(first - 1);
  if (day.dayStartMs - fromMs <= MAX_REGISTER_GAP_MS) markPending(point, fromMs, day.dayStartMs, clockMs);
}

function emitChanged(
  point: PointState,
  day: DayReloaded,
  width: number,
  endMs: number,
  emission: Emission,
  changed: { first: boolean; last: boolean; readingCount: number },
): void {
  const { widthMs } = WIDTHS[width];
  const previous = previousWindows(day, widthMs);
  for (let startMs = day.dayStartMs; startMs + widthMs <= endMs; startMs += widthMs) {
    compose(scratch, (startMs - day.dayStartMs) / STEP_MS, widthMs / STEP_MS, window);
    const before = previous.get(startMs);
    if (before === undefined && window.coveredMs === 0 && window.readingCount === 0) continue;
    if (before?.digest === windowDigest(window)) continue;
    if (width === 0) {
      if (startMs === day.dayStartMs) changed.first = true;
      if (startMs + widthMs === day.dayStartMs + DAY_MS) changed.last = true;
      changed.readingCount += window.readingCount - (before ? readingCountOf(before.digest) : 0);
    }
    const revision = before ? before.revision + 1 : 0;
    emission.push(width, window, flagsOf(point, window, widthMs), revision, REASON_RELOADED);
  }
}

function previousWindows(day: DayReloaded, widthMs: number): Map<number, { revision: number; digest: string }> {
  const found = new Map<number, { revision: number; digest: string }>();
  for (const previous of day.previous) {
    if (previous.widthMs !== widthMs) continue;
    let startMs = 0;
    for (let i = 0; i < previous.startMs.length; i++) {
      startMs += previous.startMs[i];
      found.set(startMs, { revision: previous.revision[i], digest: previous.digest[i] });
    }
  }
  return found;
}

function readingsOf(day: DayReloaded): HotReadings {
  // A register's neighbours may lie months apart; readings so far apart are stamped in whole seconds.
  const unitMs = day.startMs.every((stepMs) => stepMs % 1000 === 0) ? 1000 : 1;
  const readings = new HotReadings(day.startMs.length, unitMs);
  let startMs = 0;
  for (let i = 0; i < day.startMs.length; i++) {
    startMs += day.startMs[i];
    readings.insert(startMs, day.value[i], (day.deviceIndex[i] << 2) | day.quality[i]);
  }
  return readings;
}
