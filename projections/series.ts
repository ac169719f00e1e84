/** Series at every resolution: a table of current rows, a history of superseded ones, and the latest value of a point. */
import type { PointWindows, ResampledWindows } from '../schemas/types.ts';
import { type Client, violatesUniqueness } from '../streams/postgres.ts';
import { BinaryRows } from './binary-rows.ts';
import { copyRows } from './copy.ts';
import { readSql } from './migrations.ts';
import type { PointRefs, RefOf } from './point-refs.ts';
import type { ProjectedEvent, Projection, Table } from './projection.ts';

export const SERIES_TABLES = { '5m': 'series_5m', '15m': 'series_15m', '60m': 'series_60m' } as const;
const TABLE_OF_TOPIC: Record<string, string> = {
  'resampled.5m': 'series_5m',
  'resampled.15m': 'series_15m',
  'resampled.60m': 'series_60m',
};
/** Latest values are those of the finest series. */
const LATEST_TOPIC = 'resampled.5m';

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
const columns = SERIES_COLUMNS.join(', ');

/** One window of one point. */
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
  sql: readSql('series.v1.sql'),
  topics: Object.keys(TABLE_OF_TOPIC),
  topicsApart: true,
  tables: [...widths, ...widths.map((name) => `${name}_history`), 'latest_value'],
  async apply(client, table, events, refs) {
    const batches = await refs.during((refOf) => sorted(events, refOf));
    for (const [topic, batch] of batches) await writeWindows(client, table, TABLE_OF_TOPIC[topic], batch);
  },
  load: {
    indexLater: (topics) => topics.map((topic) => TABLE_OF_TOPIC[topic]).flatMap((name) => [name, `${name}_history`]),
    take: loadWindows,
    beforeIndexes: raiseRevisions,
    afterIndexes: findLatest,
  },
};

/** First emissions go to the current rows, all revisions to the history. */
async function loadWindows(client: Client, table: Table, events: Iterable<ProjectedEvent>, refs: PointRefs): Promise<void> {
  const batches = await refs.during((refOf) => sorted(events, refOf));
  for (const [topic, { first, revised }] of batches) {
    const name = TABLE_OF_TOPIC[topic];
    await copyRows(client, table(name), SERIES_COLUMNS, first);
    await copyRows(client, table(`${name}_history`), SERIES_COLUMNS, binaryRows(revised));
  }
}

/** The highest revision of each window of a width changes places with its first emission. */
async function raiseRevisions(client: Client, table: Table, [topic]: readonly string[]): Promise<void> {
  const name = TABLE_OF_TOPIC[topic];
  const [current, history] = [table(name), table(`${name}_history`)];
  const same = 't.point_ref = n.point_ref AND t.start_at = n.start_at';
  const highest = await client.query(
    `CREATE TEMP TABLE highest_rows ON COMMIT DROP AS SELECT DISTINCT ON (point_ref, start_at) * FROM ${history} ORDER BY point_ref, start_at, revision DESC`,
  );
  // Without statistics all rows of the width would be sorted for these few.
  await client.query('ANALYZE highest_rows');
  const taken = await client.query(`DELETE FROM ${history} t USING highest_rows n WHERE ${same} AND t.revision = n.revision`);
  // Of two of one number the later counts, which is not known any more.
  if (taken.rowCount !== highest.rowCount) throw new RangeError('A revision was emitted twice.');
  await client.query(
    `WITH replaced AS (DELETE FROM ${current} t USING highest_rows n WHERE ${same} RETURNING t.*) INSERT INTO ${history} SELECT * FROM replaced`,
  );
  await client.query(`INSERT INTO ${current} SELECT * FROM highest_rows`);
}

async function findLatest(client: Client, table: Table): Promise<void> {
  const { rows } = await client.query('SELECT point_ref FROM point_ref');
  const pointRefs = rows.map((row: { point_ref: number }) => row.point_ref);
  await lookUpLatest(client, table, pointRefs);
}

