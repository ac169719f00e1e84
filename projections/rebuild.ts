/**
 * A rebuild makes a projection's tables anew from the log, beside the current ones, compares the rows of both at the
 * same positions, and switches in one transaction. A running pipeline goes on meanwhile; while the rows are compared its
 * projection waits, and after the switch it goes on with the new tables.
 */
import { IflexError } from '../streams/errors.ts';
import type { EventLog } from '../streams/event-log.ts';
import { inTransaction, type Pool } from '../streams/postgres.ts';
import { findTopic } from '../streams/topics.ts';
import { unitsOf } from './project.ts';
import type { Projection } from './projection.ts';
import { leaveOutDropped } from './retention.ts';
import { type Build, isAboutRows, type ProjectionStore, tableOf } from './store.ts';

/** Rows shown of each side of a difference. */
const EXAMPLES = 3;
/** Partitions that are loaded side by side: some are read and decoded while the server takes the rows of others. */
const LANES = 4;

/** How the rows of one table differ; of columns that only one side has, the names. */
export interface TableDifference {
  table: string;
  /** Rows that only the new (the old) build has, compared on the columns that both have. */
  onlyNew: number;
  onlyOld: number;
  columnsAdded: string[];
  columnsRemoved: string[];
  /** A few of these rows as JSON. */
  examples: { side: 'new' | 'old'; row: string }[];
}

export interface RebuildReport {
  projection: string;
  /** Rows by table of the new build. */
  rows: Record<string, number>;
  differences: TableDifference[];
  /** Events whose rows the database refused. */
  skipped: number;
  switched: boolean;
}

export interface RebuildOptions {
  log: EventLog;
  store: ProjectionStore;
  projection: Projection;
  /** Switches even where rows differ, which they should after a change of version. */
  acceptDifferences: boolean;
  onProgress?: (progress: RebuildProgress) => void;
}

export interface RebuildProgress {
  /** Places of the log that are read, of those that there are: nearly the number of events. */
  read: number;
  of: number;
  /** What goes on: rows and their indexes are compared once they are there. */
  stage: 'reading' | 'comparing';
}

/** Rebuilds a projection. Where rows differ and that is not accepted, the current build stays and the new one is dropped. */
export async function rebuild(options: RebuildOptions): Promise<RebuildReport> {
  const { store, projection } = options;
  const session = await store.pool.connect();
  const lock = "hashtextextended('iflex rebuild ' || current_schema() || ' ' || $1, 0)";
  try {
    const { rows } = await session.query(`SELECT pg_try_advisory_lock(${lock}) AS taken`, [projection.name]);
    if (!rows[0].taken) throw new IflexError('PIPELINE_ALREADY_RUNNING', `Another process rebuilds the projection ${projection.name}.`);
    await store.dropOthers(projection.name);
    await store.refs.learnAll();
    const build = (await loadBuild(options)) ?? (await store.createBuildBeside(projection));
    await readUpToCurrent(options, build);
    const report = await compareAndSwitch(options, build);
    await store.dropOthers(projection.name);
    return report;
  } finally {
    await session.query(`SELECT pg_advisory_unlock(${lock})`, [projection.name]).catch(() => {});
    session.release();
  }
}

/**
 * A build with everything so far, loaded the quick way; undefined where the projection has none, or where events do not
 * fit into it: what applies them one by one has to find out which. A crash leaves a build that the next rebuild drops.
 */
async function loadBuild(options: RebuildOptions): Promise<Build | undefined> {
  const { store, projection } = options;
  if (!projection.load) return undefined;
  const build = await store.createBuildBeside(projection, true);
  try {
    await loadPartitions(options, build);
    await store.finishLoad(build);
    return build;
  } catch (error) {
    if (!isAboutRows(error)) throw error;
    await store.dropOthers(projection.name);
    return undefined;
  }
}

/**
 * Loads the partitions of every topic, as far as the current build has come by now. The tables of a topic get their
 * indexes as soon as its rows are there, while further topics are loaded: the largest, which comes first, takes longest.
 */
