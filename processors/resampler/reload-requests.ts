/** When days that late readings have touched are asked for. */
import { RELOAD_MAX_WAIT_MS, RELOAD_QUIET_MS } from '../../streams/limits.ts';
import type { Emit } from '../../streams/processor.ts';
import type { PendingDay, PointState } from './point-state.ts';
import type { SiteState } from './resampler.ts';

/**
 * A day is due once its point has been quiet for as long as the day was stirred before, or has waited long enough. A
 * fixed quiet span of the day alone would take the pauses of a back-fill that trickles in (a reading of a day every few
 * minutes, or once an hour while other days get theirs) for its end, and would reload each day dozens of times.
 */
function isDue({ firstLateMs, lastLateMs }: PendingDay, pointLateMs: number, tickMs: number): boolean {
  const quietMs = Math.max(RELOAD_QUIET_MS, lastLateMs - firstLateMs);
  return (tickMs - pointLateMs >= RELOAD_QUIET_MS && tickMs - lastLateMs >= quietMs) || tickMs - firstLateMs >= RELOAD_MAX_WAIT_MS;
}

/** When a late reading of any of the point's waiting days came last. */
function latestLateMs(pending: Map<number, PendingDay>): number {
  let latestMs = Number.NEGATIVE_INFINITY;
  for (const { lastLateMs } of pending.values()) if (lastLateMs > latestMs) latestMs = lastLateMs;
  return latestMs;
}

export function requestReloads(site: SiteState, point: PointState, tickMs: number, emit: Emit): void {
  const pointLateMs = latestLateMs(point.pending!);
  for (const [dayStartMs, day] of point.pending!) {
    if (day.requested || !isDue(day, pointLateMs, tickMs)) continue;
    day.requested = true;
    point.touched = true;
    emit('revisions.requested', {
      siteId: site.siteId,
      pointId: point.declared.pointId,
      knownAtMs: tickMs,
      dayStartMs,
      lateCount: day.lateCount,
    } as { knownAtMs: number });
  }
}
