import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { PROJECTIONS } from '../../projections/list.ts';
import { buildSql } from '../../projections/migrations.ts';
import { openProjections, type ProjectionStore, tableOf } from '../../projections/store.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { openTestEngine } from '../engine.ts';

const { url, namespace } = await openTestEngine();
const COMMITTED = new URL('schema.txt', import.meta.url);

/** Columns, keys, indexes and views of a namespace, one a line; tables of the log are left to its own tests. */
async function dumpOf(store: ProjectionStore): Promise<string> {
  const { rows } = await store.pool.query(`
    SELECT c.relname || ' ' || CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END || ': '
      || string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END, ', ' ORDER BY a.attnum) AS line
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'v') AND c.relname !~ '^(log_|task|recorded_|schema_)'
    GROUP BY c.relname, c.relkind
    UNION ALL
    SELECT tablename || ' index: ' || regexp_replace(indexdef, '^CREATE (UNIQUE )?INDEX .* USING', '\\1USING') FROM pg_indexes
    WHERE schemaname = current_schema() AND tablename !~ '^(log_|task|recorded_|schema_)'
    ORDER BY 1`);
  return rows.map(({ line }: { line: string }) => `${line.replaceAll(/iflex_t[0-9a-f]+\./g, '')}\n`).join('');
}

test('a fresh namespace has the tables under review', async () => {
  const name = namespace();
  const log = await openPostgresLog({ url, namespace: name });
  const store = await openProjections(url, name, await openRegistry(url, name));
  try {
    for (const projection of PROJECTIONS) await store.openBuild(projection);
    const dump = await dumpOf(store);
    assert.equal(dump, readFileSync(COMMITTED, 'utf8'), `The tables have changed. Now they are:\n${dump}`);
    // Opened once more, nothing is made anew.
    const again = await openProjections(url, name, await openRegistry(url, name));
    assert.equal(await dumpOf(again), dump);
    await again.close();
  } finally {
    await Promise.all([log.close(), store.close()]);
  }
});

test('what only TimescaleDB can run is left out elsewhere, and names its schema there', () => {
  for (const { name, sql, tables } of PROJECTIONS) {
    const plain = buildSql(sql, tableOf(7), null);
    assert.ok(!/create_hypertable|\{\{/.test(plain), name);
    for (const table of tables) assert.ok(plain.includes(`CREATE TABLE ${table}_b7 (`), `${name} creates ${table}`);
    const withTimescale = buildSql(sql, tableOf(7), 'public');
    assert.ok(withTimescale.startsWith(plain));
    for (const [, table, time] of withTimescale.matchAll(/SELECT public\.create_hypertable\('(\w+)', '(\w+)'/g)) {
      // A unique index of a hypertable has to hold the column of time.
      const body = plain.slice(plain.indexOf(`CREATE TABLE ${table} (`));
      assert.match(body.slice(0, body.indexOf(';')), new RegExp(`PRIMARY KEY \\([^)]*\\b${time}\\b`), table);
    }
  }
  const { sql } = PROJECTIONS.find(({ name }) => name === 'series')!;
  assert.equal(buildSql(sql, tableOf(1), 'public').match(/create_hypertable/g)?.length, 6);
});