async function loadPartitions(options: RebuildOptions, build: Build): Promise<void> {
  const { log, store, projection, onProgress } = options;
  const until = await positionsToReach(options);
  const of = sum(until.values());
  const parts = unitsOf(projection).flatMap((topics) => {
    const unit = { topics, left: 0 };
    const partitions = partitionsOf(until, topics);
    // Where there is nothing to read, there are indexes to make all the same.
    if (partitions.length === 0) partitions.push(new Map());
    unit.left = partitions.length;
    return partitions.map((places) => ({ unit, places }));
  });
  const lane = async () => {
    for (let part = parts.shift(); part; part = parts.shift()) {
      const { unit, places } = part;
      while ((await store.advance(log, build, { topics: unit.topics, until: places })) > 0)
        onProgress?.({ read: sum(build.positions.values()), of, stage: 'reading' });
      if (--unit.left === 0) await store.finishTables(build, unit.topics);
    }
  };
  const lanes = Array.from({ length: LANES }, () =>
    lane().catch((error) => {
      parts.length = 0;
      throw error;
    }),
  );
  await Promise.allSettled(lanes);
  await Promise.all(lanes);
}

/** Positions of each partition of topics by themselves, so that batches are small pieces of work and no two lanes meet. */
function partitionsOf(until: ReadonlyMap<string, number>, topics: readonly string[]): Map<string, number>[] {
  const places = [...until].filter(([place]) => topics.includes(place.split('/')[0]));
  return [...Map.groupBy(places, ([place]) => place.split('/')[1]).values()].map((ofPartition) => new Map(ofPartition));
}

/** Goes as far as the current build has come, however far that comes meanwhile. */
async function readUpToCurrent(options: RebuildOptions, build: Build): Promise<void> {
  const { log, store, projection, onProgress } = options;
  for (;;) {
    const until = await positionsToReach(options);
    const of = sum(until.values());
    let moved = 0;
    const advancing = unitsOf(projection).map(async (topics) => {
      for (;;) {
        const places = await store.advance(log, build, { topics, until });
        if (places === 0) return;
        moved += places;
        onProgress?.({ read: sum(build.positions.values()), of, stage: 'reading' });
      }
    });
    await Promise.allSettled(advancing);
    await Promise.all(advancing);
    if (moved === 0) return onProgress?.({ read: of, of, stage: 'comparing' });
    if ((await store.currentBuild(projection.name)) === undefined) return;
  }
}

/** Those of the current build, or, where there is none, the ends of the topics. */
async function positionsToReach({ log, store, projection }: RebuildOptions): Promise<Map<string, number>> {
  const current = await store.currentBuild(projection.name);
  if (current) return store.positions(projection.name, current.build);
  const ends = new Map<string, number>();
  for (const topic of projection.topics) {
    const offsets = await log.endOffsets(topic);
    for (let partition = 0; partition < findTopic(topic)!.partitions; partition++) ends.set(`${topic}/${partition}`, offsets[partition]);
  }
  return ends;
}

async function compareAndSwitch(options: RebuildOptions, build: Build): Promise<RebuildReport> {
  const { log, store, projection, acceptDifferences } = options;
  return inTransaction(store.pool, async (client) => {
    const { rows: current } = await client.query('SELECT build FROM projection_build WHERE name = $1 AND current FOR UPDATE', [
      projection.name,
    ]);
    const report: RebuildReport = { projection: projection.name, rows: {}, differences: [], skipped: 0, switched: false };
    const builds = [...current.map((row: { build: number }) => row.build), build.build];
    if (current.length > 0) {
      const until = await store.positions(projection.name, current[0].build, client);
      while ((await store.advance(log, build, { until })) > 0);
    }
    await leaveOutDropped(store, projection.tables, builds);
    if (current.length > 0) {
      report.differences = await compare(store, projection, current[0].build, build.build);
    }
    report.rows = await countRows(store, projection, build.build);
    const { rows } = await client.query('SELECT count(*) AS n FROM projection_skipped WHERE name = $1 AND build = $2', [
      projection.name,
      build.build,
    ]);
    report.skipped = rows[0].n;
    report.switched = report.differences.length === 0 || acceptDifferences;
    if (report.switched) await store.makeCurrent(client, projection, build.build);
    return report;
  });
}

/**
 * Tables whose rows differ. Nobody writes to either build now, so that connections of their own may read both. Checksums
 * of all rows come first; only where they differ are rows compared one by one.
 */
