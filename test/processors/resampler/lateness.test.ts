/** What becomes of readings that are late, doubled, corrected, early, or meet a declaration that changed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { resampler } from '../../../processors/resampler/resampler.ts';
import type { PointDeclared } from '../../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../streams/limits.ts';
import type { Processor } from '../../../streams/processor.ts';
import { startOfLocalDayMs } from '../../../streams/time.ts';
import { live, minutely, pointOf, SiteRig } from '../harness/site-rig.ts';

const FIVE = 5 * MINUTE_MS;
const QUARTER = 15 * MINUTE_MS;
const T0 = Date.UTC(2026, 0, 14, 10);

const rigOf = (...points: PointDeclared[]) => new SiteRig({ processors: [resampler as Processor], points });
const everyMinute = (more: Partial<PointDeclared> = {}) => pointOf('p', 'MEAN_POWER', { intervalMs: MINUTE_MS, ...more });

const kinds = (rig: SiteRig, kind: string) => rig.notices.filter((notice) => notice.kind === kind);
const history = (rig: SiteRig, widthMs: number, startMs: number) =>
  rig.emitted
    .filter((w) => w.widthMs === widthMs && w.startMs === startMs)
    .map(({ revision, reason, energyMilliWh }) => [revision, reason, energyMilliWh]);

describe('doubles', () => {
  it('that say the same are counted and change nothing', () => {
    const rig = rigOf(everyMinute());
    live(rig, T0, T0 + HOUR_MS, () => 60);
    const before = rig.emitted.length;
    rig.deliver(
      'p',
      minutely(T0 + 30 * MINUTE_MS, T0 + 40 * MINUTE_MS, () => 60),
      T0 + HOUR_MS,
    );
    rig.tick(T0 + HOUR_MS + 2 * MINUTE_MS);
    assert.deepEqual(
      kinds(rig, 'DOUBLE').map(({ count }) => count),
      [10],
    );
    assert.ok(rig.emitted.slice(before).every(({ revision }) => revision === 0));
  });

  it('that say something else are told with both values, and the later one counts', () => {
    const rig = rigOf(everyMinute());
    live(rig, T0, T0 + HOUR_MS, () => 60);
    rig.deliver('p', [{ startMs: T0, value: 360 }], T0 + HOUR_MS);
    rig.tick(T0 + HOUR_MS + 4 * MINUTE_MS);
    assert.deepEqual(
      kinds(rig, 'CONFLICT').map(({ startMs, value, otherValue }) => [startMs, value, otherValue]),
      [[T0, 60, 360]],
    );
    assert.deepEqual(history(rig, FIVE, T0), [
      [0, 0, 5_000],
      [1, 2, 10_000],
    ]);
    assert.deepEqual(history(rig, QUARTER, T0), [
      [0, 0, 15_000],
      [1, 2, 20_000],
    ]);
    assert.deepEqual(history(rig, HOUR_MS, T0), [[0, 0, 65_000]]);
  });

  it('of days gone by are counted after the reload, which changes nothing', () => {
    const rig = rigOf(everyMinute());
    live(rig, T0, T0 + 8 * HOUR_MS, () => 60);
    const before = rig.emitted.filter(({ revision }) => revision > 0).length;
    rig.deliver(
      'p',
      minutely(T0, T0 + 10 * MINUTE_MS, () => 60),
      T0 + 8 * HOUR_MS,
    );
    rig.tickThrough(T0 + 8 * HOUR_MS + FIVE, T0 + 9 * HOUR_MS, FIVE);
    assert.equal(rig.requests.length, 1);
    assert.deepEqual(
      kinds(rig, 'DOUBLE').map(({ count }) => count),
      [10],
    );
    assert.equal(rig.emitted.filter(({ revision }) => revision > 0).length, before);
  });
});

describe('late readings', () => {
  it('revise the windows of every width that they touch, with reason', () => {
    const late = T0 + 17 * MINUTE_MS;
    const rig = rigOf(everyMinute());
    live(
      rig,
      T0,
      T0 + 2 * HOUR_MS,
      () => 60,
      (startMs) => startMs === late,
    );
    assert.equal(rig.current('p', FIVE).get(T0 + QUARTER)!.coveredMs, 4 * MINUTE_MS);
    rig.deliver('p', [{ startMs: late, value: 600 }], T0 + 2 * HOUR_MS);
    rig.tick(T0 + 2 * HOUR_MS + 2 * MINUTE_MS);
    assert.deepEqual(history(rig, FIVE, T0 + QUARTER), [
      [0, 0, 4_000],
      [1, 1, 14_000],
    ]);
    assert.deepEqual(history(rig, QUARTER, T0 + QUARTER), [
      [0, 0, 14_000],
      [1, 1, 24_000],
    ]);
    assert.deepEqual(history(rig, HOUR_MS, T0), [
      [0, 0, 59_000],
      [1, 1, 69_000],
    ]);
    assert.equal(rig.emitted.filter(({ revision }) => revision > 0).length, 3);
  });

  it('that are out of order but come before their window closes revise nothing', () => {
    const rig = rigOf(everyMinute());
    rig.tick(T0 + FIVE);
    rig.deliver('p', minutely(T0, T0 + FIVE, (startMs) => (startMs - T0) / 1000).reverse(), T0 + FIVE);
    rig.tickThrough(T0 + 6 * MINUTE_MS, T0 + 8 * MINUTE_MS);
    assert.deepEqual(history(rig, FIVE, T0), [[0, 0, 10_000]]);
    assert.equal(rig.current('p', FIVE).get(T0)!.last, 240);
  });

  it('older than the hot state revise by a reload of their day, and one reload serves many', () => {
    const rig = rigOf(everyMinute());
    const gap = (startMs: number) => startMs >= T0 && startMs < T0 + 30 * MINUTE_MS;
    live(rig, T0 - HOUR_MS, T0 + 9 * HOUR_MS, () => 60, gap);
    const nowMs = T0 + 9 * HOUR_MS;
    for (const reading of minutely(T0, T0 + 30 * MINUTE_MS, () => 60)) rig.deliver('p', [reading], nowMs);
    rig.tickThrough(nowMs + MINUTE_MS, nowMs + HOUR_MS, MINUTE_MS);
    assert.deepEqual(
      rig.requests.map(({ dayStartMs, knownAtMs }) => [dayStartMs, knownAtMs]),
      [[Math.floor(T0 / DAY_MS) * DAY_MS, nowMs + 17 * MINUTE_MS]],
    );
    assert.deepEqual(history(rig, FIVE, T0), [
      [0, 0, 0],
      [1, 1, 5_000],
    ]);
    assert.deepEqual(history(rig, HOUR_MS, T0), [
      [0, 0, 30_000],
      [1, 1, 60_000],
    ]);
    assert.equal(rig.emitted.filter(({ revision }) => revision > 0).length, 6 + 2 + 1);
  });

  it('just before the hot range revise both sides of its edge', () => {
    // A sample held for an hour, older than the hot range by a minute when it comes: it reaches far into it.
    const rig = rigOf(pointOf('p', 'INSTANT_POWER', { maxHoldMs: HOUR_MS, intervalMs: HOUR_MS }));
    rig.tick(T0);
    rig.deliver('p', [{ startMs: T0 - HOUR_MS, value: 120 }], T0);
    rig.tickThrough(T0 + FIVE, T0 + 5 * HOUR_MS, FIVE);
    rig.deliver('p', [{ startMs: T0 + 59 * MINUTE_MS, value: 1_200 }], T0 + 5 * HOUR_MS);
    rig.tickThrough(T0 + 5 * HOUR_MS + FIVE, T0 + 6 * HOUR_MS, FIVE);
    for (const widthMs of [FIVE, QUARTER, HOUR_MS]) assert.equal(rig.energyMilliWh('p', widthMs), 120_000 + 1_200_000, `${widthMs}`);
  });

  it('that open a point with its past are followed by its present, no window twice', () => {
    const rig = rigOf(everyMinute());
    rig.tick(T0);
    for (const daysAgo of [3, 1, 2])
      rig.deliver(
        'p',
        minutely(T0 - daysAgo * DAY_MS, T0 - daysAgo * DAY_MS + HOUR_MS, () => 60),
        T0,
      );
    rig.tickThrough(T0 + FIVE, T0 + HOUR_MS, FIVE);
    live(rig, T0 + HOUR_MS, T0 + 2 * HOUR_MS, () => 60);
    rig.tickThrough(T0 + 2 * HOUR_MS + FIVE, T0 + 4 * HOUR_MS, FIVE);
    assert.equal(rig.energyMilliWh('p', FIVE), 4 * 60_000);
    const first = rig.emitted.filter(({ revision }) => revision === 0).map(({ widthMs, startMs }) => `${widthMs} ${startMs}`);
    assert.equal(new Set(first).size, first.length);
  });

  it('once a second fit the hot state for as long as it lasts', () => {
    const rig = rigOf(pointOf('p', 'INSTANT_POWER', { intervalMs: 1_000, maxHoldMs: 1_000 }));
    for (let fromMs = T0; fromMs < T0 + 9 * HOUR_MS; fromMs += FIVE) {
      rig.deliver(
        'p',
        Array.from({ length: 300 }, (_, i) => ({ startMs: fromMs + i * 1_000, value: 36 })),
        fromMs + FIVE,
      );
      rig.tick(fromMs + FIVE);
    }
    assert.deepEqual(rig.rejected, []);
    assert.equal(rig.current('p', HOUR_MS).get(T0 + 7 * HOUR_MS)!.readingCount, 3_600);
    // A day of them is reloaded whole.
    rig.deliver('p', [{ startMs: T0, value: 36_036 }], T0 + 9 * HOUR_MS);
    rig.tickThrough(T0 + 9 * HOUR_MS + FIVE, T0 + 10 * HOUR_MS, FIVE);
    assert.equal(rig.current('p', HOUR_MS).get(T0)!.energyMilliWh, 36_000 + 10_000);
    assert.equal(rig.current('p', HOUR_MS).get(T0 + 4 * HOUR_MS)!.readingCount, 3_600);
  });
});

describe('a reload', () => {
  const late = () => {
    const rig = new SiteRig({ processors: [resampler as Processor], points: [everyMinute()], reloads: false });
    live(
      rig,
      T0,
      T0 + 8 * HOUR_MS,
      () => 60,
      (startMs) => startMs < T0 + FIVE,
    );
    rig.deliver(
      'p',
      minutely(T0, T0 + FIVE, () => 60),
      T0 + 8 * HOUR_MS,
    );
    rig.tickThrough(T0 + 8 * HOUR_MS + FIVE, T0 + 9 * HOUR_MS, FIVE);
    return rig;
  };

  it('that comes twice revises once', () => {
    const rig = late();
    rig.answer(rig.requests[0]);
    const once = rig.emitted.length;
    rig.answer(rig.requests[0]);
    assert.equal(rig.emitted.length, once);
    assert.equal(rig.current('p', FIVE).get(T0)!.energyMilliWh, 5_000);
  });

  it('that nobody asked for changes nothing', () => {
    const rig = late();
    const before = rig.emitted.length;
    rig.answer({ ...rig.requests[0], dayStartMs: rig.requests[0].dayStartMs - DAY_MS });
    rig.answer({ ...rig.requests[0], pointId: 'nobody' });
    assert.equal(rig.emitted.length, before);
  });
});

describe('the clock', () => {
  it('of one meter in 2038 closes no window, and its readings are rejected with a reason', () => {
    const rig = rigOf(everyMinute());
    live(rig, T0, T0 + 20 * MINUTE_MS, () => 60);
    const before = rig.emitted.length;
    rig.deliver('p', [{ startMs: Date.UTC(2038, 0, 19, 3, 14, 7), value: 60 }], T0 + 20 * MINUTE_MS);
    assert.equal(rig.emitted.length, before);
    assert.deepEqual(
      rig.rejected.map(({ code, pointId, readingCount, startMs }) => [code, pointId, readingCount, startMs]),
      [['READING_IN_FUTURE', 'p', 1, Date.UTC(2038, 0, 19, 3, 14, 7)]],
    );
    live(rig, T0 + 20 * MINUTE_MS, T0 + 2 * HOUR_MS, () => 60);
    assert.equal(rig.energyMilliWh('p', HOUR_MS), 60_000);
    assert.equal(rig.current('p', HOUR_MS).size, 1);
  });

  it('of the ticks alone closes the windows of a silent meter, for a week', () => {
    const rig = rigOf(everyMinute());
    live(rig, T0, T0 + HOUR_MS, () => 60);
    rig.tickThrough(T0 + HOUR_MS, T0 + 9 * DAY_MS, HOUR_MS);
    const hours = [...rig.current('p', HOUR_MS).values()];
    assert.equal(hours.length, 1 + 7 * 24);
    assert.deepEqual(hours[1], { ...hours[1], coveredMs: 0, quality: 3, energyMilliWh: 0, readingCount: 0 });
    // It speaks again a month later: the hours in between stay untold, the new ones are not.
    const laterMs = T0 + 30 * DAY_MS;
    rig.tick(laterMs);
    live(rig, laterMs, laterMs + 2 * HOUR_MS, () => 60);
    assert.equal(rig.energyMilliWh('p', HOUR_MS), 2 * 60_000);
    assert.ok(rig.current('p', HOUR_MS).size < 7 * 24 + 8);
  });

  it('before the first tick is the delivery’s own: what is old goes the way of old readings', () => {
    const rig = rigOf(everyMinute());
    for (const daysAgo of [30, 20, 10])
      rig.deliver(
        'p',
        minutely(T0 - daysAgo * DAY_MS, T0 - daysAgo * DAY_MS + FIVE, () => 60),
        T0,
      );
    rig.deliver(
      'p',
      minutely(T0 - FIVE, T0, () => 60),
      T0,
    );
    rig.tickThrough(T0, T0 + HOUR_MS, FIVE);
    assert.equal(rig.energyMilliWh('p', FIVE), 4 * 5_000);
  });
});

describe('local days', () => {
  for (const timeZone of ['Europe/Helsinki', 'Europe/Ljubljana', 'Europe/Athens']) {
    it(`of 23, 24 and 25 hours add up exactly in ${timeZone}`, () => {
      for (const [date, quarters] of [
        ['2025-03-30', 92],
        ['2025-03-31', 96],
        ['2025-10-26', 100],
      ] as const) {
        const noonMs = Date.parse(`${date}T10:00:00Z`);
        const fromMs = startOfLocalDayMs(timeZone, noonMs);
        const toMs = startOfLocalDayMs(timeZone, noonMs + DAY_MS);
        const rig = rigOf(pointOf('p', 'INTERVAL_ENERGY'));
        for (let startMs = fromMs - HOUR_MS; startMs < toMs + HOUR_MS; startMs += QUARTER) {
          rig.deliver('p', [{ startMs, value: 100_001 + (startMs % 7) }], startMs + QUARTER);
          rig.tick(startMs + QUARTER + MINUTE_MS);
        }
        rig.tick(toMs + 2 * HOUR_MS);
        const inDay = [...rig.current('p', QUARTER).keys()].filter((startMs) => startMs >= fromMs && startMs < toMs);
        assert.equal(inDay.length, quarters);
        let all = 0;
        for (let startMs = fromMs; startMs < toMs; startMs += QUARTER) all += 100_001 + (startMs % 7);
        for (const widthMs of [FIVE, QUARTER, HOUR_MS])
          assert.equal(rig.energyMilliWh('p', widthMs, fromMs, toMs), all, `${date} ${widthMs}`);
      }
    });
  }
});
