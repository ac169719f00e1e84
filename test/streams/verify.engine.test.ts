import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPipeline } from '../../infra/pipeline.ts';
import { TOPOLOGY } from '../../processors/topology.ts';
import { feed } from '../../replay/facts.ts';
import { HOUR_MS, PARTITION_COUNT } from '../../streams/limits.ts';
import type { Processor } from '../../streams/processor.ts';
import { verifyTask } from '../../streams/verify.ts';
import { scenarioFacts } from '../crash/scenario.ts';
import { openTestEngine } from '../engine.ts';

const engine = await openTestEngine();

test('a replay of the journals gives the canonical bytes that the log holds, and notices where it would not', async () => {
  const pipeline = await startPipeline({ url: engine.url, namespace: engine.namespace(), codeVersion: 'test' });
  const { log, codec } = pipeline;
  try {
    await feed({
      log,
      codec,
      facts: scenarioFacts({ seed: 1, sites: 5, days: 3 }),
      tickMs: HOUR_MS / 4,
      tickSource: 'ticks',
      speed: Number.POSITIVE_INFINITY,
    });
    await pipeline.drained();
    let outputs = 0;
    for (let partition = 0; partition < PARTITION_COUNT; partition++) {
      const verified = await verifyTask({ log, codec, processors: TOPOLOGY, partition });
      assert.equal(verified.difference, null);
      outputs += verified.outputs;
    }
    assert.ok(outputs > 1_000, `${outputs} outputs`);
    const requests = (await log.endOffsets('revisions.requested')).reduce((a, b) => a + b, 0);
    assert.ok(requests > 0, 'The scenario has late readings that need a reload.');

    const [resampler] = TOPOLOGY;
    const other: Processor = { ...resampler, onTick: (state, tickMs, emit) => resampler.onTick(state, tickMs + 1, emit) };
    const differences = [];
    for (let partition = 0; partition < PARTITION_COUNT; partition++)
      differences.push((await verifyTask({ log, codec, processors: [other, ...TOPOLOGY.slice(1)], partition })).difference);
    assert.ok(differences.some((difference) => difference?.includes('emitted')));
  } finally {
    await pipeline.stop();
  }
});
