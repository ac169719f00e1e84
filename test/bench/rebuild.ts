/**
 * Rebuilding the series from the log, against COPY of the same rows (in the same form and order of the key, made
 * beforehand) into tables with the same indexes.
 */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline as piped } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { rebuild } from '../../projections/rebuild.ts';
import { seriesProjection } from '../../projections/series.ts';
import { openProjections } from '../../projections/store.ts';
import { namespaceSchema, openPostgresLog, withSearchPath } from '../../streams/postgres-log.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { type Benchmark, median } from './benchmark.ts';
import { type Bench, type Cost, costOf, cpuMsOfAll, importToRows, withServerAndFile } from './file-to-rows.ts';

const NAMESPACE = 'rebuilt';
const MINUTES = 10_000;
const QUICK_MINUTES = 2_000;
const PAIRS = 3;

/** What a rebuild takes until it has read everything; comparing and switching come on top, COPY has none of them. */
async function rebuildRows({ server }: Bench): Promise<{ read: Cost; wholeMs: number; rows: number }> {
  const log = await openPostgresLog({ url: server.url, namespace: NAMESPACE });
  const codec = await openRegistry(server.url, NAMESPACE);
  const store = await openProjections(server.url, NAMESPACE, codec);
  try {
    const startedMs = performance.now();
    const read = { wallMs: 0, cpuMs: 0 };
    const before = cpuMsOfAll(server);
    const onProgress = () => {
      read.wallMs = performance.now() - startedMs;
      read.cpuMs = cpuMsOfAll(server) - before;
    };
    const report = await rebuild({ log, store, projection: seriesProjection, acceptDifferences: false, onProgress });
    assert.ok(report.switched, 'a rebuild gives the same rows');
    const rows = Object.values(report.rows).reduce((sum, count) => sum + count, 0);
    return { read, wholeMs: performance.now() - startedMs, rows };
  } finally {
    await Promise.all([log.close(), store.close()]);
  }
}

async function copyRows({ server }: Bench): Promise<Cost> {
  const client = new pg.Client({ connectionString: withSearchPath(server.url, namespaceSchema(NAMESPACE)) });
  await client.connect();
  try {
    const { tables } = seriesProjection;
    const made: { table: string; rows: Buffer }[] = [];
    await client.query('DROP SCHEMA IF EXISTS peer CASCADE; CREATE SCHEMA peer');
    const { rows: builds } = await client.query("SELECT build FROM projection_build WHERE name = 'series' AND current");
    for (const table of tables) {
      await client.query(`CREATE TABLE peer.${table} (LIKE ${table}_b${builds[0].build} INCLUDING ALL)`);
      made.push({
        table,
        rows: await buffer(client.query(copyTo(`COPY (SELECT * FROM ${table} ORDER BY 1, 2) TO STDOUT (FORMAT binary)`))),
      });
    }
    return await costOf(server, async () => {
      for (const { table, rows } of made)
        await piped(Readable.from([rows]), client.query(copyFrom(`COPY peer.${table} FROM STDIN (FORMAT binary)`)));
    });
  } finally {
    await client.end();
  }
}

async function run(quick: boolean) {
  return withServerAndFile(quick ? QUICK_MINUTES : MINUTES, async (bench) => {
    await importToRows(bench, NAMESPACE);
    const pairs: { ours: Awaited<ReturnType<typeof rebuildRows>>; peer: Cost }[] = [];
    for (let i = 0; i < (quick ? 1 : PAIRS); i++) {
      if (i % 2 === 0) pairs.push({ ours: await rebuildRows(bench), peer: await copyRows(bench) });
      else {
        const peer = await copyRows(bench);
        pairs.push({ ours: await rebuildRows(bench), peer });
      }
    }
    const { rows } = pairs[0].ours;
    return {
      ratios: { rebuild: median(pairs.map(({ ours, peer }) => peer.wallMs / ours.read.wallMs)) },
      figures: {
        rows,
        'rebuild: rows/s': rows / (median(pairs.map(({ ours }) => ours.read.wallMs)) / 1_000),
        'COPY: rows/s': rows / (median(pairs.map(({ peer }) => peer.wallMs)) / 1_000),
        'rebuild: CPU s of all processes': median(pairs.map(({ ours }) => ours.read.cpuMs)) / 1_000,
        'COPY: CPU s of all processes': median(pairs.map(({ peer }) => peer.cpuMs)) / 1_000,
        'rebuild with comparison and switch: s': median(pairs.map(({ ours }) => ours.wholeMs)) / 1_000,
      },
    };
  });
}

export const rebuildBenchmark: Benchmark = { targets: ['rebuild'], run: ({ quick }) => run(quick) };
