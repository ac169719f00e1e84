import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { RecentSlots, SLOT_MS, SLOTS_KEPT, SLOTS_PER_DAY } from '../../../processors/forecast/recent-slots.ts';
import { forecastDay, quantile } from '../../../processors/forecast/seasonal-naive.ts';
import { DAY_MS, HOUR_MS } from '../../../streams/limits.ts';
import { startOfLocalDayMs } from '../../../streams/time.ts';
import { declaration, startsOf, Told, ZONE } from './told.ts';

/** Local midnight of a winter day (ms), and the noon at which the forecast of the next day is issued. */
const TODAY_MS = startOfLocalDayMs(ZONE, Date.UTC(2024, 0, 20, 12));
const NOON_MS = TODAY_MS + 12 * HOUR_MS;
const slotsTo = (toMs: number, days: number) => ({ fromMs: toMs - days * DAY_MS, count: days * SLOTS_PER_DAY });

describe('the seasonal naive forecast', () => {
  test('by hand: the value of a week ago, and quantiles of the errors that the rule made at that time of day', () => {
    // Day d (1 = today) at every slot is worth 100 d, seen before noon of today only: no value of day 0 after noon.
    const { fromMs, count } = slotsTo(NOON_MS, 16);
    const told = new Told().slots(
      fromMs,
      Array.from({ length: count }, (_, i) => 100 * Math.floor((fromMs + i * SLOT_MS - (TODAY_MS - 16 * DAY_MS)) / DAY_MS)),
    );
    const [issue] = told.tick(NOON_MS);
    const starts = startsOf(issue);
    assert.equal(issue.method, 'WEEK_AGO');
    assert.equal(starts[0], TODAY_MS + DAY_MS);
    // Today is day 16, worth 1600; a week before tomorrow is day 10. The rule erred by 700 on every day, as a week brings 7 days.
    assert.deepEqual([issue.q10W[0], issue.q50W[0], issue.q90W[0]], [1000, 1000, 1700]);
    assert.equal(issue.q50W[95], 1000);
    // Seven days back from the second on, five neighbouring slots each; those after noon of today are not known yet.
    assert.ok(issue.residualCount.every((residuals) => residuals > 0 && residuals <= 35));
  });

  test('quantiles interpolate between order statistics', () => {
    assert.equal(quantile([1, 2, 3, 4, 5], 0.1), 1.4);
    assert.equal(quantile([1, 2, 3, 4, 5], 0.9), 4.6);
    assert.equal(quantile([7], 0.9), 7);
    assert.equal(quantile([], 0.9), 0);
  });

  test('never uses what was not known yet: whatever comes later, the issue stays the same', () => {
    const { fromMs, count } = slotsTo(NOON_MS, 16);
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -1e4, max: 1e4, noNaN: true }), { minLength: count, maxLength: count }),
        fc.double({ min: -1e5, max: 1e5, noNaN: true }),
        (means, later) => {
          const one = new Told().slots(fromMs, means);
          const other = new Told().slots(fromMs, means);
          const [issue] = one.tick(NOON_MS);
          const [same] = other.tick(NOON_MS);
          assert.deepEqual(same, issue);
          const copy = structuredClone(issue);
          // Later values, and an issue of the next day made from them, leave the first as it was.
          other.slots(NOON_MS, new Array(SLOTS_PER_DAY).fill(later));
          other.tick(NOON_MS + DAY_MS);
          assert.deepEqual(other.issued[0], copy);
          assert.ok(startsOf(issue).every((startMs) => startMs > NOON_MS));
          assert.equal(issue.knownAtMs, NOON_MS);
        },
      ),
      { numRuns: 20 },
    );
  });

  test('quantiles never cross, and are as many as slots', () => {
    const { fromMs, count } = slotsTo(NOON_MS, 16);
    const known = fc.option(fc.float({ min: -1e4, max: 1e4, noNaN: true }), { freq: 4, nil: Number.NaN });
    fc.assert(
      fc.property(fc.array(known, { minLength: count, maxLength: count }), (means) => {
        const recent = new RecentSlots();
        for (const [i, mean] of means.entries()) recent.set(fromMs / SLOT_MS + i, mean);
        const starts = Array.from({ length: 96 }, (_, i) => TODAY_MS + DAY_MS + i * SLOT_MS);
        const forecast = forecastDay(recent, starts, (slotMs, days) => slotMs - days * DAY_MS);
        if (forecast === null) return;
        for (let i = 0; i < 96; i++) assert.ok(forecast.q10W[i] <= forecast.q50W[i] && forecast.q50W[i] <= forecast.q90W[i]);
        assert.deepEqual([forecast.q10W.length, forecast.q90W.length, forecast.residualCount.length], [96, 96, 96]);
      }),
      { numRuns: 50 },
    );
  });
});

