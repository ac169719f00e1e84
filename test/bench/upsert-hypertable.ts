/**
 * Windows of 5 minutes from the log into a hypertable of a real TimescaleDB: reading the log, decoding, laying rows out,
 * writing them, the history of what they replace, the latest values and the positions, all of it durable. Against the bare
 * statement that upserts the same rows (INSERT … SELECT unnest … ON CONFLICT DO UPDATE) into the same hypertable, as many
 * of them in a transaction (one statement takes no key twice), its parameters made beforehand and in memory; it keeps no
 * history and knows no log. Every window stands for five readings of a minute; every fiftieth delivery is revised.
 * In full 5 M readings, three pairs. What a rebuild of these rows takes is told beside it, in hypertables and in plain
 * tables of the same server.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../infra/embedded-postgres.ts';
import { up } from '../../infra/services/lifecycle.ts';
import { SERVICES } from '../../infra/services/list.ts';
import { openPlace } from '../../infra/services/place.ts';
import { rebuild } from '../../projections/rebuild.ts';
import { SERIES_COLUMNS, seriesProjection } from '../../projections/series.ts';
import { openProjections, type ProjectionStore } from '../../projections/store.ts';
import type { Codec } from '../../schemas/codec.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { createNamespaceSchema, dropNamespace, namespaceSchema, openPostgresLog, withSearchPath } from '../../streams/postgres-log.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { type TestWindow, windowsRecord } from '../projections/events.ts';
import { withServicesOfARun } from '../services-of-a-run.ts';
import { type Benchmark, pairs } from './benchmark.ts';

const NAMESPACE = 'upserted';
const READINGS_PER_WINDOW = 5;
const READINGS = 5_000_000;
const QUICK_READINGS = 500_000;
const POINTS = 1_000;
const WINDOWS_PER_DELIVERY = 12;
const REVISED_EVERY = 50;
const STEP_MS = 300_000;
const FROM_MS = Date.UTC(2026, 0, 1);
const PAIRS = 3;
const APPENDED_AT_ONCE = 1_000;
const PEER = 'upserted_bare';

interface Delivery {
  point: number;
  windows: TestWindow[];
}

/** An hour of every point after another; what is revised comes an hour of all points later. */
function* deliveriesOf(readings: number): Generator<Delivery> {
  const hours = Math.ceil(readings / READINGS_PER_WINDOW / WINDOWS_PER_DELIVERY / POINTS);
  const windows = (hour: number, point: number, revision: number) =>
    Array.from({ length: WINDOWS_PER_DELIVERY }, (_, i) => ({
      startMs: FROM_MS + (hour * WINDOWS_PER_DELIVERY + i) * STEP_MS,
      mean: ((hour * 7 + point + i) % 97) * 11 + revision,
      revision,
    }));
  for (let hour = 0; hour < hours; hour++) {
    for (let point = 0; point < POINTS; point++) yield { point, windows: windows(hour, point, 0) };
    for (let point = hour % REVISED_EVERY; hour > 0 && point < POINTS; point += REVISED_EVERY)
      yield { point, windows: windows(hour - 1, point, 1) };
  }
}

async function fillLog(log: EventLog, codec: Codec, readings: number): Promise<{ rows: number }> {
  let rows = 0;
  let batch: ReturnType<typeof windowsRecord>[] = [];
  for (const { point, windows } of deliveriesOf(readings)) {
    batch.push(windowsRecord(codec, `site-${point}`, 'p', windows));
    rows += windows.length;
    if (batch.length < APPENDED_AT_ONCE) continue;
    await log.append(batch);
    batch = [];
  }
  if (batch.length > 0) await log.append(batch);
  return { rows };
}

/** Rows a second, and rows a transaction. */
interface Rate {
  perSecond: number;
  perTransaction: number;
}

/** On a namespace of the database made for it and dropped before the next. */
async function withFreshTables<T>(url: string, namespace: string, codec: Codec, work: (store: ProjectionStore) => Promise<T>): Promise<T> {
  await dropNamespace(url, namespace);
  await createNamespaceSchema(url, namespace, 'bench');
  const store = await openProjections(url, namespace, codec);
  return work(store).finally(() => store.close());
}

