import { after } from 'node:test';
import { defaultStateFolder } from '../../infra/embedded-postgres.ts';
import { keepServer, PROJECT_FOLDER } from '../../infra/engine.ts';
import { crashTests } from './crash-tests.ts';
import { openArena } from './crashes.ts';
import { embeddedGround } from './ground.ts';

const KILLS = 5;

// A server of its own: it is killed too, and the other tests would not like that.
const server = await keepServer(`${defaultStateFolder(PROJECT_FOLDER)}-crash`);
after(() => server.stop());
crashTests(await openArena(embeddedGround(server), { seed: 1, sites: 4, days: 2 }), KILLS);
