import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KnownDays } from '../../replay/import/known-days.ts';
import { DAY_MS } from '../../streams/limits.ts';

const FIRST_DAY = Date.UTC(2013, 0, 1) / DAY_MS;
const IMPORT_DAY = Date.UTC(2024, 0, 1) / DAY_MS;

/** The latest day that is believed, as days from the first of 2013, given the days of lines in the order of their file. */
function latestDay(days: readonly number[]): number {
  const known = new KnownDays(IMPORT_DAY * DAY_MS);
  for (const day of days) known.take((FIRST_DAY + day) * DAY_MS);
  return known.latestBelievedMs() / DAY_MS - FIRST_DAY - 1;
}
const days = (count: number, step = 1) => Array.from({ length: count }, (_, i) => i * step);

test('wrong years are not believed, wherever they stand and however many in all; eight in a row are', () => {
  const wrong = 2_191;
  for (const good of [days(100), days(100).reverse()]) {
    assert.equal(latestDay([wrong, ...good, wrong, wrong, wrong]), 99);
    assert.equal(latestDay(good.flatMap((day) => (day % 3 === 0 ? [wrong, day] : [day]))), 99);
    assert.equal(latestDay([...good, ...Array.from({ length: 7 }, () => wrong)]), 99);
    assert.equal(latestDay([...Array.from({ length: 8 }, () => wrong), ...good]), wrong);
  }
});

test('lines after a gap, of a meter that is read monthly or yearly, and few lines of a later quarter are believed', () => {
  assert.equal(latestDay([...days(100), 150, 190]), 190);
  assert.equal(latestDay([...days(100), 192]), 99);
  for (const step of [7, 31, 365]) assert.equal(latestDay(days(9, step).reverse()), 8 * step);
  const later = days(20).map((day) => day + 1_000);
  assert.equal(latestDay([...later.reverse(), ...days(700).reverse()]), 1_019);
});

test('stamps of long ago, and beyond the import, make nothing later believed', () => {
  const ago = -FIRST_DAY + 1;
  assert.equal(latestDay([ago, ...days(50), 2_000, ago, IMPORT_DAY - FIRST_DAY + 5]), 49);
  const known = new KnownDays(IMPORT_DAY * DAY_MS);
  known.take(Number.NaN);
  assert.ok(Number.isNaN(known.latestBelievedMs()));
  known.take((IMPORT_DAY + 1) * DAY_MS);
  assert.deepEqual([known.lines, known.future], [1, 1]);
});