function project(url: string, log: EventLog, codec: Codec, rows: number): Promise<Rate> {
  return withFreshTables(url, NAMESPACE, codec, async (store) => {
    const build = await store.openBuild(seriesProjection);
    await assertHypertable(store);
    const startedMs = performance.now();
    let transactions = 0;
    while ((await store.advance(log, build, { topics: ['resampled.5m'] })) > 0) transactions++;
    return { perSecond: rows / ((performance.now() - startedMs) / 1_000), perTransaction: Math.ceil(rows / transactions) };
  });
}

async function assertHypertable({ pool }: ProjectionStore): Promise<void> {
  const { rows } = await pool.query(
    "SELECT count(*) AS n FROM timescaledb_information.hypertables WHERE hypertable_schema = current_schema() AND hypertable_name = 'series_5m_b1'",
  );
  assert.equal(rows[0].n, 1, 'the rows go into a hypertable');
}

const TYPES: Record<string, string> = { start_at: 'float8', known_at: 'float8', energy_mwh: 'bigint' };
const typeOf = (column: string) =>
  TYPES[column] ?? (/^(mean|min|max|last)$/.test(column) ? 'float8' : /^(quality|flags|reason)$/.test(column) ? 'smallint' : 'int');
const BARE = `INSERT INTO series_5m_b1 (${SERIES_COLUMNS.join(', ')})
  SELECT ${SERIES_COLUMNS.map((column) => (column.endsWith('_at') ? `to_timestamp(${column} / 1000.0)` : column)).join(', ')}
  FROM unnest(${SERIES_COLUMNS.map((column, i) => `$${i + 1}::${typeOf(column)}[]`).join(', ')}) AS given (${SERIES_COLUMNS.join(', ')})
  ON CONFLICT (point_ref, start_at) DO UPDATE SET ${SERIES_COLUMNS.slice(2)
    .map((column) => `${column} = excluded.${column}`)
    .join(', ')}`;

/** The parameters of the bare statement for so many rows each, as arrays in PostgreSQL's text form. A key twice starts another. */
function* parametersOf(readings: number, perTransaction: number): Generator<string[]> {
  let columns: number[][] = SERIES_COLUMNS.map(() => []);
  let keys = new Set<number>();
  const taken = () => columns.map((values) => `{${values.join(',')}}`);
  for (const { point, windows } of deliveriesOf(readings)) {
    const knownAtMs = windows.at(-1)!.startMs + STEP_MS;
    const isTwice = windows.some(({ startMs }) => keys.has(startMs * POINTS + point));
    if (isTwice || columns[0].length >= perTransaction) {
      yield taken();
      columns = SERIES_COLUMNS.map(() => []);
      keys = new Set();
    }
    for (const { startMs, mean, revision = 0 } of windows) {
      keys.add(startMs * POINTS + point);
      const energyMilliWh = Math.round((mean * STEP_MS) / 3600);
      const row = [point, startMs, knownAtMs, energyMilliWh, mean, mean - 1, mean + 1, mean, READINGS_PER_WINDOW];
      row.push(STEP_MS, STEP_MS, 0, 0, revision, revision > 0 ? 1 : 0);
      for (const [i, value] of row.entries()) columns[i].push(value);
    }
  }
  yield taken();
}

/** In as many transactions as ours took, of one or several statements each. */
function upsertBare(url: string, codec: Codec, rows: number, statements: readonly string[][], transactions: number): Promise<Rate> {
  return withFreshTables(url, PEER, codec, async (store) => {
    await store.openBuild(seriesProjection);
    await assertHypertable(store);
    const client = new pg.Client({ connectionString: withSearchPath(url, namespaceSchema(PEER)) });
    await client.connect();
    const each = Math.ceil(statements.length / transactions);
    try {
      const startedMs = performance.now();
      for (let from = 0; from < statements.length; from += each) {
        await client.query('BEGIN');
        for (const values of statements.slice(from, from + each)) await client.query({ name: 'upsert', text: BARE, values });
        await client.query('COMMIT');
      }
      const taken = Math.ceil(statements.length / each);
      return { perSecond: rows / ((performance.now() - startedMs) / 1_000), perTransaction: Math.ceil(rows / taken) };
    } finally {
      await client.end();
    }
  });
}

