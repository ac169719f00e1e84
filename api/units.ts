/** Units of answers. Inside, power is in W, energy in integer mWh, temperature in °C. */
import { IflexError } from '../streams/errors.ts';

const POWER_W = { W: 1, kW: 1_000 } as const;
const ENERGY_MILLI_WH = { Wh: 1e3, kWh: 1e6, MWh: 1e9 } as const;
type PowerUnit = keyof typeof POWER_W;
type EnergyUnit = keyof typeof ENERGY_MILLI_WH;
type TemperatureUnit = 'degC' | 'degF';

export interface Units {
  /** Of mean, min, max and last. */
  value: PowerUnit | TemperatureUnit | 'code';
  /** Null where the point has no energy. */
  energy: EnergyUnit | null;
}

/** Units that a kind of point may be asked in, the ones that it is shown in else first. */
const CHOICES: Record<'power' | 'temperature' | 'state', { value: readonly Units['value'][]; energy: readonly EnergyUnit[] }> = {
  power: { value: ['W', 'kW'], energy: ['kWh', 'Wh', 'MWh'] },
  temperature: { value: ['degC', 'degF'], energy: [] },
  state: { value: ['code'], energy: [] },
};

/**
 * The units asked for ("kW", or "kW,Wh"), with W, kWh and °C where nothing is said. Throws UNIT_UNKNOWN where one does
 * not fit, REQUEST_INVALID where there are two for the same.
 */
export function unitsOf(pointKind: string, asked: string | undefined): Units {
  const { value, energy } = CHOICES[pointKind === 'TEMPERATURE' ? 'temperature' : pointKind === 'STATE' ? 'state' : 'power'];
  const names = asked?.split(',') ?? [];
  const fitting: readonly string[] = [...value, ...energy];
  for (const name of names)
    if (!fitting.includes(name))
      throw new IflexError(
        'UNIT_UNKNOWN',
        `unit: "${name}" does not fit a point of kind ${pointKind}. Its units are ${fitting.join(', ')}.`,
      );
  return { value: onlyOf(value, names) ?? value[0], energy: onlyOf(energy, names) ?? energy[0] ?? null };
}

function onlyOf<Unit extends string>(units: readonly Unit[], names: readonly string[]): Unit | undefined {
  const [first, ...others] = names.filter((name) => (units as readonly string[]).includes(name));
  if (others.length > 0)
    throw new IflexError('REQUEST_INVALID', `unit: give one of ${units.join(', ')}, not ${[first, ...others].join(' and ')}.`);
  return first as Unit | undefined;
}

export function valueIn(unit: Units['value'], value: number): number {
  if (unit === 'degF') return (value * 9) / 5 + 32;
  return unit === 'kW' ? value / POWER_W.kW : value;
}

export function energyIn(unit: EnergyUnit, milliWh: number): number {
  return milliWh / ENERGY_MILLI_WH[unit];
}
