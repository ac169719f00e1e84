/**
 * The bundled pilot in the order in which its facts became known, once through PostgreSQL and once through Kafka, a
 * registry and TimescaleDB: the same canonical bytes of every derived event, and the same rows.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Backend, openCodec, openLog } from '../../infra/backend.ts';
import { startPipeline } from '../../infra/pipeline.ts';
import { TOPOLOGY } from '../../processors/topology.ts';
import { PROJECTIONS } from '../../projections/list.ts';
import { compareLogs, describeComparison, type Side } from '../../replay/compare.ts';
import { bundledPilot } from '../../replay/pilots/bundled.ts';
import { replayFacts } from '../../replay/replay.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { PARTITION_COUNT } from '../../streams/limits.ts';
import { registrySettings } from '../../streams/registry-settings.ts';
import { verifyTask } from '../../streams/verify.ts';
import { openTestEngine } from '../engine.ts';
import { projectedLines } from '../projections/timescale-world.ts';
import { openTestServices } from '../services.ts';
import { ALL, feedNew } from './replaying.ts';

const DAYS = 3;

const engine = await openTestEngine();
const services = await openTestServices('kafka', 'apicurio', 'timescaledb');
const others: Backend = {
  url: services.settings.DATABASE_URL,
  kafka: kafkaSettings(services.settings)!,
  registry: registrySettings(services.settings)!,
};

/** Replays into a new namespace; gives its rows. */
async function replayed(backend: Backend, namespace: string, source: Side): Promise<Map<string, string[]>> {
  const pipeline = await startPipeline({ ...backend, namespace, codeVersion: 'test' });
  try {
    const codecs = { source: source.codec, target: pipeline.codec };
    await replayFacts({ source: source.log, target: pipeline.log, codecs, range: ALL, speed: Number.POSITIVE_INFINITY });

    await pipeline.drained();
    return await projectedLines(pipeline.store.pool);
  } finally {
    await pipeline.stop();
  }
}

async function sideOf(backend: Backend, namespace: string): Promise<Side> {
  return { log: await openLog(backend, namespace), codec: await openCodec(backend, namespace) };
}

/** Where a log holds what a row tells of is its own. */
const ofAnyLog = (line: string) => line.replaceAll(/"(first|last)_offset": \d+/g, '"$1_offset": 0');

test('the bundled pilot through both logs: the same canonical bytes of every derived event, the same rows', async () => {
  const source = await feedNew(engine, (await bundledPilot(DAYS)).facts);
  const original = await sideOf(engine, source);
  const [left, right] = [
    { backend: engine as Backend, namespace: engine.namespace() },
    { backend: others, namespace: services.namespace() },
  ];
  const rows = [await replayed(left.backend, left.namespace, original), await replayed(right.backend, right.namespace, original)];
  await original.log.close();
  const [postgres, kafka] = [await sideOf(left.backend, left.namespace), await sideOf(right.backend, right.namespace)];
  try {
    const counts = new Map<string, number>();
    for await (const comparison of compareLogs(postgres, kafka)) {
      assert.equal(comparison.divergence, null, describeComparison(comparison));
      assert.equal(comparison.leftCount, comparison.rightCount);
      counts.set(comparison.topic, comparison.leftCount);
    }
    for (const topic of ['resampled.5m', 'resampled.15m', 'resampled.60m', 'forecasts', 'notices', 'sites.latest'])
      assert.ok(counts.get(topic)! > 0, `${topic} has no events`);
    for (let partition = 0; partition < PARTITION_COUNT; partition++) {
      const { difference } = await verifyTask({ ...kafka, processors: TOPOLOGY, partition });
      assert.equal(difference, null, `task ${partition} on Kafka, followed by its journal`);
    }
  } finally {
    await Promise.all([postgres.log.close(), kafka.log.close()]);
  }
  const tables = PROJECTIONS.filter(({ topics }) => !topics.includes('runs')).flatMap((projection) => projection.tables);
  assert.deepEqual([...rows[0].keys()].filter((table) => tables.includes(table)).sort(), [...tables].sort());
  const shown = (of: Map<string, string[]>, table: string) => of.get(table)!.map(ofAnyLog).sort();
  for (const table of tables) assert.deepEqual(shown(rows[1], table), shown(rows[0], table), table);
  assert.ok(rows[0].get('series_5m')!.length > 10_000);
});
