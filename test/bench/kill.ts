/**
 * How long tasks of many points need to be back after SIGKILL: a task runner that holds the hot state of 100,000 points
 * at one minute is killed while it works; a new one is started; the clock stops with the first new output in the log.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { defaultStateFolder, startEmbeddedPostgres } from '../../infra/embedded-postgres.ts';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import { TOPOLOGY } from '../../processors/topology.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { openClient } from '../../streams/postgres.ts';
import { dropNamespace, namespaceSchema, openPostgresLog } from '../../streams/postgres-log.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { verifyTask } from '../../streams/verify.ts';
import type { ChildOptions } from '../crash/child.ts';
import type { Benchmark, Measured } from './benchmark.ts';
import { appendHours, declaration, HOURS_AFTER, HOURS_BEFORE, POINTS_PER_SITE } from './hours-of-points.ts';

const NAMESPACE = `bench_kill_${process.pid}`;
const CHILD = fileURLToPath(new URL('../crash/child.ts', import.meta.url));
const POLL_MS = 5;

export const killBenchmark: Benchmark = {
  targets: ['kill-100k-points'],
  async run({ quick }): Promise<Measured> {
    const server = await startEmbeddedPostgres({ stateFolder: `${defaultStateFolder(PROJECT_FOLDER)}-test` });
    try {
      return await measure(server.url, quick ? 10_000 : 100_000);
    } finally {
      await dropNamespace(server.url, NAMESPACE);
      await server.stop();
    }
  },
};

async function measure(url: string, points: number): Promise<Measured> {
  const log = await openPostgresLog({ url, namespace: NAMESPACE });
  const children: ChildProcess[] = [];
  try {
    const codec = await openRegistry(url, NAMESPACE);
    const sites = points / POINTS_PER_SITE;
    await log.append(Array.from({ length: sites }, (_, site) => declaration(codec, site)));
    const first = startTasks(url, children);
    await appendHours(log, codec, sites, 0, HOURS_BEFORE);
    await untilConsumed(log);
    const before = await outputCount(log);
    const appending = appendHours(log, codec, sites, HOURS_BEFORE, HOURS_BEFORE + HOURS_AFTER);
    // It works on what is being appended, so this comes in the middle of it.
    while ((await outputCount(log)) === before) await turn();
    first.kill('SIGKILL');
    await Promise.all([once(first, 'close'), appending]);
    const atKill = await outputCount(log);
    const restore = await restoreSize(url);
    const startedMs = performance.now();
    startTasks(url, children);
    while ((await outputCount(log)) === atKill) await turn();
    const seconds = (performance.now() - startedMs) / 1000;
    await untilConsumed(log);
    const { difference, outputs } = await verifyTask({ log, codec, processors: TOPOLOGY, partition: 0 });
    assert.equal(difference, null);
    const figures = { points, restoredBytes: restore.bytes, deltas: restore.deltas, outputsVerified: outputs, seconds };
    return { ratios: { 'kill-100k-points': seconds }, figures };
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await log.close();
  }
}

function startTasks(url: string, children: ChildProcess[]): ChildProcess {
  const place = { backend: { url }, namespace: NAMESPACE, scenario: { seed: 0, sites: 0, days: 0 }, speed: 1 };
  const options: ChildOptions = { role: 'tasks', place, failPoint: null };
  const child = spawn(process.execPath, [CHILD, JSON.stringify(options)], { stdio: ['ignore', 'inherit', 'inherit', 'ignore'] });
  children.push(child);
  // Without it nothing would ever come.
  child.on('exit', (code) => {
    if (code !== null) throw new Error(`The task runner ended with ${code}.`);
  });
  return child;
}

const turn = () => new Promise((resolve) => setTimeout(resolve, POLL_MS));

async function outputCount(log: EventLog): Promise<number> {
  return (await log.endOffsets('resampled.5m')).reduce((sum, end) => sum + end, 0);
}

async function untilConsumed(log: EventLog): Promise<void> {
  for (const topic of ['sites', 'meter.readings', 'ticks'])
    for (const [partition, end] of (await log.endOffsets(topic)).entries())
      while (((await log.taskPositions(partition))[topic] ?? 0) < end) await turn();
}

/** What a restore has to read: the latest snapshot of each task and the deltas after it. Asserts that they are durable. */
async function restoreSize(url: string): Promise<{ bytes: number; deltas: number }> {
  const client = await openClient(url, 'restore size');
  try {
    for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes'])
      assert.equal((await client.query(`SHOW ${setting}`)).rows[0][setting], 'on');
    await client.query(`SET search_path = ${namespaceSchema(NAMESPACE)}`);
    const tables = await client.query(
      "SELECT relpersistence FROM pg_class WHERE oid IN ('task_snapshot'::regclass, 'task_delta'::regclass)",
    );
    assert.ok(tables.rows.length === 2 && tables.rows.every(({ relpersistence }) => relpersistence === 'p'));
    const { rows } = await client.query(
      `SELECT (SELECT coalesce(sum(length(bytes)), 0) FROM task_snapshot s WHERE NOT EXISTS (SELECT FROM task_snapshot n WHERE n.partition = s.partition AND n.step > s.step))
        + (SELECT coalesce(sum(length(delta)), 0) FROM task_delta) AS bytes, (SELECT count(*) FROM task_delta) AS deltas`,
    );
    return { bytes: Number(rows[0].bytes), deltas: Number(rows[0].deltas) };
  } finally {
    await client.end();
  }
}
