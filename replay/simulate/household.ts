/** What people switch on: a base load, a refrigerator, and appliances used at the times of day when people are about. */
import { HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import { utcOffsetMs } from '../../streams/time.ts';
import type { Random } from './random.ts';

/** Uses begun per hour, by local hour of day. */
// biome-ignore format: a day is read in one row
const USES_PER_HOUR = [0.1, 0.05, 0.05, 0.05, 0.05, 0.2, 0.8, 1.4, 1.0, 0.6, 0.6, 0.9, 1.2, 0.8, 0.6, 0.6, 0.9, 1.6, 2.2, 2.2, 1.8, 1.2, 0.7, 0.3];
const REFRIGERATOR_W = 85;
const REFRIGERATOR_CYCLE_MINUTES = 60;

/** Electric power of a household's appliances (W), mean of each minute. */
export function simulateAppliances(timeZone: string, startMs: number, minutes: number, random: Random): Float64Array {
  const powerW = new Float64Array(minutes).fill(random.between(60, 140));
  const phase = random.integer(0, REFRIGERATOR_CYCLE_MINUTES - 1);
  const coolingMinutes = random.integer(15, 25);
  for (let i = 0; i < minutes; i++) {
    if ((i + phase) % REFRIGERATOR_CYCLE_MINUTES < coolingMinutes) powerW[i] += REFRIGERATOR_W;
    const localMs = startMs + i * MINUTE_MS + utcOffsetMs(timeZone, startMs + i * MINUTE_MS);
    const hour = Math.floor(localMs / HOUR_MS) % 24;
    if (!random.chance(USES_PER_HOUR[hour] / 60)) continue;
    // Short uses are strong (kettle, hob), long ones weak (screens, light).
    const strong = random.chance(0.4);
    const useW = strong ? random.between(800, 2200) : random.between(40, 300);
    const useMinutes = strong ? random.integer(3, 40) : random.integer(20, 180);
    for (let j = i; j < Math.min(minutes, i + useMinutes); j++) powerW[j] += useW;
  }
  return powerW;
}
