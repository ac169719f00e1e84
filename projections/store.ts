/** Builds of projections in a namespace: tables, positions, views, and the way events get into them. */
import type { Codec } from '../schemas/codec.ts';
import { CodecError } from '../schemas/codec.ts';
import { IflexError } from '../streams/errors.ts';
import type { EventLog, LogRecord } from '../streams/event-log.ts';
import { type Client, identifier, inTransaction, isAboutData, openPool, type Pool } from '../streams/postgres.ts';
import { namespaceSchema, withSearchPath } from '../streams/postgres-log.ts';
import { findTopic } from '../streams/topics.ts';
import { finishLoad, finishTables, type IndexesTaken, takeIndexesOff } from './load.ts';
import { createTables, migrate } from './migrations.ts';
import { PointRefs } from './point-refs.ts';
import type { ProjectedEvent, Projection, Table } from './projection.ts';

/** Bytes read of one topic partition for one batch of a projection. */
const BATCH_BYTES = 1024 * 1024;
const BATCH_RECORDS = 5_000;
/** Characters kept of the reason why an event was skipped. */
const REASON_CHARACTERS = 500;

/** A build that this process advances. After a switch it is the new current one. */
export interface Build {
  projection: Projection;
  build: number;
  /** Made beside the current one by a rebuild: never switched away from. */
  beside: boolean;
  /** The indexes of its tables, while it is loaded without them. */
  loading?: IndexesTaken;
  /** Next offset, by "topic/partition", as committed by this process or found when it was opened. */
  positions: Map<string, number>;
}

export interface AdvanceOptions {
  topics?: readonly string[];
  /** Reads no further than these positions (by "topic/partition"; a place that is missing is not read). */
  until?: ReadonlyMap<string, number>;
}

interface Move {
  topic: string;
  partition: number;
  from: number;
  to: number;
}

export class ProjectionStore {
  readonly pool: Pool;
  readonly refs: PointRefs;
  private readonly codec: Codec;

  constructor(pool: Pool, codec: Codec) {
    this.pool = pool;
    this.codec = codec;
    this.refs = new PointRefs(pool);
  }

  /** Opens the current build of a projection; makes the first one where there is none. A build of another version is refused. */
  async openBuild(projection: Projection): Promise<Build> {
    const build: Build = { projection, build: 0, beside: false, positions: new Map() };
    if (await this.findCurrent(build)) return build;
    build.build = await inTransaction(this.pool, async (client) => {
      const made = await this.createTables(client, projection);
      await this.makeCurrent(client, projection, made);
      return made;
    });
    return build;
  }

  /** Points a build to what is current now; false where nothing is. */
  private async findCurrent(build: Build): Promise<boolean> {
    const { name, version } = build.projection;
    const current = await this.currentBuild(name);
    if (!current) return false;
    if (current.version !== version)
      throw new IflexError(
        'CONFIG_INVALID',
        `The projection ${name} has version ${current.version} in the database and ${version} in the code. Run \`iflex rebuild ${name}\`.`,
      );
    build.build = current.build;
    build.positions = await this.positions(name, current.build);
    return true;
  }

  async currentBuild(name: string): Promise<{ build: number; version: number } | undefined> {
    const { rows } = await this.pool.query('SELECT build, version FROM projection_build WHERE name = $1 AND current', [name]);
    return rows[0];
  }

  /** Next offsets of a build, by "topic/partition". */
  async positions(name: string, build: number, client: Client | Pool = this.pool): Promise<Map<string, number>> {
    const { rows } = await client.query('SELECT topic, partition, next_offset FROM projection_position WHERE name = $1 AND build = $2', [
      name,
      build,
    ]);
    return new Map(
      rows.map((row: { topic: string; partition: number; next_offset: number }) => [`${row.topic}/${row.partition}`, row.next_offset]),
    );
  }

  /** Makes the empty tables of a further build, which nobody sees yet; to be loaded where the projection can be. */
  async createBuildBeside(projection: Projection, toLoad = false): Promise<Build> {
    return inTransaction(this.pool, async (client) => {
      const build = await this.createTables(client, projection);
      const made: Build = { projection, build, beside: true, positions: new Map() };
      if (toLoad && projection.load)
        made.loading = await takeIndexesOff(client, projection.load.indexLater(projection.topics).map(tableOf(build)));
      return made;
    });
  }

