import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Beliefs } from '../../replay/import/beliefs.ts';

test('of rows of one point and start, one that became known earlier than a row above it does not count', () => {
  const beliefs = new Beliefs();
  const take = (startMs: number, knownAtMs: number, file = 'f', pointId = 'p') => beliefs.take(file, pointId, startMs, knownAtMs, true);
  assert.deepEqual(
    [take(0, 5), take(0, 4), take(0, 5), take(0, 6), take(0, 5)],
    ['counts', 'superseded', 'counts', 'counts', 'superseded'],
  );
  assert.deepEqual([take(1, 4), take(0, 1, 'other'), take(0, 1, 'f', 'q')], ['counts', 'counts', 'counts']);
});

test('what was forgotten is told: the last readings, as many as are to be, are held', () => {
  const beliefs = new Beliefs(10);
  const take = (startMs: number, knownAtMs: number, moved: boolean) => beliefs.take('f', 'p', startMs, knownAtMs, moved);
  for (let i = 0; i < 25; i++) assert.equal(take(i, 100, false), 'counts');
  for (let i = 24; i >= 15; i--) assert.equal(take(i, 99, true), 'superseded');
  assert.deepEqual([take(0, 99, true), take(1, 101, false)], ['unknown', 'counts']);
});
