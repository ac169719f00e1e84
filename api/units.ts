/** Units of answers. Inside, power is in W, energy in integer mWh, temperature in °C. */
import { IflexError } from '../streams/errors.ts';

const POWER_W = { W: 1, kW: 1_000 } as const;
const ENERGY_MILLI_WH = { Wh: 1e3, kWh: 1e6, MWh: 1e9 } as const;
type PowerUnit = keyof typeof POWER_W;
type EnergyUnit = keyof typeof ENERGY_MILLI_WH;
type TemperatureUnit = 'degC' | 'degF';

export const UNITS = ['W', 'kW', 'Wh', 'kWh', 'MWh', 'degC', 'degF'] as const;

export interface Units {
  /** Of mean, min, max and last. */
  value: PowerUnit | TemperatureUnit | 'code';
  /** Null where the point has no energy. */
  energy: EnergyUnit | null;
}

/** The units asked for ("kW", or "kW,Wh"), with W, kWh and °C where nothing is said. Throws UNIT_UNKNOWN where one does not fit. */
export function unitsOf(pointKind: string, asked: string | undefined): Units {
  const units: Units =
    pointKind === 'TEMPERATURE'
      ? { value: 'degC', energy: null }
      : pointKind === 'STATE'
        ? { value: 'code', energy: null }
        : { value: 'W', energy: 'kWh' };
  for (const unit of asked?.split(',') ?? []) {
    if (unit in POWER_W && units.energy !== null) units.value = unit as PowerUnit;
    else if (unit in ENERGY_MILLI_WH && units.energy !== null) units.energy = unit as EnergyUnit;
    else if ((unit === 'degC' || unit === 'degF') && pointKind === 'TEMPERATURE') units.value = unit;
    else
      throw new IflexError('UNIT_UNKNOWN', `unit: "${unit}" is not a unit of a point of kind ${pointKind}. Units are ${UNITS.join(', ')}.`);
  }
  return units;
}

export function valueIn(unit: Units['value'], value: number): number {
  if (unit === 'degF') return (value * 9) / 5 + 32;
  return unit === 'kW' ? value / POWER_W.kW : value;
}

export function energyIn(unit: EnergyUnit, milliWh: number): number {
  return milliWh / ENERGY_MILLI_WH[unit];
}
