/** What a tick does: revise touched windows, close those whose time is over, ask for reloads, let old readings go. */
import { DAY_MS, GRACE_MS, HOUR_MS, MAX_SILENCE_MS, RELOAD_MAX_WAIT_MS, RELOAD_QUIET_MS } from '../../streams/limits.ts';
import type { Emit } from '../../streams/processor.ts';
import { compose, Emission, FLAG_NEGATIVE, FLAG_OUTLIER, FLAG_STUCK, WIDTHS, type Window } from './emission.ts';
import { emitNotice, hotFromMs } from './intake.ts';
import { type PointState, REASON_FIRST } from './point-state.ts';
import type { SiteState } from './resampler.ts';
import { computeWindows, coveredThroughMs, hasEnergy, JITTER_LOOKBACK } from './segments.ts';
import { STEP_MS, WindowScratch } from './window-scratch.ts';

/** Reused for every window: filled and read within one call. */
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

export function closeWindows(site: SiteState, tickMs: number, emit: Emit): void {
  if (site.points.size === 0) return;
  const emission = new Emission(site.siteId, tickMs, emit);
  const hotMs = hotFromMs(tickMs);
  for (const point of site.points.values()) {
    if (point.openedFromMs === Number.POSITIVE_INFINITY) continue;
    if (point.dirty !== null) revise(point, emission);
    const closeToMs = closableToMs(point, tickMs);
    if (closeToMs > point.closedToMs) close(site, point, closeToMs, tickMs, emission, emit);
    emission.endPoint();
    tidy(site, point, hotMs, tickMs, emit);
  }
  emission.end();
}

/**
 * Windows close once their grace is over and either all readings have come or the agreed delivery delay has passed too.
 * A silent point closes (missing) windows for a week, then waits.
 */
function closableToMs(point: PointState, tickMs: number): number {
  const graceMs = tickMs - GRACE_MS;
  const coveredMs = coveredThroughMs(point.hot, point.declared);
  const boundMs = Math.max(graceMs - point.declared.deliveryDelayMs, Math.min(graceMs, coveredMs));
  const silentMs = point.hot.lastStartMs + MAX_SILENCE_MS;
  return Math.floor(Math.min(boundMs, silentMs) / STEP_MS) * STEP_MS;
}

function close(site: SiteState, point: PointState, closeToMs: number, tickMs: number, emission: Emission, emit: Emit): void {
  // After a long silence the windows go on with the reading that ended it, not with a stretch nobody measured.
  const { hot } = point;
  if (closeToMs - point.closedToMs > MAX_SILENCE_MS + DAY_MS) {
    const resumeMs = hot.count > 0 ? hot.startMs(hot.firstAtOrAfter(point.closedToMs + STEP_MS) % hot.count) : closeToMs;
    point.closedToMs = Math.min(closeToMs, Math.max(point.closedToMs, Math.floor(resumeMs / STEP_MS) * STEP_MS));
  }
  point.touched = true;
  while (point.closedToMs < closeToMs) {
    const toMs = Math.min(closeToMs, (Math.floor(point.closedToMs / DAY_MS) + 1) * DAY_MS);
    closeStretch(site, point, toMs, tickMs, emission, emit);
    point.closedToMs = toMs;
  }
}

/** Closes [closedToMs, toMs), at most a day: five-minute windows, and the wider ones that end in it. */
function closeStretch(site: SiteState, point: PointState, toMs: number, tickMs: number, emission: Emission, emit: Emit): void {
  const { declared, closedToMs, hot } = point;
  const endsHour = Math.floor(toMs / HOUR_MS) > Math.floor(closedToMs / HOUR_MS);
  const unit = endsHour ? HOUR_MS : 3 * STEP_MS;
  const fromMs = Math.floor(closedToMs / unit) * unit;
  computeWindows(hot, declared, fromMs, toMs, scratch);
  const energy = hasEnergy(declared.kind);
  for (let width = WIDTHS.length - 1; width >= 0; width--) {
    const { widthMs } = WIDTHS[width];
    const steps = widthMs / STEP_MS;
    for (let startMs = Math.floor(closedToMs / widthMs) * widthMs; startMs + widthMs <= toMs; startMs += widthMs) {
      compose(scratch, (startMs - fromMs) / STEP_MS, steps, window);
      if (widthMs === HOUR_MS) summarise(site, point, window, tickMs, emit);
      emission.push(width, declared.pointId, energy, window, flagsOf(point, window, widthMs), 0, REASON_FIRST);
    }
  }
}

