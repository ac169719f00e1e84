/** A past that trickles in: each day hears of it now and then only, and is yet not reloaded for every reading. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { resampler } from '../../../processors/resampler/resampler.ts';
import type { PointDeclared } from '../../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../streams/limits.ts';
import type { Processor } from '../../../streams/processor.ts';
import { codecOfCurrentSchemas, pointOf, type Reading, SiteRig } from '../harness/site-rig.ts';

const codec = codecOfCurrentSchemas();
const T0 = Date.UTC(2026, 2, 3);
const DAYS = 20;
const BACKFILL_MS = 20 * HOUR_MS;
const MOST_REVISIONS_PER_WINDOW = 3;

/** Numerical Recipes' linear congruential generator. */
function shuffled<T>(given: readonly T[]): T[] {
  const all = [...given];
  let state = 20_260_303;
  for (let i = all.length - 1; i > 0; i--) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const j = Math.floor((state / 4_294_967_296) * (i + 1));
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all;
}

/** Hourly readings of the past, in random order over most of a day, beside a live one each hour. */
function backfilled(point: PointDeclared, order: (past: readonly Reading[]) => Reading[]): SiteRig {
  const rig = new SiteRig({ processors: [resampler as Processor], points: [point], codec });
  const past = Array.from({ length: DAYS * 24 }, (_, i) => ({ startMs: T0 + i * HOUR_MS, value: 1_000 + 500 * i + ((i * 37) % 11) * 40 }));
  const beginMs = T0 + DAYS * DAY_MS;
  const live = (hour: number) => ({ startMs: beginMs + hour * HOUR_MS, value: 1_000 + 500 * (DAYS * 24 + hour) });
  rig.deliver(point.pointId, [live(0)], beginMs);
  const waiting = order(past);
  for (let minute = 5; minute <= 3 * 24 * 60; minute += 5) {
    const nowMs = beginMs + minute * MINUTE_MS;
    if (minute % 60 === 0) rig.deliver(point.pointId, [live(minute / 60)], nowMs);
    const due = Math.min(past.length, Math.ceil((minute * MINUTE_MS * past.length) / BACKFILL_MS));
    for (const reading of waiting.splice(0, due - (past.length - waiting.length))) rig.deliver(point.pointId, [reading], nowMs);
    rig.tick(nowMs);
  }
  return rig;
}

describe('a back-fill of which each day hears once an hour', () => {
  const every = { intervalMs: HOUR_MS, maxHoldMs: 2 * HOUR_MS, deliveryDelayMs: 0 };
  for (const kind of ['REGISTER', 'INTERVAL_ENERGY', 'MEAN_POWER', 'INSTANT_POWER'] as const)
    it(`revises windows of ${kind} at most ${MOST_REVISIONS_PER_WINDOW} times in the mean, and ends with the values of one in order`, () => {
      const point = pointOf('p', kind, every);
      const rig = backfilled(point, shuffled);
      const inOrder = backfilled(point, (past) => [...past]);
      for (const widthMs of [5 * MINUTE_MS, HOUR_MS]) {
        const windows = [...rig.current('p', widthMs).values()];
        const past = windows.filter(({ startMs }) => startMs < T0 + DAYS * DAY_MS);
        assert.ok(past.length >= (DAYS * DAY_MS) / widthMs - HOUR_MS / widthMs, `${past.length} windows`);
        const values = (of: SiteRig) =>
          [...of.current('p', widthMs).values()].map(({ startMs, energyMilliWh, mean }) => [startMs, energyMilliWh, mean]);
        assert.deepEqual(values(rig), values(inOrder));
        const revisions = past.reduce((sum, { revision }) => sum + revision, 0) / past.length;
        assert.ok(revisions <= MOST_REVISIONS_PER_WINDOW, `${revisions} revisions a window of ${widthMs / MINUTE_MS} min`);
      }
    });
});
