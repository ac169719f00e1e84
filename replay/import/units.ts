/** Units of files, and the factor to the canonical one that events carry. Names are case-sensitive: mWh is not MWh. */
import type { PointKind, Unit } from '../../schemas/types.ts';

const POWER = new Map([
  ['W', 1],
  ['kW', 1e3],
  ['MW', 1e6],
]);
const ENERGY = new Map([
  ['mWh', 1],
  ['Wh', 1e3],
  ['kWh', 1e6],
  ['MWh', 1e9],
  ['J', 1 / 3.6],
  ['kJ', 1e3 / 3.6],
  ['MJ', 1e6 / 3.6],
  ['GJ', 1e9 / 3.6],
]);
const CELSIUS = { factor: 1, offset: 0 };
const FAHRENHEIT = { factor: 5 / 9, offset: -160 / 9 };
const TEMPERATURE = new Map([
  ['°C', CELSIUS],
  ['C', CELSIUS],
  ['K', { factor: 1, offset: -273.15 }],
  ['°F', FAHRENHEIT],
  ['F', FAHRENHEIT],
]);
const GAS = new Set(['m³', 'm3']);

export const UNITS: readonly string[] = [...POWER.keys(), ...ENERGY.keys(), ...TEMPERATURE.keys(), ...GAS, 'code'];

/** How the numbers of a column become canonical ones: value × factor + offset, rounded where the unit is a whole number. */
export interface Conversion {
  unit: Unit;
  factor: number;
  offset: number;
}

/** Steps of a watt to which power is rounded: takes off what binary multiplication adds. */
const POWER_STEPS = 1e6;

/**
 * Conversion of a unit for a kind of point, or undefined where the unit does not fit it. Volumes need the calorific
 * value (kWh per m³, of that gas and state).
 */
export function conversionOf(unit: string, kind: PointKind, calorificKWhPerM3?: number): Conversion | undefined {
  const isPower = kind === 'MEAN_POWER' || kind === 'INSTANT_POWER';
  const isEnergy = kind === 'INTERVAL_ENERGY' || kind === 'REGISTER';
  if (isPower && POWER.has(unit)) return plain('WATT', POWER.get(unit)!);
  if (isEnergy && ENERGY.has(unit)) return plain('MILLIWATT_HOUR', ENERGY.get(unit)!);
  if (isEnergy && GAS.has(unit) && calorificKWhPerM3 !== undefined) return plain('MILLIWATT_HOUR', calorificKWhPerM3 * 1e6);
  if (kind === 'TEMPERATURE' && TEMPERATURE.has(unit)) return { unit: 'DEGREE_CELSIUS', ...TEMPERATURE.get(unit)! };
  return kind === 'STATE' && unit === 'code' ? plain('CODE', 1) : undefined;
}

const plain = (unit: Unit, factor: number): Conversion => ({ unit, factor, offset: 0 });

/** Canonical value: whole milliwatt-hours (ties up), watts to a millionth, degrees Celsius, codes. */
export function converted(value: number, { unit, factor, offset }: Conversion): number {
  if (unit === 'MILLIWATT_HOUR') return Math.round(value * factor);
  if (unit === 'WATT') return Math.round(value * factor * POWER_STEPS) / POWER_STEPS;
  return value * factor + offset;
}
