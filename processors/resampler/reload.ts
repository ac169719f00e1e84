/** Revises the windows of a day that is older than the hot state, from the raw readings of a `day.reloaded` event. */
import type { DayReloaded } from '../../schemas/types.ts';
import { DAY_MS } from '../../streams/limits.ts';
import type { Emit, ProcessorEvent } from '../../streams/processor.ts';
import { flagsOf } from './closing.ts';
import { compose, Emission, WIDTHS, type Window, windowDigest } from './emission.ts';
import { HotReadings } from './hot-readings.ts';
import { hotFromMs } from './intake.ts';
import { type PointState, REASON_RELOADED } from './point-state.ts';
import type { SiteState } from './resampler.ts';
import { computeWindows, hasEnergy } from './segments.ts';
import { STEP_MS, WindowScratch } from './window-scratch.ts';

const scratch = new WindowScratch();
const window: Window = {
  startMs: 0,
  energyMilliWh: 0,
  mean: 0,
  min: 0,
  max: 0,
  last: 0,
  readingCount: 0,
  coveredMs: 0,
  measuredMs: 0,
  quality: 0,
};

export function reviseReloadedDay(site: SiteState, day: DayReloaded, event: ProcessorEvent, emit: Emit): void {
  const point = site.points.get(day.pointId);
  if (!point) return;
  point.pending?.delete(day.dayStartMs);
  if (point.pending?.size === 0) point.pending = null;
  point.touched = true;
  const readings = readingsOf(day);
  // What is hot is revised from the hot state, and what is not closed yet will be closed from it.
  const endMs = Math.min(day.dayStartMs + DAY_MS, Math.max(hotFromMs(event.streamTimeMs), day.dayStartMs));
  if (endMs <= day.dayStartMs || readings.count === 0) return;
  const emission = new Emission(site.siteId, event.knownAtMs, emit);
  computeWindows(readings, point.declared, day.dayStartMs, endMs, scratch);
  for (let width = 0; width < WIDTHS.length; width++) emitChanged(point, day, width, readings, endMs, emission);
  emission.endPoint();
  emission.end();
  if (point.openedFromMs !== Number.POSITIVE_INFINITY) return;
  // A point whose first readings are old: its windows go on from here.
  point.openedFromMs = day.dayStartMs;
  point.closedToMs = endMs;
}

function emitChanged(point: PointState, day: DayReloaded, width: number, readings: HotReadings, endMs: number, emission: Emission): void {
  const { widthMs } = WIDTHS[width];
  const previous = previousWindows(day, widthMs);
  const firstMs = Math.floor(readings.startMs(0) / widthMs) * widthMs;
  const energy = hasEnergy(point.declared.kind);
  for (let startMs = day.dayStartMs; startMs + widthMs <= endMs; startMs += widthMs) {
    compose(scratch, (startMs - day.dayStartMs) / STEP_MS, widthMs / STEP_MS, window);
    const before = previous.get(startMs);
    if (before === undefined && (window.coveredMs === 0 || startMs < firstMs)) continue;
    if (before?.digest === windowDigest(window)) continue;
    emission.push(
      width,
      point.declared.pointId,
      energy,
      window,
      flagsOf(point, window, widthMs),
      before ? before.revision + 1 : 0,
      REASON_RELOADED,
    );
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
  const readings = new HotReadings();
  let startMs = 0;
  for (let i = 0; i < day.startMs.length; i++) {
    startMs += day.startMs[i];
    readings.insert(startMs, day.value[i], (day.deviceIndex[i] << 2) | day.quality[i]);
  }
  return readings;
}
