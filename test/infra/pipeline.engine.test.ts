import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPipeline } from '../../infra/pipeline.ts';
import { feed } from '../../replay/facts.ts';
import type { RunStarted } from '../../schemas/types.ts';
import { MINUTE_MS } from '../../streams/limits.ts';
import { planMaintenance } from '../../streams/maintenance.ts';
import { openClient } from '../../streams/postgres.ts';
import { scenarioFacts } from '../crash/scenario.ts';
import { openTestEngine } from '../engine.ts';
import { assertVerified } from '../replay/replaying.ts';

const engine = await openTestEngine();

/** Sessions of a namespace, of which some may be thrown out. */
async function sessionsOf(namespace: string, throwOut = false): Promise<number> {
  const client = await openClient(engine.url, 'sessions');
  const { rows } = await client.query(
    `SELECT ${throwOut ? 'pg_terminate_backend(pid)' : 'pid'} FROM pg_stat_activity WHERE application_name LIKE $1`,
    [`%${namespace}`],
  );
  await client.end();
  return rows.length;
}

test('one pipeline a namespace; thrown-out sessions are made anew and everything goes on; stop leaves none', {
  timeout: 60_000,
}, async () => {
  const namespace = engine.namespace();
  const options = { url: engine.url, namespace, codeVersion: 'test' };
  const pipeline = await startPipeline(options);
  const { log, codec, store } = pipeline;
  await assert.rejects(startPipeline(options), { code: 'PIPELINE_ALREADY_RUNNING' });
  await feed({
    log,
    codec,
    facts: scenarioFacts({ seed: 4, sites: 4, days: 1 }),
    tickMs: 15 * MINUTE_MS,
    tickSource: 'ticks',
    speed: Number.POSITIVE_INFINITY,
  });
  assert.ok((await sessionsOf(namespace, true)) >= 3);
  await pipeline.drained();
  const { rows } = await store.pool.query('SELECT count(*)::int AS count FROM series_60m');
  assert.ok(rows[0].count > 4 * 3 * 20, `${rows[0].count} hours`);
  // The lock went with its session and is held again.
  await assert.rejects(startPipeline(options), { code: 'PIPELINE_ALREADY_RUNNING' });
  await pipeline.stop();
  // Sessions that were closed a moment ago are still listed; one that stays is left to the time limit.
  while ((await sessionsOf(namespace)) > 0);
});

test('each partition announces its run once, and outputs carry its id, also after a restart', async () => {
  const namespace = engine.namespace();
  const facts = scenarioFacts({ seed: 5, sites: 2, days: 1 });
  for (const part of [facts.slice(0, 40), facts]) {
    const pipeline = await startPipeline({ url: engine.url, namespace, codeVersion: 'test' });
    const { log, codec, running } = pipeline;
    await feed({ log, codec, facts: part, tickMs: 15 * MINUTE_MS, tickSource: 'ticks', speed: Number.POSITIVE_INFINITY });
    await pipeline.drained();
    const runs = await log.endOffsets('runs');
    assert.deepEqual([...new Set(runs)].sort(), [0, 1]);
    for (const partition of runs.keys()) {
      const { records } = await log.read({ topic: 'resampled.15m', partition }, 0, { maxRecords: 1_000, maxBytes: 2 ** 22 });
      for (const record of records) assert.equal(record.headers.run, running.runId);
      for (const { headers, value } of (await log.read({ topic: 'runs', partition }, 0, { maxRecords: 9, maxBytes: 2 ** 22 })).records) {
        const { runId, schemas, seed, models } = codec.decodeAs('RunStarted', value) as RunStarted;
        assert.deepEqual([runId, headers.id, seed, models], [running.runId, running.runId, null, []]);
        assert.deepEqual(schemas, codec.registered());
      }
    }
    await pipeline.stop();
  }
});

test('a running pipeline compacts what the table says, and a verify replay finds all of what is kept', async () => {
  const namespace = engine.namespace();
  const pipeline = await startPipeline({ url: engine.url, namespace, codeVersion: 'test', maintainEveryMs: 5 });
  const { log, codec, failed } = pipeline;
  try {
    const facts = scenarioFacts({ seed: 5, sites: 3, days: 1 });
    // Each site is declared again and again, later each time.
    const declared = facts.filter(({ schema }) => schema === 'SiteDeclared');
    const again = Array.from({ length: 4 }, (_, i) =>
      declared.map((fact) => ({
        ...fact,
        number: fact.number + i + 1,
        value: { ...fact.value, knownAtMs: facts.at(-1)!.value.knownAtMs + i },
      })),
    ).flat();
    await feed({ log, codec, facts: [...facts, ...again], tickMs: 15 * MINUTE_MS, tickSource: 'ticks', speed: Number.POSITIVE_INFINITY });
    await pipeline.drained();
    const emitted = (await log.endOffsets('sites.latest')).reduce((sum, end) => sum + end, 0);
    assert.equal(emitted, 5 * declared.length);
    while ((await planMaintenance({ log }))[0].held > declared.length) await Promise.race([log.waitForAppend(5), failed]);
    await assertVerified(engine, namespace);
  } finally {
    await pipeline.stop();
  }
});
