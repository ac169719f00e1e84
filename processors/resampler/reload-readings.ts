/** The readings of a reloaded day, and what the late ones among them have changed. */
import type { DayReloaded } from '../../schemas/types.ts';
import { HotReadings } from './hot-readings.ts';
import { REASON_CORRECTED, REASON_LATE } from './point-state.ts';
import { affectedFromMs, affectedToMs, type PointRules } from './segments.ts';
import { STEP_MS } from './window-scratch.ts';

/** A late reading; `replaced` is the other value in whose place it came, or null. */
export interface LateReading {
  startMs: number;
  replaced: number | null;
}

export interface ReloadedReadings {
  hot: HotReadings;
  late: LateReading[];
}

/** Marks of `late` in the event. */
const REPLACED = 2;

export function readingsOf(day: DayReloaded): ReloadedReadings {
  // A register's neighbours may lie months apart; readings so far apart are stamped in whole seconds.
  const unitMs = day.startMs.every((stepMs) => stepMs % 1000 === 0) ? 1000 : 1;
  const hot = new HotReadings(day.startMs.length, unitMs);
  const late: LateReading[] = [];
  let startMs = 0;
  let replaced = 0;
  for (let i = 0; i < day.startMs.length; i++) {
    startMs += day.startMs[i];
    hot.insert(startMs, day.value[i], (day.deviceIndex[i] << 2) | day.quality[i]);
    const mark = day.late[i] ?? 0;
    if (mark > 0) late.push({ startMs, replaced: mark === REPLACED ? day.replaced[replaced++] : null });
  }
  return { hot, late };
}

/** Fills in why each five-minute window of [fromMs, toMs) is revised: the reasons of the late readings that bear on it. */
export function markReasons({ hot, late }: ReloadedReadings, rules: PointRules, fromMs: number, toMs: number, reasons: Uint8Array): void {
  reasons.fill(0);
  for (const { startMs, replaced } of late) {
    const i = hot.firstAtOrAfter(startMs);
    const reason = replaced === null ? REASON_LATE : REASON_CORRECTED;
    const endMs = Math.min(toMs, affectedToMs(hot, i, rules));
    let step = Math.floor((Math.max(fromMs, affectedFromMs(hot, i, rules)) - fromMs) / STEP_MS);
    for (let windowMs = fromMs + step * STEP_MS; windowMs < endMs; windowMs += STEP_MS, step++)
      if (reason > reasons[step]) reasons[step] = reason;
  }
}