/** What a batch of events of one width means for its tables. */
interface Batch {
  first: BinaryRows;
  revised: Row[];
  latest: Map<number, Row>;
  /** Points with revised windows: the latest value may have been one of these, or not be the last that came. */
  toLookUp: Set<number>;
}

/** First emissions are laid out for the COPY as they come; revisions, which are few, are kept for the slower way. */
function sorted(events: Iterable<ProjectedEvent>, refOf: RefOf): Map<string, Batch> {
  const batches = new Map<string, Batch>();
  for (const { record, value } of events) {
    let batch = batches.get(record.topic);
    if (!batch) batches.set(record.topic, (batch = { first: new BinaryRows(), revised: [], latest: new Map(), toLookUp: new Set() }));
    const { siteId, series, knownAtMs } = value as ResampledWindows;
    for (const point of series) sortWindows(batch, refOf(siteId, point.pointId), knownAtMs, point, record.topic === LATEST_TOPIC);
  }
  return batches;
}

function sortWindows(batch: Batch, pointRef: number, knownAtMs: number, series: PointWindows, withLatest: boolean): void {
  const { first, revised, latest, toLookUp } = batch;
  let startMs = 0;
  let newest = -1;
  let newestMs = latest.get(pointRef)?.startMs ?? Number.NEGATIVE_INFINITY;
  first.segment(pointRef, series.startMs[0] ?? 0);
  for (let i = 0; i < series.startMs.length; i++) {
    startMs += series.startMs[i];
    if (series.revision[i] > 0) {
      revised.push({ pointRef, startMs, knownAtMs, series, i });
      if (withLatest) toLookUp.add(pointRef);
      continue;
    }
    writeRow(first, pointRef, startMs, knownAtMs, series, i);
    if (withLatest && series.coveredMs[i] > 0 && startMs >= newestMs) {
      newest = i;
      newestMs = startMs;
    }
  }
  if (newest >= 0) latest.set(pointRef, { pointRef, startMs: newestMs, knownAtMs, series, i: newest });
}

