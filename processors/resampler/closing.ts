/** What a tick does: revise touched windows, close those whose time is over, ask for reloads, let old readings go. */
import { DAY_MS, GRACE_MS, HOT_MS, HOUR_MS, MAX_REGISTER_GAP_MS, MAX_SILENCE_MS, MINUTE_MS } from '../../streams/limits.ts';
import type { Emit } from '../../streams/processor.ts';
import { compose, Emission, emptyWindow, FLAG_NEGATIVE, FLAG_OUTLIER, FLAG_STUCK, WIDTHS, type Window } from './emission.ts';
import { emitNotice, hotFromMs, markPending } from './intake.ts';
import { type PointState, REASON_FIRST, removePoint } from './point-state.ts';
import { requestReloads } from './reload-requests.ts';
import type { SiteState } from './resampler.ts';
import { computeWindows, coveredThroughMs, hasEnergy, JITTER_LOOKBACK, reachMs, waitMs } from './segments.ts';
import { STEP_MS, WindowScratch } from './window-scratch.ts';

const LONG_SILENCE_MS = MAX_SILENCE_MS + DAY_MS;

/** Reused for every window: filled and read within one call. */
const scratch = new WindowScratch();
const window = emptyWindow();

/**
 * Once in five minutes, when a window's grace is over: a site does all its work then, so that late readings share an
 * event and a revision, and a tick in between costs nothing.
 */
export function closeWindows(site: SiteState, tickMs: number, emit: Emit): void {
  const step = Math.floor((tickMs - GRACE_MS) / STEP_MS);
  if (step <= site.closedStep) return;
  site.closedStep = step;
  const emission = new Emission(site.siteId, tickMs, emit);
  let waiting = false;
  for (const point of site.points.values()) {
    if (point.pending !== null || point.removed) waiting = true;
    if (!point.news && tickMs < point.dueMinute * MINUTE_MS) continue;
    if (point.openedFromMs !== Number.POSITIVE_INFINITY) {
      if (point.dirty !== null) revise(point, emission);
      const closeToMs = closableToMs(point, tickMs);
      if (closeToMs > point.closedToMs) close(site, point, closeToMs, tickMs, emission, emit);
      emission.endPoint(point.declared.pointId, hasEnergy(point.declared.kind));
    }
    tidy(site, point, tickMs, emit);
    point.news = false;
    point.dueMinute = Math.floor(Math.max(0, dueMs(point, tickMs)) / MINUTE_MS);
  }
  emission.end();
  if (!waiting) return;
  for (const point of site.points.values()) {
    if (point.pending === null && !point.removed) continue;
    // A reload before all is closed would take the windows up to its day for closed.
    if (isBehind(point, tickMs)) continue;
    if (point.pending !== null) requestReloads(site, point, tickMs, emit);
    if (point.removed) forgetOnceQuiet(site, point, tickMs);
  }
}

function isBehind(point: PointState, tickMs: number): boolean {
  return point.openedFromMs !== Number.POSITIVE_INFINITY && point.closedToMs < closableToMs(point, tickMs);
}

/** When the next window closes without any further reading, or the next hour of readings is let go. */
function dueMs(point: PointState, tickMs: number): number {
  const { declared, hot, openedFromMs, closedToMs } = point;
  const tidyMs = hotFromMs(point, tickMs) + HOUR_MS + HOT_MS + waitMs(declared);
  if (openedFromMs === Number.POSITIVE_INFINITY) return tidyMs;
  const nextMs = closedToMs + STEP_MS;
  return Math.min(tidyMs, nextMs + GRACE_MS + (coveredThroughMs(hot, declared) >= nextMs ? 0 : waitMs(declared)));
}

/** A removed point goes once nothing of it is hot or waits. */
function forgetOnceQuiet(site: SiteState, point: PointState, tickMs: number): void {
  const waits = point.dirty !== null || point.pending !== null;
  const hotMs = hotFromMs(point, tickMs);
  if (waits || point.closedToMs > hotMs) return;
  const { pointId, kind, intervalMs } = point.declared;
  site.forgotten.push(pointId);
  if (point.closedToMs !== Number.NEGATIVE_INFINITY) site.retired.set(pointId, { kind, intervalMs, completeFromMs: hotMs });
  removePoint(site, pointId);
}

/**
 * Windows close once their grace is over and either all readings have come or the wait for them is over too. A silent
 * point closes (missing) windows for a week, then waits; a removed one closes those that have readings.
 */
