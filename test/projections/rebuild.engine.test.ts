import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PROJECTIONS } from '../../projections/list.ts';
import { isCaughtUp, project } from '../../projections/project.ts';
import type { Projection } from '../../projections/projection.ts';
import { type RebuildProgress, rebuild } from '../../projections/rebuild.ts';
import { seriesProjection } from '../../projections/series.ts';
import { openTestEngine } from '../engine.ts';
import { windowsRecord } from './events.ts';
import { advanceAll, rowsOf, type World, withProjection } from './world.ts';

const engine = await openTestEngine();
const START_MS = Date.UTC(2024, 2, 1);
const STEP_MS = 300_000;

const withWorld = (work: Parameters<typeof withProjection>[2]) => withProjection(engine, seriesProjection, work);

/** Windows 0 … count − 1 of a site, with some revised. */
async function appendWindows({ log, codec }: Pick<World, 'log' | 'codec'>, siteId: string, from: number, count: number): Promise<void> {
  const at = (i: number) => START_MS + (from + i) * STEP_MS;
  await log.append([
    windowsRecord(
      codec,
      siteId,
      'p',
      Array.from({ length: count }, (_, i) => ({ startMs: at(i), mean: i })),
    ),
    windowsRecord(codec, siteId, 'p', [{ startMs: at(1), mean: 70, revision: 1 }]),
    windowsRecord(codec, siteId, 'p', [{ startMs: at(1), mean: 71, revision: 2 }]),
  ]);
}

const CURRENT =
  'SELECT (extract(epoch FROM start_at) * 1000)::bigint AS start_ms, mean, revision FROM series_5m ORDER BY point_ref, start_at';

describe('a projection', () => {
  test('keeps current rows, superseded ones by revision, and the latest value', () =>
    withWorld(async (world) => {
      await appendWindows(world, 's', 0, 3);
      await advanceAll(world);
      assert.deepEqual(await rowsOf(world, CURRENT), [
        { start_ms: START_MS, mean: 0, revision: 0 },
        { start_ms: START_MS + STEP_MS, mean: 71, revision: 2 },
        { start_ms: START_MS + 2 * STEP_MS, mean: 2, revision: 0 },
      ]);
      assert.deepEqual(await rowsOf(world, 'SELECT mean, revision FROM series_5m_history ORDER BY revision'), [
        { mean: 1, revision: 0 },
        { mean: 70, revision: 1 },
      ]);
      // The revisions came last, but are of an earlier window.
      assert.deepEqual(await rowsOf(world, 'SELECT last FROM latest_value'), [{ last: 2 }]);
      const { log, codec } = world;
      await log.append([windowsRecord(codec, 's', 'p', [{ startMs: START_MS + 2 * STEP_MS, mean: 9, revision: 1 }])]);
      await advanceAll(world);
      assert.deepEqual(await rowsOf(world, 'SELECT last FROM latest_value'), [{ last: 9 }]);
    }));

  test('goes back to the window before where the latest one loses its cover', () =>
    withWorld(async (world) => {
      await appendWindows(world, 's', 0, 3);
      await world.log.append([
        windowsRecord(world.codec, 's', 'p', [{ startMs: START_MS + 2 * STEP_MS, mean: 0, coveredMs: 0, revision: 1 }]),
      ]);
      await advanceAll(world);
      assert.deepEqual(await rowsOf(world, 'SELECT last FROM latest_value'), [{ last: 71 }]);
    }));

  test('is not stopped by odd events: a window first emitted twice, a name that no text column takes', () =>
    withWorld(async (world) => {
      const { log, codec } = world;
      await appendWindows(world, 's', 0, 3);
      await advanceAll(world);
      await log.append([
        windowsRecord(codec, 's', 'p', [{ startMs: START_MS, mean: 5 }]),
        windowsRecord(codec, 's', 'p', [{ startMs: START_MS, mean: 6 }]),
        // Lower than the revision that is there: the rows must not depend on which of them came in one batch.
        windowsRecord(codec, 's', 'p', [{ startMs: START_MS + STEP_MS, mean: 3 }]),
        windowsRecord(codec, 's', 'odd\0point', [{ startMs: START_MS, mean: 6 }]),
        windowsRecord(codec, 's', 'q', [{ startMs: START_MS, mean: 8 }]),
      ]);
      await advanceAll(world);
      const rows = (await rowsOf(world, CURRENT)) as { mean: number }[];
      assert.deepEqual(
        rows.map(({ mean }) => mean),
        [6, 71, 2, 8],
      );
      const skipped = (await rowsOf(world, 'SELECT topic_offset, reason FROM projection_skipped ORDER BY topic_offset')) as {
        topic_offset: number;
      }[];
      assert.deepEqual(
        skipped.map(({ topic_offset }) => topic_offset),
        [6],
      );
      const { log: from, store } = world;
      const { differences, skipped: again } = await rebuild({ log: from, store, projection: seriesProjection, acceptDifferences: false });
      assert.deepEqual([differences, again], [[], 1]);
    }));

  test('refuses a second process on one build, and loses nothing', () =>
    withWorld(async (world, again) => {
      const other = await again();
      const theirs = await other.openBuild(seriesProjection);
      await appendWindows(world, 's', 0, 3);
      await advanceAll(world);
      await assert.rejects(other.advance(world.log, theirs), { code: 'PIPELINE_ALREADY_RUNNING' });
      await appendWindows(world, 't', 0, 3);
      const results = await Promise.allSettled([
        world.store.advance(world.log, world.build),
        world.store.advance(world.log, await other.openBuild(seriesProjection)),
      ]);
      assert.ok(results.some(({ status }) => status === 'fulfilled'));
      assert.equal((await rowsOf(world, CURRENT)).length, 6);
    }));
});

