/** What the reload adapter reads back from a log: the readings that were accepted, all of them and nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPipeline } from '../../infra/pipeline.ts';
import { type Fact, feed } from '../../replay/facts.ts';
import type { PointDeclared, ReadingsDelivery } from '../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MAX_PENDING_DAYS, MINUTE_MS } from '../../streams/limits.ts';
import { openTestEngine } from '../engine.ts';
import { pointOf, type Reading, seriesOf } from '../processors/harness/site-rig.ts';

const engine = await openTestEngine();
const SITE = 'site-1';
const QUARTER_MS = 15 * MINUTE_MS;
const T0 = Date.UTC(2024, 4, 1);

/** Facts of one site in the order of what is added. */
class Story {
  readonly facts: Fact[] = [];
  delivered = 0;
  private points: readonly PointDeclared[] = [];

  declare(points: readonly PointDeclared[], knownAtMs: number): void {
    this.points = points;
    const site = { siteId: SITE, knownAtMs, pilotId: 'pilot', timeZone: 'Europe/Helsinki', kind: 'HOME', origin: 'SIMULATED' } as const;
    this.add('sites', 'SiteDeclared', { ...site, personalData: null, points: [...points] });
  }

  deliver(pointId: string, readings: readonly Reading[], knownAtMs: number): void {
    this.delivered += readings.length;
    const point = this.points.find((declared) => declared.pointId === pointId) ?? pointOf(pointId, 'MEAN_POWER');
    const value: ReadingsDelivery = { siteId: SITE, knownAtMs, series: [seriesOf(point, readings)] };
    this.add('meter.readings', 'ReadingsDelivery', value);
  }

  private add(topic: string, schema: string, value: unknown): void {
    this.facts.push({ topic, schema, key: SITE, value, source: topic, number: this.facts.length + 1 } as Fact);
  }
}

/** What came of a story, a day after its end. */
async function told({ facts, delivered }: Story, tickMs = QUARTER_MS) {
  const pipeline = await startPipeline({ url: engine.url, namespace: engine.namespace(), codeVersion: 'test' });
  try {
    const { log, codec, store } = pipeline;
    await feed({ log, codec, facts, tickMs, tickSource: 'clock', speed: Number.POSITIVE_INFINITY, settleMs: DAY_MS });
    await pipeline.drained();
    const rows = async (sql: string) => (await store.pool.query(sql)).rows;
    const [{ counted }] = await rows('SELECT coalesce(sum(reading_count), 0)::int AS counted FROM series_5m');
    const [{ doubles }] = await rows("SELECT coalesce(sum(notice_count), 0)::int AS doubles FROM notice WHERE kind = 'DOUBLE'");
    const rejected = await rows('SELECT code, sum(reading_count)::int AS readings FROM rejected GROUP BY code ORDER BY code');
    const hours = await rows(
      `SELECT point_id, (extract(epoch FROM start_at) * 1000)::bigint AS start_ms, mean, reading_count FROM series_60m JOIN point_ref USING (point_ref)
       WHERE reading_count > 0 ORDER BY point_id, start_at`,
    );
    const byCode = Object.fromEntries(rejected.map(({ code, readings }) => [code, readings]));
    const setAside = Object.values(byCode as Record<string, number>).reduce((sum, count) => sum + count, 0);
    assert.equal(counted + doubles + setAside, delivered, 'Every reading ends in a window, a counted double or a rejection.');
    return { doubles, rejected: byCode, hours: hours.map((row) => [row.point_id, row.start_ms, row.mean, row.reading_count]) };
  } finally {
    await pipeline.stop();
  }
}

test('readings that were set aside, as their point was not declared or they lay ahead of the clock, stay out of a reload', async () => {
  const story = new Story();
  const [a, p] = ['a', 'p'].map((pointId) => pointOf(pointId, 'MEAN_POWER'));
  const at = (startMs: number, value: number): Reading => ({ startMs, value });
  story.declare([a], T0);
  story.deliver('p', [at(T0, 100), at(T0 + QUARTER_MS, 100)], T0 + HOUR_MS);
  story.deliver('a', [at(T0, 200), at(T0 + 6 * HOUR_MS, 200), at(T0 + QUARTER_MS, 200)], T0 + HOUR_MS);
  story.declare([a, p], T0 + HOUR_MS + 1);
  story.deliver('p', [at(T0 + HOUR_MS, 100)], T0 + 2 * HOUR_MS);
  story.deliver('a', [at(T0 + 2 * DAY_MS, 200)], T0 + 2 * DAY_MS + QUARTER_MS);
  story.deliver('p', [at(T0 + HOUR_MS, 300)], T0 + 2 * DAY_MS + QUARTER_MS);
  story.deliver('a', [at(T0, 400)], T0 + 2 * DAY_MS + QUARTER_MS);
  const { doubles, rejected, hours } = await told(story);
  assert.deepEqual(rejected, { POINT_UNKNOWN: 2, READING_IN_FUTURE: 1 });
  assert.equal(doubles, 2);
  assert.deepEqual(hours, [
    ['a', T0, 300, 2],
    ['a', T0 + 2 * DAY_MS, 200, 1],
    ['p', T0 + HOUR_MS, 300, 1],
  ]);
});

