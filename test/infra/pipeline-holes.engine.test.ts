/** A pipeline on a log whose offsets are not counts, as transactions make holes in a log of another kind. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPipeline } from '../../infra/pipeline.ts';
import { type Fact, feed } from '../../replay/facts.ts';
import { MINUTE_MS } from '../../streams/limits.ts';
import { openClient } from '../../streams/postgres.ts';
import { namespaceSchema, withSearchPath } from '../../streams/postgres-log.ts';
import { scenarioFacts } from '../crash/scenario.ts';
import { openTestEngine } from '../engine.ts';

const engine = await openTestEngine();
const facts = scenarioFacts({ seed: 6, sites: 3, days: 2 });

/** What a pipeline that is stopped after each part makes of the facts; `between` is called with each stop. */
async function run(parts: readonly (readonly Fact[])[], between: (namespace: string) => Promise<void>) {
  const namespace = engine.namespace();
  let rows: unknown[] = [];
  let answers = 0;
  for (const part of parts) {
    await between(namespace);
    const pipeline = await startPipeline({ url: engine.url, namespace, codeVersion: 'test' });
    const { log, codec, store } = pipeline;
    await feed({ log, codec, facts: part, tickMs: 15 * MINUTE_MS, tickSource: 'ticks', speed: Number.POSITIVE_INFINITY });
    await pipeline.drained();
    rows = (await store.pool.query('SELECT * FROM series_5m JOIN point_ref USING (point_ref) ORDER BY site_id, point_id, start_at')).rows;
    for (const partition of (await log.endOffsets('day.reloaded')).keys()) {
      const { records } = await log.read({ topic: 'day.reloaded', partition }, 0, { maxRecords: 10_000, maxBytes: 2 ** 26 });
      answers += records.length;
    }
    await pipeline.stop();
  }
  return { rows: rows.map((row) => ({ ...(row as object), point_ref: 0 })), answers };
}

/** Leaves holes at the ends of the requests and of the answers, not the same number. */
async function makeHoles(namespace: string): Promise<void> {
  const client = await openClient(withSearchPath(engine.url, namespaceSchema(namespace)), 'holes');
  const { rows } = await client.query("SELECT to_regclass('log_partition') IS NOT NULL AS exists");
  if (rows[0].exists)
    await client.query(
      `UPDATE log_partition SET next_offset = next_offset + CASE topic WHEN 'day.reloaded' THEN 3 ELSE 7 END
       WHERE topic IN ('day.reloaded', 'revisions.requested', 'meter.readings', 'ticks')`,
    );
  await client.end();
}

test('reloads are awaited, answered and told to be done where the log has holes', { timeout: 120_000 }, async () => {
  const half = Math.floor(facts.length / 2);
  const parts = [facts.slice(0, half), facts, facts];
  const whole = await run(parts, async () => {});
  const holed = await run(parts, makeHoles);
  assert.ok(whole.answers > 0, 'The scenario has reloads.');
  assert.equal(holed.answers, whole.answers);
  assert.deepEqual(holed.rows, whole.rows);
});
