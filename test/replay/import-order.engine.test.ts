/** Files whose lines are not in the order of time, and files that their mapping does not fit. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { importFiles } from '../../replay/import/import-files.ts';
import { type Mapping, mappingOf } from '../../replay/import/mapping-file.ts';
import { declare } from '../../replay/instance/declare.ts';
import type { ReadingsDelivery } from '../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { openTestEngine } from '../engine.ts';
import { instanceFor } from './import-instance.ts';

const engine = await openTestEngine();
const folder = mkdtempSync(join(tmpdir(), 'iflex-import-order-'));
after(() => rmSync(folder, { recursive: true }));

type MappingFile = Parameters<typeof mappingOf>[1];

const METERS = ['a', 'b', 'c'];
const START_MS = Date.UTC(2025, 0, 6);
const stamp = (ms: number) => new Date(ms).toISOString().slice(0, 16).replace('T', ' ');

function mapping(value: Partial<MappingFile['values'][number]>, changes: Partial<MappingFile> = {}): Mapping {
  const meters = Object.fromEntries(METERS.map((name) => [name, { site: 'site-o', points: { v: `p-${name}` } }]));
  return mappingOf('m.yaml', {
    stamp: { column: 't', format: 'iso', marks: 'start' },
    knownAt: { after: '0 min' },
    meter: { column: 'm' },
    values: [{ name: 'v', column: 'kWh', kind: 'interval-energy', carrier: 'electricity', interval: '1 h', unit: 'kWh', ...value }],
    meters,
    ...changes,
  });
}
const HOURLY = mapping({});

let made = 0;
async function openLog(t: TestContext, by: Mapping) {
  const namespace = engine.namespace();
  const log = await openPostgresLog({ url: engine.url, namespace });
  t.after(() => log.close());
  const codec = await openRegistry(engine.url, namespace);
  const { sites, pilot } = instanceFor(by, Date.UTC(2012, 0, 1));
  const points = sites.flatMap((site) => site.points);
  await declare(log, codec, {
    pilot,
    sites: [{ ...sites[0], points: [...new Map(points.map((point) => [point.pointId, point])).values()] }],
  });
  const run = async (header: string, lines: readonly string[]) => {
    const path = join(folder, `${made++}.csv`);
    writeFileSync(path, `${header}\n${lines.join('\n')}\n`);
    const report = await importFiles({ log, codec, mapping: by, files: [path], importedAtMs: Date.UTC(2026, 10, 24) });
    return { report, deliveries: await deliveriesOf() };
  };
  const deliveriesOf = async (): Promise<ReadingsDelivery[]> => {
    const values: ReadingsDelivery[] = [];
    for (const [partition, end] of (await log.endOffsets('meter.readings')).entries())
      for (let offset = 0; offset < end; ) {
        const page = await log.read({ topic: 'meter.readings', partition }, offset, { maxRecords: 10_000, maxBytes: 1e7 });
        for (const { value } of page.records) values.push(codec.decodeAs('ReadingsDelivery', value) as ReadingsDelivery);
        offset = page.nextOffset;
      }
    return values;
  };
  const ends = async () => Promise.all(['meter.readings', 'rejected', 'ticks'].map((topic) => log.endOffsets(topic)));
  return { run, ends };
}

/** Stamps of the readings of a point, ascending. */
function startsOf(deliveries: readonly ReadingsDelivery[], pointId: string): number[] {
  return deliveries
    .flatMap(({ series }) => series)
    .filter((series) => series.pointId === pointId)
    .flatMap(({ startMs }) => {
      let ms = 0;
      return startMs.map((step) => (ms += step));
    })
    .sort((a, b) => a - b);
}

/** Energies of a point by start, as the log's readers take them: the last delivered of one start counts. */
function valuesOf(deliveries: readonly ReadingsDelivery[], pointId: string): number[] {
  const values = new Map<number, number>();
  for (const series of deliveries.flatMap((delivery) => delivery.series).filter((one) => one.pointId === pointId)) {
    let ms = 0;
    series.startMs.forEach((step, i) => {
      ms += step;
      values.set(ms, series.energyMilliWh[i]);
    });
  }
  return [...values].sort(([a], [b]) => a - b).map(([, value]) => value);
}

