/** Simulated sites: what is in them, how it moves, and which meters look at it. */
import type { SiteDeclared } from '../../schemas/types.ts';
import { HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import { districtHeatSource, type HeatPump, type House, type HouseTraces, heatPumpSource, simulateHouse } from './house.ts';
import { simulateAppliances } from './household.ts';
import * as meters from './meters.ts';
import { pseudonym, randomOf } from './random.ts';
import { type ChargeChange, type ChargePoint, minuteMeans, simulateCharging } from './vehicle.ts';
import type { Place, Weather } from './weather.ts';

/** The span and place that all sites of a simulation have in common. */
export interface Scene {
  seed: string;
  pilotId: string;
  startMs: number;
  minutes: number;
  place: Place;
  weather: Weather;
}

/** A site as it would be if nothing ever went wrong on the way. */
export interface CleanSite {
  declaration: SiteDeclared;
  meters: meters.Meter[];
  /** A delivery is sent so often … */
  deliveryEveryMs: number;
  /** … and so long after the end of its time. */
  sendAfterMs: number;
}

/** What happens in a home, minute by minute (W). */
export interface HomeTraces extends HouseTraces {
  house: House;
  heatPump: HeatPump;
  chargePoint: ChargePoint;
  charging: ChargeChange[];
  appliancesW: Float64Array;
  internalW: Float64Array;
  vehicleW: Float64Array;
  /** Negative: generation. */
  pvW: Float64Array;
  /** At the grid connection: import is positive. */
  gridW: Float64Array;
}

const HOME_DELIVERY_MS = 15 * MINUTE_MS;
/** Share of the appliances' electricity that ends as heat indoors, and what people give off. */
const APPLIANCE_HEAT_SHARE = 0.7;
const PEOPLE_W = 120;
/** Of a generator's rated power at full sun, what inverter, temperature and angle leave. */
const PV_PERFORMANCE = 0.82;

export function simulateHomeTraces(scene: Scene, index: number): HomeTraces {
  const { seed, startMs, minutes, place, weather } = scene;
  const random = randomOf(seed, 'home', index);
  const house: House = {
    heatLossWPerK: random.between(120, 220),
    heatCapacityJPerK: random.between(2.5e7, 6e7),
    solarApertureM2: random.between(2, 5),
    setpointCelsius: random.between(20, 22),
    thermostatWPerK: 2_000,
  };
  const heatPump: HeatPump = { fullInputW: random.between(2_000, 3_500), leastInputW: 400, carnotFraction: random.between(0.4, 0.5) };
  const chargePoint: ChargePoint = random.chance(0.5) ? { phases: 1, limitA: 16 } : { phases: 3, limitA: 16 };
  const ratedPvW = random.between(4_000, 9_000);
  const appliancesW = simulateAppliances(place.timeZone, startMs, minutes, randomOf(seed, 'appliances', index));
  const internalW = appliancesW.map((powerW) => PEOPLE_W + APPLIANCE_HEAT_SHARE * powerW);
  const traces = simulateHouse(house, heatPumpSource(heatPump), weather, internalW);
  const charging = simulateCharging(chargePoint, place.timeZone, startMs, startMs + minutes * MINUTE_MS, randomOf(seed, 'vehicle', index));
  const vehicleW = minuteMeans(charging, startMs, minutes);
  // 0 − x, as −x would make negative zeros at night.
  const pvW = weather.irradianceWPerM2.map((irradiance) => 0 - ratedPvW * PV_PERFORMANCE * Math.min(1, irradiance / 1000));
  const gridW = appliancesW.map((powerW, i) => powerW + traces.inputW[i] + vehicleW[i] + pvW[i]);
  return { ...traces, house, heatPump, chargePoint, charging, appliancesW, internalW, vehicleW, pvW, gridW };
}

export function simulateHome(scene: Scene, index: number): CleanSite {
  const { seed, startMs, minutes } = scene;
  const traces = simulateHomeTraces(scene, index);
  const siteId = pseudonym(seed, 'home', index);
  const metering = meteringOf(scene, siteId, HOME_DELIVERY_MS);
  const every5 = { intervalMs: 5 * MINUTE_MS };
  const every15 = { intervalMs: 15 * MINUTE_MS };
  const importW = traces.gridW.map((powerW) => Math.max(0, powerW));
  const random = randomOf(seed, 'meters', index);
  const all = [
    meters.meanPowerMeter(metering, { name: 'grid', mayExport: true, forecast: true }, traces.gridW),
    meters.registerMeter(
      metering,
      { name: 'grid-import', ...every5, beginMilliWh: kiloWattHours(random.integer(4_000, 60_000)) },
      importW,
      1_000,
    ),
    meters.intervalEnergyMeter(metering, { name: 'pv', ...every5, mayExport: true, forecast: true }, traces.pvW, 100),
    meters.instantPowerMeter(metering, { name: 'heat-pump', ...every15 }, meters.changesOf(traces.inputW, startMs), traces.inputW),
    meters.registerMeter(
      metering,
      {
        name: 'heat-pump-energy',
        ...every5,
        beginMilliWh: kiloWattHours(random.integer(1_000, 4_000)),
        modulusMilliWh: kiloWattHours(10_000),
      },
      traces.inputW,
      1_000,
    ),
    meters.instantPowerMeter(metering, { name: 'vehicle', ...every15 }, traces.charging, traces.vehicleW),
    meters.stateMeter(metering, { name: 'vehicle-state', intervalMs: HOUR_MS }, traces.charging),
    meters.temperatureSensor(metering, { name: 'indoor-temperature', ...every5 }, traces.indoorCelsius.subarray(0, minutes)),
    meters.temperatureSensor(metering, { name: 'outdoor-temperature', ...every5 }, scene.weather.outdoorCelsius),
  ];
  return {
    declaration: declare(scene, siteId, 'HOME', all),
    meters: all,
    deliveryEveryMs: HOME_DELIVERY_MS,
    sendAfterMs: 1_000 * random.integer(5, 40),
  };
}

/** What happens in an apartment building, minute by minute. */
export interface BuildingTraces extends HouseTraces {
  house: House;
  internalW: Float64Array;
  electricityW: Float64Array;
  hotWaterW: Float64Array;
  /** From the district-heating network: rooms and hot water. */
  districtHeatW: Float64Array;
}

const APARTMENTS = 24;
const BUILDING_DELIVERY_MS = HOUR_MS;
const DISTRICT_HEAT_MOST_W = 150_000;
/** Circulation of the hot water never stops. */
const CIRCULATION_W = 2_500;
/** Heat in what an apartment's use of appliances suggests of its hot water: people at home use both. */
const HOT_WATER_SHARE = 0.8;

export function simulateBuildingTraces(scene: Scene, index: number): BuildingTraces {
  const { seed, startMs, minutes, place, weather } = scene;
  const random = randomOf(seed, 'building', index);
  const house: House = {
    heatLossWPerK: random.between(2_500, 4_000),
    heatCapacityJPerK: random.between(8e8, 1.6e9),
    solarApertureM2: random.between(25, 60),
    setpointCelsius: 21,
    thermostatWPerK: 40_000,
  };
  const electricityW = new Float64Array(minutes).fill(900);
  for (let apartment = 0; apartment < APARTMENTS; apartment++) {
    const appliancesW = simulateAppliances(place.timeZone, startMs, minutes, randomOf(seed, 'apartment', index, apartment));
    for (let i = 0; i < minutes; i++) electricityW[i] += appliancesW[i];
  }
  const internalW = electricityW.map((powerW) => APARTMENTS * PEOPLE_W + APPLIANCE_HEAT_SHARE * powerW);
  const traces = simulateHouse(house, districtHeatSource(DISTRICT_HEAT_MOST_W), weather, internalW);
  const hotWaterW = electricityW.map((powerW) => CIRCULATION_W + HOT_WATER_SHARE * powerW);
  const districtHeatW = traces.inputW.map((powerW, i) => powerW + hotWaterW[i]);
  return { ...traces, house, internalW, electricityW, hotWaterW, districtHeatW };
}

export function simulateBuilding(scene: Scene, index: number): CleanSite {
  const { seed } = scene;
  const traces = simulateBuildingTraces(scene, index);
  const siteId = pseudonym(seed, 'building', index);
  const metering = meteringOf(scene, siteId, BUILDING_DELIVERY_MS);
  const every15 = { intervalMs: 15 * MINUTE_MS };
  const random = randomOf(seed, 'building meters', index);
  const heat = { carrier: 'DISTRICT_HEAT' } as const;
  const electricityBegin = kiloWattHours(random.integer(100_000, 400_000));
  const heatRegister = {
    name: 'heat-register',
    intervalMs: HOUR_MS,
    beginMilliWh: kiloWattHours(random.integer(10_000, 40_000)),
    modulusMilliWh: kiloWattHours(100_000),
    ...heat,
  };
  const all = [
    meters.registerMeter(
      metering,
      { name: 'electricity', ...every15, beginMilliWh: electricityBegin, forecast: true },
      traces.electricityW,
      10_000,
    ),
    meters.registerMeter(metering, heatRegister, traces.districtHeatW, 1_000_000),
    meters.intervalEnergyMeter(metering, { name: 'heat', ...every15, ...heat, forecast: true }, traces.districtHeatW, 100_000),
    meters.temperatureSensor(metering, { name: 'supply-temperature', ...every15 }, scene.weather.outdoorCelsius.map(supplyCelsius)),
    meters.temperatureSensor(metering, { name: 'outdoor-temperature', ...every15 }, scene.weather.outdoorCelsius),
  ];
  return {
    declaration: declare(scene, siteId, 'APARTMENT_BUILDING', all),
    meters: all,
    deliveryEveryMs: BUILDING_DELIVERY_MS,
    sendAfterMs: 1_000 * random.integer(30, 90),
  };
}

/** Supply of the network: hotter the colder it is, never too cool for hot water. */
function supplyCelsius(outdoorCelsius: number): number {
  return Math.max(65, Math.min(110, 65 + 1.5 * (5 - outdoorCelsius)));
}

function meteringOf({ seed, startMs, minutes }: Scene, siteId: string, deliveryEveryMs: number): meters.Metering {
  return { siteId, startMs, minutes, deliveryEveryMs, pointId: (name) => pseudonym(seed, siteId, name) };
}

function declare(
  { pilotId, startMs, place }: Scene,
  siteId: string,
  kind: SiteDeclared['kind'],
  all: readonly meters.Meter[],
): SiteDeclared {
  const points = all.map(({ declared }) => declared);
  return { siteId, knownAtMs: startMs, pilotId, timeZone: place.timeZone, kind, origin: 'SIMULATED', personalData: null, points };
}

function kiloWattHours(amount: number): number {
  return amount * 1_000_000;
}
