/** One test a rule, with values worked out by hand; sources stand beside the vectors. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { resampler } from '../../../processors/resampler/resampler.ts';
import type { PointDeclared } from '../../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../streams/limits.ts';
import type { Processor } from '../../../streams/processor.ts';
import { pointOf, type Reading, SiteRig } from '../harness/site-rig.ts';

const FIVE = 5 * MINUTE_MS;
const QUARTER = 15 * MINUTE_MS;
const T0 = Date.UTC(2026, 0, 14, 10);

const rigOf = (point: PointDeclared) => new SiteRig({ processors: [resampler as Processor], points: [point] });
const at = (minutes: number, value: number, more: Partial<Reading> = {}): Reading => ({
  startMs: T0 + minutes * MINUTE_MS,
  value,
  ...more,
});

/** Delivers all at once, as if known when the last one starts, and closes what is over by then plus so many minutes. */
function resampled(point: PointDeclared, readings: Reading[], closeAfterMinutes = 60): SiteRig {
  const rig = rigOf(point);
  const lastMs = Math.max(...readings.map(({ startMs }) => startMs));
  rig.deliver(point.pointId, readings, lastMs);
  rig.tickThrough(lastMs, lastMs + closeAfterMinutes * MINUTE_MS, FIVE);
  return rig;
}

const window = (rig: SiteRig, widthMs: number, minutes: number) => rig.current('p', widthMs).get(T0 + minutes * MINUTE_MS)!;

describe('instantaneous power', () => {
  const point = pointOf('p', 'INSTANT_POWER', { maxHoldMs: 10 * MINUTE_MS });

  it('gives the time-weighted mean, however the samples are spaced', () => {
    // |0 ── 100 W ──|2 ── 400 W ──|3 ──── 0 W ──── …: (100·2 + 400·1 + 0·2) / 5 = 120 W = 10 Wh in five minutes.
    const rig = resampled(point, [at(0, 100), at(2, 400), at(3, 0)]);
    const first = window(rig, FIVE, 0);
    assert.deepEqual([first.mean, first.min, first.max, first.last], [120, 0, 400, 0]);
    assert.deepEqual([first.energyMilliWh, first.readingCount, first.coveredMs, first.measuredMs], [10_000, 3, FIVE, FIVE]);
  });

  it('holds a sample no longer than agreed, and says how much is covered', () => {
    const rig = resampled(point, [at(1, 600), at(31, 60)]);
    assert.equal(window(rig, FIVE, 0).coveredMs, 4 * MINUTE_MS);
    assert.equal(window(rig, FIVE, 5).coveredMs, FIVE);
    assert.equal(window(rig, FIVE, 10).coveredMs, MINUTE_MS);
    const missing = window(rig, FIVE, 15);
    assert.deepEqual([missing.coveredMs, missing.quality, missing.readingCount, missing.mean], [0, 3, 0, 0]);
    const hour = window(rig, HOUR_MS, 0);
    assert.deepEqual([hour.coveredMs, hour.readingCount, hour.energyMilliWh], [20 * MINUTE_MS, 2, 110_000 - 0 + 0]);
  });

  it('tells the share of measured time and the worst quality', () => {
    const rig = resampled(point, [at(0, 10), at(2, 10, { quality: 2 }), at(3, 10, { quality: 1 }), at(4, 0, { quality: 3 })]);
    const { coveredMs, measuredMs, quality, readingCount } = window(rig, FIVE, 0);
    assert.deepEqual([coveredMs, measuredMs, quality, readingCount], [4 * MINUTE_MS, 2 * MINUTE_MS, 2, 4]);
  });
});

describe('mean power', () => {
  it('covers its interval, and waits for it before a window closes', () => {
    const rig = rigOf(pointOf('p', 'MEAN_POWER'));
    rig.deliver('p', [at(0, 400)], T0 + QUARTER);
    rig.tick(T0 + QUARTER + 2 * MINUTE_MS);
    // 33.333 Wh in five minutes, rounded once: wider windows are sums of the five-minute ones.
    assert.equal(window(rig, QUARTER, 0).energyMilliWh, 99_999);
    // The next interval is known only at its end: until then nothing is told to be missing.
    rig.tick(T0 + 30 * MINUTE_MS);
    assert.equal(rig.current('p', FIVE).size, 3);
    rig.deliver('p', [at(15, 800)], T0 + 30 * MINUTE_MS);
    rig.tick(T0 + 33 * MINUTE_MS);
    assert.equal(window(rig, FIVE, 25).energyMilliWh, 66_667);
    assert.ok(rig.emitted.every(({ revision }) => revision === 0));
  });
});

