/** Units of files, and the factor to the canonical one that events carry. Names are case-sensitive: mWh is not MWh. */
import type { PointKind, Unit } from '../../schemas/types.ts';

const POWER = { W: 1, kW: 1e3, MW: 1e6 } as const;
const ENERGY = {
  mWh: 1,
  Wh: 1e3,
  kWh: 1e6,
  MWh: 1e9,
  J: 1 / 3.6,
  kJ: 1e3 / 3.6,
  MJ: 1e6 / 3.6,
  GJ: 1e9 / 3.6,
} as const;
const TEMPERATURE = { '°C': 1, C: 1, K: 1, '°F': 5 / 9, F: 5 / 9 } as const;
const GAS = { 'm³': 1, m3: 1 } as const;

export const UNITS = [...Object.keys(POWER), ...Object.keys(ENERGY), ...Object.keys(TEMPERATURE), ...Object.keys(GAS), 'code'] as const;

/** How the numbers of a column become canonical ones: value × factor + offset, rounded where the unit is a whole number. */
export interface Conversion {
  unit: Unit;
  factor: number;
  offset: number;
}

const OFFSETS: Record<string, number> = { K: -273.15, '°F': -160 / 9, F: -160 / 9 };
/** Steps of a watt to which power is rounded: takes off what binary multiplication adds. */
const POWER_STEPS = 1e6;

/**
 * Conversion of a unit for a kind of point, or undefined where the unit does not fit it. Volumes need the calorific
 * value (kWh per m³, of that gas and state).
 */
export function conversionOf(unit: string, kind: PointKind, calorificKWhPerM3?: number): Conversion | undefined {
  if (kind === 'MEAN_POWER' || kind === 'INSTANT_POWER')
    return unit in POWER ? plain('WATT', POWER[unit as keyof typeof POWER]) : undefined;
  if (kind === 'INTERVAL_ENERGY' || kind === 'REGISTER') {
    if (unit in ENERGY) return plain('MILLIWATT_HOUR', ENERGY[unit as keyof typeof ENERGY]);
    if (unit in GAS && calorificKWhPerM3 !== undefined) return plain('MILLIWATT_HOUR', calorificKWhPerM3 * 1e6);
    return undefined;
  }
  if (kind === 'TEMPERATURE' && unit in TEMPERATURE)
    return { unit: 'DEGREE_CELSIUS', factor: TEMPERATURE[unit as keyof typeof TEMPERATURE], offset: OFFSETS[unit] ?? 0 };
  return kind === 'STATE' && unit === 'code' ? plain('CODE', 1) : undefined;
}

const plain = (unit: Unit, factor: number): Conversion => ({ unit, factor, offset: 0 });

/** Canonical value: whole milliwatt-hours (ties up), watts to a millionth, degrees Celsius, codes. */
export function converted(value: number, { unit, factor, offset }: Conversion): number {
  if (unit === 'MILLIWATT_HOUR') return Math.round(value * factor);
  if (unit === 'WATT') return Math.round(value * factor * POWER_STEPS) / POWER_STEPS;
  return value * factor + offset;
}
