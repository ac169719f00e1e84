/**
 * Rows that an operator lets go, whole chunks of hypertables at a time. Off unless it is asked for: facts and results stay
 * in the log for ever, and a rebuild without this setting has all rows again. Age counts from the ticks of the log and not
 * from any clock, as of topics with retention.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { clockLead, leadText } from '../streams/adapters/clock.ts';
import { IflexError } from '../streams/errors.ts';
import type { EventLog } from '../streams/event-log.ts';
import { latestRecord } from '../streams/latest-record.ts';
import { DAY_MS, MAINTENANCE_INTERVAL_MS, MIN_ROWS_KEPT_DAYS, PARTITION_COUNT } from '../streams/limits.ts';
import { inTransaction, type Pool } from '../streams/postgres.ts';
import { PROJECTIONS } from './list.ts';
import { timescaleSchema } from './migrations.ts';
import { type ProjectionStore, tableOf } from './store.ts';

/** Days of rows to keep, by the plain name of a table. */
export type RowsKept = ReadonlyMap<string, number>;

export interface DroppedRows {
  table: string;
  chunks: number;
  /** Rows of earlier times are gone (UTC epoch ms). */
  beforeMs: number;
}

/** Tables that grow with time, by the names that a setting may use, with the tables that go with them. */
const EXPIRING: ReadonlyMap<string, readonly string[]> = new Map<string, readonly string[]>([
  ['series_5m', ['series_5m', 'series_5m_history']],
  ['series_15m', ['series_15m', 'series_15m_history']],
  ['series_60m', ['series_60m', 'series_60m_history']],
  ['forecast', ['forecast']],
  ['rejected', ['rejected']],
  ['notice', ['notice']],
]);

/** Reads "series_5m=730,rejected=365": tables and days. Throws CONFIG_INVALID. */
export function rowsKept(text: string | undefined): RowsKept {
  const kept = new Map<string, number>();
  for (const part of text?.split(',').filter(Boolean) ?? []) {
    const [, table = '', days = ''] = /^\s*(\w+)\s*=\s*(\d{1,6})\s*$/.exec(part) ?? [];
    if (!EXPIRING.has(table) || Number(days) < MIN_ROWS_KEPT_DAYS || kept.has(table))
      throw new IflexError(
        'CONFIG_INVALID',
        `IFLEX_KEEP_ROWS: "${part}" is not a table once with its days (at least ${MIN_ROWS_KEPT_DAYS}), as in series_5m=730. ` +
          `Tables: ${[...EXPIRING.keys()].join(', ')}.`,
      );
    kept.set(table, Number(days));
  }
  return kept;
}

/** Throws CONFIG_INVALID where rows are to be let go and a table is no hypertable: none would ever go. */
export async function checkRetention({ pool }: ProjectionStore, kept: RowsKept): Promise<void> {
  if (kept.size === 0) return;
  if ((await timescaleSchema(pool)) === null)
    throw new IflexError('CONFIG_INVALID', 'IFLEX_KEEP_ROWS needs TimescaleDB, and this database has no such extension.');
  for (const name of [...kept.keys()].flatMap((table) => EXPIRING.get(table)!)) {
    const { table } = await currentTable(pool, name);
    if ((await timeColumn(pool, table)) !== undefined) continue;
    throw new IflexError('CONFIG_INVALID', `IFLEX_KEEP_ROWS: ${name} was made without TimescaleDB. Run \`iflex rebuild\` for it once.`);
  }
}

/** Drops what is older than asked for, counted from the ticks of the log; where it has none, nothing. */
export async function dropOldRows(log: EventLog, { pool }: ProjectionStore, kept: RowsKept): Promise<DroppedRows[]> {
  const nowMs = await latestTickMs(log);
  const dropped: DroppedRows[] = [];
  if (nowMs === undefined) return dropped;
  for (const [named, days] of kept)
    for (const name of EXPIRING.get(named)!) {
      const done = await dropBefore(pool, name, nowMs - days * DAY_MS);
      if (done.chunks > 0) dropped.push(done);
    }
  return dropped;
}

export interface RetentionOptions {
  log: EventLog;
  store: ProjectionStore;
  kept: RowsKept;
  /** By this a tick is known to be wrong; rows age by ticks. */
  nowMs: () => number;
  /** Is told in a sentence of what was dropped, or why nothing is. */
  tell: (line: string) => void;
  everyMs?: number;
}

