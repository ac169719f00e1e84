/**
 * How often what came lay within the forecast's 80 % band, over real homes. The rule knows seven days of its own errors,
 * too few for a band that holds in full: it covers about 70 %, which later models must beat.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { SLOT_MS } from '../../../processors/forecast/recent-slots.ts';
import { DAY_MS, HOUR_MS } from '../../../streams/limits.ts';
import { startOfLocalDayMs } from '../../../streams/time.ts';
import { dataFile } from '../../data.ts';
import { declaration, startsOf, Told } from './told.ts';

const LONDON = 'Europe/London';
const HALF_HOUR_MS = 2 * SLOT_MS;
const HOMES = 12;

/** Mean power (W) of a home by half hour (UTC start, ms). */
function powerOf(path: string): Map<number, number> {
  const bytes = readFileSync(path);
  const lines = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8').split('\n').slice(1);
  const power = new Map<number, number>();
  for (const line of lines) {
    const [, stamp, kWh] = line.split(',');
    const startMs = Date.parse(`${stamp?.slice(0, 19).replace(' ', 'T')}Z`);
    const value = Number.parseFloat(kWh);
    if (Number.isFinite(startMs) && Number.isFinite(value)) power.set(startMs, value * 2_000);
  }
  return power;
}

test('the 80 % band covers most of what came', () => {
  const folder = dataFile('lcl-homes-30min-2013', 'homes');
  let inside = 0;
  let all = 0;
  for (const file of readdirSync(folder).sort().slice(0, HOMES)) {
    const power = powerOf(join(folder, file));
    const told = new Told(declaration(true, LONDON));
    const starts = [...power.keys()].sort((a, b) => a - b);
    let nextNoonMs = startOfLocalDayMs(LONDON, starts[0]) + 12 * HOUR_MS;
    for (const startMs of starts) {
      while (startMs >= nextNoonMs) {
        told.tick(nextNoonMs);
        nextNoonMs = startOfLocalDayMs(LONDON, nextNoonMs + DAY_MS) + 12 * HOUR_MS;
      }
      told.slots(startMs, [power.get(startMs)!, power.get(startMs)!]);
    }
    for (const issue of told.issued) {
      for (const [i, startMs] of startsOf(issue).entries()) {
        const came = power.get(Math.floor(startMs / HALF_HOUR_MS) * HALF_HOUR_MS);
        if (came === undefined || issue.residualCount[i] < 30) continue;
        all++;
        if (came >= issue.q10W[i] && came <= issue.q90W[i]) inside++;
      }
    }
  }
  const share = inside / all;
  console.log(`The 80 % band covered ${(100 * share).toFixed(1)} % of ${all} quarter hours of ${HOMES} homes.`);
  assert.ok(all > 100_000);
  assert.ok(share > 0.65 && share < 0.9, `covered ${share}`);
});
