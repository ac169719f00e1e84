/** Builds of projections in a namespace: tables, positions, views, and the way events get into them. */
import type { Codec } from '../schemas/codec.ts';
import { CodecError } from '../schemas/codec.ts';
import { IflexError } from '../streams/errors.ts';
import type { EventLog, LogRecord } from '../streams/event-log.ts';
import { type Client, identifier, inTransaction, openPool, type Pool } from '../streams/postgres.ts';
import { namespaceSchema, withSearchPath } from '../streams/postgres-log.ts';
import { findTopic } from '../streams/topics.ts';
import { POINT_REF_TABLE, PointRefs } from './point-refs.ts';
import type { ProjectedEvent, Projection, Table } from './projection.ts';

const TABLES = `
${POINT_REF_TABLE};
CREATE TABLE IF NOT EXISTS projection_build (name text, build int, version int NOT NULL, current boolean NOT NULL, PRIMARY KEY (name, build));
CREATE TABLE IF NOT EXISTS projection_position (name text, build int, topic text COLLATE "C", partition int, next_offset bigint NOT NULL, PRIMARY KEY (name, build, topic, partition)) WITH (fillfactor = 50);`;

/** Bytes read of one topic partition for one batch of a projection. */
const BATCH_BYTES = 512 * 1024;
const BATCH_RECORDS = 5_000;

export interface Build {
  projection: Projection;
  build: number;
  positions: Map<string, number>;
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
    const { rows } = await this.pool.query('SELECT build, version FROM projection_build WHERE name = $1 AND current', [projection.name]);
    const current = rows[0] as { build: number; version: number } | undefined;
    if (!current) {
      const build = await this.createBuild(projection);
      await inTransaction(this.pool, (client) => this.makeCurrent(client, projection, build));
      return { projection, build, positions: new Map() };
    }
    if (current.version !== projection.version)
      throw new IflexError(
        'CONFIG_INVALID',
        `The projection ${projection.name} has version ${current.version} in the database and ${projection.version} in the code. Run \`iflex rebuild ${projection.name}\`.`,
      );
    return { projection, build: current.build, positions: await this.positions(projection.name, current.build) };
  }

  private async positions(name: string, build: number): Promise<Map<string, number>> {
    const { rows } = await this.pool.query('SELECT topic, partition, next_offset FROM projection_position WHERE name = $1 AND build = $2', [
      name,
      build,
    ]);
    return new Map(
      rows.map((row: { topic: string; partition: number; next_offset: number }) => [`${row.topic}/${row.partition}`, row.next_offset]),
    );
  }

  /** Creates the empty tables of a further build. */
  async createBuild(projection: Projection): Promise<number> {
    return inTransaction(this.pool, async (client) => {
      const { rows } = await client.query('SELECT coalesce(max(build), 0) + 1 AS build FROM projection_build WHERE name = $1', [
        projection.name,
      ]);
      const build = rows[0].build as number;
      await client.query(projection.create(tableOf(build)));
      if (projection.createWithTimescale && (await hasTimescale(client)))
        await client.query(projection.createWithTimescale(tableOf(build)));
      await client.query('INSERT INTO projection_build VALUES ($1, $2, $3, false)', [projection.name, build, projection.version]);
      return build;
    });
  }

  /** Points the views to a build, within the caller's transaction. */
  async makeCurrent(client: Client, projection: Projection, build: number): Promise<void> {
    await client.query('UPDATE projection_build SET current = (build = $2) WHERE name = $1', [projection.name, build]);
    for (const name of projection.tables) {
      await client.query(`DROP VIEW IF EXISTS ${name}`);
      await client.query(`CREATE VIEW ${name} AS SELECT * FROM ${tableOf(build)(name)}`);
    }
  }

  async dropBuild(projection: Projection, build: number): Promise<void> {
    await inTransaction(this.pool, async (client) => {
      for (const name of projection.tables) await client.query(`DROP TABLE IF EXISTS ${tableOf(build)(name)}`);
      await client.query('DELETE FROM projection_position WHERE name = $1 AND build = $2', [projection.name, build]);
      await client.query('DELETE FROM projection_build WHERE name = $1 AND build = $2', [projection.name, build]);
    });
  }

  /** Takes one batch of events into a build: rows and positions in one transaction. Returns the number of events read. */
  async advance(log: EventLog, build: Build): Promise<number> {
    const { projection, positions } = build;
    const places = projection.topics.flatMap((topic) =>
      Array.from({ length: findTopic(topic)!.partitions }, (_, partition) => ({ topic, partition })),
    );
    const requests = places.map((at) => ({ at, offset: positions.get(`${at.topic}/${at.partition}`) ?? 0 }));
    const results = await log.readMany(requests, { maxRecords: BATCH_RECORDS, maxBytes: BATCH_BYTES });
    const records = results.flatMap((result) => result.records);
    const moved = requests
      .map(({ at, offset }, i) => ({ ...at, offset, next: results[i].nextOffset }))
      .filter(({ offset, next }) => next > offset);
    if (moved.length === 0) return 0;
    const table = tableOf(build.build);
    await inTransaction(this.pool, async (client) => {
      await client.query('SET LOCAL synchronous_commit = on');
      if (records.length > 0) await projection.apply(client, table, this.decoded(records), this.refs);
      const moves = await client.query(
        `INSERT INTO projection_position AS p SELECT $1, $2, * FROM unnest($3::text[], $4::int[], $5::bigint[]) AS g (topic, part, next)
         ON CONFLICT (name, build, topic, partition) DO UPDATE SET next_offset = excluded.next_offset
         WHERE p.next_offset = (SELECT was FROM unnest($3::text[], $4::int[], $6::bigint[]) AS o (topic, part, was) WHERE o.topic = p.topic AND o.part = p.partition)`,
        [
          projection.name,
          build.build,
          moved.map((m) => m.topic),
          moved.map((m) => m.partition),
          moved.map((m) => m.next),
          moved.map((m) => m.offset),
        ],
      );
      if (moves.rowCount !== moved.length)
        throw new IflexError('PIPELINE_ALREADY_RUNNING', `Another process advances the projection ${projection.name}.`);
    });
    for (const { topic, partition, next } of moved) positions.set(`${topic}/${partition}`, next);
    return records.length;
  }

  /** Facts on readings topics may be undecodable: the task rejects them, a projection passes them by. */
  private decoded(records: LogRecord[]): ProjectedEvent[] {
    const events: ProjectedEvent[] = [];
    for (const record of records) {
      try {
        events.push({ record, value: this.codec.decodeAs(findTopic(record.topic)!.schema, record.value) });
      } catch (error) {
        if (!(error instanceof CodecError)) throw error;
      }
    }
    return events;
  }

  async close(): Promise<void> {
    await this.pool.end();
  }
}

export function tableOf(build: number): Table {
  return (name) => identifier(`${name}_b${build}`);
}

async function hasTimescale(client: Client): Promise<boolean> {
  const { rows } = await client.query("SELECT FROM pg_extension WHERE extname = 'timescaledb'");
  return rows.length > 0;
}

/** Opens the projections of a namespace whose log exists. */
export async function openProjections(url: string, namespace: string, codec: Codec): Promise<ProjectionStore> {
  const pool = await openPool(withSearchPath(url, namespaceSchema(namespace)), `projections ${namespace}`);
  await inTransaction(pool, async (client) => {
    await client.query("SELECT pg_advisory_xact_lock(hashtext('iflex create projections'))");
    await client.query(TABLES);
  });
  return new ProjectionStore(pool, codec);
}
