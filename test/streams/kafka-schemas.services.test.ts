/** What schema ids mean, recorded on Kafka by several processes at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaCluster } from '../../streams/kafka-cluster.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { kafkaRecordedSchemas } from '../../streams/kafka-schemas.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { openTestServices } from '../services.ts';

const services = await openTestServices('kafka');
const settings = kafkaSettings(services.settings)!;

test('processes that record schema ids at the same time all do so, and agree on what an id was recorded with', async () => {
  const namespace = services.namespace();
  await (await openKafkaLog({ settings, namespace })).close();
  const processes = Array.from({ length: 4 }, (_, i) => {
    const cluster = new KafkaCluster(settings, `test ${i}`);
    return { cluster, recorded: kafkaRecordedSchemas(cluster, namespace) };
  });
  try {
    for (let round = 0; round < 5; round++) {
      // All record one id with a meaning of their own, and an id that nobody else has.
      const found = await Promise.all(
        processes.map(async ({ recorded }, i) => {
          await recorded.add(
            new Map([
              [100 * round, `of ${i}`],
              [100 * round + 1 + i, `${i} alone`],
            ]),
          );
          return recorded.read();
        }),
      );
      const agreed = found[0].get(100 * round);
      assert.match(agreed!, /^of \d$/);
      for (const [i, each] of found.entries())
        assert.deepEqual([each.get(100 * round), each.get(100 * round + 1 + i)], [agreed, `${i} alone`], `round ${round}, process ${i}`);
    }
  } finally {
    for (const { cluster } of processes) await cluster.close();
  }
});