describe('a point that is silent', () => {
  it('closes what its readings cover as soon as the time has come, and waits for no other', () => {
    const rig = rigOf(pointOf('p', 'MEAN_POWER'));
    rig.deliver('p', [at(0, 400)], T0 + MINUTE_MS);
    for (const [minutes, closed] of [
      [7, 1],
      [12, 2],
      [17, 3],
      [22, 3],
    ]) {
      rig.tick(T0 + minutes * MINUTE_MS);
      assert.equal(rig.current('p', FIVE).size, closed, `${minutes}`);
    }
  });
});

describe('interval energy', () => {
  it('is split and merged exactly', () => {
    // 1000 mWh over 15 minutes: cumulative 333.3 and 666.7 rounded at the grid points.
    const rig = resampled(pointOf('p', 'INTERVAL_ENERGY'), [at(0, 1000), at(15, 2000), at(30, 0), at(45, 1)]);
    assert.deepEqual(
      [0, 5, 10].map((minutes) => window(rig, FIVE, minutes).energyMilliWh),
      [333, 334, 333],
    );
    assert.equal(window(rig, QUARTER, 0).energyMilliWh, 1000);
    assert.equal(window(rig, HOUR_MS, 0).energyMilliWh, 3001);
    assert.equal(window(rig, FIVE, 0).mean, 4);
  });

  it('off the grid adds up too', () => {
    const rig = resampled(pointOf('p', 'INTERVAL_ENERGY'), [at(-7, 1000), at(8, 1001), at(23, 999)], 90);
    for (const width of [FIVE, QUARTER, HOUR_MS]) assert.equal(rig.energyMilliWh('p', width), 3000, `${width}`);
  });
});

