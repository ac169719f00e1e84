/** The contract of the log on three brokers: leaders and coordinators are on different ones, and each record has three copies. */
import { randomBytes } from 'node:crypto';
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
