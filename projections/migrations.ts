/**
 * The SQL of projections, in sql/: `NNNN-NAME.sql` are run once in a namespace, in order; `NAME.vN.sql` creates the
 * tables of a build of a projection, `{{table}}` standing for the build's name of a table. What follows the line
 * `-- requires: timescaledb` is run only where that extension is there.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { Client } from '../streams/postgres.ts';
import type { Table } from './projection.ts';

const FOLDER = new URL('sql/', import.meta.url);
const REQUIRES_TIMESCALE = /^-- requires: timescaledb$/m;

/** Brings the tables that all projections share up to date, within the caller's transaction. */
export async function migrate(client: Client): Promise<void> {
  await client.query("SELECT pg_advisory_xact_lock(hashtext('iflex create projections'))");
  await client.query('CREATE TABLE IF NOT EXISTS projection_migration (name text PRIMARY KEY)');
  const { rows } = await client.query('SELECT name FROM projection_migration');
  const done = new Set(rows.map((row: { name: string }) => row.name));
  for (const name of readdirSync(FOLDER).sort()) {
    if (!/^\d{4}-.*\.sql$/.test(name) || done.has(name)) continue;
    await client.query(readSql(name));
    await client.query('INSERT INTO projection_migration VALUES ($1)', [name]);
  }
}

/** A file of sql/. */
export function readSql(name: string): string {
  return readFileSync(new URL(name, FOLDER), 'utf8');
}

/** Creates the tables of one build, within the caller's transaction. */
export async function createTables(client: Client, sql: string, table: Table): Promise<void> {
  await client.query(buildSql(sql, table, await timescaleSchema(client)));
}

/** Where the extension stands, as an identifier; null where the database has none. */
export async function timescaleSchema(client: Pick<Client, 'query'>): Promise<string | null> {
  const { rows } = await client.query(
    "SELECT quote_ident(nspname) AS schema FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'timescaledb'",
  );
  return rows[0]?.schema ?? null;
}

/** The statements for a build; `timescaleSchema` is where the extension stands, null where it is not there. */
export function buildSql(sql: string, table: Table, timescaleSchema: string | null): string {
  const [always, withTimescale = ''] = sql.split(REQUIRES_TIMESCALE);
  return (timescaleSchema === null ? always : always + withTimescale).replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) =>
    name === 'timescaledb' ? timescaleSchema! : table(name),
  );
}
