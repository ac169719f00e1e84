/** Quantities as people write them in declared files: "15 min", "100000 kWh", "2013-01-01" or a full time with its zone. */
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';

export const SPAN_PATTERN = '^\\d+(\\.\\d+)? *(ms|s|min|h|d)$';
export const ENERGY_PATTERN = '^\\d+(\\.\\d+)? *(mWh|Wh|kWh|MWh)$';
export const INSTANT_PATTERN = '^\\d{4}-\\d\\d-\\d\\d(T\\d\\d:\\d\\d(:\\d\\d(\\.\\d{1,3})?)?(Z|[+-]\\d\\d:\\d\\d))?$';

const SPAN_UNITS: Record<string, number> = { ms: 1, s: 1000, min: MINUTE_MS, h: HOUR_MS, d: DAY_MS };
const ENERGY_UNITS: Record<string, number> = { mWh: 1, Wh: 1e3, kWh: 1e6, MWh: 1e9 };

function amount(text: string, units: Record<string, number>): number {
  const [, number, unit] = /^([\d.]+) *(\w+)$/.exec(text)!;
  return Math.round(Number(number) * units[unit]);
}

/** Milliseconds of a span that fits SPAN_PATTERN. */
export function spanMs(text: string): number {
  return amount(text, SPAN_UNITS);
}

/** Milliwatt-hours of an energy that fits ENERGY_PATTERN. */
export function energyMilliWh(text: string): number {
  return amount(text, ENERGY_UNITS);
}

/** UTC epoch ms of an instant that fits INSTANT_PATTERN (a day alone begins at midnight UTC); NaN for one that does not exist. */
export function instantMs(text: string): number {
  // Date.parse lets 31 February pass as a day of March.
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`);
  const exists = !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text.slice(0, 10));
  return exists ? Date.parse(text) : Number.NaN;
}
