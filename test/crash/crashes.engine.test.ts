import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { defaultStateFolder } from '../../infra/embedded-postgres.ts';
import { keepServer, PROJECT_FOLDER } from '../../infra/engine.ts';
import { type Crash, crash, openArena, SUBJECTS, type Subject } from './crashes.ts';

const KILLS = 5;

// A server of its own: it is killed too, and the other tests would not like that.
const server = await keepServer(`${defaultStateFolder(PROJECT_FOLDER)}-crash`);
after(() => server.stop());
const arena = await openArena(server, { scenario: { seed: 1, sites: 4, days: 2 }, speed: 200_000 });
const crashes: Crash[] = [];

for (const subject of Object.keys(SUBJECTS) as Subject[])
  for (let seed = 0; seed < KILLS; seed++)
    test(`${subject} killed (${seed}): rows, ids and answers as in an undisturbed run`, async () => {
      const result = await crash(arena, subject, seed);
      crashes.push(result);
      assert.deepEqual(result.differences, [], JSON.stringify(result));
      assert.ok((result.stepsUnderWay ?? 0) <= 2, JSON.stringify(result));
    });

test('most kills came while positions moved', () => {
  const moving = crashes.filter(({ positionsAtKill, positionsAtEnd }) => positionsAtKill > 0 && positionsAtKill < positionsAtEnd);
  assert.ok(moving.length * 2 > crashes.length, `${moving.length} of ${crashes.length}`);
});

test('the undisturbed run has everything that could differ: revisions, reloads, doubles, forecasts', () => {
  const sizes = [...arena.reference].map(([name, digest]) => [name.replace(/\/.*/, ''), Number(digest.split(' ')[0])] as const);
  for (const name of ['day.reloaded', 'revisions.requested', 'notices', 'forecasts', 'series_5m_history', 'latest_value'])
    assert.ok(
      sizes.some(([of, size]) => of === name && size > 0),
      name,
    );
});
