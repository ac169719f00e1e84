/** When windows close: after their grace, whatever the spacing of ticks, and no more than a day of a point at a time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { resampler } from '../../../processors/resampler/resampler.ts';
import type { PointDeclared } from '../../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../streams/limits.ts';
import type { Processor } from '../../../streams/processor.ts';
import { type Emitted, minutely, pointOf, type Reading, SiteRig } from '../harness/site-rig.ts';

const FIVE = 5 * MINUTE_MS;
const QUARTER = 15 * MINUTE_MS;
const WIDTHS = [FIVE, QUARTER, HOUR_MS];
const T0 = Date.UTC(2026, 0, 14, 10);

const rigOf = (...points: PointDeclared[]) => new SiteRig({ processors: [resampler as Processor], points });

describe('a window', () => {
  it('closes two minutes after its end and not a millisecond earlier, also where ticks are rarer than windows', () => {
    const closedBy = (tickMs: number) => {
      const rig = rigOf(pointOf('p', 'MEAN_POWER', { intervalMs: MINUTE_MS }));
      rig.tick(T0);
      rig.deliver(
        'p',
        minutely(T0, T0 + 40 * MINUTE_MS, () => 60),
        T0 + 31 * MINUTE_MS,
      );
      rig.tick(tickMs);
      return rig.current('p', FIVE).size;
    };
    assert.deepEqual(
      [30, 31, 32, 33, 36, 37].map((minutes) => closedBy(T0 + minutes * MINUTE_MS)),
      [5, 5, 6, 6, 6, 7],
    );
    assert.equal(closedBy(T0 + 32 * MINUTE_MS - 1), 5);
  });

  it('takes what comes within its grace, between ticks half an hour apart, without a revision', () => {
    const rig = rigOf(pointOf('p', 'INSTANT_POWER', { intervalMs: MINUTE_MS, maxHoldMs: MINUTE_MS }));
    rig.tick(T0);
    for (let nowMs = T0 + 30 * MINUTE_MS; nowMs <= T0 + 3 * HOUR_MS; nowMs += 30 * MINUTE_MS) {
      // What comes with half an hour is five minutes old; the tick comes a minute later.
      const fromMs = Math.max(T0, nowMs - 35 * MINUTE_MS);
      rig.deliver(
        'p',
        minutely(fromMs, nowMs - FIVE, () => 60),
        nowMs,
      );
      rig.tick(nowMs + MINUTE_MS);
    }
    assert.ok(rig.emitted.length > 40);
    assert.ok(rig.emitted.every(({ revision, coveredMs, widthMs }) => revision === 0 && coveredMs === widthMs));
  });
});

describe('what a long wait leaves to close', () => {
  const quarters = (days: number): Reading[] =>
    Array.from({ length: days * 96 }, (_, i) => ({ startMs: T0 + i * QUARTER, value: 100 + (i % 50) }));
  const told = (rig: SiteRig, pointId: string) =>
    WIDTHS.flatMap((widthMs) => [...rig.current(pointId, widthMs).values()]).map(({ flags: _flags, ...rest }: Emitted) => rest);

  it('closes at most a day per point and tick, and in the end the same as with a tick an hour', () => {
    const delayed = (pointId: string) => pointOf(pointId, 'MEAN_POWER', { deliveryDelayMs: 8 * DAY_MS });
    const readings = quarters(7);
    const endMs = T0 + 7 * DAY_MS;
    const atOnce = rigOf(delayed('p'), delayed('q'));
    atOnce.tick(T0);
    for (const pointId of ['p', 'q']) atOnce.deliver(pointId, readings, endMs);
    const perTick: number[] = [];
    for (let minutes = 5; minutes <= 45; minutes += 5) {
      const before = atOnce.emitted.length;
      atOnce.tick(endMs + minutes * MINUTE_MS);
      perTick.push(atOnce.emitted.length - before);
    }
    const day = 2 * (288 + 96 + 24);
    // From ten o'clock to midnight, six days, and what is left of the last one; then nothing is due.
    assert.deepEqual(perTick, [(day * 14) / 24, day, day, day, day, day, day, (day * 10) / 24, 0]);
    const hourly = rigOf(delayed('p'), delayed('q'));
    hourly.tick(T0);
    for (const { startMs, value } of readings) {
      for (const pointId of ['p', 'q']) hourly.deliver(pointId, [{ startMs, value }], startMs + QUARTER);
      if (startMs % HOUR_MS === 0) hourly.tick(startMs + QUARTER + MINUTE_MS);
    }
    hourly.tick(endMs + 3 * MINUTE_MS);
    for (const pointId of ['p', 'q']) assert.deepEqual(told(atOnce, pointId), told(hourly, pointId));
    assert.equal(told(atOnce, 'p').length, 7 * (288 + 96 + 24));
  });

  it('leaves out no gap of days within it', () => {
    const rig = rigOf(pointOf('p', 'MEAN_POWER'));
    rig.tick(T0);
    const withGap = quarters(7).filter(({ startMs }) => startMs < T0 + 2 * DAY_MS || startMs >= T0 + 5 * DAY_MS);
    rig.deliver('p', withGap, T0 + 7 * DAY_MS);
    rig.tickThrough(T0 + 16 * DAY_MS, T0 + 16 * DAY_MS + 2 * HOUR_MS, FIVE);
    const hours = [...rig.current('p', HOUR_MS).values()];
    assert.deepEqual(
      hours.map(({ startMs }) => (startMs - T0) / HOUR_MS),
      hours.map((_, i) => i),
    );
    // Seven days, three of them a gap, and the week of silence after them.
    assert.equal(hours.length, 14 * 24);
    assert.equal(hours.filter(({ coveredMs }) => coveredMs === 0).length, 10 * 24);
  });

  it('is not overtaken by the reload of a day that is not closed yet', () => {
    const rig = rigOf(pointOf('p', 'MEAN_POWER'));
    rig.deliver('p', quarters(1).slice(0, 4), T0 + HOUR_MS);
    rig.tick(T0 + HOUR_MS);
    // No tick for six days; then the windows of the silence close day by day.
    rig.tick(T0 + 6 * DAY_MS);
    assert.ok(rig.current('p', HOUR_MS).size < 24);
    const late = T0 + 3 * DAY_MS;
    // The first one is the next of the point, the second one is late.
    for (const startMs of [T0 + 5 * DAY_MS, late]) rig.deliver('p', [{ startMs, value: 60 }], T0 + 6 * DAY_MS);
    rig.tickThrough(T0 + 6 * DAY_MS + HOUR_MS, T0 + 6 * DAY_MS + 12 * HOUR_MS, HOUR_MS);
    const starts = [...rig.current('p', HOUR_MS).keys()];
    assert.deepEqual(
      starts,
      starts.map((_, i) => T0 + i * HOUR_MS),
    );
    assert.ok(starts.length >= 6 * 24);
    for (const startMs of [T0 + 5 * DAY_MS, late]) assert.equal(rig.current('p', QUARTER).get(startMs)!.mean, 60);
    assert.equal(rig.requests.length, 1);
  });

  it('closes of a removed point whatever has readings before it is forgotten', () => {
    const point = pointOf('p', 'MEAN_POWER', { deliveryDelayMs: 3 * DAY_MS });
    const rig = rigOf(point);
    rig.tick(T0);
    rig.deliver('p', quarters(3), T0 + 3 * DAY_MS);
    rig.declare([{ ...point, deliveryDelayMs: 0 }], T0 + 3 * DAY_MS);
    rig.declare([], T0 + 3 * DAY_MS);
    rig.tickThrough(T0 + 9 * DAY_MS, T0 + 9 * DAY_MS + HOUR_MS, FIVE);
    assert.equal(rig.current('p', QUARTER).size, 3 * 96);
    assert.equal(
      rig.energyMilliWh('p', HOUR_MS),
      quarters(3).reduce((sum, { value }) => sum + 3 * Math.round((value * 1000) / 12), 0),
    );
  });
});
