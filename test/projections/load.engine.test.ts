import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { forecastsProjection } from '../../projections/forecasts.ts';
import type { Projection } from '../../projections/projection.ts';
import { rebuild } from '../../projections/rebuild.ts';
import { seriesProjection } from '../../projections/series.ts';
import { setAsideProjection } from '../../projections/set-aside.ts';
import type { Codec } from '../../schemas/codec.ts';
import type { DataNotice, ForecastIssued, Rejected } from '../../schemas/types.ts';
import type { NewRecord } from '../../streams/event-log.ts';
import { openTestEngine } from '../engine.ts';
import { type TestWindow, windowsRecord } from './events.ts';
import { advanceAll, rowsOf, type World, withProjection } from './world.ts';

const engine = await openTestEngine();
const START_MS = Date.UTC(2024, 2, 1);
const STEP_MS = 300_000;

/** Windows that a live build takes one event at a time, so that its batches are not those of the load. */
async function applyOneByOne(world: World, events: readonly NewRecord[]): Promise<void> {
  for (const event of events) {
    await world.log.append([event]);
    await advanceAll(world);
  }
}

/** Rebuilds to the same rows; returns their numbers and the number of indexes that the table had at the last batch. */
async function rebuilt({ log, store }: World, projection: Projection) {
  let indexes = -1;
  const watched =
    (apply: Projection['apply']): Projection['apply'] =>
    async (client, table, events, refs) => {
      const { rows } = await client.query('SELECT count(*) AS n FROM pg_index WHERE indrelid = $1::regclass', [
        table(projection.tables[0]),
      ]);
      indexes = rows[0].n;
      await apply(client, table, events, refs);
    };
  const load = { ...projection.load!, take: watched(projection.load!.take ?? projection.apply) };
  const report = await rebuild({
    log,
    store,
    projection: { ...projection, apply: watched(projection.apply), load },
    acceptDifferences: false,
  });
  assert.deepEqual(report.differences, []);
  assert.ok(report.switched);
  return { rows: report.rows, indexes };
}

const at = (i: number, mean: number, more: Partial<TestWindow> = {}): TestWindow => ({ startMs: START_MS + i * STEP_MS, mean, ...more });

const indexesOf = (world: World) =>
  rowsOf(
    world,
    "SELECT regexp_replace(indexdef, '_b[0-9]+', '', 'g') AS made, regexp_replace(tablename, '_b[0-9]+$', '') AS of FROM pg_indexes WHERE schemaname = current_schema() AND tablename ~ '_b[0-9]+$' ORDER BY 1",
  );

const CURRENT = 'SELECT mean, revision FROM series_5m ORDER BY point_ref, start_at';