function closableToMs(point: PointState, tickMs: number): number {
  const { hot, declared } = point;
  const graceMs = tickMs - GRACE_MS;
  const boundMs = Math.max(graceMs - waitMs(declared), Math.min(graceMs, coveredThroughMs(hot, declared)));
  const saidMs = hot.lastStartMs + reachMs(declared);
  const lastMs = point.removed ? Math.ceil((saidMs + 1) / STEP_MS) * STEP_MS : saidMs + MAX_SILENCE_MS;
  return Math.floor(Math.min(boundMs, lastMs) / STEP_MS) * STEP_MS;
}

/**
 * Closes up to the end of a UTC day, so that the outputs of one tick stay small however much is due at once: the
 * closings that follow go on with the next days.
 */
function close(site: SiteState, point: PointState, closeToMs: number, tickMs: number, emission: Emission, emit: Emit): void {
  const closeThrough = (endMs: number) => {
    if (point.closedToMs >= endMs) return;
    const toMs = Math.min(endMs, (Math.floor(point.closedToMs / DAY_MS) + 1) * DAY_MS);
    closeStretch(site, point, toMs, tickMs, emission, emit);
    point.closedToMs = toMs;
  };
  point.touched = true;
  if (closeToMs - point.closedToMs > LONG_SILENCE_MS) {
    const resumeMs = resumptionMs(point, closeToMs, tickMs);
    if (resumeMs - point.closedToMs > LONG_SILENCE_MS) {
      closeThrough(Math.ceil(point.closedToMs / HOUR_MS) * HOUR_MS);
      skipSilence(point, resumeMs, tickMs);
    }
  }
  closeThrough(closeToMs);
}

/** After a long silence the windows go on with the reading that ended it, not with a stretch nobody measured. */
function resumptionMs(point: PointState, closeToMs: number, tickMs: number): number {
  const { hot, closedToMs } = point;
  const next = hot.firstAtOrAfter(closedToMs);
  if (next === hot.count) return closedToMs;
  // Within the hot range all windows are closed, since the reading may tell about some before it (registers).
  return Math.floor(Math.min(hot.startMs(next), hotFromMs(point, tickMs), closeToMs) / HOUR_MS) * HOUR_MS;
}

function skipSilence(point: PointState, resumeMs: number, tickMs: number): void {
  const { hot, declared, closedToMs } = point;
  const next = hot.firstAtOrAfter(closedToMs);
  point.closedToMs = point.openedFromMs = resumeMs;
  // What a register says about the silence itself, if it says anything, is left to the reload of those days.
  if (declared.kind === 'REGISTER' && hot.startMs(next) - closedToMs <= MAX_REGISTER_GAP_MS)
    markPending(point, closedToMs, point.closedToMs, tickMs);
}

/** Closes [closedToMs, toMs), at most a day: five-minute windows, and the wider ones that end in it. */
function closeStretch(site: SiteState, point: PointState, toMs: number, tickMs: number, emission: Emission, emit: Emit): void {
  const { declared, closedToMs, hot } = point;
  // No more than the widest window that ends in it needs.
  let fromMs = closedToMs;
  for (const { widthMs } of WIDTHS) {
    const startMs = Math.floor(closedToMs / widthMs) * widthMs;
    if (startMs + widthMs <= toMs) fromMs = startMs;
  }
  computeWindows(hot, declared, fromMs, toMs, scratch);
  for (let width = WIDTHS.length - 1; width >= 0; width--) {
    const { widthMs } = WIDTHS[width];
    const steps = widthMs / STEP_MS;
    for (let startMs = Math.floor(closedToMs / widthMs) * widthMs; startMs + widthMs <= toMs; startMs += widthMs) {
      compose(scratch, (startMs - fromMs) / STEP_MS, steps, window);
      const outlier = widthMs === HOUR_MS && isOutlier(point, window);
      if (widthMs === HOUR_MS) summarise(site, point, window, outlier, tickMs, emit);
      emission.push(width, window, flagsOf(point, window, widthMs, outlier), 0, REASON_FIRST);
    }
  }
}

function isOutlier(point: PointState, hour: Window): boolean {
  return hour.coveredMs > 0 && hasEnergy(point.declared.kind) && point.summary.isOutlier(hour.mean);
}

