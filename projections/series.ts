/** Series at every resolution: a table of current rows, a history of superseded ones, and the latest value of a point. */
import type { PointWindows, ResampledWindows } from '../schemas/types.ts';
import type { Client } from '../streams/postgres.ts';
import { BinaryRows } from './binary-rows.ts';
import { copyRows } from './copy.ts';
import type { PointRefs } from './point-refs.ts';
import type { ProjectedEvent, Projection, Table } from './projection.ts';

export const SERIES_TABLES = { '5m': 'series_5m', '15m': 'series_15m', '60m': 'series_60m' } as const;
const TABLE_OF_TOPIC: Record<string, string> = {
  'resampled.5m': 'series_5m',
  'resampled.15m': 'series_15m',
  'resampled.60m': 'series_60m',
};

export const SERIES_COLUMNS = [
  'point_ref',
  'start_at',
  'known_at',
  'energy_mwh',
  'mean',
  'min',
  'max',
  'last',
  'reading_count',
  'covered_ms',
  'measured_ms',
  'quality',
  'flags',
  'revision',
  'reason',
] as const;

/** energy_mwh is in milliwatt-hours; null for temperatures and states. */
const COLUMNS_SQL = `point_ref int NOT NULL, start_at timestamptz NOT NULL, known_at timestamptz NOT NULL, energy_mwh bigint,
  mean float8 NOT NULL, min float8 NOT NULL, max float8 NOT NULL, last float8 NOT NULL, reading_count int NOT NULL,
  covered_ms int NOT NULL, measured_ms int NOT NULL, quality smallint NOT NULL, flags smallint NOT NULL, revision int NOT NULL, reason smallint NOT NULL`;

/** One window of one point, ready for a row. */
interface Row {
  pointRef: number;
  startMs: number;
  knownAtMs: number;
  series: PointWindows;
  i: number;
}

const widths = Object.values(SERIES_TABLES);

export const seriesProjection: Projection = {
  name: 'series',
  version: 1,
  topics: Object.keys(TABLE_OF_TOPIC),
  tables: [...widths, ...widths.map((name) => `${name}_history`), 'latest_value'],
  create: (table) =>
    [
      ...widths.map(
        (name) => `CREATE TABLE ${table(name)} (${COLUMNS_SQL}, PRIMARY KEY (point_ref, start_at));
          CREATE TABLE ${table(`${name}_history`)} (${COLUMNS_SQL}, PRIMARY KEY (point_ref, start_at, revision));`,
      ),
      `CREATE TABLE ${table('latest_value')} (point_ref int PRIMARY KEY, start_at timestamptz NOT NULL, last float8 NOT NULL, mean float8 NOT NULL, quality smallint NOT NULL, known_at timestamptz NOT NULL);`,
    ].join('\n'),
  createWithTimescale: (table) =>
    widths.map((name) => `SELECT create_hypertable('${table(name)}', 'start_at', chunk_time_interval => INTERVAL '30 days');`).join('\n'),
  apply: applySeries,
};

async function applySeries(client: Client, table: Table, events: readonly ProjectedEvent[], refs: PointRefs): Promise<void> {
  const refOf = await refs.resolve(pairsOf(events));
  const latest = new Map<number, Row>();
  for (const [topic, name] of Object.entries(TABLE_OF_TOPIC)) {
    const first = new BinaryRows();
    const revised: Row[] = [];
    for (const { record, value } of events) {
      if (record.topic !== topic) continue;
      const { siteId, series, knownAtMs } = value as ResampledWindows;
      for (const point of series)
        splitRows(refOf(siteId, point.pointId), point, knownAtMs, first, revised, topic === 'resampled.5m' ? latest : null);
    }
    await copyRows(client, table(name), SERIES_COLUMNS, first);
    for (const batch of batchesWithoutRepeats(revised)) await replaceRows(client, table(name), batch);
  }
  await writeLatest(client, table('latest_value'), [...latest.values()]);
}

function* pairsOf(events: readonly ProjectedEvent[]): Generator<[string, string]> {
  for (const { value } of events)
    for (const point of (value as ResampledWindows).series) yield [(value as ResampledWindows).siteId, point.pointId];
}