describe('a rebuild', () => {
  test('gives the same rows, switches, drops the old build, and the pipeline goes on', () =>
    withWorld(async (world) => {
      const { log, store, build } = world;
      for (let i = 0; i < 5; i++) {
        await appendWindows(world, `s${i}`, 0, 4);
        await store.advance(log, build);
      }
      const stop = new AbortController();
      const projecting = project(log, store, [build], stop.signal);
      const report = await rebuild({ log, store, projection: seriesProjection, acceptDifferences: false });
      assert.deepEqual(report.differences, []);
      assert.equal(report.rows.series_5m, 20);
      assert.equal(report.rows.series_5m_history, 10);
      assert.ok(report.switched);
      await appendWindows(world, 's0', 4, 4);
      while (!(await isCaughtUp(log, store, [seriesProjection]))) await log.waitForAppend(20);
      stop.abort();
      await projecting;
      assert.equal((await rowsOf(world, CURRENT)).length, 24);
      assert.deepEqual(await rowsOf(world, "SELECT build, current FROM projection_build WHERE name = 'series'"), [
        { build: 2, current: true },
      ]);
      assert.deepEqual(await rowsOf(world, "SELECT to_regclass('series_5m_b1') AS old"), [{ old: null }]);
      assert.equal(build.build, 2);
    }));

  test('tells how far it is: events read of those that there are, up to all of them, then that rows are compared', () =>
    withWorld(async (world) => {
      const { log, store } = world;
      for (let i = 0; i < 30; i++) await appendWindows(world, `s${i}`, 0, 2);
      await advanceAll(world);
      const told: RebuildProgress[] = [];
      await rebuild({
        log,
        store,
        projection: seriesProjection,
        acceptDifferences: false,
        onProgress: (progress) => told.push(progress),
      });
      const reading = told.filter(({ stage }) => stage === 'reading');
      assert.ok(reading.length >= 10, 'a batch of each partition is told');
      for (const [i, { read, of }] of reading.entries()) assert.ok(of === 90 && read > (reading[i - 1]?.read ?? 0));
      assert.deepEqual(told.slice(reading.length - 1), [
        { read: 90, of: 90, stage: 'reading' },
        { read: 90, of: 90, stage: 'comparing' },
      ]);
    }));

  test('says what differs, both ways, and switches only where that is accepted', () =>
    withWorld(async (world) => {
      const { log, store } = world;
      await appendWindows(world, 's', 0, 4);
      await advanceAll(world);
      await store.pool.query('UPDATE series_5m_b1 SET mean = 1000 WHERE start_at = to_timestamp($1)', [START_MS / 1000]);
      await store.pool.query('DELETE FROM series_5m_history_b1 WHERE revision = 1');
      const refused = await rebuild({ log, store, projection: seriesProjection, acceptDifferences: false });
      assert.deepEqual(
        refused.differences.map(({ table, onlyNew, onlyOld }) => ({ table, onlyNew, onlyOld })),
        [
          { table: 'series_5m', onlyNew: 1, onlyOld: 1 },
          { table: 'series_5m_history', onlyNew: 1, onlyOld: 0 },
        ],
      );
      assert.equal(JSON.parse(refused.differences[0].examples.find(({ side }) => side === 'old')!.row).mean, 1000);
      assert.equal(refused.switched, false);
      assert.deepEqual(await rowsOf(world, "SELECT build FROM projection_build WHERE name = 'series'"), [{ build: 1 }]);
      const accepted = await rebuild({ log, store, projection: seriesProjection, acceptDifferences: true });
      assert.equal(accepted.switched, true);
      assert.deepEqual(await rowsOf(world, 'SELECT max(mean) AS mean FROM series_5m'), [{ mean: 71 }]);
    }));

  test('brings a newer version of the code into a database that has the older one', () =>
    withWorld(async (world) => {
      const { log, store } = world;
      await appendWindows(world, 's', 0, 4);
      await advanceAll(world);
      const newer: Projection = {
        ...seriesProjection,
        version: 2,
        load: undefined,
        sql: seriesProjection.sql.replace('quality smallint NOT NULL, known_at timestamptz NOT NULL', '$&, note text'),
        async apply(client, table, events, refs) {
          await seriesProjection.apply(client, table, events, refs);
          await client.query(`UPDATE ${table('series_5m')} SET flags = 1 WHERE mean = 3`);
        },
      };
      await assert.rejects(store.openBuild(newer), { code: 'CONFIG_INVALID' });
      const report = await rebuild({ log, store, projection: newer, acceptDifferences: false });
      assert.deepEqual(
        report.differences.map(({ table, onlyNew, columnsAdded }) => ({ table, onlyNew, columnsAdded })),
        [
          { table: 'series_5m', onlyNew: 1, columnsAdded: [] },
          { table: 'latest_value', onlyNew: 0, columnsAdded: ['note'] },
        ],
      );
      await rebuild({ log, store, projection: newer, acceptDifferences: true });
      assert.equal((await store.openBuild(newer)).build, 2);
      // The process that still runs the older code is told, loudly.
      await appendWindows(world, 's', 4, 4);
      await assert.rejects(advanceAll(world), { code: 'CONFIG_INVALID' });
    }));

  test('of what has never been built builds it', () =>
    withWorld(async ({ log, store }) => {
      for (const projection of PROJECTIONS) {
        const report = await rebuild({ log, store, projection, acceptDifferences: false });
        assert.ok(report.switched, projection.name);
      }
    }));
});