function writeRow(rows: BinaryRows, pointRef: number, startMs: number, knownAtMs: number, series: PointWindows, i: number): void {
  rows.begin(SERIES_COLUMNS.length);
  rows.int4(pointRef);
  rows.timestamp(startMs);
  rows.timestamp(knownAtMs);
  if (series.hasEnergy) rows.int8(series.energyMilliWh[i]);
  else rows.null();
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

function binaryRows(windows: readonly Row[]): BinaryRows {
  const rows = new BinaryRows();
  for (const { pointRef, startMs, knownAtMs, series, i } of windows) writeRow(rows, pointRef, startMs, knownAtMs, series, i);
  return rows;
}

async function writeWindows(client: Client, table: Table, name: string, batch: Batch): Promise<void> {
  const repeats = await writeFirst(client, table, name, batch.first);
  if (batch.revised.length > 0) {
    await makeIncoming(client, table(name));
    for (const rows of batchesWithoutRepeats(batch.revised)) {
      await copyRows(client, 'incoming_rows', SERIES_COLUMNS, binaryRows(rows));
      await replaceRows(client, table, name);
    }
  }
  await writeLatest(client, table('latest_value'), [...batch.latest.values()]);
  if (repeats) for (const pointRef of batch.latest.keys()) batch.toLookUp.add(pointRef);
  if (batch.toLookUp.size > 0) await lookUpLatest(client, table, [...batch.toLookUp]);
}

/**
 * A window that is emitted first twice (which no event should do) takes the way of revisions, as nothing may stop here.
 * Returns whether there were such.
 */
async function writeFirst(client: Client, table: Table, name: string, rows: BinaryRows): Promise<boolean> {
  if (rows.rowCount === 0) return false;
  await client.query('SAVEPOINT first_rows');
  try {
    await copyRows(client, table(name), SERIES_COLUMNS, rows);
    return false;
  } catch (error) {
    if (!violatesUniqueness(error)) throw error;
  }
  await client.query('ROLLBACK TO SAVEPOINT first_rows');
  await makeIncoming(client, table(name));
  await copyRows(client, 'incoming_rows', SERIES_COLUMNS, rows);
  await client.query(
    'CREATE TEMP TABLE repeated_rows ON COMMIT DROP AS SELECT *, row_number() OVER (PARTITION BY point_ref, start_at ORDER BY ordinal) AS turn FROM incoming_rows',
  );
  const { rows: turns } = await client.query('SELECT max(turn)::int AS turns FROM repeated_rows');
  for (let turn = 1; turn <= turns[0].turns; turn++) {
    await client.query('TRUNCATE incoming_rows');
    await client.query(`INSERT INTO incoming_rows (${columns}) SELECT ${columns} FROM repeated_rows WHERE turn = $1`, [turn]);
    await replaceRows(client, table, name);
  }
  await client.query('DROP TABLE repeated_rows');
  return true;
}

/** An empty table of the session for rows that are to replace others. */
async function makeIncoming(client: Client, like: string): Promise<void> {
  await client.query(
    `CREATE TEMP TABLE IF NOT EXISTS incoming_rows (LIKE ${like}, ordinal int GENERATED ALWAYS AS IDENTITY) ON COMMIT DELETE ROWS`,
  );
}

/** A window revised twice in one batch goes through twice, in order, so that the history gets both. */
function batchesWithoutRepeats(rows: Row[]): Row[][] {
  const batches: Row[][] = [];
  const seen = new Map<number, Map<number, number>>();
  for (const row of rows) {
    let ofPoint = seen.get(row.pointRef);
    if (!ofPoint) seen.set(row.pointRef, (ofPoint = new Map()));
    const turn = ofPoint.get(row.startMs) ?? 0;
    ofPoint.set(row.startMs, turn + 1);
    (batches[turn] ??= []).push(row);
  }
  return batches;
}

/**
 * Moves the rows that the incoming ones replace into the history, and the incoming ones into their place. A higher
 * revision is never replaced by a lower one, whatever their order, so that rows do not depend on batches.
 */
async function replaceRows(client: Client, table: Table, name: string): Promise<void> {
  const [current, history] = [table(name), table(`${name}_history`)];
  const same = 't.point_ref = n.point_ref AND t.start_at = n.start_at';
  await client.query(
    `WITH replaced AS (DELETE FROM ${current} t USING incoming_rows n WHERE ${same} AND n.revision >= t.revision
       RETURNING ${SERIES_COLUMNS.map((column) => `t.${column}`).join(', ')})
     INSERT INTO ${history} (${columns}) SELECT ${columns} FROM replaced ON CONFLICT DO NOTHING`,
  );
  const { rowCount } = await client.query(
    `INSERT INTO ${current} (${columns}) SELECT ${columns} FROM incoming_rows ORDER BY point_ref, start_at ON CONFLICT DO NOTHING`,
  );
  const { rows } = await client.query('SELECT count(*) AS n FROM incoming_rows');
  if (rowCount !== rows[0].n)
    await client.query(
      `INSERT INTO ${history} (${columns}) SELECT ${SERIES_COLUMNS.map((column) => `n.${column}`).join(', ')} FROM incoming_rows n
       JOIN ${current} t ON ${same} AND n.revision < t.revision ON CONFLICT DO NOTHING`,
    );
  await client.query('TRUNCATE incoming_rows');
}

/** The newest covered window counts. */
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

/** Where the latest window was revised, it may have lost its cover: the one before it is the latest then. */
async function lookUpLatest(client: Client, table: Table, pointRefs: number[]): Promise<void> {
  await client.query(`DELETE FROM ${table('latest_value')} WHERE point_ref = ANY ($1)`, [pointRefs]);
  await client.query(
    `INSERT INTO ${table('latest_value')} SELECT w.* FROM unnest($1::int[]) AS p (ref) CROSS JOIN LATERAL
       (SELECT point_ref, start_at, last, mean, quality, known_at FROM ${table('series_5m')} WHERE point_ref = p.ref AND covered_ms > 0 ORDER BY start_at DESC LIMIT 1) w`,
    [pointRefs],
  );
}
