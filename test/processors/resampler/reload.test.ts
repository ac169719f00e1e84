/** What a reload of an old day takes in, tells and gives as its reason. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { resampler } from '../../../processors/resampler/resampler.ts';
import type { PointDeclared } from '../../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../streams/limits.ts';
import type { Processor } from '../../../streams/processor.ts';
import { startOfLocalDayMs } from '../../../streams/time.ts';
import { type Emitted, pointOf, type Reading, SiteRig } from '../harness/site-rig.ts';

const FIVE = 5 * MINUTE_MS;
const QUARTER = 15 * MINUTE_MS;
const T0 = Date.UTC(2026, 0, 14);
const LATER_MS = T0 + 4 * DAY_MS;

const rigOf = (point: PointDeclared, timeZone = 'Europe/Helsinki') =>
  new SiteRig({ processors: [resampler as Processor], points: [point], timeZone });
const quarters = (more: Partial<PointDeclared> = {}) => pointOf('p', 'MEAN_POWER', { intervalMs: QUARTER, ...more });
const every = (stepMs: number, fromMs: number, toMs: number, value: (startMs: number) => number): Reading[] =>
  Array.from({ length: (toMs - fromMs) / stepMs }, (_, i) => ({ startMs: fromMs + i * stepMs, value: value(fromMs + i * stepMs) }));

/** Delivers day by day as the days end, with ticks, so that all of it is closed. */
function inOrder(rig: SiteRig, readings: readonly Reading[], untilMs: number): void {
  for (let fromMs = T0; fromMs < untilMs; fromMs += HOUR_MS) {
    const hour = readings.filter(({ startMs }) => startMs >= fromMs && startMs < fromMs + HOUR_MS);
    if (hour.length > 0) rig.deliver('p', hour, fromMs + HOUR_MS);
    rig.tickThrough(fromMs + FIVE, fromMs + HOUR_MS, FIVE);
  }
}

/** Delivers at once and waits for the reloads. */
function late(rig: SiteRig, readings: readonly Reading[], nowMs: number): void {
  rig.deliver('p', readings, nowMs);
  rig.tickThrough(nowMs + FIVE, nowMs + HOUR_MS, FIVE);
}

const notices = (rig: SiteRig, kind: string) =>
  rig.notices.filter((notice) => notice.kind === kind).map(({ startMs, value, otherValue }) => [startMs, value, otherValue]);
const reasons = (rig: SiteRig, widthMs: number, startMs: number) =>
  rig.emitted.filter((w) => w.widthMs === widthMs && w.startMs === startMs).map(({ revision, reason }) => [revision, reason]);
const flagged = (windows: Map<number, Emitted>) =>
  [...windows].filter(([, { flags }]) => flags > 0).map(([startMs, { flags }]) => [startMs, flags]);

