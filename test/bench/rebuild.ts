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
import { type Benchmark, pairs } from './benchmark.ts';
import { type Bench, importToRows, withServerAndFile } from './file-to-rows.ts';

const NAMESPACE = 'rebuilt';
const MINUTES = 10_000;
const QUICK_MINUTES = 2_000;
const PAIRS = 3;

/** Seconds that a rebuild takes until it has read everything; comparing and switching come on top, COPY has none of them. */
async function rebuildSeconds({ server }: Bench): Promise<{ readS: number; wholeS: number; rows: number }> {
  const log = await openPostgresLog({ url: server.url, namespace: NAMESPACE });
  const codec = await openRegistry(server.url, NAMESPACE);
  const store = await openProjections(server.url, NAMESPACE, codec);
  try {
    const startedMs = performance.now();
    let readMs = startedMs;
    const report = await rebuild({
      log,
      store,
      projection: seriesProjection,
      acceptDifferences: false,
      onProgress: () => {
        readMs = performance.now();
      },
    });
    assert.ok(report.switched, 'a rebuild gives the same rows');
    const rows = Object.values(report.rows).reduce((sum, count) => sum + count, 0);
    return { readS: (readMs - startedMs) / 1_000, wholeS: (performance.now() - startedMs) / 1_000, rows };
  } finally {
    await Promise.all([log.close(), store.close()]);
  }
}

async function copySeconds({ server }: Bench): Promise<number> {
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
    const startedMs = performance.now();
    for (const { table, rows } of made)
      await piped(Readable.from([rows]), client.query(copyFrom(`COPY peer.${table} FROM STDIN (FORMAT binary)`)));
    return (performance.now() - startedMs) / 1_000;
  } finally {
    await client.end();
  }
}

async function run(quick: boolean) {
  return withServerAndFile(quick ? QUICK_MINUTES : MINUTES, async (bench) => {
    await importToRows(bench, NAMESPACE);
    let rows = 0;
    let wholeS = 0;
    const measured = await pairs(
      quick ? 1 : PAIRS,
      async () => {
        const rebuilt = await rebuildSeconds(bench);
        rows = rebuilt.rows;
        wholeS = rebuilt.wholeS;
        return rebuilt.readS;
      },
      () => copySeconds(bench),
    );
    return {
      // Rows a second of ours over those of COPY.
      ratios: { rebuild: 1 / measured.ratio },
      figures: {
        rows,
        'rebuild: rows/s': rows / measured.ours,
        'COPY: rows/s': rows / measured.peer,
        'rebuild with comparison and switch: s': wholeS,
      },
    };
  });
}

export const rebuildBenchmark: Benchmark = { targets: ['rebuild'], run: ({ quick }) => run(quick) };