/** First emissions go straight into the COPY; revisions are kept for the slower way. */
function splitRows(
  pointRef: number,
  series: PointWindows,
  knownAtMs: number,
  first: BinaryRows,
  revised: Row[],
  latest: Map<number, Row> | null,
): void {
  let startMs = 0;
  for (let i = 0; i < series.startMs.length; i++) {
    startMs += series.startMs[i];
    if (series.revision[i] > 0) revised.push({ pointRef, startMs, knownAtMs, series, i });
    else writeRow(first, pointRef, startMs, knownAtMs, series, i);
    if (latest === null || series.coveredMs[i] === 0) continue;
    const known = latest.get(pointRef);
    if (known === undefined || known.startMs <= startMs) latest.set(pointRef, { pointRef, startMs, knownAtMs, series, i });
  }
}

function writeRow(rows: BinaryRows, pointRef: number, startMs: number, knownAtMs: number, series: PointWindows, i: number): void {
  rows.begin(SERIES_COLUMNS.length);
  rows.int4(pointRef);
  rows.timestamp(startMs);
  rows.timestamp(knownAtMs);
  if (series.hasEnergy) rows.int8(series.energyMilliWh[i]);
  else rows.text(null);
  rows.float8(series.mean[i]);
  rows.float8(series.min[i]);
  rows.float8(series.max[i]);
  rows.float8(series.last[i]);
  rows.int4(series.readingCount[i]);
  rows.int4(series.coveredMs[i]);
  rows.int4(series.measuredMs[i]);
  rows.int2(series.quality[i]);
  rows.int2(series.flags[i]);
  rows.int4(series.revision[i]);
  rows.int2(series.reason[i]);
}

/** A window revised twice in one batch goes through twice, in order, so that the history gets both. */
function batchesWithoutRepeats(rows: Row[]): Row[][] {
  const batches: Row[][] = [];
  const seen = new Map<string, number>();
  for (const row of rows) {
    const name = `${row.pointRef} ${row.startMs}`;
    const batch = seen.get(name) ?? 0;
    seen.set(name, batch + 1);
    (batches[batch] ??= []).push(row);
  }
  return batches;
}

/** Moves the current rows into the history and puts the revisions in their place. */
async function replaceRows(client: Client, table: string, rows: Row[]): Promise<void> {
  const incoming = new BinaryRows();
  for (const row of rows) writeRow(incoming, row.pointRef, row.startMs, row.knownAtMs, row.series, row.i);
  const columns = SERIES_COLUMNS.join(', ');
  await client.query(`CREATE TEMP TABLE IF NOT EXISTS incoming_rows (${COLUMNS_SQL}) ON COMMIT DELETE ROWS`);
  await client.query('TRUNCATE incoming_rows');
  await copyRows(client, 'incoming_rows', SERIES_COLUMNS, incoming);
  await client.query(
    `INSERT INTO ${table.replace(/_b(\d+)$/, '_history_b$1')} (${columns}) SELECT ${SERIES_COLUMNS.map((column) => `t.${column}`).join(', ')} FROM ${table} t JOIN incoming_rows n USING (point_ref, start_at)`,
  );
  await client.query(`DELETE FROM ${table} t USING incoming_rows n WHERE t.point_ref = n.point_ref AND t.start_at = n.start_at`);
  await client.query(`INSERT INTO ${table} (${columns}) SELECT ${columns} FROM incoming_rows`);
}

async function writeLatest(client: Client, table: string, rows: Row[]): Promise<void> {
  if (rows.length === 0) return;
  await client.query(
    `INSERT INTO ${table} AS known SELECT r, to_timestamp(s / 1000.0), l, m, q, to_timestamp(k / 1000.0) FROM unnest($1::int[], $2::float8[], $3::float8[], $4::float8[], $5::smallint[], $6::float8[]) AS g (r, s, l, m, q, k)
     ON CONFLICT (point_ref) DO UPDATE SET start_at = excluded.start_at, last = excluded.last, mean = excluded.mean, quality = excluded.quality, known_at = excluded.known_at WHERE excluded.start_at >= known.start_at`,
    [
      rows.map((r) => r.pointRef),
      rows.map((r) => r.startMs),
      rows.map((r) => r.series.last[r.i]),
      rows.map((r) => r.series.mean[r.i]),
      rows.map((r) => r.series.quality[r.i]),
      rows.map((r) => r.knownAtMs),
    ],
  );
}
