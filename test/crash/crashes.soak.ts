/** Results go to soak-results.json. */
import { after } from 'node:test';
import { defaultStateFolder } from '../../infra/embedded-postgres.ts';
import { keepServer, PROJECT_FOLDER } from '../../infra/engine.ts';
import { embeddedGround } from './ground.ts';
import { soakCrashes } from './soak-crashes.ts';

const server = await keepServer(`${defaultStateFolder(PROJECT_FOLDER)}-crash`);
after(() => server.stop());
await soakCrashes(embeddedGround(server), new URL('soak-results.json', import.meta.url));
