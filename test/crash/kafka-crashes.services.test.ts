/** The crash tests on Kafka, with a registry and TimescaleDB, which are killed as well. */
import { crashTests } from './crash-tests.ts';
import { openArena } from './crashes.ts';
import { openKafkaGround } from './kafka-ground.ts';

const KILLS = 5;

crashTests(await openArena(await openKafkaGround(), { seed: 1, sites: 4, days: 2 }), KILLS);
