/** Projections on a real TimescaleDB, with the log in it too: hypertables, the same rows as on plain PostgreSQL, kills, rebuilds. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import type { Pipeline } from '../../infra/pipeline.ts';
import { PROJECTIONS } from '../../projections/list.ts';
import { timescaleSchema } from '../../projections/migrations.ts';
import { rebuild } from '../../projections/rebuild.ts';
import { openProjections, type ProjectionStore } from '../../projections/store.ts';
import { openPool, type Pool } from '../../streams/postgres.ts';
import { dropNamespace, openPostgresLog } from '../../streams/postgres-log.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { openTestEngine } from '../engine.ts';
import { killAndRestart, openTestServices } from '../services.ts';
import { HYPERTABLES, hypertablesOfBuilds } from './hypertables.ts';
import { factsWithErrors, projectedLines, withPipeline } from './timescale-world.ts';

const services = await openTestServices('timescaledb');
const engine = await openTestEngine();
const url = services.settings.DATABASE_URL;
const namespace = services.namespace();

async function withStore<T>(work: (store: ProjectionStore) => Promise<T>): Promise<T> {
  const store = await openProjections(url, namespace, await openRegistry(url, namespace));
  return work(store).finally(() => store.close());
}

async function hypertables(pool: Pool) {
  const { rows } = await pool.query(
    `SELECT hypertable_name::text AS name, column_name::text AS time, time_interval::text AS chunk, num_chunks::int AS chunks
     FROM timescaledb_information.hypertables JOIN timescaledb_information.dimensions USING (hypertable_schema, hypertable_name)
     WHERE hypertable_schema = current_schema() ORDER BY hypertable_name::text COLLATE "C"`,
  );
  return rows as { name: string; time: string; chunk: string; chunks: number }[];
}

const withoutCounts = (rows: Awaited<ReturnType<typeof hypertables>>) => rows.map(({ chunks: _, ...row }) => row);

/** One by one, as a difference of all rows would be shown for minutes. */
function assertSameLines(found: Map<string, string[]>, wanted: Map<string, string[]>): void {
  assert.deepEqual([...found.keys()], [...wanted.keys()]);
  for (const [table, lines] of wanted) {
    const differing = lines.findIndex((line, i) => found.get(table)![i] !== line);
    assert.equal(found.get(table)![differing], lines[differing], table);
    assert.equal(found.get(table)!.length, lines.length, table);
  }
}

describe('projections on TimescaleDB', () => {
  let plain: Map<string, string[]>;
  before(async () => {
    plain = await withPipeline({ url: engine.url, namespace: engine.namespace() }, ({ store }) => projectedLines(store.pool));
    for (const table of Object.keys(HYPERTABLES)) assert.ok(plain.get(table)!.length > 0, `${table} has rows`);
  });

  it('are in hypertables of the sizes under review, whose unique indexes hold the column of time', async () => {
    const log = await openPostgresLog({ url, namespace });
    await withStore(async (store) => {
      for (const projection of PROJECTIONS) await store.openBuild(projection);
      const made = await hypertables(store.pool);
      assert.deepEqual(
        withoutCounts(made),
        hypertablesOfBuilds(() => [1]),
      );
      for (const { name, time } of made) {
        const { rows } = await store.pool.query(
          `SELECT i.indexrelid::regclass::text AS index, array_agg(a.attname::text) AS columns FROM pg_index i
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
           WHERE i.indrelid = $1::regclass AND i.indisunique GROUP BY 1`,
          [name],
        );
        assert.ok(rows.length > 0, name);
        for (const { index, columns } of rows) assert.ok(columns.includes(time), index);
        // Small chunks from here on, so that rows of a day lie in several.
        await store.pool.query(`SELECT ${await timescaleSchema(store.pool)}.set_chunk_time_interval($1::regclass, INTERVAL '6 hours')`, [
          name,
        ]);
      }
    });
    await log.close();
  });

  it('have the same rows as on plain PostgreSQL, also where the server is killed while they are made', async () => {
    const half = factsWithErrors().length >> 1;
    const killed = Promise.withResolvers<void>();
    let isKilled = false;
    const onFacts = (count: number) => {
      if (count < half || isKilled) return;
      isKilled = true;
      killed.resolve(killAndRestart(services.place, 'timescaledb'));
    };
    await withPipeline({ url, namespace, onFacts, until: killed.promise }, async ({ store }: Pipeline) => {
      assertSameLines(await projectedLines(store.pool), plain);
      for (const { name, chunks } of await hypertables(store.pool)) assert.ok(chunks > (/forecast|series/.test(name) ? 4 : 0), name);
    });
  });

  it('are rebuilt to the same rows, and the chunks of the old build go with it', async () => {
    const log = await openPostgresLog({ url, namespace });
    try {
      await withStore(async (store) => {
        for (const projection of PROJECTIONS) {
          const report = await rebuild({ log, store, projection, acceptDifferences: false });
          assert.deepEqual([report.differences, report.switched, report.skipped], [[], true, 0], projection.name);
        }
        assertSameLines(await projectedLines(store.pool), plain);
        const made = await hypertables(store.pool);
        assert.equal(made.length, Object.keys(HYPERTABLES).length);
        const builds = new Map(made.map(({ name }) => [name.replace(/_b\d+$/, ''), Number(/\d+$/.exec(name)![0])]));
        assert.deepEqual(
          withoutCounts(made),
          hypertablesOfBuilds((table) => [builds.get(table)!]),
        );
        assert.ok([...builds.values()].every((build) => build > 1));
        assert.equal(
          await chunkTables(store.pool),
          made.reduce((sum, { chunks }) => sum + chunks, 0),
        );
      });
    } finally {
      await log.close();
    }
  });

  it('are rebuilt by the command', () => {
    const run = [join(PROJECT_FOLDER, 'infra/cli/main.ts'), 'rebuild', 'series', '--namespace', namespace];
    const env = { ...process.env, DATABASE_URL: url };
    const said = execFileSync(process.execPath, run, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    assert.match(said, new RegExp(`series_5m +${plain.get('series_5m')!.length.toLocaleString('en')} rows`));
    assert.doesNotMatch(said, /only in/);
  });

  it('leave no chunk when their namespace is dropped', async () => {
    const pool = await openPool(url, 'test', 1);
    after(() => pool.end());
    assert.ok((await chunkTables(pool)) > 0);
    await dropNamespace(url, namespace);
    assert.equal(await chunkTables(pool), 0);
  });
});

/** Chunks of the namespace: of a hypertable that is gone, none may be left. */
async function chunkTables(pool: Pool): Promise<number> {
  const { rows } = await pool.query(
    `SELECT count(*) AS n FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
     WHERE nspname = '_timescaledb_internal' AND relkind = 'r' AND relname LIKE '\\_hyper\\_%\\_chunk'`,
  );
  return rows[0].n;
}