/** Seconds of a rebuild of the same rows, with its comparison and the switch; in hypertables and in plain tables of one server. */
async function rebuildSeconds(url: string, log: EventLog, codec: Codec): Promise<number> {
  return withFreshTables(url, NAMESPACE, codec, async (store) => {
    const build = await store.openBuild(seriesProjection);
    while ((await store.advance(log, build)) > 0);
    const startedMs = performance.now();
    const report = await rebuild({ log, store, projection: seriesProjection, acceptDifferences: false });
    assert.ok(report.switched, 'a rebuild gives the same rows');
    return (performance.now() - startedMs) / 1_000;
  });
}

/** A database of the server without the extension. */
async function plainDatabase(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(`CREATE DATABASE ${PEER}`).finally(() => client.end());
  const plain = new URL(url);
  plain.pathname = `/${PEER}`;
  return plain.toString();
}

/** Both have the same windows in the end. */
async function assertSameRows(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const summary = (namespace: string) =>
    client.query(
      `SELECT count(*), sum(mean), sum(energy_mwh), sum(revision), min(start_at), max(known_at) FROM ${namespaceSchema(namespace)}.series_5m_b1`,
    );
  const [ours, bare] = [await summary(NAMESPACE), await summary(PEER)];
  await client.end();
  assert.deepEqual(ours.rows, bare.rows);
}

async function run(readings: number, pairCount: number) {
  const stateFolder = mkdtempSync(join(tmpdir(), 'iflex-bench-'));
  // The server of root runs as another user.
  chmodSync(stateFolder, 0o755);
  const place = openPlace(() => {});
  await up(place, 'timescaledb');
  const url = SERVICES.timescaledb.clientSettings(place).DATABASE_URL;
  const plainUrl = await plainDatabase(url);
  // The log is on another server, so that this one does nothing but take rows.
  const server = await startEmbeddedPostgres({ stateFolder });
  const log = await openPostgresLog({ url: server.url, namespace: NAMESPACE });
  try {
    const codec = await openRegistry(server.url, NAMESPACE);
    const { rows } = await fillLog(log, codec, readings);
    const { perTransaction } = await project(url, log, codec, rows);
    const statements = [...parametersOf(readings, perTransaction)];
    const ours = async () => (await project(url, log, codec, rows)).perSecond;
    let bareRows = 0;
    const bare = async () => {
      const rate = await upsertBare(url, codec, rows, statements, Math.ceil(rows / perTransaction));
      bareRows = rate.perTransaction;
      return rate.perSecond;
    };
    const measured = await pairs(pairCount, ours, bare);
    await assertSameRows(url);
    const rebuilt = await pairs(
      pairCount,
      () => rebuildSeconds(url, log, codec),
      () => rebuildSeconds(plainUrl, log, codec),
    );
    return {
      ratios: { 'upsert-hypertable': measured.ratio },
      figures: {
        readings,
        'rows upserted': rows,
        'ours, from the log: rows/s': measured.ours,
        'bare statement: rows/s': measured.peer,
        'ours: rows a transaction': perTransaction,
        'bare statement: rows a transaction': bareRows,
        'ratios of the pairs': measured.ratios.map((ratio) => ratio.toFixed(2)).join(', '),
        'rebuild of hypertables: s': rebuilt.ours,
        'rebuild of plain tables: s': rebuilt.peer,
      },
    };
  } finally {
    await log.close();
    await server.stop();
    rmSync(stateFolder, { recursive: true, force: true });
  }
}

export const upsertHypertable: Benchmark = {
  targets: ['upsert-hypertable'],
  run: ({ quick }) => withServicesOfARun(() => run(quick ? QUICK_READINGS : READINGS, quick ? 1 : PAIRS)),
};
