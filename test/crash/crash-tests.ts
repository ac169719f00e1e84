/** The short form of the crash suite, on any ground. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Arena, type Crash, crash, hasMoved } from './crashes.ts';
import { subjectsOf } from './subjects.ts';

export function crashTests(arena: Arena, kills: number): void {
  const crashes: Crash[] = [];
  for (const subject of subjectsOf(arena.ground))
    for (let seed = 0; seed < kills; seed++)
      test(`${subject.name} killed (${seed}): rows, ids and answers as in an undisturbed run`, async () => {
        const result = await crash(arena, subject, seed);
        crashes.push(result);
        assertWhole(result);
      });

  test('most kills came while positions moved', () => {
    const moved = crashes.filter(hasMoved);
    assert.ok(moved.length * 2 > crashes.length, `${moved.length} of ${crashes.length}`);
  });

  test('the undisturbed run has everything that could differ: revisions, reloads, doubles, forecasts', () => {
    const sizes = [...arena.reference].map(([name, digest]) => [name.replace(/\/.*/, ''), Number(digest.split(' ')[0])] as const);
    for (const name of ['day.reloaded', 'revisions.requested', 'notices', 'forecasts', 'series_5m_history', 'latest_value'])
      assert.ok(
        sizes.some(([of, size]) => of === name && size > 0),
        name,
      );
  });
}

export function assertWhole(result: Crash): void {
  assert.deepEqual(result.differences, [], JSON.stringify(result));
  assert.ok((result.stepsUnderWay ?? 0) <= 2, JSON.stringify(result));
}
