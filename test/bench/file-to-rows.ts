/**
 * From a CSV file to queryable rows: import, log, windows of three widths, projections, all of it durable; against COPY
 * of the raw rows into a table with the same key and one SQL aggregation a width into keyed tables, on the same server.
 * In the end the server is killed, and all rows must be there.
 */
import assert from 'node:assert/strict';
import { chmodSync, createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline as piped } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../infra/embedded-postgres.ts';
import { startPipeline } from '../../infra/pipeline.ts';
import { importFiles } from '../../replay/import/import-files.ts';
import { declare } from '../../replay/instance/declare.ts';
import { DAY_MS } from '../../streams/limits.ts';
import { dropNamespace, namespaceSchema, withSearchPath } from '../../streams/postgres-log.ts';
import { instanceFor } from '../replay/import-instance.ts';
import { type Benchmark, median } from './benchmark.ts';
import { cpuMsOfTree } from './process-tree.ts';
import { FILE_FROM_MS, mappingOfFile, type ReadingsFile, writeReadingsFile } from './readings-file.ts';

export const POINTS = 100;
const MINUTES = 10_000;
const QUICK_MINUTES = 2_000;
const PAIRS = 3;
const PEER_SCHEMA = 'peer';
const WIDTHS = [5, 15, 60];

/** A server of its own in a folder of its own, and a file of readings. */
export async function withServerAndFile<T>(minutes: number, work: (bench: Bench) => Promise<T>): Promise<T> {
  const stateFolder = mkdtempSync(join(tmpdir(), 'iflex-bench-'));
  // The server of root runs as another user.
  chmodSync(stateFolder, 0o755);
  const bench = {
    server: await startEmbeddedPostgres({ stateFolder }),
    stateFolder,
    file: writeReadingsFile(stateFolder, POINTS, minutes),
  };
  try {
    return await work(bench);
  } finally {
    await bench.server.stop();
    rmSync(stateFolder, { recursive: true, force: true });
  }
}

export interface Bench {
  server: EmbeddedPostgres;
  stateFolder: string;
  file: ReadingsFile;
}

export interface Cost {
  wallMs: number;
  cpuMs: number;
}

/** CPU time so far of this process and of all of the server's (ms). */
function cpuMsOfAll(server: EmbeddedPostgres): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000 + cpuMsOfTree(server.serverPid);
}

export async function costOf(server: EmbeddedPostgres, work: () => Promise<void>): Promise<Cost> {
  const before = cpuMsOfAll(server);
  const startedMs = performance.now();
  await work();
  return { wallMs: performance.now() - startedMs, cpuMs: cpuMsOfAll(server) - before };
}

/** Imports the file into a namespace and waits until everything can be asked for; returns what that cost. */
export async function importToRows({ server, file }: Bench, namespace: string): Promise<Cost> {
  const pipeline = await startPipeline({ url: server.url, namespace, codeVersion: 'bench' });
  try {
    const { log, codec } = pipeline;
    const mapping = mappingOfFile(POINTS);
    await declare(log, codec, instanceFor(mapping, FILE_FROM_MS));
    return await costOf(server, async () => {
      await importFiles({ log, codec, mapping, files: [file.path], importedAtMs: FILE_FROM_MS + 31 * DAY_MS });
      await pipeline.drained();
    });
  } finally {
    await pipeline.stop();
  }
}

async function copyAndAggregate({ server, file }: Bench): Promise<Cost> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    await client.query(`DROP SCHEMA IF EXISTS ${PEER_SCHEMA} CASCADE; CREATE SCHEMA ${PEER_SCHEMA}; SET search_path = ${PEER_SCHEMA}`);
    await client.query('CREATE TABLE raw (point int, start_at timestamptz, watt float8 NOT NULL, PRIMARY KEY (point, start_at))');
    for (const width of WIDTHS)
      await client.query(
        `CREATE TABLE series_${width}m (point int, start_at timestamptz, energy_mwh bigint NOT NULL, mean float8 NOT NULL, min float8 NOT NULL, max float8 NOT NULL, reading_count int NOT NULL, PRIMARY KEY (point, start_at))`,
      );
    return await costOf(server, async () => {
      await piped(createReadStream(file.peerPath, { highWaterMark: 1 << 20 }), client.query(copyFrom('COPY raw FROM STDIN (FORMAT csv)')));
      for (const width of WIDTHS)
        await client.query(
          `INSERT INTO series_${width}m SELECT point, date_bin('${width} min', start_at, '2000-01-01T00:00Z') AS w, round(sum(watt) * 1000 / 60), avg(watt), min(watt), max(watt), count(*) FROM raw GROUP BY point, w`,
        );
    });
  } finally {
    await client.end();
  }
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return work(client).finally(() => client.end());
}

