/** Results go to kafka-soak-results.json. */
import { openKafkaGround } from './kafka-ground.ts';
import { soakCrashes } from './soak-crashes.ts';

await soakCrashes(await openKafkaGround(), new URL('kafka-soak-results.json', import.meta.url));