const hoursOf = (meter: string, hours: readonly number[]) => hours.map((hour) => `${stamp(START_MS + hour * HOUR_MS)},${meter},1`);
const hours = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

test('of a file with its newest line first every line arrives, none ahead of its delivery, and 2038 moves no time', async (t) => {
  const { run } = await openLog(t, HOURLY);
  const lines = hoursOf('a', hours(0, 289)).reverse();
  const wrong = ['2038-01-19 03:14,a,1', '2026-09-01 00:00,a,1'];
  const { report, deliveries } = await run('t,m,kWh', [...wrong, ...lines.slice(0, 100), ...wrong, ...lines.slice(100), ...wrong]);
  assert.deepEqual([report.readings, report.missing.readings, report.rejected], [289, 0, { READING_IN_FUTURE: 6 }]);
  assert.deepEqual(
    startsOf(deliveries, 'p-a'),
    hours(0, 289).map((hour) => START_MS + hour * HOUR_MS),
  );
  for (const delivery of deliveries) for (const start of startsOf([delivery], 'p-a')) assert.ok(start <= delivery.knownAtMs);
  assert.equal(Math.max(...deliveries.map(({ knownAtMs }) => knownAtMs)), START_MS + 288 * HOUR_MS);
});

test('of a file that is grouped by meter, the last readings after a gap arrive, and the gap is in the report', async (t) => {
  const { run } = await openLog(t, HOURLY);
  const lines = [...hoursOf('a', [...hours(0, 441), ...hours(475, 480)]), ...hoursOf('b', hours(0, 480))];
  const { report } = await run('t,m,kWh', lines);
  assert.deepEqual([report.readings, report.rejected], [926, {}]);
  assert.deepEqual([report.missing.gaps, report.missing.readings], [1, 34]);
});

test('of registers that are grouped by meter, read weekly or yearly, every reading arrives', async (t) => {
  for (const [days, count] of [
    [7, 30],
    [365, 10],
  ]) {
    const { run } = await openLog(t, mapping({ kind: 'register', carrier: 'district-heat', interval: '7 d' }));
    const lines = METERS.flatMap((meter) =>
      Array.from({ length: count }, (_, i) => `${stamp(Date.UTC(2013, 0, 1) + i * days * DAY_MS)},${meter},${100 + i}`),
    );
    const { report } = await run('t,m,kWh', lines);
    assert.deepEqual([report.readings, report.rejected], [3 * count, {}], `${days} days`);
  }
});

test('of a file that is not sorted by when its lines became known every line arrives', async (t) => {
  const { run } = await openLog(t, mapping({}, { knownAt: { column: 'known' } }));
  // Each hour becomes known up to four days later, in no order.
  const lines = hours(0, 200).map((hour) => {
    const startMs = START_MS + hour * HOUR_MS;
    return `${stamp(startMs)},a,1,${stamp(startMs + (2 + ((hour * 37) % 97)) * HOUR_MS)}`;
  });
  const { report } = await run('t,m,kWh,known', lines);
  assert.deepEqual([report.readings, report.rejected], [200, {}]);
});

test('in the night of the clock change, files that ascend or descend give each hour once, whatever garbage is among them', async (t) => {
  const local = (ms: number) => stamp(ms + (ms < Date.UTC(2025, 9, 26, 1) ? 3 : 2) * HOUR_MS);
  const startMs = Date.UTC(2025, 9, 24);
  const wanted = hours(0, 96).map((hour) => startMs + hour * HOUR_MS);
  const lines = wanted.map((ms) => `${local(ms)},a,1`);
  const wrong = '2030-10-20 00:00,a,1';
  for (const order of [lines, [...lines].reverse()])
    for (const at of [0, 10, 48, 49, 50, 96]) {
      const { run } = await openLog(t, mapping({}, { stamp: { column: 't', format: 'iso', zone: 'Europe/Helsinki', marks: 'start' } }));
      const { report, deliveries } = await run('t,m,kWh', [...order.slice(0, at), wrong, ...order.slice(at)]);
      assert.deepEqual(report.rejected, { READING_IN_FUTURE: 1 });
      assert.deepEqual(startsOf(deliveries, 'p-a'), wanted, `garbage at ${at}`);
    }
});

