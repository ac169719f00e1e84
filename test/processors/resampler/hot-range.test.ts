/** Where the hot range ends, to the millisecond, and that it never reaches back to readings which were let go. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { resampler } from '../../../processors/resampler/resampler.ts';
import type { PointDeclared } from '../../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../streams/limits.ts';
import type { Processor } from '../../../streams/processor.ts';
import { live, minutely, pointOf, SiteRig } from '../harness/site-rig.ts';

const FIVE = 5 * MINUTE_MS;
const T0 = Date.UTC(2026, 0, 14, 10);

const rigOf = (...points: PointDeclared[]) => new SiteRig({ processors: [resampler as Processor], points });
const everyMinute = (more: Partial<PointDeclared> = {}) => pointOf('p', 'MEAN_POWER', { intervalMs: MINUTE_MS, ...more });

/** Ten hours of a reading a minute, but for some; the latest tick is at the end of them. */
function tenHoursBut(missing: readonly number[], more: Partial<PointDeclared> = {}): SiteRig {
  const rig = rigOf(everyMinute(more));
  live(
    rig,
    T0,
    T0 + 10 * HOUR_MS,
    () => 60,
    (startMs) => missing.includes(startMs),
  );
  return rig;
}

/** Delivers a late reading, which revises its window of each width once, and returns how many reloads that took. */
function reloadsFor(rig: SiteRig, startMs: number, nowMs: number): number {
  const before = rig.requests.length;
  rig.deliver('p', [{ startMs, value: 60 }], nowMs);
  live(rig, nowMs, nowMs + HOUR_MS, () => 60);
  for (const widthMs of [FIVE, 3 * FIVE, HOUR_MS])
    assert.equal(rig.current('p', widthMs).get(Math.floor(startMs / widthMs) * widthMs)!.revision, 1, `${widthMs}`);
  return rig.requests.length - before;
}

function assertWhole(rig: SiteRig, hours: number): void {
  for (let hour = 0; hour < hours; hour++)
    assert.equal(rig.current('p', HOUR_MS).get(T0 + hour * HOUR_MS)?.energyMilliWh, 60_000, `hour ${hour}`);
}

/** Revisions are numbered 0, 1, 2 … so that none is taken for another. */
function assertNumbered(rig: SiteRig): void {
  const next = new Map<string, number>();
  for (const { widthMs, startMs, revision } of rig.emitted) {
    const key = `${widthMs} ${startMs}`;
    assert.equal(revision, next.get(key) ?? 0, key);
    next.set(key, revision + 1);
  }
}

describe('the hot range', () => {
  const nowMs = T0 + 10 * HOUR_MS;
  const rules: [string, Partial<PointDeclared>, number][] = [
    ['four hours and the reading itself before the tick, in whole hours', {}, T0 + 5 * HOUR_MS],
    ['as much earlier as readings may come later by agreement', { deliveryDelayMs: 2 * HOUR_MS }, T0 + 3 * HOUR_MS],
    ['a minute less is still the same hour', { deliveryDelayMs: 2 * HOUR_MS - MINUTE_MS }, T0 + 4 * HOUR_MS],
  ];
  for (const [what, more, hotMs] of rules)
    it(`begins ${what}`, () => {
      const within = tenHoursBut([hotMs], more);
      assert.equal(reloadsFor(within, hotMs, nowMs), 0);
      const before = tenHoursBut([hotMs - MINUTE_MS], more);
      assert.equal(reloadsFor(before, hotMs - MINUTE_MS, nowMs), 1);
    });

  it('holds the reading at its very beginning, so that a correction of it is told and revises at once', () => {
    const hotMs = T0 + 5 * HOUR_MS;
    const rig = tenHoursBut([]);
    rig.deliver('p', [{ startMs: hotMs, value: 360 }], nowMs);
    live(rig, nowMs, nowMs + HOUR_MS, () => 60);
    assert.deepEqual(
      rig.notices.filter(({ kind }) => kind !== 'DOUBLE').map(({ kind, startMs, value, otherValue }) => [kind, startMs, value, otherValue]),
      [['CONFLICT', hotMs, 60, 360]],
    );
    assert.deepEqual(rig.requests, []);
    assert.equal(rig.current('p', FIVE).get(hotMs)!.energyMilliWh, 10_000);
  });

  it('does not move back to readings that were let go when a longer delay is declared', () => {
    const hotMs = T0 + 5 * HOUR_MS;
    for (const [missing, reloads] of [
      [hotMs, 0],
      [hotMs - MINUTE_MS, 1],
      [T0 + 3 * HOUR_MS, 1],
    ]) {
      const rig = tenHoursBut([missing]);
      rig.declare([everyMinute({ deliveryDelayMs: 8 * HOUR_MS })], nowMs);
      assert.equal(reloadsFor(rig, missing, nowMs), reloads);
      rig.tickThrough(nowMs + HOUR_MS + FIVE, nowMs + 12 * HOUR_MS, FIVE);
      assertWhole(rig, 11);
      assertNumbered(rig);
    }
  });

  it('forgets that in no restart', () => {
    const missing = T0 + 3 * HOUR_MS;
    const rig = tenHoursBut([missing]);
    rig.declare([everyMinute({ deliveryDelayMs: 8 * HOUR_MS })], nowMs);
    rig.drive.applyState(rig.drive.encodeState(true));
    assert.equal(reloadsFor(rig, missing, nowMs), 1);
    assertNumbered(rig);
  });

  it('moves on under the longer delay once time has passed it', () => {
    const rig = tenHoursBut([]);
    rig.declare([everyMinute({ deliveryDelayMs: 8 * HOUR_MS })], nowMs);
    const missing = T0 + 12 * HOUR_MS;
    live(
      rig,
      nowMs,
      nowMs + 14 * HOUR_MS,
      () => 60,
      (startMs) => startMs === missing,
    );
    assert.equal(reloadsFor(rig, missing, nowMs + 14 * HOUR_MS), 0);
    assertWhole(rig, 16);
  });
});