describe('a reload', () => {
  it('leaves out what was set aside when its point was not declared', () => {
    const rig = rigOf(pointOf('other', 'MEAN_POWER'));
    rig.tick(T0 + HOUR_MS);
    rig.deliver(
      'p',
      every(QUARTER, T0, T0 + HOUR_MS, () => 60),
      T0 + HOUR_MS,
    );
    assert.deepEqual(
      rig.rejected.map(({ code, readingCount }) => [code, readingCount]),
      [['POINT_UNKNOWN', 4]],
    );
    rig.declare([quarters()], T0 + HOUR_MS);
    inOrder(
      rig,
      every(QUARTER, T0 + HOUR_MS, T0 + DAY_MS, () => 60),
      T0 + DAY_MS + 6 * HOUR_MS,
    );
    late(rig, [{ startMs: T0 + HOUR_MS, value: 600 }], T0 + DAY_MS + 6 * HOUR_MS);
    assert.equal(rig.requests[0].dayStartMs, T0);
    assert.equal(rig.current('p', HOUR_MS).get(T0 + HOUR_MS)!.mean, 195);
    assert.equal(rig.current('p', HOUR_MS).get(T0)?.readingCount ?? 0, 0);
  });

  it('leaves out what was stamped ahead of the clock when it came, however late the day is reloaded', () => {
    const rig = rigOf(quarters());
    rig.tick(T0);
    rig.deliver('p', [{ startMs: T0 + 2 * HOUR_MS, value: 9_000 }], T0);
    inOrder(
      rig,
      every(QUARTER, T0, T0 + HOUR_MS, () => 60),
      T0 + DAY_MS,
    );
    late(rig, [{ startMs: T0, value: 600 }], LATER_MS);
    assert.equal(rig.requests[0].dayStartMs, T0);
    assert.deepEqual(
      rig.rejected.map(({ code, startsMs }) => [code, startsMs]),
      [['READING_IN_FUTURE', [T0 + 2 * HOUR_MS]]],
    );
    assert.equal(rig.current('p', HOUR_MS).get(T0)!.mean, 195);
    assert.equal(rig.current('p', HOUR_MS).get(T0 + 2 * HOUR_MS)!.readingCount, 0);
  });

  it('tells conflicts of late readings once, with both values', () => {
    const rig = rigOf(quarters());
    inOrder(
      rig,
      every(QUARTER, T0, T0 + DAY_MS, () => 60),
      T0 + DAY_MS,
    );
    late(
      rig,
      [
        { startMs: T0, value: 600 },
        { startMs: T0 + QUARTER, value: 60 },
      ],
      LATER_MS,
    );
    assert.deepEqual(notices(rig, 'CONFLICT'), [[T0, 60, 600]]);
    late(rig, [{ startMs: T0 + HOUR_MS, value: 70 }], LATER_MS + 6 * HOUR_MS);
    assert.deepEqual(notices(rig, 'CONFLICT'), [
      [T0, 60, 600],
      [T0 + HOUR_MS, 60, 70],
    ]);
    const doubles = rig.notices.filter(({ kind }) => kind === 'DOUBLE').reduce((sum, { count }) => sum + count, 0);
    assert.equal(doubles, 3);
  });

  it('says late where readings were added, corrected where they changed, reloaded where a day beside it did', () => {
    const rig = rigOf(pointOf('p', 'REGISTER', { intervalMs: QUARTER }));
    const readings = every(QUARTER, T0, T0 + 2 * DAY_MS, (startMs) => (startMs - T0) / 1_000);
    const lastMs = T0 + DAY_MS - QUARTER;
    const missing = new Set([T0 + HOUR_MS, lastMs]);
    inOrder(
      rig,
      readings.filter(({ startMs }) => !missing.has(startMs)),
      T0 + 2 * DAY_MS,
    );
    const hours = (atMs: number) => reasons(rig, HOUR_MS, Math.floor(atMs / HOUR_MS) * HOUR_MS);
    late(
      rig,
      [
        { startMs: T0 + HOUR_MS, value: 3_700 },
        { startMs: T0 + 2 * HOUR_MS, value: 7_300 },
      ],
      LATER_MS,
    );
    assert.deepEqual(hours(T0 + HOUR_MS), [
      [0, 0],
      [1, 2],
    ]);
    assert.deepEqual(reasons(rig, FIVE, T0 + HOUR_MS), [
      [0, 0],
      [1, 1],
    ]);
    assert.deepEqual(reasons(rig, FIVE, T0 + 2 * HOUR_MS), [
      [0, 0],
      [1, 2],
    ]);
    late(rig, [{ startMs: T0 + DAY_MS - QUARTER, value: 80_000 }], LATER_MS + 6 * HOUR_MS);
    assert.deepEqual(reasons(rig, FIVE, lastMs), [
      [0, 0],
      [1, 1],
    ]);
    late(rig, [{ startMs: T0 + DAY_MS, value: 90_000 }], LATER_MS + 12 * HOUR_MS);
    assert.deepEqual(reasons(rig, FIVE, T0 + DAY_MS), [
      [0, 0],
      [1, 2],
    ]);
    assert.deepEqual(reasons(rig, FIVE, lastMs), [
      [0, 0],
      [1, 1],
      [2, 3],
    ]);
  });

  it('tells what a register went through on both sides of a late reading', () => {
    const rig = rigOf(pointOf('p', 'REGISTER', { intervalMs: QUARTER }));
    const readings = every(QUARTER, T0, T0 + DAY_MS, (startMs) => 1e6 + (startMs - T0) / 1_000);
    inOrder(
      rig,
      readings.filter(({ startMs }) => startMs !== T0 + 6 * HOUR_MS),
      T0 + DAY_MS,
    );
    late(rig, [{ startMs: T0 + 6 * HOUR_MS, value: 100 }], LATER_MS);
    assert.deepEqual(notices(rig, 'REGISTER_RESET'), [[T0 + 6 * HOUR_MS, 1e6 + 6 * 3_600 - 900, 100]]);
  });

  it('of a day that turns out negative flags its hours and tells each once', () => {
    const rig = rigOf(quarters({ mayExport: false }));
    const isMissing = ({ startMs }: Reading) => startMs >= T0 + 6 * HOUR_MS && startMs < T0 + 7 * HOUR_MS;
    const readings = every(QUARTER, T0, T0 + DAY_MS, (startMs) => (startMs >= T0 + 6 * HOUR_MS && startMs < T0 + 8 * HOUR_MS ? -40 : 60));
    inOrder(
      rig,
      readings.filter((reading) => !isMissing(reading)),
      T0 + DAY_MS,
    );
    late(rig, readings.filter(isMissing), LATER_MS);
    assert.deepEqual(notices(rig, 'NEGATIVE'), [
      [T0 + 7 * HOUR_MS, -40, null],
      [T0 + 6 * HOUR_MS, -40, null],
    ]);
    assert.deepEqual(flagged(rig.current('p', HOUR_MS)), [
      [T0 + 6 * HOUR_MS, 4],
      [T0 + 7 * HOUR_MS, 4],
    ]);
  });
});