describe('the forecaster', () => {
  test('issues once a day, at noon of the site', () => {
    const { fromMs, count } = slotsTo(NOON_MS, 8);
    const told = new Told().slots(fromMs, new Array(count).fill(500));
    assert.equal(told.tick(NOON_MS - SLOT_MS).length, 0);
    assert.equal(told.tick(NOON_MS).length, 1);
    assert.equal(told.tick(NOON_MS + HOUR_MS).length, 0);
    assert.equal(told.tick(NOON_MS + DAY_MS - 1).length, 0);
    assert.equal(told.tick(NOON_MS + DAY_MS).length, 1);
  });

  test('is silent at a cold start, and says that it used the day before until a week is known', () => {
    assert.equal(new Told().tick(NOON_MS).length, 0);
    const hours = new Told().slots(NOON_MS - 6 * HOUR_MS, new Array(24).fill(500));
    assert.equal(hours.tick(NOON_MS).length, 0);
    const { fromMs, count } = slotsTo(NOON_MS, 2);
    const [issue] = new Told().slots(fromMs, new Array(count).fill(500)).tick(NOON_MS);
    assert.equal(issue.method, 'DAY_AGO');
    assert.deepEqual(new Set(issue.residualCount), new Set([0]));
    assert.deepEqual(issue.q10W, issue.q90W);
  });

  test('fills a gap of a week ago from other days, and does not learn from windows that are mostly uncovered', () => {
    const { fromMs, count } = slotsTo(NOON_MS, 16);
    const weekAgoMs = TODAY_MS + DAY_MS - 7 * DAY_MS;
    const told = new Told().slots(fromMs, new Array(count).fill(500)).slots(weekAgoMs, new Array(8).fill(9_999), SLOT_MS / 3);
    const [issue] = told.tick(NOON_MS);
    assert.equal(issue.method, 'DAY_AGO');
    assert.deepEqual(new Set(issue.q50W), new Set([500]));
  });

  test('a revision of what is known counts for the next issue', () => {
    const { fromMs, count } = slotsTo(NOON_MS, 16);
    const told = new Told().slots(fromMs, new Array(count).fill(500)).slots(TODAY_MS + DAY_MS - 7 * DAY_MS, [800]);
    assert.equal(told.tick(NOON_MS)[0].q50W[0], 800);
  });

  test('has 92 and 100 slots on the days on which clocks change, at the same local time as a week ago', () => {
    for (const [today, slots] of [
      [Date.UTC(2024, 2, 30, 11), 92],
      [Date.UTC(2024, 9, 26, 10), 100],
    ]) {
      const { fromMs, count } = slotsTo(today, 16);
      const hourOf = (atMs: number) => new Date(atMs).toLocaleString('en-GB', { timeZone: ZONE, hour: '2-digit' });
      const told = new Told().slots(
        fromMs,
        Array.from({ length: count }, (_, i) => Number(hourOf(fromMs + i * SLOT_MS))),
      );
      const [issue] = told.tick(today);
      const starts = startsOf(issue);
      assert.equal(starts.length, slots);
      assert.deepEqual(
        issue.q50W,
        starts.map((startMs) => Number(hourOf(startMs))),
      );
    }
  });

  test('keeps a bounded state, and nothing of points that ask for no forecast', () => {
    const { fromMs, count } = slotsTo(NOON_MS, 60);
    const told = new Told().slots(fromMs, new Array(count).fill(500));
    assert.ok(told.stateBytes < SLOTS_KEPT * 12, `${told.stateBytes} bytes`);
    const silent = new Told(declaration(false)).slots(fromMs, new Array(count).fill(500));
    assert.ok(silent.stateBytes < 100);
    assert.equal(silent.tick(NOON_MS).length, 0);
  });
});