describe('a reading ahead of the clock', () => {
  /** Codes of what is set aside of one reading, known at a time while the latest tick is T0. */
  const codesOf = (startMs: number, knownAtMs: number): string[] => {
    const rig = rigOf(everyMinute());
    rig.tick(T0);
    rig.deliver('p', [{ startMs, value: 60 }], knownAtMs);
    assert.deepEqual(rig.emitted, []);
    return rig.rejected.map(({ code }) => code);
  };
  const FUTURE = ['READING_IN_FUTURE'];
  const TEN = 10 * MINUTE_MS;

  it('is taken up to ten minutes after the latest tick, and not a millisecond later', () => {
    for (const knownAtMs of [T0 - DAY_MS, T0]) {
      assert.deepEqual(codesOf(T0 + TEN, knownAtMs), []);
      assert.deepEqual(codesOf(T0 + TEN + 1, knownAtMs), FUTURE);
    }
  });

  it('is taken up to ten minutes after its delivery where the ticks lag, as the clock was down', () => {
    for (const knownAtMs of [T0 + 1, T0 + 5 * HOUR_MS, T0 + 7 * DAY_MS]) {
      assert.deepEqual(codesOf(knownAtMs + TEN, knownAtMs), []);
      assert.deepEqual(codesOf(knownAtMs + TEN + 1, knownAtMs), FUTURE);
    }
  });

  it('is judged by the ticks alone where its delivery claims to be known more than a week after them', () => {
    const knownAtMs = T0 + 7 * DAY_MS + 1;
    assert.deepEqual(codesOf(T0 + TEN, knownAtMs), []);
    assert.deepEqual(codesOf(T0 + TEN + 1, knownAtMs), FUTURE);
    const in2038 = Date.UTC(2038, 0, 19, 3, 14, 7);
    assert.deepEqual(codesOf(in2038, in2038), FUTURE);
  });

  it('of a backlog is resampled once the clock makes up for the time that it was down', () => {
    const rig = rigOf(everyMinute());
    live(rig, T0, T0 + HOUR_MS, () => 60);
    const upMs = T0 + 7 * HOUR_MS + 30 * MINUTE_MS;
    for (let fromMs = T0 + HOUR_MS; fromMs < upMs; fromMs += 30 * MINUTE_MS) {
      // Hourly ticks make up for the gap, merged with the backlog by the time at which each became known.
      if ((fromMs - T0) % HOUR_MS === 0) rig.tick(fromMs);
      rig.deliver(
        'p',
        minutely(fromMs, fromMs + 30 * MINUTE_MS, () => 60),
        fromMs + 30 * MINUTE_MS,
      );
    }
    live(rig, upMs, upMs + HOUR_MS, () => 60);
    assert.deepEqual(rig.rejected, []);
    assertWhole(rig, 8);
    assert.ok(rig.emitted.every(({ revision }) => revision === 0));
  });
});