  /** Gives the tables of topics (one of unitsOf) their indexes, once everything of these is loaded. */
  async finishTables(build: Build, topics: readonly string[]): Promise<void> {
    await finishTables(this.pool, build.projection, tableOf(build.build), topics, build.loading ?? new Map());
  }

  /** Ends the loading of a build whose tables are finished: what advances it from here on applies. */
  async finishLoad(build: Build): Promise<void> {
    await finishLoad(this.pool, build.projection, tableOf(build.build));
    build.loading = undefined;
  }

  private async createTables(client: Client, projection: Projection): Promise<number> {
    const { name, version } = projection;
    const { rows } = await client.query('SELECT coalesce(max(build), 0) + 1 AS build FROM projection_build WHERE name = $1', [name]);
    const build = rows[0].build as number;
    await createTables(client, projection.sql, tableOf(build));
    await client.query('INSERT INTO projection_build VALUES ($1, $2, $3, false, $4)', [name, build, version, projection.tables]);
    return build;
  }

  /** Points the views to a build, within the caller's transaction. */
  async makeCurrent(client: Client, { name, tables }: Projection, build: number): Promise<void> {
    const { rows } = await client.query('UPDATE projection_build SET current = false WHERE name = $1 AND current RETURNING tables', [name]);
    await client.query('UPDATE projection_build SET current = true WHERE name = $1 AND build = $2', [name, build]);
    for (const gone of (rows[0]?.tables ?? []) as string[]) await client.query(`DROP VIEW IF EXISTS ${identifier(gone)}`);
    for (const view of tables) await client.query(`CREATE VIEW ${identifier(view)} AS SELECT * FROM ${tableOf(build)(view)}`);
  }

  /** Drops the builds of a projection that are not current: the one switched away from, what an interrupted rebuild left. */
  async dropOthers(name: string): Promise<void> {
    await inTransaction(this.pool, async (client) => {
      const { rows } = await client.query('DELETE FROM projection_build WHERE name = $1 AND NOT current RETURNING build, tables', [name]);
      for (const { build, tables } of rows as { build: number; tables: string[] }[]) {
        for (const table of tables) await client.query(`DROP TABLE IF EXISTS ${tableOf(build)(table)}`);
        await client.query('DELETE FROM projection_position WHERE name = $1 AND build = $2', [name, build]);
        await client.query('DELETE FROM projection_skipped WHERE name = $1 AND build = $2', [name, build]);
      }
    });
  }

  /**
   * Takes one batch of events into a build: rows and positions in one transaction. Returns the number of places whose
   * position moved. Where a rebuild has made another build current meanwhile, the build turns to that one. Throws
   * PIPELINE_ALREADY_RUNNING where another process advances the build; nothing is written then.
   */
  async advance(log: EventLog, build: Build, options: AdvanceOptions = {}): Promise<number> {
    const { moves, records } = await this.nextBatch(log, build, options);
    if (moves.length === 0) return 0;
    const done = await inTransaction(this.pool, async (client) => {
      // A build that is not current yet is made durable by the commit that makes it current.
      await client.query(`SET LOCAL synchronous_commit = ${build.beside ? 'off' : 'on'}`);
      if (!(await stillThere(client, build))) return false;
      await movePositions(client, build, moves);
      if (build.loading) await this.load(client, build, records);
      else await this.applyAll(client, build, records);
      return true;
    });
    if (done) for (const { topic, partition, to } of moves) build.positions.set(`${topic}/${partition}`, to);
    else if (!(await this.findCurrent(build)))
      throw new IflexError('CONFIG_INVALID', `The projection ${build.projection.name} has been dropped from the database.`);
    return moves.length;
  }

  private async nextBatch(
    log: EventLog,
    { projection, positions }: Build,
    { topics = projection.topics, until }: AdvanceOptions,
  ): Promise<{ moves: Move[]; records: LogRecord[] }> {
    const places = topics
      .flatMap((topic) => Array.from({ length: findTopic(topic)!.partitions }, (_, partition) => ({ topic, partition })))
      .map((at) => ({ at, offset: positions.get(`${at.topic}/${at.partition}`) ?? 0 }))
      .filter(({ at, offset }) => until === undefined || (until.get(`${at.topic}/${at.partition}`) ?? 0) > offset);
    if (places.length === 0) return { moves: [], records: [] };
    const results = await log.readMany(places, { maxRecords: BATCH_RECORDS, maxBytes: BATCH_BYTES });
    const records: LogRecord[] = [];
    const moves = places.map(({ at, offset }, i) => {
      const end = until?.get(`${at.topic}/${at.partition}`) ?? Number.POSITIVE_INFINITY;
      for (const record of results[i].records) if (record.offset < end) records.push(record);
      return { ...at, from: offset, to: Math.min(end, results[i].nextOffset) };
    });
    return { moves: moves.filter(({ from, to }) => to > from), records };
  }