test('readings that came ahead of what their delivery knew, but not of the clock, are in a reload', async () => {
  const story = new Story();
  story.declare([pointOf('p', 'MEAN_POWER')], T0);
  story.deliver('p', [{ startMs: T0 + 2 * DAY_MS, value: 100 }], T0 + 2 * DAY_MS + QUARTER_MS);
  // An archive that claims to have known its readings long ago.
  story.deliver('p', [{ startMs: T0 + 6 * HOUR_MS, value: 100 }], T0 + 2 * DAY_MS + QUARTER_MS);
  const archive = story.facts.at(-1)!.value as ReadingsDelivery;
  archive.knownAtMs = T0 + HOUR_MS;
  story.facts.push({ ...story.facts.pop()!, source: 'archive', number: 1 } as Fact);
  const { hours } = await told(story);
  assert.deepEqual(hours, [
    ['p', T0 + 6 * HOUR_MS, 100, 1],
    ['p', T0 + 2 * DAY_MS, 100, 1],
  ]);
});

test('readings for which no more days could wait stay out of a reload, until they come again', async () => {
  const story = new Story();
  const days = MAX_PENDING_DAYS + 20;
  const nowMs = T0 + (days + 10) * DAY_MS;
  const old = Array.from({ length: days }, (_, day) => ({ startMs: T0 + day * DAY_MS, value: 100 }));
  story.declare([pointOf('p', 'MEAN_POWER')], nowMs - DAY_MS);
  // Open already, so that what is old goes the way of old readings.
  const present = { startMs: nowMs - 2 * HOUR_MS, value: 1 };
  story.deliver('p', [present], nowMs - HOUR_MS);
  story.deliver('p', old, nowMs);
  // Another reading of a day whose first one was set aside, and one of these again.
  const lastMs = old.at(-1)!.startMs;
  story.deliver('p', [{ startMs: lastMs + HOUR_MS, value: 700 }], nowMs + 8 * HOUR_MS);
  story.deliver('p', [old.at(-2)!], nowMs + 8 * HOUR_MS);
  const { rejected, hours } = await told(story);
  assert.deepEqual(rejected, { READING_BUFFER_FULL: 20 });
  assert.equal(hours.length, MAX_PENDING_DAYS + 3);
  assert.deepEqual(hours.slice(-3), [
    ['p', old.at(-2)!.startMs, 100, 1],
    ['p', lastMs + HOUR_MS, 700, 1],
    ['p', present.startMs, 1, 1],
  ]);
});

test('an hour that no event can hold is told with the count of its readings, and the rest of its day is revised', async () => {
  const story = new Story();
  story.declare([pointOf('p', 'INSTANT_POWER', { intervalMs: 1_000, maxHoldMs: 1_000 })], T0);
  const nowMs = T0 + 3 * DAY_MS;
  const dense = Array.from({ length: 90_000 }, (_, i) => ({ startMs: T0 + 5 * HOUR_MS + i * 40, value: i % 97 }));
  story.deliver('p', [{ startMs: T0 + 5 * HOUR_MS, value: 5 }], T0 + 5 * HOUR_MS + MINUTE_MS);
  for (let i = 0; i < dense.length; i += 10_000) story.deliver('p', dense.slice(i, i + 10_000), nowMs);
  story.deliver('p', [{ startMs: T0 + 9 * HOUR_MS, value: 9 }], nowMs);
  const { doubles, rejected, hours } = await told(story);
  // One was there already: what was counted stays counted.
  assert.deepEqual([doubles, rejected], [1, { READING_BUFFER_FULL: 89_999 }]);
  assert.deepEqual(hours, [
    ['p', T0 + 5 * HOUR_MS, 5, 1],
    ['p', T0 + 9 * HOUR_MS, 9, 1],
  ]);
});
