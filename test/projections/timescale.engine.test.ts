/**
 * What is marked `requires: timescaledb`, on a server without it. An extension of that name with nothing but the signature
 * of TimescaleDB 2.19's create_hypertable(), and the rule that unique indexes hold the column of time, stands in: it shows
 * that the choice falls right and that the statements fit, not what TimescaleDB makes of them.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it, type TestContext } from 'node:test';
import { PROJECTIONS } from '../../projections/list.ts';
import { buildSql, timescaleSchema } from '../../projections/migrations.ts';
import { openProjections, type ProjectionStore, tableOf } from '../../projections/store.ts';
import { openPool } from '../../streams/postgres.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { openTestEngine } from '../engine.ts';
import { HYPERTABLES, hypertablesOfBuilds } from './hypertables.ts';

const engine = await openTestEngine();
const MARKED = PROJECTIONS.flatMap(({ sql }) => sql.split('-- requires: timescaledb')[1]?.trim().split('\n') ?? []).filter(
  (line) => !line.startsWith('--'),
);

const SIGNATURE = `
CREATE TABLE @extschema@.made (relation text, time_column text, chunk text, default_indexes boolean);
CREATE FUNCTION @extschema@.create_hypertable(relation regclass, time_column_name name, partitioning_column name = NULL,
  number_partitions int = NULL, associated_schema_name name = NULL, associated_table_prefix name = NULL,
  chunk_time_interval anyelement = NULL::bigint, create_default_indexes boolean = true, if_not_exists boolean = false,
  partitioning_func regproc = NULL, migrate_data boolean = false, chunk_target_size text = NULL,
  chunk_sizing_func regproc = NULL, time_partitioning_func regproc = NULL)
RETURNS TABLE (hypertable_id int, schema_name name, table_name name, created boolean) LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_index i WHERE i.indrelid = relation AND i.indisunique AND NOT EXISTS (SELECT FROM pg_attribute a
      WHERE a.attrelid = relation AND a.attname = time_column_name AND a.attnum = ANY (i.indkey::int2[]))) THEN
    RAISE 'cannot create a unique index without the column "%" (used in partitioning)', time_column_name;
  END IF;
  INSERT INTO @extschema@.made SELECT relation::text, time_column_name, chunk_time_interval::text, create_default_indexes;
END $$;`;

async function withStore<T>(url: string, work: (store: ProjectionStore) => Promise<T>): Promise<T> {
  const namespace = engine.namespace();
  const log = await openPostgresLog({ url, namespace });
  const store = await openProjections(url, namespace, await openRegistry(url, namespace));
  return work(store).finally(() => Promise.all([log.close(), store.close()]));
}

/** A database of its own, dropped at the end: an extension would be seen by the tests beside this one. */
async function databaseWithExtension(t: TestContext): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'iflex-extension-'));
  after(() => rmSync(folder, { recursive: true }));
  // The server runs as another user where we are root.
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'extension'));
  writeFileSync(join(folder, 'extension', 'timescaledb.control'), "default_version = '2.19'\nrelocatable = false\nschema = 'time scale'\n");
  writeFileSync(join(folder, 'extension', 'timescaledb--2.19.sql'), SIGNATURE);
  const name = engine.namespace();
  const server = await openPool(engine.url, 'test databases', 1);
  await server.query(`CREATE DATABASE ${name}`);
  t.after(async () => {
    await server.query(`DROP DATABASE ${name} WITH (FORCE)`);
    await server.end();
  });
  const url = new URL(engine.url);
  url.pathname = `/${name}`;
  const pool = await openPool(url.toString(), 'test extension', 1);
  await pool.query(`SET extension_control_path = '${folder}'`);
  await pool.query('CREATE EXTENSION timescaledb');
  await pool.end();
  return url.toString();
}

it('is left out where the extension is not there', (t) =>
  withStore(engine.url, async (store) => {
    assert.equal(await timescaleSchema(store.pool), null);
    assert.equal(MARKED.length, Object.keys(HYPERTABLES).length);
    for (const projection of PROJECTIONS) await store.openBuild(projection);
    const { rows } = await store.pool.query(
      "SELECT count(*) AS n FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace",
    );
    assert.ok(rows[0].n > 20);
    for (const { sql } of PROJECTIONS) assert.doesNotMatch(buildSql(sql, tableOf(1), null), /create_hypertable/);
    t.diagnostic(`not run, as TimescaleDB is not there:\n${MARKED.join('\n')}`);
  }));

it('is run where the extension is there, in its schema, and fits the tables of every build', async (t) => {
  const url = await databaseWithExtension(t);
  await withStore(url, async (store) => {
    assert.equal(await timescaleSchema(store.pool), '"time scale"');
    for (const projection of PROJECTIONS) await store.openBuild(projection);
    await store.createBuildBeside(PROJECTIONS.find(({ name }) => name === 'series')!, true);
    const { rows } = await store.pool.query('SELECT * FROM "time scale".made ORDER BY relation COLLATE "C"');
    const made = hypertablesOfBuilds((table) => (table.startsWith('series') ? [1, 2] : [1]));
    assert.deepEqual(
      rows,
      made.map(({ name, time, chunk }) => ({ relation: name, time_column: time, chunk, default_indexes: false })),
    );
  });
});
