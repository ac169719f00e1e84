/** A heated house: one thermal mass behind one resistance (1R1C), with a thermostat that modulates its heat source. */
import type { Weather } from './weather.ts';

export interface House {
  heatLossWPerK: number;
  heatCapacityJPerK: number;
  /** Area that would let in the horizontal irradiance in full. */
  solarApertureM2: number;
  setpointCelsius: number;
  /** Heat asked for per kelvin below the setpoint. */
  thermostatWPerK: number;
}

/** What brings heat: electricity taken and heat given for a wish, at an outdoor temperature. */
export type HeatSource = (wantedHeatW: number, outdoorCelsius: number) => { inputW: number; heatW: number };

export interface HouseTraces {
  /** At the begin of each minute, and one more at the end. */
  indoorCelsius: Float64Array;
  solarW: Float64Array;
  /** Heat from the source. */
  heatW: Float64Array;
  /** What the source takes to give it: electricity of a heat pump, or district heat. */
  inputW: Float64Array;
}

/** The thermostat looks so often (minutes). */
const CONTROL_MINUTES = 5;
const STEP_S = 60;

/** `internalW` is the heat of people and appliances, minute by minute. */
export function simulateHouse(house: House, source: HeatSource, weather: Weather, internalW: Float64Array): HouseTraces {
  const minutes = internalW.length;
  const indoorCelsius = new Float64Array(minutes + 1);
  const solarW = weather.irradianceWPerM2.map((irradiance) => irradiance * house.solarApertureM2);
  const heatW = new Float64Array(minutes);
  const inputW = new Float64Array(minutes);
  indoorCelsius[0] = house.setpointCelsius;
  let giving = { inputW: 0, heatW: 0 };
  for (let i = 0; i < minutes; i++) {
    const outdoor = weather.outdoorCelsius[i];
    if (i % CONTROL_MINUTES === 0)
      giving = source(Math.max(0, house.thermostatWPerK * (house.setpointCelsius + 0.5 - indoorCelsius[i])), outdoor);
    heatW[i] = giving.heatW;
    inputW[i] = giving.inputW;
    const gainW = house.heatLossWPerK * (outdoor - indoorCelsius[i]) + solarW[i] + internalW[i] + heatW[i];
    indoorCelsius[i + 1] = indoorCelsius[i] + (gainW * STEP_S) / house.heatCapacityJPerK;
  }
  return { indoorCelsius, solarW, heatW, inputW };
}

export interface HeatPump {
  /** Electricity at full and at lowest speed; between them it moves in steps. */
  fullInputW: number;
  leastInputW: number;
  /** Share of the ideal (Carnot) coefficient of performance that the machine reaches. */
  carnotFraction: number;
}

const ZERO_CELSIUS_K = 273.15;
export const HEAT_PUMP_STEP_W = 10;
const MOST_COP = 7;

/** Coefficient of performance between air 5 K below outdoors and a supply that follows a heating curve (floor heating). */
export function coefficientOfPerformance(heatPump: HeatPump, outdoorCelsius: number): number {
  const supplyK = ZERO_CELSIUS_K + 28 + 0.5 * Math.max(0, 20 - outdoorCelsius);
  const sourceK = ZERO_CELSIUS_K + outdoorCelsius - 5;
  return Math.min(MOST_COP, (heatPump.carnotFraction * supplyK) / (supplyK - sourceK));
}

export function heatPumpSource(heatPump: HeatPump): HeatSource {
  return (wantedHeatW, outdoorCelsius) => {
    const cop = coefficientOfPerformance(heatPump, outdoorCelsius);
    const steps = Math.round(Math.min(wantedHeatW / cop, heatPump.fullInputW) / HEAT_PUMP_STEP_W);
    const inputW = steps * HEAT_PUMP_STEP_W;
    return inputW < heatPump.leastInputW ? { inputW: 0, heatW: 0 } : { inputW, heatW: inputW * cop };
  };
}

/** A heat exchanger gives what it takes. */
export function districtHeatSource(mostW: number): HeatSource {
  return (wantedHeatW) => {
    const heatW = Math.min(wantedHeatW, mostW);
    return { inputW: heatW, heatW };
  };
}