function summarise(site: SiteState, point: PointState, hour: Window, tickMs: number, emit: Emit): void {
  if (hour.coveredMs === 0 || !hasEnergy(point.declared.kind)) return;
  const { summary } = point;
  const wasStuck = summary.isStuck(hour.startMs);
  const outlier = summary.isOutlier(hour.mean);
  summary.add(hour.startMs, hour.mean, hour.min, hour.max);
  if (!wasStuck && summary.isStuck(hour.startMs + HOUR_MS))
    emitNotice(site, point, 'STUCK', summary.stuckSinceMs, tickMs, hour.mean, null, emit);
  if (outlier) emitNotice(site, point, 'OUTLIER', hour.startMs, tickMs, hour.mean, null, emit);
  if (hour.energyMilliWh < 0 && !point.declared.mayExport) emitNotice(site, point, 'NEGATIVE', hour.startMs, tickMs, hour.mean, null, emit);
}

export function flagsOf(point: PointState, of: Window, widthMs: number): number {
  const { declared, summary } = point;
  if (of.coveredMs === 0 || !hasEnergy(declared.kind)) return 0;
  let flags = 0;
  if (summary.isStuck(of.startMs + widthMs)) flags |= FLAG_STUCK;
  if (widthMs === HOUR_MS && summary.isOutlier(of.mean)) flags |= FLAG_OUTLIER;
  if (of.energyMilliWh < 0 && !declared.mayExport) flags |= FLAG_NEGATIVE;
  return flags;
}

/** Emits the touched five-minute windows again, and the closed wider ones that hold them. */
function revise(point: PointState, emission: Emission): void {
  const dirty = point.dirty!;
  point.dirty = null;
  point.touched = true;
  // The readings behind them are still there: they are let go only after this.
  const starts = [...dirty.keys()].sort((a, b) => a - b);
  const { declared } = point;
  const energy = hasEnergy(declared.kind);
  for (let width = 0; width < WIDTHS.length; width++) {
    const { widthMs } = WIDTHS[width];
    const closedMs = Math.floor(point.closedToMs / widthMs) * widthMs;
    let doneMs = Number.NEGATIVE_INFINITY;
    for (const dirtyMs of starts) {
      const startMs = Math.floor(dirtyMs / widthMs) * widthMs;
      if (startMs === doneMs || startMs + widthMs > closedMs) continue;
      doneMs = startMs;
      computeWindows(point.hot, declared, startMs, startMs + widthMs, scratch);
      compose(scratch, 0, widthMs / STEP_MS, window);
      const first = startMs < Math.floor(point.openedFromMs / widthMs) * widthMs;
      emission.push(
        width,
        declared.pointId,
        energy,
        window,
        flagsOf(point, window, widthMs),
        first ? 0 : nextRevision(point, startMs + width),
        dirty.get(dirtyMs)!,
      );
    }
  }
  if (starts.length > 0 && starts[0] < point.openedFromMs) point.openedFromMs = starts[0];
}

function nextRevision(point: PointState, window: number): number {
  point.revisions ??= new Map();
  const next = (point.revisions.get(window) ?? 0) + 1;
  point.revisions.set(window, next);
  return next;
}

/** Lets readings and revisions go that are older than the hot range, and reports the doubles counted since. */
function tidy(site: SiteState, point: PointState, hotMs: number, tickMs: number, emit: Emit): void {
  const { hot, declared } = point;
  if (point.doubles > 0) {
    emitNotice(site, point, 'DOUBLE', tickMs, tickMs, null, null, emit, point.doubles);
    point.doubles = 0;
    point.touched = true;
  }
  if (hot.count === 0 || hot.startMs(0) >= hotMs - HOUR_MS) return;
  // The readings just before the hot range still reach into it: one, or those that decide about a register's jitter.
  const reachMs = declared.kind === 'INTERVAL_ENERGY' ? declared.intervalMs : 0;
  const keep = declared.kind === 'REGISTER' ? 2 + JITTER_LOOKBACK : 1;
  const drop = hot.firstAtOrAfter(Math.min(hotMs, point.closedToMs - HOUR_MS) - reachMs) - keep;
  if (drop <= 0) return;
  hot.dropBefore(drop);
  point.touched = true;
  if (point.revisions !== null) {
    for (const key of point.revisions.keys()) if (key < hotMs) point.revisions.delete(key);
    if (point.revisions.size === 0) point.revisions = null;
  }
}

/** Asks for the reload of days that late readings have touched, once they have been quiet or have waited long enough. */
export function requestReloads(site: SiteState, tickMs: number, emit: Emit): void {
  for (const point of site.points.values()) {
    if (point.pending === null) continue;
    for (const [dayStartMs, day] of point.pending) {
      const due = tickMs - day.lastLateMs >= RELOAD_QUIET_MS || tickMs - day.firstLateMs >= RELOAD_MAX_WAIT_MS;
      if (day.requested || !due) continue;
      day.requested = true;
      point.touched = true;
      emit('revisions.requested', {
        siteId: site.siteId,
        pointId: point.declared.pointId,
        knownAtMs: tickMs,
        dayStartMs,
      } as { knownAtMs: number });
    }
  }
}