  /** Throws where the database refuses a row: a build that does not load is applied. */
  private async load(client: Client, { projection, build }: Build, records: LogRecord[]): Promise<void> {
    const take = projection.load?.take ?? projection.apply;
    await take(client, tableOf(build), this.decoded(records), this.refs);
  }

  /** An event whose rows the database refuses is skipped and noted, as one odd event must not stop the others. */
  private async applyAll(client: Client, build: Build, records: LogRecord[]): Promise<void> {
    if (records.length === 0) return;
    await client.query('SAVEPOINT batch');
    try {
      await build.projection.apply(client, tableOf(build.build), this.decoded(records), this.refs);
      await client.query('RELEASE SAVEPOINT batch');
      return;
    } catch (error) {
      if (!isAboutRows(error)) throw error;
      await client.query('ROLLBACK TO SAVEPOINT batch');
      if (records.length === 1) return noteSkipped(client, build, records[0], (error as Error).message);
    }
    const middle = records.length >> 1;
    await this.applyAll(client, build, records.slice(0, middle));
    await this.applyAll(client, build, records.slice(middle));
  }

  /** Facts on readings topics may be undecodable: the task rejects them, a projection passes them by. */
  private decoded(records: LogRecord[]): Iterable<ProjectedEvent> {
    const { codec } = this;
    return {
      *[Symbol.iterator]() {
        for (const record of records) {
          let value: unknown;
          try {
            value = codec.decodeAs(findTopic(record.topic)!.schema, record.value);
          } catch (error) {
            if (!(error instanceof CodecError)) throw error;
            continue;
          }
          yield { record, value };
        }
      },
    };
  }

  async close(): Promise<void> {
    await this.pool.end();
  }
}

/** Whether rows could not be made or were refused, which is so whenever it is tried. */
export function isAboutRows(error: unknown): boolean {
  return isAboutData(error) || error instanceof RangeError;
}

/** Keeps the build from being switched until commit; false where that has happened. */
async function stillThere(client: Client, { projection, build, beside }: Build): Promise<boolean> {
  const { rows } = await client.query('SELECT current FROM projection_build WHERE name = $1 AND build = $2 FOR SHARE', [
    projection.name,
    build,
  ]);
  return rows.length > 0 && (rows[0].current as boolean) !== beside;
}

async function movePositions(client: Client, { projection, build }: Build, moves: readonly Move[]): Promise<void> {
  const { rowCount } = await client.query(
    `INSERT INTO projection_position AS p SELECT $1, $2, topic, part, next FROM unnest($3::text[], $4::int[], $5::bigint[], $6::bigint[]) AS g (topic, part, next, was) ORDER BY topic, part
     ON CONFLICT (name, build, topic, partition) DO UPDATE SET next_offset = excluded.next_offset
     WHERE p.next_offset = (SELECT was FROM unnest($3::text[], $4::int[], $6::bigint[]) AS o (topic, part, was) WHERE o.topic = p.topic AND o.part = p.partition)`,
    [
      projection.name,
      build,
      moves.map((move) => move.topic),
      moves.map((move) => move.partition),
      moves.map((move) => move.to),
      moves.map((move) => move.from),
    ],
  );
  if (rowCount !== moves.length)
    throw new IflexError('PIPELINE_ALREADY_RUNNING', `Another process advances the projection ${projection.name}.`);
}

async function noteSkipped(client: Client, { projection, build }: Build, record: LogRecord, reason: string): Promise<void> {
  await client.query('INSERT INTO projection_skipped VALUES ($1, $2, $3, $4, $5, $6)', [
    projection.name,
    build,
    record.topic,
    record.partition,
    record.offset,
    reason.replaceAll('\0', '').slice(0, REASON_CHARACTERS),
  ]);
}

export function tableOf(build: number): Table {
  return (name) => identifier(`${name}_b${build}`);
}

/** Opens the projections of a namespace whose log exists. */
export async function openProjections(url: string, namespace: string, codec: Codec): Promise<ProjectionStore> {
  const pool = await openPool(withSearchPath(url, namespaceSchema(namespace)), `projections ${namespace}`, 12);
  await inTransaction(pool, migrate);
  return new ProjectionStore(pool, codec);
}
