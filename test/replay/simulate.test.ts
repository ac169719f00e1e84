/** The simulator: seeded, physically plausible, and honest about what it did. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FAULT_KINDS } from '../../replay/simulate/faults.ts';
import { coefficientOfPerformance, HEAT_PUMP_STEP_W } from '../../replay/simulate/house.ts';
import { pseudonym, randomOf } from '../../replay/simulate/random.ts';
import {
  inOrderOfKnowledge,
  PARIS,
  type SimulatedSite,
  type SimulationOptions,
  sceneOf,
  simulateSites,
} from '../../replay/simulate/simulate.ts';
import { simulateBuildingTraces, simulateHomeTraces } from '../../replay/simulate/sites.ts';
import { AWAY, CHARGING, chargePowerW, LEAST_CHARGE_A } from '../../replay/simulate/vehicle.ts';
import { clearSkyWPerM2, sunElevationSine } from '../../replay/simulate/weather.ts';
import type { PointReadings } from '../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';

const START_MS = Date.UTC(2007, 0, 10);
const options: SimulationOptions = {
  seed: 'winter',
  pilotId: 'pilot',
  startMs: START_MS,
  days: 14,
  homes: 2,
  buildings: 1,
  place: PARIS,
  faults: true,
};
const near = (actual: number, expected: number, tolerance: number, what: string) =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual} is not within ${tolerance} of ${expected}`);

function readingsOf(
  site: SimulatedSite,
  pointId: string,
): { startMs: number; value: number; knownAtMs: number; deviceId: string | null }[] {
  return site.deliveries.flatMap(({ value: { series, knownAtMs } }) =>
    series
      .filter((one) => one.pointId === pointId)
      .flatMap((one) => {
        let startMs = 0;
        const values = one.unit === 'MILLIWATT_HOUR' ? one.energyMilliWh : one.value;
        return values.map((value, i) => ({ startMs: (startMs += one.startMs[i]), value, knownAtMs, deviceId: one.deviceId }));
      }),
  );
}

const pointOf = (site: SimulatedSite, name: string) => site.declaration.points.find((point) => point.name === name)!;

describe('randomness', () => {
  it('gives the numbers of xoshiro128** for its state', () => {
    // Computed from the published algorithm in another language, for the state that SHA-256("a") begins with.
    const random = randomOf('a');
    const first = Array.from({ length: 4 }, () => Math.round(random.uniform() * 2 ** 32));
    assert.deepEqual(first, [2666612042, 2876307811, 3554085701, 3710363984]);
  });

  it('is even, normal and apart for every name', () => {
    const random = randomOf('even');
    const even = Array.from({ length: 20_000 }, () => random.uniform());
    const normal = Array.from({ length: 20_000 }, () => random.normal());
    const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    near(mean(even), 0.5, 0.01, 'mean');
    near(mean(normal), 0, 0.03, 'mean of normal');
    near(mean(normal.map((value) => value * value)), 1, 0.05, 'variance of normal');
    assert.notEqual(randomOf('a', 'b').uniform(), randomOf('ab').uniform());
    assert.deepEqual(randomOf('x').shuffled([1, 2, 3, 4, 5]).sort(), [1, 2, 3, 4, 5]);
    assert.match(pseudonym('x', 1), /^[0-9a-f]{16}$/);
  });
});

describe('simulated facts', () => {
  it('are the same for the same seed, and others for another', () => {
    const facts = (seed: string) =>
      [...simulateSites({ ...options, days: 3, seed })].map(({ deliveries, truth, faults }) => ({ deliveries, truth, faults }));
    assert.deepEqual(facts('one'), facts('one'));
    assert.notDeepEqual(facts('one')[0].deliveries, facts('two')[0].deliveries);
  });

  it('leave earlier homes as they are when there are more', () => {
    const [first] = simulateSites({ ...options, days: 2, homes: 1 });
    const [same] = simulateSites({ ...options, days: 2, homes: 3 });
    assert.deepEqual(first, same);
  });

  it('come in the order in which they became known, numbered, and never before they happened', () => {
    const sites = [...simulateSites(options)];
    const facts = inOrderOfKnowledge(sites.flatMap(({ deliveries }) => deliveries));
    for (let i = 1; i < facts.length; i++) assert.ok(facts[i - 1].value.knownAtMs <= facts[i].value.knownAtMs);
    for (const { deliveries, faults } of sites) {
      assert.ok(deliveries.every(({ number }, i) => number === i));
      const clocks = faults.filter(({ kind }) => kind === 'clock-2038').reduce((sum, fault) => sum + fault.readingCount, 0);
      const early = deliveries.flatMap(({ value }) =>
        value.series.flatMap((series) => startsOf(series).filter((startMs) => startMs > value.knownAtMs)),
      );
      assert.equal(early.length, clocks);
    }
  });

  it('hold points of all kinds', () => {
    const kinds = [...simulateSites({ ...options, days: 1 })].flatMap(({ declaration }) => declaration.points.map(({ kind }) => kind));
    assert.deepEqual([...new Set(kinds)].sort(), ['INSTANT_POWER', 'INTERVAL_ENERGY', 'MEAN_POWER', 'REGISTER', 'STATE', 'TEMPERATURE']);
  });
});

function startsOf(series: PointReadings): number[] {
  let startMs = 0;
  return series.startMs.map((ms) => (startMs += ms));
}

describe('simulated physics', () => {
  const scene = sceneOf(options);
  const home = simulateHomeTraces(scene, 0);
  const building = simulateBuildingTraces(scene, 0);

  it('keeps the energy of a house: what comes in is lost or stored', () => {
    for (const { house, indoorCelsius, solarW, heatW, internalW } of [home, building]) {
      let gainJ = 0;
      for (let i = 0; i < scene.minutes; i++)
        gainJ += 60 * (heatW[i] + solarW[i] + internalW[i] - house.heatLossWPerK * (indoorCelsius[i] - scene.weather.outdoorCelsius[i]));
      const storedJ = house.heatCapacityJPerK * (indoorCelsius[scene.minutes] - indoorCelsius[0]);
      near(gainJ, storedJ, 1e-6 * house.heatCapacityJPerK, 'energy');
    }
  });

  it('keeps a heated house near its setpoint', () => {
    for (const { house, indoorCelsius } of [home, building])
      for (const celsius of indoorCelsius) near(celsius, house.setpointCelsius, 3.5, 'indoor temperature');
  });

  it('gives heat by the Carnot fraction, less the colder it is', () => {
    const cop = (celsius: number) => coefficientOfPerformance(home.heatPump, celsius);
    // At 0 °C outdoors: supply at 38 °C = 311.15 K, source at −5 °C = 268.15 K.
    near(cop(0), (home.heatPump.carnotFraction * 311.15) / 43, 1e-9, 'COP at 0 °C');
    assert.ok(cop(-10) < cop(0) && cop(0) < cop(10));
    for (let i = 0; i < scene.minutes; i++) {
      if (home.inputW[i] === 0) assert.equal(home.heatW[i], 0);
      else assert.ok(home.heatW[i] / home.inputW[i] > 1.5 && home.heatW[i] / home.inputW[i] <= 7);
      assert.equal(home.inputW[i] % HEAT_PUMP_STEP_W, 0);
    }
    assert.ok(home.inputW.some((powerW) => powerW > 0));
  });

  it('lets the sun shine by day only, as high as astronomy says', () => {
    // At solar noon on 21 June the sun stands 90° − 48.8° + 23.45° high; at midnight it is below the horizon.
    const noonMs = Date.UTC(2007, 5, 21, 12) - (PARIS.longitudeDegrees / 15) * HOUR_MS;
    near((Math.asin(sunElevationSine(PARIS, noonMs)) * 180) / Math.PI, 64.65, 0.1, 'elevation');
    assert.equal(clearSkyWPerM2(sunElevationSine(PARIS, noonMs + 12 * HOUR_MS)), 0);
    near(clearSkyWPerM2(1), 1098 * Math.exp(-0.059), 1e-9, 'zenith');
    for (let i = 0; i < scene.minutes; i++) {
      const dark = sunElevationSine(PARIS, START_MS + (i + 0.5) * MINUTE_MS) <= 0;
      assert.ok(home.pvW[i] <= 0 && (!dark || home.pvW[i] === 0));
    }
    assert.ok(Math.min(...home.pvW) < -500);
  });

  it('charges at no current or at 6 A and more, only when plugged in, at the grid with everything else', () => {
    const leastW = chargePowerW(home.chargePoint, LEAST_CHARGE_A);
    let last = AWAY as number;
    for (const { powerW, state } of home.charging) {
      assert.ok(state === CHARGING ? powerW >= leastW && powerW <= chargePowerW(home.chargePoint, home.chargePoint.limitA) : powerW === 0);
      assert.ok(!(last === AWAY && state === CHARGING));
      last = state;
    }
    assert.ok(home.charging.some(({ state }) => state === CHARGING));
    const chargedWh = home.charging.reduce(
      (sum, { powerW, startMs }, i, all) => sum + (powerW * ((all[i + 1]?.startMs ?? startMs) - startMs)) / HOUR_MS,
      0,
    );
    near(
      home.vehicleW.reduce((sum, powerW) => sum + powerW / 60, 0),
      chargedWh,
      1e-6 * chargedWh,
      'charged energy',
    );
    for (let i = 0; i < scene.minutes; i++)
      near(home.gridW[i], home.appliancesW[i] + home.inputW[i] + home.vehicleW[i] + home.pvW[i], 1e-9, 'grid');
  });

  it('heats the building from the network: rooms and hot water', () => {
    for (let i = 0; i < scene.minutes; i++)
      near(building.districtHeatW[i], building.heatW[i] + building.hotWaterW[i], 1e-9, 'district heat');
    assert.ok(Math.min(...building.districtHeatW) > 0);
  });
});

describe('simulated faults', () => {
  const sites = [...simulateSites(options)];

  it('are all there when there are days enough, each as it is told', () => {
    for (const { faults, declaration } of sites) {
      assert.deepEqual(faults.map(({ kind }) => kind).sort(), [...FAULT_KINDS].sort(), declaration.kind);
      for (const { readingCount, fromMs, toMs } of faults) {
        assert.ok(readingCount > 0 && fromMs < toMs);
        assert.ok(fromMs >= START_MS && toMs <= START_MS + options.days * DAY_MS);
      }
    }
    assert.ok([...simulateSites({ ...options, faults: false })].every(({ faults }) => faults.length === 0));
  });

  it('leave out, repeat, contradict and misdate as many readings as they say', () => {
    const clean = [...simulateSites({ ...options, faults: false })];
    sites.forEach((site, at) => {
      const fault = (kind: string) => site.faults.find((one) => one.kind === kind)!;
      const gap = fault('gap');
      const count = (of: SimulatedSite, pointId: string) => readingsOf(of, pointId).length;
      const total = (of: SimulatedSite) => of.declaration.points.reduce((sum, { pointId }) => sum + count(of, pointId), 0);
      assert.equal(total(site), total(clean[at]) - gap.readingCount + fault('doubled').readingCount + fault('conflict').readingCount);
      const distinct = new Set(readingsOf(site, gap.pointId!).map(({ startMs }) => startMs));
      const clock = fault('clock-2038');
      assert.equal(readingsOf(site, clock.pointId!).filter(({ startMs }) => startMs >= Date.UTC(2038, 0, 19)).length, clock.readingCount);
      const missing = readingsOf(clean[at], gap.pointId!).filter(
        ({ startMs }) => !distinct.has(startMs) && startMs >= gap.fromMs && startMs < gap.toMs,
      );
      assert.equal(missing.length, gap.readingCount);
      const conflict = fault('conflict');
      const told = Map.groupBy(readingsOf(site, conflict.pointId!), ({ startMs }) => startMs);
      const contradicted = [...told.values()].filter((readings) => new Set(readings.map(({ value }) => value)).size > 1);
      assert.equal(contradicted.length, conflict.readingCount);
    });
  });

  it('make registers fall, roll over and change their device, once each', () => {
    for (const site of sites) {
      for (const kind of ['register-reset', 'register-rollover', 'meter-swap'] as const) {
        const fault = site.faults.find((one) => one.kind === kind)!;
        const readings = readingsOf(site, fault.pointId!).sort((a, b) => a.startMs - b.startMs || a.knownAtMs - b.knownAtMs);
        const after = readings.findIndex(({ startMs }) => startMs === fault.toMs);
        const [before, then] = [readings[after - 1], readings[after]];
        assert.equal(before.startMs, fault.fromMs, kind);
        assert.equal(before.deviceId !== then.deviceId, kind === 'meter-swap');
        if (kind !== 'meter-swap') assert.ok(then.value < before.value, kind);
        const modulus = site.declaration.points.find(({ pointId }) => pointId === fault.pointId)!.registerModulusMilliWh;
        assert.equal(modulus !== null, kind === 'register-rollover');
        if (modulus !== null) for (const { value } of readings) assert.ok(value >= 0 && value < modulus);
      }
    }
  });

  it('send late by minutes, hours within the hot state, and days beyond it', () => {
    for (const site of sites)
      for (const [kind, leastMs, mostMs] of [
        ['late-minutes', 20 * MINUTE_MS, 50 * MINUTE_MS],
        ['late-hours', 60 * MINUTE_MS, 170 * MINUTE_MS],
        ['late-days', 26 * HOUR_MS, 60 * HOUR_MS],
      ] as const) {
        const fault = site.faults.find((one) => one.kind === kind)!;
        const everyMs = site.declaration.kind === 'HOME' ? 15 * MINUTE_MS : HOUR_MS;
        const late = site.deliveries.filter(({ value }) => {
          const startMs = Math.min(...value.series.map((series) => series.startMs[0]));
          const lateMs = value.knownAtMs - (Math.floor(startMs / everyMs) + 1) * everyMs;
          return startMs >= fault.fromMs && startMs < fault.toMs && lateMs >= leastMs && lateMs <= mostMs + 2 * MINUTE_MS;
        });
        assert.equal(
          late.flatMap(({ value }) => value.series).reduce((sum, series) => sum + series.startMs.length, 0),
          fault.readingCount,
          kind,
        );
      }
  });

  it('are spread over sites when there are few days', () => {
    const few = [...simulateSites({ ...options, days: 4, homes: 3, buildings: 0 })];
    const kinds = few.map(({ faults }) =>
      faults
        .map(({ kind }) => kind)
        .sort()
        .join(' '),
    );
    assert.equal(new Set(kinds).size, 3);
  });

  it('say which name of a point they mean', () => {
    for (const site of sites)
      assert.ok(site.faults.every(({ pointId }) => pointId === null || site.declaration.points.some((point) => point.pointId === pointId)));
    assert.equal(sites[0].faults.find(({ kind }) => kind === 'register-reset')!.pointId, pointOf(sites[0], 'grid-import').pointId);
  });
});
