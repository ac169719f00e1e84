import { openKafkaLog } from '../../streams/kafka-log.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { openTestServices } from '../services.ts';
import { eventLogContract } from './event-log-contract.ts';

const services = await openTestServices('kafka');
const settings = kafkaSettings(services.settings)!;

eventLogContract('kafka-log', {
  open: (namespace, topics) => openKafkaLog({ settings, namespace, topics, compactionLagMs: 500 }),
  namespace: () => services.namespace(),
});
