import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Coverage } from '../../replay/import/coverage.ts';

const MINUTE_MS = 60_000;
const of = (readings: readonly [number, number][], maxSpans?: number) => {
  const coverage = new Coverage(maxSpans);
  for (const [minute, value] of readings) coverage.take('s', 'p', MINUTE_MS, minute * MINUTE_MS, value);
  return coverage.finish()[0];
};

test('doubles and gaps are what a list of all readings says, in any order', () => {
  const reading = fc.tuple(fc.integer({ min: 0, max: 2_000 }), fc.integer({ min: 0, max: 2 }));
  fc.assert(
    fc.property(fc.array(reading, { minLength: 1, maxLength: 200 }), (readings) => {
      const seen = new Map<number, number>();
      let identical = 0;
      let conflicting = 0;
      for (const [minute, value] of readings) {
        if (seen.get(minute) === value) identical++;
        else if (seen.has(minute)) conflicting++;
        seen.set(minute, value);
      }
      const ordered = [...seen.keys()].sort((a, b) => a - b);
      const lost = ordered.slice(1).map((minute, i) => minute - ordered[i] - 1);
      const found = of(readings);
      assert.deepEqual(
        [
          found.readings,
          found.identicalDoubles,
          found.conflictingDoubles,
          found.missing,
          found.gaps,
          found.longestGapMs,
          found.notCompared,
        ],
        [
          readings.length,
          identical,
          conflicting,
          lost.reduce((sum, minutes) => sum + minutes, 0),
          lost.filter((minutes) => minutes > 0).length,
          Math.max(0, ...lost) * MINUTE_MS,
          0,
        ],
      );
    }),
    { seed: 1, numRuns: 200 },
  );
});

test('readings denser than expected, and off the grid, are no doubles and no gaps', () => {
  const found = of([
    [0.5, 1],
    [1, 2],
    [1.25, 3],
    [2.4, 4],
    [1.25, 3],
    [1, 5],
  ]);
  assert.deepEqual([found.identicalDoubles, found.conflictingDoubles, found.missing], [1, 1, 0]);
});

test('what lies too far back is let go: memory is bounded, gaps stay exact, and such doubles are told apart', () => {
  const minutes = Array.from({ length: 100_000 }, (_, i) => i).filter((minute) => minute % 1000 !== 7);
  const readings = minutes.map((minute): [number, number] => [minute, 0]);
  const found = of([...readings, [0, 0], [99_999, 0], [99_998, 1]], 8);
  assert.deepEqual(
    [found.missing, found.gaps, found.longestGapMs, found.identicalDoubles, found.conflictingDoubles, found.notCompared],
    [100, 100, MINUTE_MS, 1, 1, 1],
  );
});