async function compare({ pool }: ProjectionStore, projection: Projection, oldBuild: number, newBuild: number): Promise<TableDifference[]> {
  const { rows } = await pool.query('SELECT tables FROM projection_build WHERE name = $1 AND build = $2', [projection.name, oldBuild]);
  const oldTables = rows[0].tables as string[];
  const comparing = [...new Set([...projection.tables, ...oldTables])].map((table) => {
    const inNew = projection.tables.includes(table) ? tableOf(newBuild)(table) : null;
    const inOld = oldTables.includes(table) ? tableOf(oldBuild)(table) : null;
    return compareTable(pool, table, inNew, inOld);
  });
  await Promise.allSettled(comparing);
  return (await Promise.all(comparing)).filter((difference) => difference !== null);
}

async function countRows({ pool }: ProjectionStore, { tables }: Projection, build: number): Promise<Record<string, number>> {
  const counting = tables.map(async (table): Promise<[string, number]> => {
    const { rows } = await pool.query(`SELECT count(*) AS n FROM ${tableOf(build)(table)}`);
    return [table, rows[0].n];
  });
  await Promise.allSettled(counting);
  return Object.fromEntries(await Promise.all(counting));
}

async function compareTable(pool: Pool, table: string, inNew: string | null, inOld: string | null): Promise<TableDifference | null> {
  const newColumns = await columnsOf(pool, inNew);
  const oldColumns = await columnsOf(pool, inOld);
  const common = newColumns.filter((column) => oldColumns.includes(column));
  const difference: TableDifference = {
    table,
    onlyNew: 0,
    onlyOld: 0,
    columnsAdded: newColumns.filter((column) => !common.includes(column)),
    columnsRemoved: oldColumns.filter((column) => !common.includes(column)),
    examples: [],
  };
  const sameColumns = difference.columnsAdded.length + difference.columnsRemoved.length === 0;
  if (common.length === 0) {
    for (const side of ['new', 'old'] as const) await countOnly(pool, difference, side, side === 'new' ? inNew : inOld, '*', null);
    return difference;
  }
  const list = common.join(', ');
  // A row as it stands takes less time than one that is put together anew.
  const row = newColumns.join() === oldColumns.join() ? 'whole' : `ROW(${list})`;
  const [sumNew, sumOld] = await Promise.all([checksum(pool, inNew!, row), checksum(pool, inOld!, row)]);
  if (sumNew !== sumOld) {
    await countOnly(pool, difference, 'new', inNew, list, inOld);
    await countOnly(pool, difference, 'old', inOld, list, inNew);
  }
  return sameColumns && difference.onlyNew + difference.onlyOld === 0 ? null : difference;
}

async function columnsOf(pool: Pool, table: string | null): Promise<string[]> {
  if (table === null) return [];
  const { rows } = await pool.query(
    'SELECT quote_ident(attname) AS name FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum',
    [table],
  );
  return rows.map((row: { name: string }) => row.name);
}

/** Number of rows and sum of their hashes: does not depend on their order. */
async function checksum(pool: Pool, table: string, row: string): Promise<string> {
  const { rows } = await pool.query(
    `SELECT count(*)::text || ' ' || coalesce(sum(hash_record_extended(${row}, 0)), 0)::text AS sum FROM ${table} AS whole`,
  );
  return rows[0].sum;
}

async function countOnly(
  pool: Pool,
  difference: TableDifference,
  side: 'new' | 'old',
  here: string | null,
  columns: string,
  there: string | null,
): Promise<void> {
  if (here === null) return;
  const only = `SELECT ${columns} FROM ${here}${there === null ? '' : ` EXCEPT ALL SELECT ${columns} FROM ${there}`}`;
  const { rows } = await pool.query(
    `WITH o AS MATERIALIZED (${only}) SELECT (SELECT count(*) FROM o) AS n, ARRAY(SELECT row_to_json(e)::text FROM (SELECT * FROM o LIMIT ${EXAMPLES}) e) AS examples`,
  );
  difference[side === 'new' ? 'onlyNew' : 'onlyOld'] = rows[0].n;
  for (const row of rows[0].examples as string[]) difference.examples.push({ side, row });
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
