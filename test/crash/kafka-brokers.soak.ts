/** One of three brokers ends amid a run, and comes back. Results go to kafka-brokers-soak-results.json. */
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { openTestServices } from '../services.ts';
import { type OwnBroker, REPLICATED, startOwnBrokers } from '../streams/own-brokers.ts';
import type { Ground } from './ground.ts';
import { soakCrashes } from './soak-crashes.ts';
import { outagesOf } from './subjects.ts';

const { settings } = await openTestServices('timescaledb');
const brokers = await startOwnBrokers(3, () => ({ properties: REPLICATED }));
let turn = 0;

/** Each broker in turn, as one of them leads the controllers, and others the partitions and transactions. */
const endingBy = (signal: NodeJS.Signals) => async () => {
  const broker: OwnBroker = brokers[turn++ % brokers.length];
  await broker.end(signal);
  await broker.start();
  await broker.untilReady();
};

const ground: Ground = {
  backend: { url: settings.DATABASE_URL, kafka: kafkaSettings({ KAFKA_BROKERS: brokers.map(({ address }) => address).join(',') })! },
  speed: 20_000,
  memberCounts: [],
  outages: {
    'one of three brokers (SIGKILL)': { strike: endingBy('SIGKILL') },
    'one of three brokers (SIGTERM)': { strike: endingBy('SIGTERM') },
  },
};
await soakCrashes(ground, new URL('kafka-brokers-soak-results.json', import.meta.url), outagesOf(ground, 1));
