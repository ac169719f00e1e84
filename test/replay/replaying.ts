/** What tests of replays do to namespaces of the embedded engine. */
import assert from 'node:assert/strict';
import { startPipeline } from '../../infra/pipeline.ts';
import { TOPOLOGY } from '../../processors/topology.ts';
import { compareLogs, describeComparison, type Side } from '../../replay/compare.ts';
import { type Fact, feed } from '../../replay/facts.ts';
import { replayFacts } from '../../replay/replay.ts';
import type { FactRange } from '../../replay/replay-order.ts';
import { MINUTE_MS, PARTITION_COUNT } from '../../streams/limits.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { verifyTask } from '../../streams/verify.ts';
import type { TestEngine } from '../engine.ts';

export const ALL: FactRange = { fromMs: Number.NEGATIVE_INFINITY, toMs: Number.POSITIVE_INFINITY };

/** Feeds facts through the pipeline of a new namespace; returns its name. */
export async function feedNew(engine: TestEngine, facts: Iterable<Fact> | AsyncIterable<Fact>): Promise<string> {
  const namespace = engine.namespace();
  const pipeline = await startPipeline({ url: engine.url, namespace, codeVersion: 'test' });
  try {
    await feed({ ...pipeline, facts, tickMs: 5 * MINUTE_MS, tickSource: 'clock', speed: Number.POSITIVE_INFINITY });
    await pipeline.drained();
  } finally {
    await pipeline.stop();
  }
  return namespace;
}

export interface Replayed {
  namespace: string;
  appended: number;
  /** Wall time of copying the facts. */
  elapsedMs: number;
}

/** A what-if replay of a namespace into a new one. */
export async function replayNew(engine: TestEngine, source: string, range: FactRange, speed: number): Promise<Replayed> {
  const namespace = engine.namespace();
  const log = await openPostgresLog({ url: engine.url, namespace: source });
  const pipeline = await startPipeline({ url: engine.url, namespace, codeVersion: 'test' });
  try {
    const startedMs = performance.now();
    const { appended, redelivered } = await replayFacts({ source: log, target: pipeline.log, range, speed });
    const elapsedMs = performance.now() - startedMs;
    assert.equal(redelivered, 0);
    await pipeline.drained();
    return { namespace, appended, elapsedMs };
  } finally {
    await pipeline.stop();
    await log.close();
  }
}

export async function withSides<T>(
  engine: TestEngine,
  left: string,
  right: string,
  work: (left: Side, right: Side) => Promise<T>,
): Promise<T> {
  const sides: Side[] = [];
  for (const namespace of [left, right])
    sides.push({ log: await openPostgresLog({ url: engine.url, namespace }), codec: await openRegistry(engine.url, namespace) });
  try {
    return await work(sides[0], sides[1]);
  } finally {
    for (const { log } of sides) await log.close();
  }
}

/** Events on the left by topic; fails where the right differs in any canonical byte. */
export async function assertEqual(engine: TestEngine, left: string, right: string): Promise<Map<string, number>> {
  return withSides(engine, left, right, async (a, b) => {
    const counts = new Map<string, number>();
    for await (const comparison of compareLogs(a, b)) {
      assert.equal(comparison.divergence, null, describeComparison(comparison));
      assert.equal(comparison.leftCount, comparison.rightCount);
      counts.set(comparison.topic, comparison.leftCount);
    }
    return counts;
  });
}

/** Follows the journals of all tasks of a namespace; fails where the log holds anything else. */
export async function assertVerified(engine: TestEngine, namespace: string): Promise<{ outputs: number; records: number }> {
  const log = await openPostgresLog({ url: engine.url, namespace });
  try {
    const codec = await openRegistry(engine.url, namespace);
    const sums = { outputs: 0, records: 0 };
    for (let partition = 0; partition < PARTITION_COUNT; partition++) {
      const { difference, outputs, records } = await verifyTask({ log, codec, processors: TOPOLOGY, partition });
      assert.equal(difference, null);
      sums.outputs += outputs;
      sums.records += records;
    }
    return sums;
  } finally {
    await log.close();
  }
}