function summarise(site: SiteState, point: PointState, hour: Window, outlier: boolean, tickMs: number, emit: Emit): void {
  if (hour.coveredMs === 0 || !hasEnergy(point.declared.kind)) return;
  const { summary } = point;
  const wasStuck = summary.isStuck(hour.startMs);
  summary.add(hour.startMs, hour.mean, hour.min, hour.max, hour.readingCount);
  if (!wasStuck && summary.isStuck(hour.startMs + HOUR_MS))
    emitNotice(site, point, 'STUCK', summary.stuckSinceMs, tickMs, hour.mean, null, emit);
  if (outlier) emitNotice(site, point, 'OUTLIER', hour.startMs, tickMs, hour.mean, null, emit);
  if (hour.energyMilliWh < 0 && !point.declared.mayExport) emitNotice(site, point, 'NEGATIVE', hour.startMs, tickMs, hour.mean, null, emit);
}

/** Flags of a window; `outlier` is told of whole hours only. */
export function flagsOf(point: PointState, of: Window, widthMs: number, outlier = widthMs === HOUR_MS && isOutlier(point, of)): number {
  const { declared, summary } = point;
  if (of.coveredMs === 0 || !hasEnergy(declared.kind)) return 0;
  let flags = outlier ? FLAG_OUTLIER : 0;
  if (summary.isStuck(of.startMs + widthMs)) flags |= FLAG_STUCK;
  if (of.energyMilliWh < 0 && !declared.mayExport) flags |= FLAG_NEGATIVE;
  return flags;
}

/** Emits the touched five-minute windows again, and the closed wider ones that hold them: an hour after the other. */
function revise(point: PointState, emission: Emission): void {
  const dirty = point.dirty!;
  point.dirty = null;
  point.touched = true;
  // The readings behind them are still there: they are let go only after this.
  const starts = dirty.size === 1 ? [...dirty.keys()] : [...dirty.keys()].sort((a, b) => a - b);
  for (let from = 0; from < starts.length; ) {
    const hourMs = Math.floor(starts[from] / HOUR_MS) * HOUR_MS;
    let to = from + 1;
    while (to < starts.length && starts[to] < hourMs + HOUR_MS) to++;
    reviseHour(point, hourMs, starts.slice(from, to), dirty, emission);
    from = to;
  }
  if (starts.length > 0 && starts[0] < point.openedFromMs) point.openedFromMs = starts[0];
}

/** Emits what holds the touched windows of one hour, each width in its order. */
function reviseHour(point: PointState, hourMs: number, starts: readonly number[], dirty: Map<number, number>, emission: Emission): void {
  computeWindows(point.hot, point.declared, hourMs, Math.min(hourMs + HOUR_MS, point.closedToMs), scratch);
  for (let width = 0; width < WIDTHS.length; width++) {
    const { widthMs } = WIDTHS[width];
    const closedMs = Math.floor(point.closedToMs / widthMs) * widthMs;
    let doneMs = Number.NEGATIVE_INFINITY;
    for (const dirtyMs of starts) {
      const startMs = Math.floor(dirtyMs / widthMs) * widthMs;
      if (startMs === doneMs || startMs + widthMs > closedMs) continue;
      doneMs = startMs;
      compose(scratch, (startMs - hourMs) / STEP_MS, widthMs / STEP_MS, window);
      const first = startMs < Math.floor(point.openedFromMs / widthMs) * widthMs;
      emission.push(width, window, flagsOf(point, window, widthMs), first ? 0 : point.revisions.next(startMs + width), dirty.get(dirtyMs)!);
    }
  }
}

/** Lets readings and revisions go that are older than the hot range, and reports the doubles counted since. */
function tidy(site: SiteState, point: PointState, tickMs: number, emit: Emit): void {
  const { hot, declared } = point;
  if (point.doubles > 0) {
    emitNotice(site, point, 'DOUBLE', tickMs, tickMs, null, null, emit, point.doubles);
    point.doubles = 0;
    point.touched = true;
  }
  const hotMs = hotFromMs(point, tickMs);
  if (hot.count === 0 || hot.startMs(0) >= hotMs - HOUR_MS / 4) return;
  if (point.revisions.dropBefore(hotMs)) point.touched = true;
  if (point.openedFromMs === Number.POSITIVE_INFINITY) return;
  // The readings just before the hot range still reach into it: one, or those that decide about a register's jitter.
  const intervalMs = declared.kind === 'INTERVAL_ENERGY' ? declared.intervalMs : 0;
  const keep = declared.kind === 'REGISTER' ? 2 + JITTER_LOOKBACK : 1;
  const drop = hot.firstAtOrAfter(Math.min(hotMs, point.closedToMs - HOUR_MS) - intervalMs) - keep;
  if (drop <= 0) return;
  hot.dropBefore(drop);
  point.touched = true;
}
