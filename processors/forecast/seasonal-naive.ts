/**
 * The benchmark that every later model must beat: tomorrow is like the same local time a week ago (Hyndman and
 * Athanasopoulos, Forecasting: Principles and Practice, 3rd edition, section 5.2, "seasonal naive"), with quantiles
 * from the same rule's own residuals of the days before.
 */
import type { ForecastIssued } from '../../schemas/types.ts';
import { type RecentSlots, SLOT_MS, SLOTS_PER_DAY } from './recent-slots.ts';

const WEEK = 7 * SLOTS_PER_DAY;
/** Residuals are taken from this many days back, and from neighbouring slots on both sides. */
const RESIDUAL_DAYS = [2, 3, 4, 5, 6, 7, 8];
const NEIGHBOURS = 2;

export interface DayForecast {
  method: ForecastIssued['method'];
  q10W: number[];
  q50W: number[];
  q90W: number[];
  residualCount: number[];
}

/**
 * Forecast of the given slots (UTC starts, ms) from what is known now; null where not even one day is known.
 * `localShift(slotMs, days)` gives the UTC start of the same local time so many days earlier.
 */
export function forecastDay(
  recent: RecentSlots,
  startMs: readonly number[],
  localShift: (slotMs: number, days: number) => number,
): DayForecast | null {
  const forecast: DayForecast = { method: 'WEEK_AGO', q10W: [], q50W: [], q90W: [], residualCount: [] };
  for (const slotMs of startMs) {
    const base = baseOf(recent, slotMs, localShift);
    if (base === null) return null;
    if (base.days !== 7) forecast.method = 'DAY_AGO';
    const residuals = residualsAt(recent, slotMs, localShift);
    forecast.q50W.push(base.meanW);
    forecast.q10W.push(base.meanW + Math.min(0, quantile(residuals, 0.1)));
    forecast.q90W.push(base.meanW + Math.max(0, quantile(residuals, 0.9)));
    forecast.residualCount.push(residuals.length);
  }
  return forecast;
}

/** The same local time a week ago; where that is unknown (cold start, gap), the most recent day that is known. */
function baseOf(
  recent: RecentSlots,
  slotMs: number,
  localShift: (slotMs: number, days: number) => number,
): { meanW: number; days: number } | null {
  for (const days of [7, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14]) {
    const meanW = recent.get(localShift(slotMs, days) / SLOT_MS);
    if (!Number.isNaN(meanW)) return { meanW, days };
  }
  return null;
}

/** How wrong the rule was at this time of day on the days before. */
function residualsAt(recent: RecentSlots, slotMs: number, localShift: (slotMs: number, days: number) => number): number[] {
  const residuals: number[] = [];
  for (const days of RESIDUAL_DAYS) {
    const middle = localShift(slotMs, days) / SLOT_MS;
    for (let slot = middle - NEIGHBOURS; slot <= middle + NEIGHBOURS; slot++) {
      const residual = recent.get(slot) - recent.get(slot - WEEK);
      if (!Number.isNaN(residual)) residuals.push(residual);
    }
  }
  return residuals.sort((a, b) => a - b);
}

/** Linear interpolation between order statistics (Hyndman and Fan 1996, type 7); 0 where there are none. */
export function quantile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) return 0;
  const at = (sorted.length - 1) * share;
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}
