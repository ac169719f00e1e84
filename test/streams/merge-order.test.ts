import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareMerge } from '../../streams/merge-order.ts';

test('facts come by knowledge, ticks after facts of the same time, then by topic', () => {
  const places: [number, string][] = [
    [1, 'ticks'],
    [2, 'meter.readings'],
    [2, 'sites'],
    [2, 'tobacco'],
    [2, 'ticks'],
    [3, 'day.reloaded'],
  ];
  for (const [i, [aMs, a]] of places.entries())
    for (const [j, [bMs, b]] of places.entries())
      assert.equal(Math.sign(compareMerge(aMs, a, bMs, b)), Math.sign(i - j), `${aMs} ${a} and ${bMs} ${b}`);
});
