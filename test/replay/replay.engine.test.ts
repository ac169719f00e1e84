/** Replays of one log: what-if twice, and verified from its journal, give the same canonical bytes, and leave it alone. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { configurationHash } from '../../infra/pipeline.ts';
import { TOPOLOGY } from '../../processors/topology.ts';
import { compareLogs, describeComparison } from '../../replay/compare.ts';
import type { ReadingsDelivery } from '../../schemas/types.ts';
import { DAY_MS, PARTITION_COUNT } from '../../streams/limits.ts';
import { openPool, type Pool } from '../../streams/postgres.ts';
import { namespaceSchema, openPostgresLog } from '../../streams/postgres-log.ts';
import type { Emit, Processor } from '../../streams/processor.ts';
import { stateLabel } from '../../streams/run.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { verifyTask } from '../../streams/verify.ts';
import { openTestEngine } from '../engine.ts';
import { ALL, assertEqual, assertVerified, feedNew, replayNew, withSides } from './replaying.ts';
import { SIMULATED_FROM_MS, simulatedFacts } from './simulated-facts.ts';

const engine = await openTestEngine();
const facts = simulatedFacts({ days: 7, homes: 1 });

/** Everything of a namespace that a live pipeline rests on, as text. */
async function positionsOf(pool: Pool, namespace: string): Promise<string> {
  const schema = namespaceSchema(namespace);
  const tables = ['log_partition', 'log_source', 'task', 'task_journal', 'projection_position'];
  const texts = await Promise.all(
    tables.map(async (table) => {
      const { rows } = await pool.query(`SELECT t::text AS row FROM ${schema}.${table} t ORDER BY 1`);
      assert.ok(rows.length > 0, table);
      return rows.map(({ row }) => row).join('\n');
    }),
  );
  return texts.join('\n\n');
}

describe('a recorded log', () => {
  let pool: Pool;
  let source: string;
  before(async () => {
    pool = await openPool(engine.url, 'test', 1);
    source = await feedNew(engine, facts);
  });
  after(() => pool.end());

  it('replayed twice as what-if and verified from its journal gives the same canonical bytes, and is left as it was', async () => {
    const positionsBefore = await positionsOf(pool, source);
    const one = await replayNew(engine, source, ALL, Number.POSITIVE_INFINITY);
    const other = await replayNew(engine, source, ALL, Number.POSITIVE_INFINITY);
    const counts = await assertEqual(engine, one.namespace, other.namespace);
    for (const topic of ['resampled.5m', 'resampled.15m', 'resampled.60m', 'forecasts', 'notices', 'revisions.requested', 'sites.latest'])
      assert.ok(counts.get(topic)! > 0, `${topic} has no events`);
    // The feeder appended in the same order, so even the live run was the same.
    await assertEqual(engine, source, one.namespace);
    assert.equal(one.appended, other.appended);
    for (const namespace of [source, one.namespace]) {
      const { outputs, records } = await assertVerified(engine, namespace);
      assert.ok(outputs > 1000, `${outputs} outputs`);
      assert.ok(records >= one.appended, `${records} of ${one.appended} records`);
    }
    assert.equal(await positionsOf(pool, source), positionsBefore);
  });

  it('is verified from the snapshots of any day, and a difference is found with its events', async () => {
    const log = await openPostgresLog({ url: engine.url, namespace: source });
    const codec = await openRegistry(engine.url, source);
    const label = stateLabel(TOPOLOGY, configurationHash());
    const changed = TOPOLOGY.map((processor): Processor => {
      if (processor.name !== 'forecaster') return processor;
      const renamed =
        (emit: Emit): Emit =>
        (topic, value) =>
          emit(topic, { ...value, model: 'another' } as typeof value);
      return {
        ...processor,
        onEvent: (state, event, emit, reject) => processor.onEvent(state, event, renamed(emit), reject),
        onTick: (state, tickMs, emit) => processor.onTick(state, tickMs, renamed(emit)),
      };
    });
    let begun = 0;
    let found = 0;
    for (let partition = 0; partition < PARTITION_COUNT; partition++) {
      const start = await log.keptSnapshot(partition, label, SIMULATED_FROM_MS + 3 * DAY_MS);
      const whole = await verifyTask({ log, codec, processors: TOPOLOGY, partition });
      if (!start) continue;
      begun++;
      assert.ok(start.streamTimeMs > 0 && start.streamTimeMs <= SIMULATED_FROM_MS + 3 * DAY_MS);
      const rest = await verifyTask({ log, codec, processors: TOPOLOGY, partition, start });
      assert.equal(rest.difference, null);
      assert.ok(rest.records < whole.records && rest.outputs < whole.outputs && rest.outputs > 0);
      const differing = await verifyTask({ log, codec, processors: changed, partition, start });
      if (differing.difference === null) continue;
      found++;
      assert.match(differing.difference, /emitted forecasts/);
      assert.equal((codec.decode(differing.emitted!.value).value as { model: string }).model, 'another');
    }
    await log.close();
    assert.ok(begun > 0 && found > 0, `${begun} began at a snapshot, ${found} differed`);
  });

  it('differs from one with another reading, and the comparison says where and why', async () => {
    const changed = facts.map((fact) => structuredClone(fact));
    const at = changed.findIndex(({ value }) => value.knownAtMs > SIMULATED_FROM_MS + 2 * DAY_MS && 'series' in value);
    const { series } = changed[at].value as ReadingsDelivery;
    const column = series[0].value.length > 0 ? series[0].value : series[0].energyMilliWh;
    column[0] += 1000;
    const other = await feedNew(engine, changed);
    await withSides(engine, source, other, async (left, right) => {
      const found = [];
      for await (const comparison of compareLogs(left, right)) if (comparison.divergence) found.push(comparison);
      const first = found.find(({ topic }) => topic === 'resampled.5m')!;
      const { divergence } = first;
      assert.ok(divergence?.left && divergence.right);
      assert.equal(divergence.left.key, changed[at].key);
      assert.match(divergence.left.what, /^point \S+, width 5 min, from 2026-03-/);
      assert.match(divergence.left.causes, /meter\.readings|sensor\.readings/);
      assert.ok(divergence.equalBefore > 0);
      assert.match(divergence.differences[0].path, /^series\[\d+\]\./);
      assert.match(describeComparison(first), /differ in partition \d+ after \d+ equal ones\n {2}left: [0-9a-f]{32} at offset/);
      assert.ok(!found.some(({ topic }) => topic === 'sites.latest'));
    });
  });
});