describe('a cumulative register', () => {
  const register = (more: Partial<PointDeclared> = {}) => pointOf('p', 'REGISTER', more);
  const kinds = (rig: SiteRig) => rig.notices.map(({ kind }) => kind).filter((kind) => kind !== 'DOUBLE');

  it('gives the energy between readings', () => {
    const rig = resampled(register(), [at(0, 5000), at(15, 6000), at(30, 6500)]);
    assert.equal(window(rig, QUARTER, 0).energyMilliWh, 1000);
    assert.equal(window(rig, QUARTER, 15).energyMilliWh, 500);
    assert.deepEqual(kinds(rig), []);
  });

  it('with one reading only knows no energy yet', () => {
    const rig = resampled(register(), [at(0, 5000)]);
    const { coveredMs, quality, readingCount, energyMilliWh } = window(rig, FIVE, 0);
    assert.deepEqual([coveredMs, quality, readingCount, energyMilliWh], [0, 3, 1, 0]);
  });

  it('rolls over at its modulus', () => {
    // HomeMatic energy counters: 838857.6 Wh, then past the roll-over at 838860.7 Wh.
    const point = register({ registerModulusMilliWh: 838_860_700 });
    const rig = resampled(point, [at(0, 838_857_600), at(15, 1_200)]);
    assert.equal(window(rig, QUARTER, 0).energyMilliWh, 4_300);
    assert.equal(window(rig, QUARTER, 0).quality, 0);
    assert.deepEqual(kinds(rig), ['REGISTER_ROLLOVER']);
  });

  it('rolls over where passing its modulus explains the fall with less than a tenth of its range, or across a gap with half', () => {
    const modulus = 1_000_000;
    const vectors: [number, number, number, string, number, number][] = [
      // minutes between the two, before, after, what it is, energy, quality
      [15, modulus, 0, 'REGISTER_ROLLOVER', 0, 0],
      [15, modulus - 1, 0, 'REGISTER_ROLLOVER', 1, 0],
      [15, 900_001, 0, 'REGISTER_ROLLOVER', 99_999, 0],
      [15, 900_000, 0, 'REGISTER_RESET', 0, 1],
      [15, modulus + 1, 0, 'REGISTER_RESET', 0, 1],
      [30, 600_000, 6, 'REGISTER_RESET', 6, 1],
      [31, 600_000, 6, 'REGISTER_ROLLOVER', 400_006, 1],
      [60, 500_007, 6, 'REGISTER_ROLLOVER', 499_999, 1],
      [60, 500_006, 6, 'REGISTER_RESET', 6, 1],
    ];
    for (const [minutes, before, after, notice, energyMilliWh, quality] of vectors) {
      const rig = resampled(register({ registerModulusMilliWh: modulus }), [at(0, before), at(minutes, after)], 120);
      const what = `${before} to ${after} in ${minutes} min`;
      assert.deepEqual(kinds(rig), [notice], what);
      assert.equal(rig.energyMilliWh('p', FIVE), energyMilliWh, what);
      assert.equal(window(rig, FIVE, 0).quality, quality, what);
    }
  });

  it('with one wrong peak counts a rise and a reset, and the notice holds what was read', () => {
    // A meter that was exchanged under the same number looks the same, so that the fall alone cannot tell.
    const rig = resampled(register(), [at(0, 5_000), at(15, 5_100), at(30, 90_000), at(45, 5_300), at(60, 5_400)]);
    assert.deepEqual(
      [0, 15, 30, 45].map((minutes) => window(rig, QUARTER, minutes).energyMilliWh),
      [100, 84_900, 5_300, 100],
    );
    assert.equal(window(rig, QUARTER, 30).quality, 1);
    assert.deepEqual(
      rig.notices.map(({ kind, startMs, value, otherValue }) => [kind, startMs, value, otherValue]),
      [['REGISTER_RESET', T0 + 45 * MINUTE_MS, 90_000, 5_300]],
    );
  });

  it('that falls from the middle of its range was reset, and is counted from zero as an estimate', () => {
    const rig = resampled(register({ registerModulusMilliWh: 838_860_700 }), [at(0, 500_000_000), at(15, 1_200)]);
    assert.equal(window(rig, QUARTER, 0).energyMilliWh, 1_200);
    assert.equal(window(rig, QUARTER, 0).quality, 1);
    assert.deepEqual(kinds(rig), ['REGISTER_RESET']);
  });

  it('that jitters is not reset, and its sum stays that of the register', () => {
    // grott (Growatt inverters): 215.6 → 215.7 → 215.6 kWh, where counting from zero would give 215.6 kWh at once.
    const kWh = [215.6, 215.7, 215.6, 215.6, 215.7, 215.7, 215.6, 215.6, 215.6, 215.6, 215.6, 215.6, 215.7, 215.8, 215.8];
    const point = register({ registerJitterMilliWh: 100_000, intervalMs: FIVE });
    const rig = resampled(
      point,
      kWh.map((value, i) => at(5 * i, Math.round(value * 1e6))),
    );
    assert.equal(rig.energyMilliWh('p', FIVE), 200_000);
    assert.deepEqual(kinds(rig), []);
    assert.ok([...rig.current('p', FIVE).values()].every(({ energyMilliWh }) => Math.abs(energyMilliWh) <= 100_000));
    assert.deepEqual(
      [0, 5, 10].map((minutes) => window(rig, FIVE, minutes).energyMilliWh),
      [100_000, 0, 0],
    );
  });

  it('of a swapped meter gives no energy between the two', () => {
    const rig = resampled(register(), [
      at(0, 9_000_000, { deviceId: 'old' }),
      at(15, 9_000_100, { deviceId: 'old' }),
      at(30, 50, { deviceId: 'new' }),
      at(45, 80, { deviceId: 'new' }),
    ]);
    assert.deepEqual(
      [0, 15, 30].map((minutes) => window(rig, QUARTER, minutes).energyMilliWh),
      [100, 0, 30],
    );
    assert.equal(window(rig, QUARTER, 15).quality, 3);
    assert.deepEqual(kinds(rig), ['METER_SWAP']);
  });

  it('notices the seventieth swap as well', () => {
    const rig = rigOf(register());
    for (let swap = 0; swap < 70; swap++) {
      const startMs = T0 + swap * 6 * HOUR_MS;
      rig.tick(startMs);
      rig.deliver('p', [{ startMs, value: 1000 * swap, deviceId: `device-${swap}` }], startMs);
    }
    assert.equal(kinds(rig).filter((kind) => kind === 'METER_SWAP').length, 69);
    assert.equal(rig.energyMilliWh('p', HOUR_MS), 0);
  });

  it('after a gap spreads the energy as an estimate and makes no spike', () => {
    const readings = [at(0, 0), at(15, 1_000), at(15 + 20 * 60, 81_000), at(30 + 20 * 60, 82_000)];
    const rig = rigOf(register());
    for (const reading of readings) {
      rig.tick(reading.startMs);
      rig.deliver('p', [reading], reading.startMs);
      rig.tickThrough(reading.startMs + MINUTE_MS, reading.startMs + 40 * MINUTE_MS, FIVE);
    }
    const lastMs = readings[3].startMs;
    rig.tickThrough(lastMs + HOUR_MS, lastMs + 3 * HOUR_MS, FIVE);
    for (const width of [FIVE, QUARTER]) assert.equal(rig.energyMilliWh('p', width), 82_000, `${width}`);
    const inside = window(rig, QUARTER, 10 * 60);
    assert.deepEqual([inside.energyMilliWh, inside.quality], [1000, 1]);
  });

  it('after more than 31 days says how much it was and spreads nothing', () => {
    for (const days of [32, 60]) {
      const rig = rigOf(register());
      const laterMs = T0 + days * DAY_MS;
      rig.deliver('p', [at(0, 1_000)], T0);
      rig.tickThrough(T0, T0 + HOUR_MS);
      rig.tick(laterMs);
      rig.deliver('p', [{ startMs: laterMs, value: 500_000 }], laterMs);
      rig.tickThrough(laterMs, laterMs + HOUR_MS);
      assert.equal(rig.energyMilliWh('p', FIVE), 0);
      const gap = rig.notices.filter(({ kind }) => kind === 'REGISTER_GAP');
      assert.deepEqual(
        gap.map(({ value, startMs }) => [value, startMs]),
        [[499_000, laterMs]],
        `${days} days`,
      );
    }
  });

  it('read every twenty days has its energy spread over them', () => {
    const rig = rigOf(register({ intervalMs: 20 * DAY_MS }));
    const values = [0, 480_000, 960_000, 960_480];
    values.forEach((value, i) => {
      const startMs = T0 + i * 20 * DAY_MS;
      rig.tick(startMs);
      rig.deliver('p', [{ startMs, value }], startMs);
      rig.tickThrough(startMs + MINUTE_MS, startMs + 20 * DAY_MS - HOUR_MS, HOUR_MS);
    });
    assert.equal(rig.energyMilliWh('p', HOUR_MS), 960_480);
    assert.equal(rig.energyMilliWh('p', FIVE), 960_480);
    assert.equal(window(rig, HOUR_MS, 24 * 60).energyMilliWh, 1000);
  });
});

describe('temperatures and states', () => {
  it('have means, but no energy', () => {
    const rig = resampled(pointOf('p', 'TEMPERATURE'), [at(0, 20), at(4, 25)]);
    const { mean, min, max, last, energyMilliWh } = window(rig, FIVE, 0);
    assert.deepEqual([mean, min, max, last, energyMilliWh], [21, 20, 25, 25, 0]);
  });

  it('hold as long as declared, also beyond a week of silence', () => {
    const rig = rigOf(pointOf('p', 'STATE', { maxHoldMs: 20 * DAY_MS }));
    rig.deliver('p', [at(0, 3)], T0);
    rig.tickThrough(T0, T0 + 15 * DAY_MS, HOUR_MS);
    assert.equal(window(rig, HOUR_MS, 14 * 24 * 60).last, 3);
    assert.equal(window(rig, HOUR_MS, 14 * 24 * 60).coveredMs, HOUR_MS);
  });
});
