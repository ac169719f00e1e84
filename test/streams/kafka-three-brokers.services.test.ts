/** The contract of the log on three brokers: leaders and coordinators are on different ones, and each record has three copies. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { apiVersionsV4 } from '@platformatic/kafka';
import { brokerErrorOf, KafkaCluster } from '../../streams/kafka-cluster.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { eventLogContract } from './event-log-contract.ts';
import { REPLICATED, startOwnBrokers } from './own-brokers.ts';

const brokers = await startOwnBrokers(3, () => ({ properties: REPLICATED }));
const settings = kafkaSettings({ KAFKA_BROKERS: brokers.map(({ address }) => address).join(',') })!;

eventLogContract('kafka-log on three brokers', {
  open: (namespace, topics) => openKafkaLog({ settings, namespace, topics, compactionLagMs: 500 }),
  namespace: () => `t${randomBytes(6).toString('hex')}`,
});

// The last one, as a broker is gone after it.
test('a broker that is gone is not asked any more, but not taken for one without transactions', { timeout: 60_000 }, async () => {
  const cluster = new KafkaCluster(settings, 'test');
  try {
    const ask = async () => {
      await cluster.untilDone(() => cluster.refresh([]), { withinMs: 30_000 });
      return cluster.sendToNode('any', 3, apiVersionsV4.api, 'iflex', '1').then(() => 'ANSWERED', brokerErrorOf);
    };
    assert.equal(await ask(), 'ANSWERED');
    await brokers[2].end('SIGTERM');
    // Until the others know, it is asked, and the network says that nobody is there.
    while ((await ask()) !== 'BROKER_NOT_AVAILABLE');
    assert.deepEqual(cluster.nodes().sort(), [1, 2, 3]);
  } finally {
    await cluster.close();
  }
});