/** Now and then until the signal. */
export async function runRetention(
  { log, store, kept, nowMs, tell, everyMs = MAINTENANCE_INTERVAL_MS }: RetentionOptions,
  signal: AbortSignal,
): Promise<void> {
  while (kept.size > 0 && !signal.aborted) {
    const lead = await clockLead(log, nowMs());
    if (lead.isWrong) tell(`No rows are dropped. ${leadText(lead)}`);
    else
      for (const { table, chunks, beforeMs } of await dropOldRows(log, store, kept))
        tell(`Dropped rows of ${table} before ${new Date(beforeMs).toISOString()} (${chunks} chunks), as IFLEX_KEEP_ROWS says.`);
    await pause(everyMs, undefined, { signal }).catch(() => {});
  }
}

/** What the setting does, for the start of a pipeline. */
export function retentionText(kept: RowsKept): string {
  const each = [...kept].map(([table, days]) => `${table} ${days} days`).join(', ');
  return `Rows are kept for a time only (IFLEX_KEEP_ROWS): ${each}. Older ones are dropped from the tables; their events stay in the log.`;
}

/** The time that all partitions have come to, by their latest ticks; undefined where there is none. */
async function latestTickMs(log: EventLog): Promise<number | undefined> {
  const partitions = Array.from({ length: PARTITION_COUNT }, (_, partition) => latestRecord(log, { topic: 'ticks', partition }));
  const ticks = (await Promise.all(partitions)).filter((tick) => tick !== undefined);
  return ticks.length === 0 ? undefined : Math.min(...ticks.map(({ headers }) => headers.knownAtMs));
}

/** What is dropped and what is noted of it commit together; while a rebuild switches, this waits. */
async function dropBefore(pool: Pool, name: string, cutMs: number): Promise<DroppedRows> {
  return inTransaction(pool, async (client) => {
    const { table } = await currentTable(client, name);
    const timescale = await timescaleSchema(client);
    const { rows } = await client.query(
      `SELECT (extract(epoch FROM max(range_end)) * 1000)::float8 AS before_ms, count(*)::int AS chunks FROM timescaledb_information.chunks
       WHERE hypertable_schema = current_schema() AND hypertable_name = $1 AND range_end <= to_timestamp($2 / 1000.0)`,
      [table, cutMs],
    );
    const { before_ms: beforeMs, chunks } = rows[0] as { before_ms: number | null; chunks: number };
    if (beforeMs === null) return { table: name, chunks: 0, beforeMs: cutMs };
    await client.query(
      `INSERT INTO projection_dropped AS d VALUES ($1, to_timestamp($2 / 1000.0)) ON CONFLICT (table_name) DO UPDATE SET before = greatest(d.before, excluded.before)`,
      [name, beforeMs],
    );
    await client.query(`SELECT ${timescale}.drop_chunks($1::regclass, older_than => to_timestamp($2 / 1000.0))`, [table, beforeMs]);
    return { table: name, chunks, beforeMs };
  });
}

/** Takes what was dropped before from the tables of builds, so that a new one and the current one can be compared. */
export async function leaveOutDropped({ pool }: ProjectionStore, tables: readonly string[], builds: readonly number[]): Promise<void> {
  const { rows } = await pool.query(
    'SELECT table_name AS name, (extract(epoch FROM before) * 1000)::float8 AS before_ms FROM projection_dropped WHERE table_name = ANY ($1)',
    [tables],
  );
  for (const { name, before_ms: beforeMs } of rows as { name: string; before_ms: number }[])
    for (const build of builds) {
      const table = tableOf(build)(name);
      const time = await timeColumn(pool, table);
      if (time === undefined) continue;
      // Whole chunks go at once; sizes of chunks may differ between builds, and what came late lies in chunks made anew.
      await pool.query(`SELECT ${await timescaleSchema(pool)}.drop_chunks($1::regclass, older_than => to_timestamp($2 / 1000.0))`, [
        table,
        beforeMs,
      ]);
      await pool.query(`DELETE FROM ${table} WHERE ${time} < to_timestamp($1 / 1000.0)`, [beforeMs]);
    }
}

/** The table of the current build, which stays that until the end of a transaction of the caller. */
async function currentTable(client: Pick<Pool, 'query'>, name: string): Promise<{ table: string }> {
  const projection = PROJECTIONS.find(({ tables }) => tables.includes(name))!;
  const { rows } = await client.query('SELECT build FROM projection_build WHERE name = $1 AND current FOR SHARE', [projection.name]);
  return { table: tableOf(rows[0].build)(name) };
}

/** The column of time of a hypertable; undefined where the table is none. */
async function timeColumn(pool: Pool, table: string): Promise<string | undefined> {
  if ((await timescaleSchema(pool)) === null) return undefined;
  const { rows } = await pool.query(
    `SELECT quote_ident(column_name) AS time FROM timescaledb_information.dimensions
     WHERE hypertable_schema = current_schema() AND hypertable_name = $1 AND dimension_number = 1`,
    [table],
  );
  return rows[0]?.time;
}
