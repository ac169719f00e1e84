/** The bundled slice against the real data it was cut from. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { BUNDLED_FOLDER } from '../../replay/pilots/bundled.ts';
import { dataFile } from '../data.ts';

it('the slice has the values of the source where it measured, and blanks where it did not', () => {
  const lines = (file: string) => gunzipSync(readFileSync(file)).toString('utf8').trimEnd().split('\n');
  const source = new Map(
    lines(dataFile('uci-household-1min', 'household_power_2006_2008.csv.gz')).map((line) => [line.slice(0, 19), line.split(',')]),
  );
  const runs = readFileSync(dataFile('uci-household-1min', 'imputed_runs.csv'), 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(','));
  const [, ...slice] = lines(join(BUNDLED_FOLDER, 'household.csv.gz'));
  assert.equal(slice.length, 40_320);
  for (const line of slice) {
    const [minute, ...values] = line.split(',');
    const filledIn = runs.some(([first, last]) => first <= minute && minute <= last);
    const original = source.get(minute)!;
    assert.deepEqual(values, filledIn ? ['', '', '', ''] : [original[1], original[5], original[6], original[7]], minute);
  }
});
