/** Readings that come together in one series leave what they leave when each of them comes by itself. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { resampler } from '../../../processors/resampler/resampler.ts';
import type { PointDeclared, Rejected } from '../../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MAX_INTERVAL_MILLI_WH, MAX_POWER_W, MAX_REGISTER_GAP_MS, MINUTE_MS } from '../../../streams/limits.ts';
import type { Processor } from '../../../streams/processor.ts';
import { valueLimitOf } from '../../../streams/reading-columns.ts';
import { codecOfCurrentSchemas, pointOf, type Reading, SiteRig, seriesOf } from '../harness/site-rig.ts';

const SEED = 20260302;
const codec = codecOfCurrentSchemas();
const T0 = Date.UTC(2026, 2, 2, 9, 17);
const every = { intervalMs: MINUTE_MS, maxHoldMs: 5 * MINUTE_MS, deliveryDelayMs: HOUR_MS };
const POINTS: PointDeclared[] = [
  pointOf('power', 'MEAN_POWER', every),
  pointOf('sample', 'INSTANT_POWER', every),
  pointOf('energy', 'INTERVAL_ENERGY', every),
  pointOf('register', 'REGISTER', { ...every, deliveryDelayMs: 0 }),
  pointOf('jittery', 'REGISTER', { ...every, registerJitterMilliWh: 30, registerModulusMilliWh: 100_000 }),
];

interface Delivery {
  point: number;
  device: string | null;
  fromMs: number;
  steps: readonly number[];
  rises: readonly number[];
  /** One for all, or as many as there are readings. */
  qualities: readonly number[];
  tickMs: number;
}

const often = <T>(usual: T, ...others: T[]) => fc.oneof({ weight: 14, arbitrary: fc.constant(usual) }, fc.constantFrom(usual, ...others));
const delivery: fc.Arbitrary<Delivery> = fc.nat({ max: 40 }).chain((more) =>
  fc.record({
    point: fc.nat({ max: POINTS.length - 1 }),
    device: often<string | null>(null, 'a', 'b'),
    fromMs: often(0, -MINUTE_MS, -HOUR_MS, -7 * HOUR_MS, 9 * MINUTE_MS, 30_500),
    steps: fc.array(
      often(
        MINUTE_MS,
        1_000,
        1_500,
        0,
        -MINUTE_MS,
        -20 * MINUTE_MS,
        8 * MINUTE_MS,
        18 * HOUR_MS,
        -18 * HOUR_MS,
        MAX_REGISTER_GAP_MS + DAY_MS,
      ),
      { minLength: more, maxLength: more },
    ),
    rises: fc.array(
      often(7, 0, -1, -20, -31, -900, 0.1, 99_000, MAX_INTERVAL_MILLI_WH / 2, MAX_INTERVAL_MILLI_WH / 2 + 1, MAX_POWER_W, -2 * MAX_POWER_W),
      { minLength: more + 1, maxLength: more + 1 },
    ),
    qualities: fc.oneof(
      fc.constant([0]),
      fc.constant([1]),
      fc.array(fc.constantFrom(0, 0, 1, 3), { minLength: more + 1, maxLength: more + 1 }),
    ),
    tickMs: often(30 * MINUTE_MS, 0, MINUTE_MS, 5 * HOUR_MS),
  }),
);

function readingsOf({ fromMs, steps, rises, qualities, device, point }: Delivery, nowMs: number, last: Map<number, number>): Reading[] {
  const whole = seriesOf(POINTS[point], []).unit === 'MILLIWATT_HOUR';
  let value = last.get(point) ?? 1_000;
  let startMs = nowMs - steps.length * MINUTE_MS + fromMs;
  const readings = rises.map((rise, i) => {
    if (i > 0) startMs += steps[i - 1];
    value += whole ? Math.trunc(rise) : rise;
    return { startMs, value, quality: qualities[i % qualities.length], deviceId: device };
  });
  // What was far too much once is not built upon, else all that follows is too much as well.
  last.set(point, Math.abs(value) > MAX_POWER_W / 2 ? 1_000 : value);
  return readings;
}

/** What was set aside, reading by reading. */
const setAside = (rejected: readonly Rejected[]) =>
  rejected
    .flatMap(({ code, startsMs }) => {
      let startMs = 0;
      return startsMs.map((stepMs) => `${code} ${(startMs += stepMs)}`);
    })
    .sort();

