import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Claim, shareOut } from '../../streams/membership.ts';

const claim = (id: string, held: number[] = [], generation = 1): Claim => ({ id, held, generation });
const shared = (claims: readonly Claim[], count = 12) => Object.fromEntries(shareOut(claims, count));

test('the first member gets all, and a second one half of them once they are given up', () => {
  assert.deepEqual(shared([claim('a')]), { a: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] });
  const all = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
  assert.deepEqual(shared([claim('a', all), claim('b')]), { a: [0, 1, 2, 3, 4, 5], b: [] });
  assert.deepEqual(shared([claim('a', [0, 1, 2, 3, 4, 5]), claim('b')]), { a: [0, 1, 2, 3, 4, 5], b: [6, 7, 8, 9, 10, 11] });
});

test('of two that claim a task the one of the later generation keeps it', () => {
  assert.deepEqual(shared([claim('a', [0, 1], 7), claim('b', [0, 1], 6)], 2), { a: [0], b: [] });
  assert.deepEqual(shared([claim('a', [0], 7), claim('b', [0, 1], 6)], 2), { a: [0], b: [1] });
});

test('more members than tasks: some wait', () => {
  assert.deepEqual(shared([claim('c'), claim('a'), claim('b')], 2), { a: [0], b: [1], c: [] });
});

/** Claims of some members; what each holds is drawn from all, so that some hold the same. */
const claims = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 6 }).chain((ids) =>
  fc.tuple(
    ...ids.map((id) =>
      fc.record({
        id: fc.constant(id),
        held: fc.uniqueArray(fc.nat(11), { maxLength: 12 }),
        generation: fc.integer({ min: -1, max: 3 }),
      }),
    ),
  ),
);

test('whoever holds what: no task has two members, and none is taken from a member that has not stopped it', () => {
  fc.assert(
    fc.property(claims, (members) => {
      const shares = shareOut(members, 12);
      assert.deepEqual([...shares.keys()].sort(), members.map(({ id }) => id).sort());
      const given = [...shares].flatMap(([id, share]) => share.map((partition) => ({ id, partition })));
      assert.equal(new Set(given.map(({ partition }) => partition)).size, given.length);
      for (const { id, partition } of given) {
        const holders = members.filter(({ held }) => held.includes(partition));
        if (holders.length > 0) assert.ok(holders.some((holder) => holder.id === id));
      }
      for (const share of shares.values()) assert.ok(share.length <= Math.ceil(12 / members.length));
    }),
  );
});

test('however tasks are held, two rounds share all of them out evenly, and then nothing moves any more', () => {
  fc.assert(
    fc.property(claims, (members) => {
      let generation = 10;
      const next = (shares: Map<string, number[]>) => [...shares].map(([id, held]) => ({ id, held, generation: generation++ }));
      const settled = shareOut(next(shareOut(members, 12)), 12);
      const sizes = [...settled.values()].map((share) => share.length);
      assert.deepEqual(
        [...settled.values()].flat().sort((a, b) => a - b),
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
      );
      assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, String(sizes));
      assert.deepEqual(new Map([...shareOut(next(settled), 12)].sort()), new Map([...settled].sort()));
    }),
  );
});