test('a mapping that does not fit is refused before anything is appended, with what to look at', async (t) => {
  const lines = (write: (i: number) => string) => hours(0, 3_000).map((i) => write(i));
  const plain = lines((i) => `${stamp(START_MS + i * HOUR_MS)},a,"0,${i}"`);
  const few = lines((i) => `${stamp(START_MS + i * HOUR_MS)},a,${i % 50 === 7 ? 0 : '"0,388"'}`);
  const years = lines((i) => `${stamp(START_MS + i * 5 * HOUR_MS)},a,1`);
  for (const [by, written, message] of [
    [HOURLY, plain, /^None of the first 1000 lines of .*\.csv can be read .*Line 2: The value .*`decimal`, which is "\."/],
    [HOURLY, plain.slice(0, 48), /^None of the first 48 lines of/],
    [HOURLY, few, /^Only 20 of the first 1000 lines .*`decimal`/],
    [HOURLY, lines((i) => `${String(1 + (i % 28)).padStart(2, '0')}.01.2025 00:00,a,1`), /^N.* `stamp\.format`/],
    [mapping({}, { knownAt: { after: '400 d' } }), years, /^\d+ of 3000 lines of .* would be set aside as not yet known\. .*`knownAt`/],
  ] as const) {
    const { run, ends } = await openLog(t, by);
    const before = await ends();
    await assert.rejects(run('t,m,kWh', written), { code: 'CONFIG_INVALID', message });
    assert.deepEqual(await ends(), before);
  }
});

test('many bad lines, or many of other meters, among good ones stop nothing', async (t) => {
  const { run } = await openLog(t, HOURLY);
  const lines = hours(0, 1_500).map((i) => {
    const meter = i % 100 === 0 || i % 100 === 50 ? 'a' : 'z';
    return `${stamp(START_MS + i * HOUR_MS)},${meter},${i % 100 === 50 ? 'bad' : 1}`;
  });
  const { report } = await run('t,m,kWh', lines);
  assert.deepEqual([report.readings, report.rejected], [15, { SITE_UNKNOWN: 1_470, VALUE_UNREADABLE: 15 }]);
});

test('of two rows of one time the later known counts, wherever it stands, and an earlier belief below it is set aside', async (t) => {
  const row = (hour: number, kWh: number, knownHour: number, minute = 0) =>
    `${stamp(START_MS + hour * HOUR_MS)},a,${kWh},${stamp(START_MS + knownHour * HOUR_MS + minute * MINUTE_MS)}`;
  const believed = async (by: Mapping, lines: readonly string[]) => {
    const { run } = await openLog(t, by);
    const { report, deliveries } = await run('t,m,kWh,known', lines);
    return { counts: [report.readings, report.doubled.conflicting, report.rejected], values: valuesOf(deliveries, 'p-a') };
  };
  const known = mapping({}, { knownAt: { column: 'known' } });
  const byKnown = [row(0, 1, 1), row(1, 2, 2), row(2, 3, 3), row(0, 9, 30), row(1, 8, 40, 10), row(1, 7, 40, 20)];
  assert.deepEqual(await believed(known, byKnown), { counts: [6, 3, {}], values: [9e6, 7e6, 3e6] });
  // Newest first, and the two of one delivery the other way round.
  const newestFirst = { counts: [3, 0, { READING_SUPERSEDED: 3 }], values: [9e6, 7e6, 3e6] };
  assert.deepEqual(await believed(known, [...byKnown].reverse()), newestFirst);
  // An earlier belief below its correction, in a file that is else in order.
  const mixed = { counts: [4, 1, { READING_SUPERSEDED: 2 }], values: [9e6, 7e6, 3e6] };
  assert.deepEqual(
    await believed(
      known,
      [1, 3, 0, 2, 5, 4].map((i) => byKnown[i]),
    ),
    mixed,
  );
  // Without the column nobody says which is later: the lower row counts.
  assert.deepEqual(await believed(HOURLY, [...byKnown].reverse()), { counts: [6, 3, {}], values: [1e6, 2e6, 3e6] });
});
