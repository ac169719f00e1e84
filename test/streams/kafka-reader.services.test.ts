/** Reads of partitions whose beginning is deleted meanwhile, as that of the changes of state is with each snapshot. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KafkaCluster } from '../../streams/kafka-cluster.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { deleteBefore } from '../../streams/kafka-log-task.ts';
import { KafkaReader } from '../../streams/kafka-reader.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { topicName } from '../../streams/kafka-topics.ts';
import { openTestServices } from '../services.ts';
import { numbered } from './event-log-fixtures.ts';

const services = await openTestServices('kafka');
const settings = kafkaSettings(services.settings)!;

test('batches are looked for from where the log begins now, and where it was deleted up to its end there are none', async () => {
  const namespace = services.namespace();
  const log = await openKafkaLog({ settings, namespace });
  const cluster = new KafkaCluster(settings, 'test');
  try {
    const reader = new KafkaReader(cluster);
    const topic = topicName(namespace, 'meter.readings');
    const places = [0, 1, 2].map((partition) => ({ topic, partition }));
    // Each is a record and the end of its transaction.
    for (const { partition } of places)
      for (const number of [1, 2]) await log.append([numbered('a', number, { topic: 'meter.readings', partition })]);
    assert.deepEqual(await reader.highWatermarks(places), [4, 4, 4]);
    const heads = async () => (await reader.headsUpTo(places.map((at) => ({ at, offset: 0, end: 4 })))).map(({ length }) => length);
    assert.deepEqual(await heads(), [4, 4, 4]);
    await deleteBefore(cluster, places[0], 4);
    await deleteBefore(cluster, places[1], 4);
    await deleteBefore(cluster, places[2], 2);
    assert.deepEqual(await heads(), [0, 0, 2]);
  } finally {
    await log.close();
    await cluster.close();
  }
});