describe('readings of one series', () => {
  it('leave what each by itself leaves: windows, notices and what was set aside', () => {
    let longest = 0;
    let rejected = 0;
    const deliveries = fc.array(delivery, { minLength: 4, maxLength: 25, size: 'max' });
    const holds = fc.property(deliveries, (given) => {
      const [together, alone] = [0, 1].map(
        () => new SiteRig({ processors: [resampler as Processor], points: POINTS, codec, reloads: false }),
      );
      const last = new Map<number, number>();
      let nowMs = T0;
      for (const each of given) {
        const point = POINTS[each.point];
        const readings = readingsOf(each, nowMs, last);
        const series = seriesOf(point, readings);
        if (each.qualities.length === 1) series.quality = Uint8Array.from(each.qualities);
        together.deliverSeries([series], nowMs);
        for (const reading of readings) alone.deliverSeries([seriesOf(point, [reading])], nowMs);
        longest = Math.max(longest, readings.length);
        nowMs += each.tickMs;
        for (const rig of [together, alone]) rig.tick(nowMs);
      }
      nowMs += 3 * HOUR_MS;
      for (const rig of [together, alone]) rig.tick(nowMs);
      for (const what of ['emitted', 'notices'] as const) assert.deepEqual(together[what], alone[what], what);
      assert.deepEqual(setAside(together.rejected), setAside(alone.rejected));
      rejected += together.rejected.length;
    });
    fc.assert(holds, { seed: SEED, numRuns: 150 });
    assert.ok(longest > 30 && rejected > 20, `${longest} readings, ${rejected} rejected`);
  });

  const open = (point: PointDeclared) => {
    const rig = new SiteRig({ processors: [resampler as Processor], points: [point], codec, reloads: false });
    for (const minute of [0, 1, 2]) rig.deliverSeries([seriesOf(point, [{ startMs: T0 + minute * MINUTE_MS, value: 1_000 + minute }])], T0);
    return rig;
  };
  const minutes = (...values: number[]) => values.map((value, i) => ({ startMs: T0 + (3 + i) * MINUTE_MS, value }));

  it('are set aside where they are too late or too large, in the midst of others', () => {
    for (const point of POINTS) {
      const rig = open(point);
      const tooMuch = 2 * valueLimitOf(point.kind);
      const readings = minutes(1_010, tooMuch, 1_020, -tooMuch, 1_030);
      readings.splice(3, 0, { startMs: T0 + 3 * HOUR_MS, value: 1_025 });
      rig.deliverSeries([seriesOf(point, readings)], T0 + 10 * MINUTE_MS);
      assert.deepEqual(
        setAside(rig.rejected),
        [
          `READING_IN_FUTURE ${T0 + 3 * HOUR_MS}`,
          `READING_OUT_OF_RANGE ${T0 + 4 * MINUTE_MS}`,
          `READING_OUT_OF_RANGE ${T0 + 6 * MINUTE_MS}`,
        ],
        point.pointId,
      );
    }
  });

  it('tell of a register that rises too much, falls, or was silent for long, in the midst of others', () => {
    const point = POINTS[3];
    const kindsOf = (readings: Reading[], knownAtMs: number) => {
      const rig = open(point);
      rig.deliverSeries([seriesOf(point, readings)], knownAtMs);
      return rig.notices.map(({ kind, startMs }) => `${kind} ${(startMs - T0) / MINUTE_MS}`);
    };
    const soon = T0 + HOUR_MS;
    assert.deepEqual(kindsOf(minutes(1_010, 1_020, 1_030), soon), []);
    assert.deepEqual(kindsOf(minutes(1_010, 2 * MAX_INTERVAL_MILLI_WH, 2 * MAX_INTERVAL_MILLI_WH), soon), ['METER_SWAP 4']);
    assert.deepEqual(kindsOf(minutes(1_010, 20, 30), soon), ['REGISTER_RESET 4']);
    const later = [...minutes(1_010), { startMs: T0 + 3 * MINUTE_MS + MAX_REGISTER_GAP_MS + 1_000, value: 1_020 }];
    assert.match(String(kindsOf(later, T0 + MAX_REGISTER_GAP_MS + HOUR_MS)), /^REGISTER_GAP /);
  });
});
