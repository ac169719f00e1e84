/** The crash suite with fifty kills of each subject, on more sites and days; writes what each kill did to soak-results.json. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { defaultStateFolder } from '../../infra/embedded-postgres.ts';
import { keepServer, PROJECT_FOLDER } from '../../infra/engine.ts';
import { type Crash, crash, openArena, SUBJECTS, type Subject } from './crashes.ts';

const KILLS = 50;

const server = await keepServer(`${defaultStateFolder(PROJECT_FOLDER)}-crash`);
const arena = await openArena(server, { scenario: { seed: 2, sites: 8, days: 3 }, speed: 200_000 });
const crashes: Crash[] = [];
after(async () => {
  await server.stop();
  const moving = crashes.filter(({ positionsAtKill, positionsAtEnd }) => positionsAtKill > 0 && positionsAtKill < positionsAtEnd).length;
  const unequal = crashes.filter(({ differences }) => differences.length > 0).length;
  const summary = { kills: crashes.length, whilePositionsMoved: moving, unequal, crashes };
  writeFileSync(new URL('soak-results.json', import.meta.url), `${JSON.stringify(summary, null, 2)}\n`);
});

for (const subject of Object.keys(SUBJECTS) as Subject[])
  test(`${subject} killed ${KILLS} times: rows and ids as in an undisturbed run each time`, async () => {
    for (let seed = 0; seed < KILLS; seed++) {
      const result = await crash(arena, subject, seed);
      crashes.push(result);
      assert.deepEqual(result.differences, [], JSON.stringify(result));
      assert.ok(result.stepsUnderWay <= 2, JSON.stringify(result));
    }
  });
