/** What a reloaded day shows about itself, told as the hot state would have told it: once, for what is new. */
import { HOUR_MS } from '../../streams/limits.ts';
import type { Emit, ProcessorEvent } from '../../streams/processor.ts';
import type { Window } from './emission.ts';
import { emitNotice } from './intake.ts';
import type { PointState } from './point-state.ts';
import type { ReloadedReadings } from './reload-readings.ts';
import type { SiteState } from './resampler.ts';
import { registerChange } from './segments.ts';
import type { StuckHours } from './stuck-hours.ts';

interface Telling {
  site: SiteState;
  point: PointState;
  fromMs: number;
  endMs: number;
  event: ProcessorEvent;
  emit: Emit;
}

const NOTICE_OF_CHANGE = {
  ROLLOVER: 'REGISTER_ROLLOVER',
  RESET: 'REGISTER_RESET',
  SWAP: 'METER_SWAP',
  GAP: 'REGISTER_GAP',
} as const;

/** Conflicts of late readings with what they replaced, and what a register went through on both sides of each. */
export function noticeLateReadings({ site, point, fromMs, endMs, event, emit }: Telling, { hot, late }: ReloadedReadings): void {
  const changed = new Set<number>();
  for (const { startMs, replaced } of late) {
    if (startMs < fromMs || startMs >= endMs) continue;
    const i = hot.firstAtOrAfter(startMs);
    if (replaced !== null) emitNotice(site, point, 'CONFLICT', startMs, event.knownAtMs, replaced, hot.value(i), emit);
    if (point.declared.kind === 'REGISTER') changed.add(i).add(i + 1);
  }
  for (const i of changed) {
    if (i === 0 || i >= hot.count) continue;
    const { kind, energyMilliWh } = registerChange(hot, i, point.declared);
    if (kind === 'NORMAL' || kind === 'JITTER') continue;
    const [value, other] = kind === 'GAP' ? [energyMilliWh, null] : [hot.value(i - 1), hot.value(i)];
    emitNotice(site, point, NOTICE_OF_CHANGE[kind], hot.startMs(i), event.knownAtMs, value, other, emit);
  }
}

/** An hour that is stuck, far above the usual or negative, and was not before. */
export function noticeHour(
  { site, point, event: { knownAtMs }, emit }: Telling,
  hour: Window,
  before: Window | undefined,
  stuck: StuckHours,
  stuckBefore: StuckHours,
): void {
  if (hour.coveredMs === 0) return;
  const { startMs, mean } = hour;
  const endMs = startMs + HOUR_MS;
  const wasStuck = before !== undefined && before.coveredMs > 0 && stuckBefore.isStuckAt(endMs);
  if (!stuck.isStuckAt(startMs) && stuck.isStuckAt(endMs) && !wasStuck)
    emitNotice(site, point, 'STUCK', stuck.stuckSinceMs(endMs), knownAtMs, mean, null, emit);
  const { summary, declared } = point;
  if (summary.isOutlier(mean) && !(before && summary.isOutlier(before.mean)))
    emitNotice(site, point, 'OUTLIER', startMs, knownAtMs, mean, null, emit);
  if (hour.energyMilliWh < 0 && !declared.mayExport && !(before && before.energyMilliWh < 0))
    emitNotice(site, point, 'NEGATIVE', startMs, knownAtMs, mean, null, emit);
}
