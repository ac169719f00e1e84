/** Rows that are let go on TimescaleDB: whole chunks, by the ticks of the log, and left out by a rebuild. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { rebuild } from '../../projections/rebuild.ts';
import { checkRetention, dropOldRows, rowsKept, runRetention } from '../../projections/retention.ts';
import { seriesProjection } from '../../projections/series.ts';
import { ticksAt } from '../../streams/adapters/clock.ts';
import { DAY_MS } from '../../streams/limits.ts';
import { openTestEngine } from '../engine.ts';
import { openTestServices } from '../services.ts';
import { windowsRecord } from './events.ts';
import { advanceAll, rowsOf, type World, withProjection } from './world.ts';

const services = await openTestServices('timescaledb');
const engine = await openTestEngine();
const timescale = { url: services.settings.DATABASE_URL, namespace: services.namespace };
const NOW_MS = Date.UTC(2026, 5, 1);
const KEPT = rowsKept('series_5m=365');

/** A window a week for three years, one of them revised, and another width. */
async function fill({ log, codec, ...world }: World): Promise<void> {
  const weekly = Array.from({ length: 156 }, (_, week) => ({ startMs: NOW_MS - (156 - week) * 7 * DAY_MS, mean: week }));
  await log.append([
    windowsRecord(codec, 's', 'p', weekly),
    windowsRecord(codec, 's', 'p', [{ ...weekly[3], mean: 99, revision: 1 }]),
    windowsRecord(codec, 's', 'p', weekly, 3_600_000),
  ]);
  await advanceAll({ log, ...world });
}

const COUNTS = `SELECT (SELECT count(*) FROM series_5m) AS fine, (SELECT count(*) FROM series_5m_history) AS history,
  (SELECT count(*) FROM series_60m) AS hours, (SELECT last FROM latest_value) AS latest`;

describe('rows that are let go', () => {
  it('are whole chunks before the span, counted from ticks, and nothing without ticks', () =>
    withProjection(timescale, seriesProjection, async (world) => {
      const { log, codec, store } = world;
      await fill(world);
      await checkRetention(store, KEPT);
      assert.deepEqual(await dropOldRows(log, store, KEPT), []);
      const all = await rowsOf(world, COUNTS);
      assert.deepEqual(all, [{ fine: 156, history: 1, hours: 156, latest: 155 }]);

      await log.append(ticksAt(codec, NOW_MS));
      const dropped = await dropOldRows(log, store, KEPT);
      assert.deepEqual(
        dropped.map(({ table }) => table),
        ['series_5m', 'series_5m_history'],
      );
      const [{ beforeMs }] = dropped;
      assert.ok(beforeMs <= NOW_MS - 365 * DAY_MS && beforeMs > NOW_MS - (365 + 30) * DAY_MS, 'all chunks that are wholly older');
      const kept = await rowsOf(world, 'SELECT min(mean)::int AS first, count(*) AS n FROM series_5m');
      const first = 156 - Math.floor((NOW_MS - beforeMs) / (7 * DAY_MS));
      assert.deepEqual(kept, [{ first, n: 156 - first }]);
      assert.deepEqual(await rowsOf(world, COUNTS), [{ fine: 156 - first, history: 0, hours: 156, latest: 155 }]);
      assert.deepEqual(await dropOldRows(log, store, KEPT), [], 'there is nothing more to drop');
    }));

  it('are left out by a rebuild, late ones too', () =>
    withProjection(timescale, seriesProjection, async (world) => {
      const { log, codec, store } = world;
      await fill(world);
      await log.append(ticksAt(codec, NOW_MS));
      await dropOldRows(log, store, KEPT);
      await log.append([windowsRecord(codec, 's', 'p', [{ startMs: NOW_MS - 156 * 7 * DAY_MS, mean: 7, revision: 1 }])]);
      await advanceAll(world);
      const [before] = (await rowsOf(world, COUNTS)) as { fine: number }[];
      const report = await rebuild({ log, store, projection: seriesProjection, acceptDifferences: false });
      assert.deepEqual([report.differences, report.switched], [[], true]);
      assert.deepEqual(await rowsOf(world, COUNTS), [{ ...before, fine: before.fine - 1 }]);
    }));

  it('are told, and none where the latest tick is ahead of the clock', () =>
    withProjection(timescale, seriesProjection, async (world) => {
      const { log, codec, store } = world;
      await fill(world);
      await log.append(ticksAt(codec, NOW_MS));
      const told: string[] = [];
      const pass = async (nowMs: number) => {
        const passed = new AbortController();
        const tell = (line: string) => told.push(line);
        const clock = () => {
          passed.abort();
          return nowMs;
        };
        await runRetention({ log, store, kept: KEPT, nowMs: clock, tell }, passed.signal);
      };
      await pass(NOW_MS - 400 * DAY_MS);
      assert.match(told.join(), /^No rows are dropped\. The latest tick is of 2026-06-01/);
      assert.deepEqual(await rowsOf(world, COUNTS), [{ fine: 156, history: 1, hours: 156, latest: 155 }]);
      await pass(NOW_MS);
      assert.match(told[1], /^Dropped rows of series_5m before 2025-0.-..T00:00:00.000Z \(\d+ chunks\), as IFLEX_KEEP_ROWS says\.$/);
    }));

  it('cannot be asked for on plain PostgreSQL', () =>
    withProjection(engine, seriesProjection, async ({ store }) => {
      await checkRetention(store, rowsKept(''));
      await assert.rejects(checkRetention(store, KEPT), { code: 'CONFIG_INVALID', message: /needs TimescaleDB/ });
    }));
});
