/** The bundled pilot: what its files say is what its facts hold. */
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { BUNDLED_DAYS, BUNDLED_FOLDER, bundledPilot } from '../../replay/pilots/bundled.ts';
import { SLICE_START_MS } from '../../replay/pilots/household.ts';
import type { ReadingsDelivery } from '../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';

const FILE = join(BUNDLED_FOLDER, 'household.csv.gz');
const text = gunzipSync(readFileSync(FILE)).toString('utf8');
/** The gap of the source, as its list of filled-in runs has it (UTC+1). */
const GAP_FROM_MS = Date.parse('2007-04-28T00:21:00+01:00');
const GAP_TO_MS = Date.parse('2007-04-30T14:24:00+01:00');

describe('the measured slice', () => {
  it('is small, and has all its minutes, with the gap of the source blank', () => {
    assert.ok(statSync(FILE).size < 2_000_000);
    assert.equal(text.match(/^2007-\d\d-\d\d \d\d:\d\d:00,/gm)!.length, 28 * 1440);
    const blank = text.match(/^.{19},,,,$/gm)!;
    assert.equal(blank.length, 3723);
    assert.equal(blank[0].slice(0, 19), '2007-04-28 00:21:00');
    assert.equal(blank.at(-1)!.slice(0, 19), '2007-04-30 14:23:00');
    assert.equal(text.match(/^.{19}(,\d+\.\d+){4}$/gm)!.length, 28 * 1440 - 3723);
  });
});

const pilot = await bundledPilot(BUNDLED_DAYS);

describe('the bundled pilot', () => {
  const household = pilot.instance.sites.find(({ origin }) => origin === 'MEASURED')!;
  const deliveries = pilot.facts.filter(({ schema }) => schema === 'ReadingsDelivery').map(({ value }) => value as ReadingsDelivery);
  const readingsOf = (pointId: string) =>
    deliveries.flatMap(({ knownAtMs, series }) =>
      series
        .filter((one) => one.pointId === pointId)
        .flatMap((one) => {
          let startMs = 0;
          return one.startMs.map((difference, i) => ({
            startMs: (startMs += difference),
            value: one.value[i] ?? one.energyMilliWh[i],
            knownAtMs,
          }));
        }),
    );

  it('says which site is measured and which are simulated, and declares them as the simulator does', () => {
    assert.equal(pilot.instance.sites.length, 5);
    assert.deepEqual(
      pilot.instance.sites.filter(({ origin }) => origin === 'SIMULATED').sort((a, b) => (a.siteId < b.siteId ? -1 : 1)),
      pilot.simulated.map(({ declaration }) => declaration).sort((a, b) => (a.siteId < b.siteId ? -1 : 1)),
    );
  });

  it('has every measured minute once, in watts and milliwatt-hours, at UTC+1, and nothing in the gap', () => {
    const columns = { grid: 1, kitchen: 2, laundry: 3, 'water-heater-and-air-conditioning': 4 };
    for (const { name, pointId } of household.points) {
      const column = columns[name as keyof typeof columns];
      const told = text
        .split('\n')
        .slice(1, -1)
        .filter((line) => !line.endsWith(','))
        .map((line) => line.split(','));
      const readings = readingsOf(pointId);
      assert.equal(readings.length, 28 * 1440 - 3723);
      const total = told.reduce((sum, fields) => sum + Number(fields[column]), 0);
      assert.ok(Math.abs(readings.reduce((sum, { value }) => sum + value, 0) - 1000 * total) < 1, name);
      assert.equal(readings[0].startMs, Date.parse('2007-04-15T00:00:00+01:00'));
      assert.equal(readings.at(-1)!.startMs, Date.parse('2007-05-12T23:59:00+01:00'));
      assert.ok(readings.every(({ startMs }) => startMs < GAP_FROM_MS || startMs >= GAP_TO_MS));
      assert.ok(readings.every(({ startMs, knownAtMs }) => knownAtMs >= startMs + MINUTE_MS && knownAtMs <= startMs + HOUR_MS));
    }
  });

  it('has faults of every kind at the simulated sites', () => {
    assert.equal(new Set(pilot.simulated.flatMap(({ faults }) => faults.map(({ kind }) => kind))).size, 10);
  });

  it('cut short is the beginning of the whole', async () => {
    const short = await bundledPilot(3);
    const untilMs = SLICE_START_MS + 3 * DAY_MS;
    assert.deepEqual(
      short.facts,
      pilot.facts.filter(({ value }) => value.knownAtMs < untilMs),
    );
    assert.ok(short.facts.length > 500 && short.facts.length < pilot.facts.length / 5);
  });
});
