/** An electric vehicle at its charging point: away by day, plugged in by evening, charged until it has what it needs. */
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import { startOfLocalDayMs } from '../../streams/time.ts';
import type { Random } from './random.ts';

/** Below 6 A a charging point pauses (IEC 61851-1). */
export const LEAST_CHARGE_A = 6;
const VOLTAGE = 230;

export interface ChargePoint {
  phases: 1 | 3;
  limitA: number;
}

export const AWAY = 0;
export const PLUGGED_IN = 1;
export const CHARGING = 2;

/** From a time on, until the next one's. */
export interface ChargeChange {
  startMs: number;
  powerW: number;
  state: typeof AWAY | typeof PLUGGED_IN | typeof CHARGING;
}

export function chargePowerW(point: ChargePoint, currentA: number): number {
  return point.phases * VOLTAGE * currentA;
}

/** Everything that changes at the charging point over the span, in order, at whole seconds. The first stands at the start. */
export function simulateCharging(point: ChargePoint, timeZone: string, startMs: number, endMs: number, random: Random): ChargeChange[] {
  const changes: ChargeChange[] = [{ startMs, powerW: 0, state: AWAY }];
  for (let dayMs = startOfLocalDayMs(timeZone, startMs); dayMs < endMs; dayMs = startOfLocalDayMs(timeZone, dayMs + 1.5 * DAY_MS)) {
    const arrivalMs = wholeSecond(dayMs + 17.5 * HOUR_MS + 1.2 * HOUR_MS * clipped(random.normal()));
    const departureMs = wholeSecond(dayMs + DAY_MS + 7.5 * HOUR_MS + 0.5 * HOUR_MS * clipped(random.normal()));
    const neededWh = random.between(4_000, 18_000);
    if (!random.chance(0.85) || arrivalMs <= startMs) continue;
    changes.push({ startMs: arrivalMs, powerW: 0, state: PLUGGED_IN });
    const fullMs = charge(point, arrivalMs + 20_000, neededWh, departureMs - MINUTE_MS, changes);
    changes.push({ startMs: fullMs, powerW: 0, state: PLUGGED_IN }, { startMs: departureMs, powerW: 0, state: AWAY });
  }
  return changes.filter((change) => change.startMs < endMs);
}

/** Full current for nine tenths, then less by steps, never below 6 A. Returns when it ends. */
function charge(point: ChargePoint, beginMs: number, neededWh: number, latestMs: number, changes: ChargeChange[]): number {
  let atMs = beginMs;
  for (const [share, of] of [
    [0.9, 1],
    [0.06, 0.7],
    [0.04, 0.4],
  ]) {
    if (atMs >= latestMs) break;
    const powerW = chargePowerW(point, Math.max(LEAST_CHARGE_A, Math.round(point.limitA * of)));
    changes.push({ startMs: atMs, powerW, state: CHARGING });
    atMs = Math.min(latestMs, wholeSecond(atMs + ((share * neededWh) / powerW) * HOUR_MS));
  }
  return atMs;
}

/** Mean power of each minute (W). */
export function minuteMeans(changes: readonly ChargeChange[], startMs: number, minutes: number): Float64Array {
  const powerW = new Float64Array(minutes);
  const endMs = startMs + minutes * MINUTE_MS;
  changes.forEach(({ startMs: fromMs, powerW: heldW }, at) => {
    const toMs = Math.min(endMs, changes[at + 1]?.startMs ?? endMs);
    for (let ms = fromMs; ms < toMs && heldW > 0; ) {
      const minute = Math.floor((ms - startMs) / MINUTE_MS);
      const untilMs = Math.min(toMs, startMs + (minute + 1) * MINUTE_MS);
      powerW[minute] += (heldW * (untilMs - ms)) / MINUTE_MS;
      ms = untilMs;
    }
  });
  return powerW;
}

const wholeSecond = (ms: number) => Math.round(ms / 1000) * 1000;
const clipped = (deviations: number) => Math.max(-2, Math.min(2, deviations));