/** Refuses figures of a server that may lose what it acknowledged. */
async function assertDurable(url: string, schemas: string[]): Promise<void> {
  await withClient(url, async (client) => {
    for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes'])
      assert.equal((await client.query(`SHOW ${setting}`)).rows[0][setting], 'on', `${setting} must be on`);
    const { rows } = await client.query(
      "SELECT relname, relpersistence FROM pg_class WHERE relnamespace = ANY ($1::text[]::regnamespace[]) AND relkind = 'r'",
      [schemas],
    );
    assert.ok(rows.length > WIDTHS.length);
    for (const { relname, relpersistence } of rows) assert.equal(relpersistence, 'p', `${relname} must be permanent`);
  });
}

/** Every window of the peer is one of ours, and the other way round. Energy may differ where halves are rounded, sums by one each. */
async function assertSameRows(url: string, namespace: string): Promise<number> {
  let windows = 0;
  await withClient(withSearchPath(url, namespaceSchema(namespace)), async (client) => {
    for (const width of WIDTHS) {
      const { rows } = await client.query(
        `SELECT count(*)::int AS all, count(*) FILTER (WHERE o.mean IS NULL OR p.mean IS NULL OR abs(o.energy_mwh - p.energy_mwh) > $1
           OR abs(o.mean - p.mean) > 1e-9 * greatest(1, abs(p.mean)) OR o.min <> p.min OR o.max <> p.max OR o.reading_count <> p.reading_count)::int AS differ
         FROM (SELECT *, substr(point_id, 7)::int AS point FROM series_${width}m JOIN point_ref USING (point_ref) WHERE covered_ms > 0) o
         FULL JOIN ${PEER_SCHEMA}.series_${width}m p USING (point, start_at)`,
        [width / 5],
      );
      assert.equal(rows[0].differ, 0, `windows of ${width} min differ`);
      windows += rows[0].all;
    }
  });
  return windows;
}

async function run(quick: boolean) {
  return withServerAndFile(quick ? QUICK_MINUTES : MINUTES, async (bench) => {
    const pairs: { ours: Cost; peer: Cost }[] = [];
    for (let i = 0; i < (quick ? 1 : PAIRS); i++) {
      await dropNamespace(bench.server.url, 'ours');
      const pair: Partial<{ ours: Cost; peer: Cost }> = {};
      for (const which of i % 2 === 0 ? (['ours', 'peer'] as const) : (['peer', 'ours'] as const))
        pair[which] = await (which === 'ours' ? importToRows(bench, 'ours') : copyAndAggregate(bench));
      pairs.push(pair as { ours: Cost; peer: Cost });
      await assertSameRows(bench.server.url, 'ours');
    }
    await assertDurable(bench.server.url, [namespaceSchema('ours'), PEER_SCHEMA]);
    process.kill(bench.server.serverPid, 'SIGKILL');
    bench.server = await startEmbeddedPostgres({ stateFolder: bench.stateFolder });
    const windows = await assertSameRows(bench.server.url, 'ours');
    const middle = (which: 'ours' | 'peer', of: keyof Cost) => median(pairs.map((pair) => pair[which][of]));
    const ratio = (of: keyof Cost) => median(pairs.map(({ ours, peer }) => ours[of] / peer[of]));
    return {
      ratios: { 'file-to-rows-wall': ratio('wallMs'), 'file-to-rows-cpu': ratio('cpuMs') },
      figures: {
        readings: bench.file.readings,
        'doubled lines': bench.file.doubled,
        windows,
        'ours: wall s': middle('ours', 'wallMs') / 1_000,
        'peer: wall s': middle('peer', 'wallMs') / 1_000,
        'ours: CPU s of all processes': middle('ours', 'cpuMs') / 1_000,
        'peer: CPU s of all processes': middle('peer', 'cpuMs') / 1_000,
        'after a kill': 'all windows restored, equal to the peer',
      },
    };
  });
}

export const fileToRows: Benchmark = {
  targets: ['file-to-rows-wall', 'file-to-rows-cpu'],
  run: ({ quick }) => run(quick),
};
