import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turns } from '../../streams/turns.ts';

/** Works that note when they begin, and end when they are told to, in the order in which they began. */
function works() {
  const begun: string[] = [];
  const ends: PromiseWithResolvers<void>[] = [];
  return {
    begun,
    work: (name: string) => () => {
      begun.push(name);
      const end = Promise.withResolvers<void>();
      ends.push(end);
      return end.promise;
    },
    endOldest: (error?: Error) => (error ? ends.shift()!.reject(error) : ends.shift()!.resolve()),
  };
}

test('so many go on at a time, the others in the order in which they asked, a failed one makes room too', async () => {
  const turns = new Turns(2);
  const { begun, work, endOldest } = works();
  const all = ['a', 'b', 'c', 'd'].map((name) => turns.take(work(name)));
  assert.deepEqual(begun, ['a', 'b']);
  endOldest(new Error('failed'));
  await assert.rejects(all[0], /failed/);
  assert.deepEqual(begun, ['a', 'b', 'c']);
  for (const each of all.slice(1)) {
    endOldest();
    await each;
  }
  assert.deepEqual(begun, ['a', 'b', 'c', 'd']);
});

test('who takes the first turn comes before all that wait, and after those that have begun', async () => {
  const turns = new Turns(1);
  const { begun, work, endOldest } = works();
  const all = [turns.take(work('runs')), turns.take(work('waits')), turns.takeFirst(work('first'))];
  assert.deepEqual(begun, ['runs']);
  endOldest();
  await all[0];
  endOldest();
  await all[2];
  endOldest();
  await all[1];
  assert.deepEqual(begun, ['runs', 'first', 'waits']);
});
