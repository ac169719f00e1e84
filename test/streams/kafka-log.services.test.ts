import { randomBytes } from 'node:crypto';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { eventLogContract } from './event-log-contract.ts';

const settings = kafkaSettings()!;
const run = randomBytes(4).toString('hex');
let count = 0;

eventLogContract('kafka-log', {
  open: (namespace, topics) => openKafkaLog({ settings, namespace, topics, compactionLagMs: 500 }),
  namespace: () => `t${run}_${++count}`,
});