describe('a stuck stretch', () => {
  const flat = every(QUARTER, T0, T0 + 3 * DAY_MS, (startMs) => (startMs < T0 + 6 * HOUR_MS ? 10 + (startMs - T0) / QUARTER : 60));

  it('that is filled back in order carries the flags and the notice of a live one', () => {
    const [live, filled] = [rigOf(quarters()), rigOf(quarters())];
    inOrder(live, flat, T0 + 3 * DAY_MS + HOUR_MS);
    assert.deepEqual(notices(live, 'STUCK'), [[T0 + 6 * HOUR_MS, 60, null]]);
    filled.tick(LATER_MS - HOUR_MS);
    const present = every(QUARTER, LATER_MS - HOUR_MS, LATER_MS, (startMs) => startMs / QUARTER);
    late(filled, present, LATER_MS - HOUR_MS);
    for (let day = 0; day < 3; day++) {
      const readings = flat.filter(({ startMs }) => Math.floor((startMs - T0) / DAY_MS) === day);
      late(filled, readings, LATER_MS + day * 2 * HOUR_MS);
    }
    assert.deepEqual(notices(filled, 'STUCK'), notices(live, 'STUCK'));
    for (const widthMs of [FIVE, QUARTER, HOUR_MS]) {
      const expected = flagged(live.current('p', widthMs)).filter(([startMs]) => startMs < T0 + 3 * DAY_MS);
      assert.ok(expected.length > 0);
      assert.deepEqual(flagged(filled.current('p', widthMs)), expected, `${widthMs}`);
    }
  });

  it('keeps its flags where a late reading says nothing else', () => {
    const rig = rigOf(quarters());
    const isMissing = ({ startMs }: Reading) => startMs === T0 + 2 * DAY_MS;
    inOrder(
      rig,
      flat.filter((reading) => !isMissing(reading)),
      T0 + 3 * DAY_MS + HOUR_MS,
    );
    late(rig, flat.filter(isMissing), LATER_MS);
    const revised = rig.emitted.filter(({ revision }) => revision > 0);
    assert.ok(revised.length > 0);
    assert.ok(revised.every(({ flags }) => flags === 1));
    assert.equal(notices(rig, 'STUCK').length, 1);
  });
});

describe('days', () => {
  it('are those of UTC, which cut no hour in two; local ones do, and a zone may be declared anew', () => {
    const zone = 'Asia/Kathmandu';
    const midnightMs = startOfLocalDayMs(zone, T0 + 20 * HOUR_MS);
    const hourMs = Math.floor(midnightMs / HOUR_MS) * HOUR_MS;
    // Local midnight there is at a quarter past 18 of UTC, in the midst of a window of an hour.
    assert.equal(midnightMs - hourMs, QUARTER);
    const rig = rigOf(quarters(), zone);
    const isMissing = ({ startMs }: Reading) => startMs >= hourMs && startMs < hourMs + HOUR_MS;
    const readings = every(QUARTER, T0, T0 + DAY_MS, () => 60);
    inOrder(
      rig,
      readings.filter((reading) => !isMissing(reading)),
      T0 + DAY_MS,
    );
    rig.declare([quarters()], LATER_MS, 'Europe/Helsinki');
    late(rig, readings.filter(isMissing), LATER_MS);
    assert.deepEqual(
      rig.requests.map(({ dayStartMs }) => dayStartMs),
      [T0],
    );
    // One revision holds what lies on both sides of local midnight.
    assert.deepEqual(
      rig.emitted.filter((w) => w.widthMs === HOUR_MS && w.startMs === hourMs).map(({ readingCount }) => readingCount),
      [0, 4],
    );
    assert.equal(DAY_MS % HOUR_MS, 0);
  });
});

describe('a very full day', () => {
  it('of a reading a second is revised whole, in parts that fit an event', () => {
    const rig = rigOf(pointOf('p', 'INSTANT_POWER', { intervalMs: 1_000, maxHoldMs: 1_000 }));
    rig.tick(LATER_MS);
    for (let fromMs = T0; fromMs < T0 + DAY_MS; fromMs += HOUR_MS)
      rig.deliver(
        'p',
        every(1_000, fromMs, fromMs + HOUR_MS, (startMs) => (startMs % 7_000) / 10),
        LATER_MS,
      );
    rig.tickThrough(LATER_MS + FIVE, LATER_MS + HOUR_MS, FIVE);
    assert.equal(rig.requests.length, 1);
    const parts = rig.records.filter(({ topic }) => topic === 'day.reloaded');
    assert.ok(parts.length > 1, `${parts.length} parts`);
    const hours = [...rig.current('p', HOUR_MS).values()];
    assert.deepEqual(
      [hours.length, hours.every(({ readingCount, coveredMs }) => readingCount === 3_600 && coveredMs === HOUR_MS)],
      [24, true],
    );
    assert.deepEqual(
      rig.notices.filter(({ kind }) => kind === 'DOUBLE'),
      [],
    );
    assert.deepEqual(rig.rejected, []);
  });
});
