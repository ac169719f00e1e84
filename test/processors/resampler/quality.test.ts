/** Flags for what the data look like, and what is refused: readings and declarations that do not fit. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { resampler } from '../../../processors/resampler/resampler.ts';
import type { PointDeclared } from '../../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../streams/limits.ts';
import type { Processor } from '../../../streams/processor.ts';
import { live, minutely, pointOf, SiteRig, seriesOf } from '../harness/site-rig.ts';

const FIVE = 5 * MINUTE_MS;
const QUARTER = 15 * MINUTE_MS;
const T0 = Date.UTC(2026, 0, 14, 10);

const rigOf = (...points: PointDeclared[]) => new SiteRig({ processors: [resampler as Processor], points });
const everyMinute = (more: Partial<PointDeclared> = {}) => pointOf('p', 'MEAN_POWER', { intervalMs: MINUTE_MS, ...more });
const kinds = (rig: SiteRig, kind: string) => rig.notices.filter((notice) => notice.kind === kind);

describe('what the data look like', () => {
  const quarters = (rig: SiteRig, fromMs: number, toMs: number, value: (startMs: number) => number) => {
    for (let startMs = fromMs; startMs < toMs; startMs += QUARTER) {
      rig.deliver('p', [{ startMs, value: value(startMs) }], startMs + QUARTER);
      rig.tick(startMs + QUARTER + 3 * MINUTE_MS);
    }
  };
  const varied = (startMs: number) => 300 + 200 * Math.sin(startMs / HOUR_MS);

  it('a value that has not moved for 24 hours is flagged as stuck, zero or not, until it moves', () => {
    for (const stuckAt of [0, 230]) {
      const rig = rigOf(pointOf('p', 'MEAN_POWER'));
      quarters(rig, T0, T0 + 10 * HOUR_MS, varied);
      quarters(rig, T0 + 10 * HOUR_MS, T0 + 40 * HOUR_MS, () => stuckAt);
      quarters(rig, T0 + 40 * HOUR_MS, T0 + 44 * HOUR_MS, varied);
      assert.deepEqual(
        kinds(rig, 'STUCK').map(({ startMs, value }) => [startMs, value]),
        [[T0 + 10 * HOUR_MS, stuckAt]],
      );
      const flags = (hour: number) => rig.current('p', HOUR_MS).get(T0 + hour * HOUR_MS)!.flags;
      assert.deepEqual([flags(12), flags(32), flags(33), flags(39), flags(41)], [0, 0, 1, 1, 0]);
      assert.equal(rig.current('p', HOUR_MS).get(T0 + 35 * HOUR_MS)!.mean, stuckAt);
      // An hour of it that is still hot keeps its flag when it is revised after the end.
      rig.deliver('p', [{ startMs: T0 + 39 * HOUR_MS + QUARTER, value: stuckAt, quality: 1 }], T0 + 44 * HOUR_MS);
      rig.tick(T0 + 44 * HOUR_MS + 8 * MINUTE_MS);
      const revised = rig.current('p', HOUR_MS).get(T0 + 39 * HOUR_MS)!;
      assert.deepEqual([revised.revision, revised.flags], [1, 1]);
    }
  });

  it('energy of a day that is spread evenly over it is not stuck, unless the next day is the same', () => {
    const days = (values: number[]) => {
      const rig = rigOf(pointOf('p', 'INTERVAL_ENERGY', { intervalMs: DAY_MS }));
      const midnightMs = T0 - 10 * HOUR_MS;
      values.forEach((value, day) => {
        rig.deliver('p', [{ startMs: midnightMs + day * DAY_MS, value }], midnightMs + (day + 1) * DAY_MS);
        rig.tick(midnightMs + (day + 1) * DAY_MS + 3 * MINUTE_MS);
      });
      const flagged = [...rig.current('p', HOUR_MS).values()].filter(({ flags }) => flags !== 0).map(({ startMs }) => startMs - midnightMs);
      return { notices: kinds(rig, 'STUCK').map(({ startMs }) => startMs - midnightMs), flagged };
    };
    assert.deepEqual(days([24_000, 48_000, 12_000, 24_000]), { notices: [], flagged: [] });
    const { notices, flagged } = days([12_000, 24_000, 24_000, 36_000]);
    assert.deepEqual(notices, [DAY_MS]);
    assert.deepEqual(
      flagged,
      Array.from({ length: 24 }, (_, hour) => 2 * DAY_MS + hour * HOUR_MS),
    );
  });

  it('an hour far above the median is flagged as an outlier and kept', () => {
    const rig = rigOf(pointOf('p', 'MEAN_POWER'));
    quarters(rig, T0, T0 + 8 * DAY_MS, varied);
    quarters(rig, T0 + 8 * DAY_MS, T0 + 8 * DAY_MS + HOUR_MS, () => 48_000);
    quarters(rig, T0 + 8 * DAY_MS + HOUR_MS, T0 + 8 * DAY_MS + 4 * HOUR_MS, varied);
    assert.deepEqual(
      kinds(rig, 'OUTLIER').map(({ startMs, value }) => [startMs, value]),
      [[T0 + 8 * DAY_MS, 48_000]],
    );
    const hour = rig.current('p', HOUR_MS).get(T0 + 8 * DAY_MS)!;
    assert.deepEqual([hour.flags, hour.energyMilliWh], [2, 48_000_000]);
    assert.equal([...rig.current('p', HOUR_MS).values()].filter(({ flags }) => flags !== 0).length, 1);
  });

  it('a device that mostly rests has no usual load, so that its use is no outlier', () => {
    const rig = rigOf(pointOf('p', 'MEAN_POWER'));
    quarters(rig, T0, T0 + 9 * DAY_MS, (startMs) => (startMs % DAY_MS < 2 * HOUR_MS ? 1_400 + (startMs % 7) : 0));
    assert.equal(kinds(rig, 'OUTLIER').length, 0);
  });

  it('negative consumption is flagged and kept, where the point may not export', () => {
    for (const mayExport of [false, true]) {
      const rig = rigOf(pointOf('p', 'MEAN_POWER', { mayExport }));
      quarters(rig, T0, T0 + 3 * HOUR_MS, (startMs) => (startMs < T0 + HOUR_MS ? -84 : 84));
      const hours = [...rig.current('p', HOUR_MS).values()].map(({ flags, energyMilliWh }) => [flags, energyMilliWh]);
      assert.deepEqual(hours.slice(0, 2), [
        [mayExport ? 0 : 4, -84_000],
        [0, 84_000],
      ]);
      assert.equal(kinds(rig, 'NEGATIVE').length, mayExport ? 0 : 1);
    }
  });
});

describe('what does not fit', () => {
  const refused = (rig: SiteRig) => rig.rejected.map(({ code, pointId, readingCount }) => [code, pointId, readingCount]);

  it('another unit, columns that do not fit, an unknown point or site: rejected, counted, and nothing else', () => {
    const point = everyMinute();
    const rig = rigOf(point);
    const good = seriesOf(
      point,
      minutely(T0, T0 + 3 * MINUTE_MS, () => 60),
    );
    rig.deliverSeries([{ ...good, unit: 'MILLIWATT_HOUR', energyMilliWh: good.value, value: [] }], T0 + FIVE);
    rig.deliverSeries([{ ...good, unit: 'UNKNOWN' }], T0 + FIVE);
    rig.deliverSeries(
      [
        { ...good, value: [1, 2] },
        { ...good, quality: Uint8Array.of(0, 4, 0) },
      ],
      T0 + FIVE,
    );
    rig.deliverSeries([{ ...good, pointId: 'other' }], T0 + FIVE);
    rig.deliverSeries([{ ...good, startMs: [-5, 1, 1] }], T0 + FIVE);
    assert.deepEqual(refused(rig), [
      ['UNIT_MISMATCH', 'p', 3],
      ['UNIT_MISMATCH', 'p', 3],
      ['EVENT_INVALID', 'p', 3],
      ['EVENT_INVALID', 'p', 3],
      ['POINT_UNKNOWN', 'other', 3],
      ['READING_OUT_OF_RANGE', 'p', 3],
    ]);
    rig.tick(T0 + HOUR_MS);
    assert.deepEqual(rig.emitted, []);
  });

  it('values beyond what any meter shows: set aside or told, and the site goes on', () => {
    const extremes = [1e9 + 1, 2 ** 40 + 1, 2 ** 50, 2 ** 51, 2 ** 52 - 1, -(2 ** 50)];
    for (const kind of ['MEAN_POWER', 'INSTANT_POWER', 'INTERVAL_ENERGY', 'REGISTER', 'TEMPERATURE', 'STATE'] as const)
      for (const extreme of extremes) {
        const rig = rigOf(pointOf('p', kind, { intervalMs: MINUTE_MS, maxHoldMs: MINUTE_MS }));
        live(rig, T0, T0 + 2 * HOUR_MS, (startMs) => ((startMs - T0) / MINUTE_MS === 30 ? extreme : 60));
        const last = rig.current('p', FIVE).get(T0 + 2 * HOUR_MS - 2 * FIVE);
        assert.equal(last?.coveredMs, FIVE, `${kind} ${extreme}`);
        const told = rig.rejected.length + kinds(rig, 'METER_SWAP').length + kinds(rig, 'REGISTER_RESET').length;
        if (kind !== 'TEMPERATURE' && kind !== 'STATE') assert.ok(told > 0 || extreme <= 2 ** 40 + 1, `${kind} ${extreme}`);
      }
  });

  it('a declaration that cannot be: rejected, and the former one stays', () => {
    const rig = rigOf(everyMinute());
    const bad: Partial<PointDeclared>[] = [
      { kind: 'REGISTER' },
      { kind: 'UNKNOWN' },
      { intervalMs: 0 },
      { deliveryDelayMs: -1 },
      { registerModulusMilliWh: 0 },
      { registerJitterMilliWh: -1 },
      { intervalMs: 2 * MINUTE_MS },
    ];
    for (const more of bad) rig.declare([everyMinute(more)], T0);
    rig.declare([everyMinute(), everyMinute()], T0);
    rig.declare([pointOf('s', 'STATE', { maxHoldMs: 0 })], T0);
    rig.declare(
      Array.from({ length: 501 }, (_, i) => pointOf(`p${i}`, 'STATE')),
      T0,
    );
    rig.declare([everyMinute()], T0, 'Mars/Olympus');
    assert.deepEqual(refused(rig), Array(11).fill(['EVENT_INVALID', null, 0]));
    live(rig, T0, T0 + 10 * MINUTE_MS, () => 60);
    assert.equal(rig.energyMilliWh('p', FIVE), 5_000);
  });
});

describe('a declaration that changed', () => {
  it('lets a removed point close what it has, takes nothing more of it, and gives it back without a window twice', () => {
    const rig = rigOf(everyMinute());
    live(rig, T0, T0 + 12 * MINUTE_MS, () => 60);
    rig.declare([], T0 + 12 * MINUTE_MS);
    rig.deliver('p', [{ startMs: T0 + 12 * MINUTE_MS, value: 60 }], T0 + 13 * MINUTE_MS);
    assert.deepEqual(
      rig.rejected.map(({ code }) => code),
      ['POINT_UNKNOWN'],
    );
    rig.tickThrough(T0 + 13 * MINUTE_MS, T0 + 40 * MINUTE_MS);
    assert.equal(rig.energyMilliWh('p', FIVE), 12_000);
    assert.equal(rig.current('p', FIVE).size, 3);
    rig.declare([everyMinute()], T0 + 40 * MINUTE_MS);
    live(rig, T0 + 40 * MINUTE_MS, T0 + 55 * MINUTE_MS, () => 60);
    // Gone for good this time, its memory too; when it comes back it begins anew.
    rig.declare([], T0 + 55 * MINUTE_MS);
    rig.tickThrough(T0 + HOUR_MS, T0 + DAY_MS, QUARTER);
    rig.declare([everyMinute()], T0 + DAY_MS);
    live(rig, T0 + DAY_MS, T0 + DAY_MS + 2 * HOUR_MS, () => 60);
    assert.equal(rig.energyMilliWh('p', HOUR_MS), 12_000 + 15_000 + 60_000);
    const first = rig.emitted.filter(({ revision }) => revision === 0).map(({ widthMs, startMs }) => `${widthMs} ${startMs}`);
    assert.equal(new Set(first).size, first.length);
  });

  it('applies new rules to a known point from then on', () => {
    const rig = rigOf(everyMinute());
    live(rig, T0, T0 + FIVE, () => -60);
    rig.declare([everyMinute({ mayExport: false })], T0 + FIVE);
    live(rig, T0 + FIVE, T0 + QUARTER, () => -60);
    assert.deepEqual(
      [0, FIVE].map((sinceMs) => rig.current('p', FIVE).get(T0 + sinceMs)!.flags),
      [4, 4],
    );
  });
});