describe('loading', () => {
  test('of windows in any order of revisions gives the rows of applying, and all indexes', () =>
    withProjection(engine, seriesProjection, async (world) => {
      const record = (...windows: TestWindow[]) => windowsRecord(world.codec, 's', 'p', windows);
      await applyOneByOne(world, [
        record(at(0, 0), at(1, 10), at(2, 20), at(3, 30), at(4, 40)),
        record(at(1, 11, { revision: 1 }), at(2, 22, { revision: 2 })),
        record(at(2, 21, { revision: 1 }), at(1, 12, { revision: 2 })),
        // The newest of all: its lower revision comes last, and that before it loses its cover.
        record(at(4, 42, { revision: 2 }), at(3, 31, { revision: 1, coveredMs: 0 })),
        record(at(4, 41, { revision: 1, coveredMs: 0 })),
        // Its first emission comes after a revision, or not at all.
        record(at(5, 51, { revision: 1, coveredMs: 0 })),
        record(at(5, 50)),
        record(at(6, 61, { revision: 1, coveredMs: 0 })),
        windowsRecord(world.codec, 't', 'q', [at(0, 7)]),
        windowsRecord(world.codec, 't', 'r', [at(0, 0, { coveredMs: 0 })]),
      ]);
      const before = await indexesOf(world);
      assert.equal(before.length, seriesProjection.tables.length);
      const { rows, indexes } = await rebuilt(world, seriesProjection);
      assert.deepEqual([rows.series_5m, rows.series_5m_history, indexes], [9, 8, 0]);
      assert.deepEqual(await indexesOf(world), before);
      const current = (await rowsOf(world, CURRENT)) as { mean: number; revision: number }[];
      assert.deepEqual(
        current.map(({ mean }) => mean),
        [0, 12, 22, 31, 42, 51, 61, 7, 0],
      );
      assert.deepEqual(await rowsOf(world, 'SELECT last FROM latest_value ORDER BY point_ref'), [{ last: 42 }, { last: 7 }]);
    }));

  test('is given up for applying where a first emission or a revision came twice', () =>
    withProjection(engine, seriesProjection, async (world) => {
      const record = (...windows: TestWindow[]) => windowsRecord(world.codec, 's', 'p', windows);
      await applyOneByOne(world, [record(at(0, 0), at(1, 10)), record(at(1, 11, { revision: 1 })), record(at(1, 12, { revision: 1 }))]);
      assert.deepEqual(await rebuilt(world, seriesProjection), {
        rows: {
          series_5m: 2,
          series_5m_history: 2,
          series_15m: 0,
          series_15m_history: 0,
          series_60m: 0,
          series_60m_history: 0,
          latest_value: 1,
        },
        indexes: 1,
      });
      await applyOneByOne(world, [record(at(0, 1))]);
      assert.equal((await rebuilt(world, seriesProjection)).indexes, 1);
      assert.deepEqual(await rowsOf(world, CURRENT), [
        { mean: 1, revision: 0 },
        { mean: 12, revision: 1 },
      ]);
    }));

  test('that was broken off leaves a build that the next rebuild drops', () =>
    withProjection(engine, seriesProjection, async (world) => {
      const { log, store, codec } = world;
      await applyOneByOne(world, [
        windowsRecord(codec, 's', 'p', [at(0, 0), at(1, 10)]),
        windowsRecord(codec, 's', 'p', [at(1, 11, { revision: 1 })]),
      ]);
      const left = await store.createBuildBeside(seriesProjection, true);
      await advanceAll({ log, store, build: left });
      assert.deepEqual(await rowsOf(world, `SELECT revision FROM series_5m_b${left.build}`), [{ revision: 0 }, { revision: 0 }]);
      assert.equal((await rebuilt(world, seriesProjection)).indexes, 0);
      assert.deepEqual(await rowsOf(world, CURRENT), [
        { mean: 0, revision: 0 },
        { mean: 11, revision: 1 },
      ]);
      assert.equal((await rowsOf(world, 'SELECT FROM projection_build')).length, 1);
    }));

  test('of forecasts, rejected events and notices makes all their indexes', async () => {
    for (const [projection, events] of [
      [forecastsProjection, forecastRecords],
      [setAsideProjection, setAsideRecords],
    ] as const) {
      await withProjection(engine, projection, async (world) => {
        await applyOneByOne(world, events(world.codec));
        const before = await indexesOf(world);
        const { rows, indexes } = await rebuilt(world, projection);
        assert.equal(indexes, 0);
        assert.ok(Object.values(rows).every((count) => count === 2));
        assert.deepEqual(await indexesOf(world), before);
      });
    }
  });
});

function forecastRecords(codec: Codec): NewRecord[] {
  const issue: ForecastIssued = {
    siteId: 's',
    pointId: 'p',
    knownAtMs: START_MS,
    widthMs: 900_000,
    model: 'naive-1',
    method: 'DAY_AGO',
    startMs: [START_MS, 900_000],
    q10W: [1, 2],
    q50W: [2, 3],
    q90W: [3, 4],
    residualCount: [5, 5],
  };
  return [recordOf('forecasts', 'ForecastIssued', codec.encode('ForecastIssued', issue))];
}

function setAsideRecords(codec: Codec): NewRecord[] {
  const rejected: Rejected = {
    siteId: 's',
    knownAtMs: START_MS,
    code: 'EVENT_INVALID',
    reason: 'none',
    source: 'meter.readings/0/0',
    pointId: null,
    startMs: null,
    readingCount: 1,
    startsMs: [],
    bytes: new Uint8Array(3),
    byteLength: 3,
    sha256: '',
  };
  const notice: DataNotice = {
    siteId: 's',
    pointId: 'p',
    knownAtMs: START_MS,
    kind: 'DOUBLE',
    startMs: START_MS,
    value: null,
    otherValue: 2,
    count: 1,
  };
  return [1, 2].flatMap(() => [
    recordOf('rejected', 'Rejected', codec.encode('Rejected', rejected)),
    recordOf('notices', 'DataNotice', codec.encode('DataNotice', notice)),
  ]);
}

function recordOf(topic: string, type: string, value: Buffer): NewRecord {
  return { topic, key: 's', value, headers: { source: 'test', number: -1, id: 'x', type, knownAtMs: START_MS } };
}
