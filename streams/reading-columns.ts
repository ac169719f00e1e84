/** What columns of readings must be like to be used: one rule for the hot path and for reloads of old days. */
import type { PointKind, PointReadings, ReadingsDelivery } from '../schemas/types.ts';
import { MAX_INTERVAL_MILLI_WH, MAX_POWER_W, MAX_VALUE } from './limits.ts';

const EARLIEST_MS = 0;
export const WORST_QUALITY = 3;

const UNIT_OF_KIND: Record<PointKind, PointReadings['unit']> = {
  UNKNOWN: 'UNKNOWN',
  MEAN_POWER: 'WATT',
  INSTANT_POWER: 'WATT',
  INTERVAL_ENERGY: 'MILLIWATT_HOUR',
  REGISTER: 'MILLIWATT_HOUR',
  TEMPERATURE: 'DEGREE_CELSIUS',
  STATE: 'CODE',
};

/** The one unit in which readings of a kind of point come. */
export function unitOf(kind: PointKind): PointReadings['unit'] {
  return UNIT_OF_KIND[kind];
}

/** Why a series cannot be used as a whole, or undefined. `unit` is that of the kind, which a hot path has at hand. */
export function seriesProblem(
  kind: PointKind,
  series: PointReadings,
  unit = unitOf(kind),
): ['UNIT_MISMATCH' | 'EVENT_INVALID', string] | undefined {
  if (series.unit !== unit) return ['UNIT_MISMATCH', `A point of kind ${kind} takes ${unit}, not ${series.unit}.`];
  const isEnergy = series.unit === 'MILLIWATT_HOUR';
  const count = series.startMs.length;
  const values = isEnergy ? series.energyMilliWh.length : series.value.length;
  const others = isEnergy ? series.value.length : series.energyMilliWh.length;
  const qualities = series.quality.length;
  if (values !== count || others !== 0 || (qualities !== count && qualities !== 1))
    return ['EVENT_INVALID', `The columns do not fit: ${count} starts, ${values} values, ${qualities} qualities.`];
  for (let i = 0; i < qualities; i++)
    if (series.quality[i] > WORST_QUALITY) return ['EVENT_INVALID', `There is no quality ${series.quality[i]}.`];
  return undefined;
}

/** How many readings an event of a schema brings, usable or not. */
export function readingCountOf(schema: string, value: unknown): number {
  if (schema !== 'ReadingsDelivery') return 0;
  return (value as ReadingsDelivery).series.reduce((sum, { startMs }) => sum + startMs.length, 0);
}

/** Largest magnitude that a reading of a kind may have, so that no sum over a window leaves what an event can hold. */
export function valueLimitOf(kind: PointKind): number {
  if (kind === 'MEAN_POWER' || kind === 'INSTANT_POWER') return MAX_POWER_W;
  return kind === 'INTERVAL_ENERGY' ? MAX_INTERVAL_MILLI_WH : MAX_VALUE;
}

/** Whether a time and value can be represented all the way. */
export function isRepresentable(kind: PointKind, startMs: number, value: number): boolean {
  return startMs >= EARLIEST_MS && Math.abs(value) <= valueLimitOf(kind);
}
