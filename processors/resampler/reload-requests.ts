/** When days that late readings have touched are asked for. */
import { RELOAD_MAX_WAIT_MS, RELOAD_QUIET_MS } from '../../streams/limits.ts';
import type { Emit } from '../../streams/processor.ts';
import type { PendingDay, PointState } from './point-state.ts';
import type { SiteState } from './resampler.ts';

/**
 * A day is due once it has been quiet for as long as it was stirred before, or has waited long enough. A fixed quiet
 * span would take the pauses of a back-fill that trickles in (a reading of a day every few minutes) for its end, and
 * would reload each day dozens of times.
 */
function isDue({ firstLateMs, lastLateMs }: PendingDay, tickMs: number): boolean {
  const quietMs = Math.max(RELOAD_QUIET_MS, lastLateMs - firstLateMs);
  return tickMs - lastLateMs >= quietMs || tickMs - firstLateMs >= RELOAD_MAX_WAIT_MS;
}

export function requestReloads(site: SiteState, point: PointState, tickMs: number, emit: Emit): void {
  for (const [dayStartMs, day] of point.pending!) {
    if (day.requested || !isDue(day, tickMs)) continue;
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
