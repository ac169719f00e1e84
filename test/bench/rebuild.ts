/**
 * Rebuilding the series, from the call of the function until it returns: reading the log, decoding, loading, indexes,
 * revisions, the comparison with the current build, the switch and the drop of the old one. Against COPY of the same
 * rows (in the same form and order of the key, made beforehand, from memory) into tables with the same indexes, which
 * has none of these. Only the connections are opened before, on both sides.
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
import { type Bench, type Cost, costOf, importToRows, withServerAndFile } from './file-to-rows.ts';

const NAMESPACE = 'rebuilt';
const MINUTES = 10_000;
const QUICK_MINUTES = 2_000;
const PAIRS = 3;

/** All of it, from the call until the old build is dropped; and how much of it went by until all events were read. */
interface Rebuilt extends Cost {
  readMs: number;
  rows: number;
}

async function rebuildRows({ server }: Bench): Promise<Rebuilt> {
  const log = await openPostgresLog({ url: server.url, namespace: NAMESPACE });
  const codec = await openRegistry(server.url, NAMESPACE);
  const store = await openProjections(server.url, NAMESPACE, codec);
  try {
    const startedMs = performance.now();
    let readMs = 0;
    let rows = 0;
    const onProgress = () => {
      readMs = performance.now() - startedMs;
    };
    const cost = await costOf(server, async () => {
      const report = await rebuild({ log, store, projection: seriesProjection, acceptDifferences: false, onProgress });
      assert.ok(report.switched, 'a rebuild gives the same rows');
      rows = Object.values(report.rows).reduce((sum, count) => sum + count, 0);
    });
    return { ...cost, readMs, rows };
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
    const pairs: { ours: Rebuilt; peer: Cost }[] = [];
    for (let i = 0; i < (quick ? 1 : PAIRS); i++) {
      if (i % 2 === 0) pairs.push({ ours: await rebuildRows(bench), peer: await copyRows(bench) });
      else {
        const peer = await copyRows(bench);
        pairs.push({ ours: await rebuildRows(bench), peer });
      }
    }
    const { rows } = pairs[0].ours;
    const middle = (figure: (pair: { ours: Rebuilt; peer: Cost }) => number) => median(pairs.map(figure));
    return {
      ratios: { rebuild: middle(({ ours, peer }) => peer.wallMs / ours.wallMs) },
      figures: {
        rows,
        'rebuild: rows/s': rows / (middle(({ ours }) => ours.wallMs) / 1_000),
        'COPY: rows/s': rows / (middle(({ peer }) => peer.wallMs) / 1_000),
        'rebuild: CPU s of all processes': middle(({ ours }) => ours.cpuMs) / 1_000,
        'COPY: CPU s of all processes': middle(({ peer }) => peer.cpuMs) / 1_000,
        'rebuild: s until all events were read': middle(({ ours }) => ours.readMs) / 1_000,
        'rebuild: s of everything': middle(({ ours }) => ours.wallMs) / 1_000,
        'ratios of the pairs': pairs.map(({ ours, peer }) => (peer.wallMs / ours.wallMs).toFixed(2)).join(', '),
      },
    };
  });
}

export const rebuildBenchmark: Benchmark = { targets: ['rebuild'], run: ({ quick }) => run(quick) };
