import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Fact } from '../../replay/facts.ts';
import { Coverage } from '../../replay/import/coverage.ts';
import { factsOf } from '../../replay/import/deliveries.ts';
import { type ImportOptions, importFiles } from '../../replay/import/import-files.ts';
import { contentOf } from '../../replay/import/lines.ts';
import { type Mapping, readMapping } from '../../replay/import/mapping-file.ts';
import { declare } from '../../replay/instance/declare.ts';
import type { ReadingsDelivery, Rejected } from '../../schemas/types.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { openTestEngine } from '../engine.ts';
import { instanceFor, mappingFor } from './import-instance.ts';

const engine = await openTestEngine();
const folder = mkdtempSync(join(tmpdir(), 'iflex-import-'));
after(() => rmSync(folder, { recursive: true }));

const HALF_HOUR_MS = 1_800_000;
const mapping = mappingFor('low-carbon-london', ['A', 'B']);

/** Lines of the form of Low Carbon London, one a half hour from 2013-01-01. */
function linesOf(meter: string, count: number): string[] {
  const stamp = (i: number) => new Date(Date.UTC(2013, 0, 1) + i * HALF_HOUR_MS).toISOString().slice(0, 19).replace('T', ' ');
  return Array.from({ length: count }, (_, i) => `${meter},${stamp(i)}, 0.${String(i % 1000).padStart(3, '0')} `);
}

let made = 0;
function file(lines: readonly string[], how: { gzip?: boolean } = {}): string {
  const path = join(folder, `${made++}.csv`);
  const text = `LCLid,tstp,energy(kWh/hh)\n${lines.join('\n')}\n`;
  writeFileSync(path, how.gzip ? gzipSync(text) : text);
  return path;
}

async function openLog(t: TestContext, declared: Mapping = mapping) {
  const namespace = engine.namespace();
  const log = await openPostgresLog({ url: engine.url, namespace });
  t.after(() => log.close());
  const codec = await openRegistry(engine.url, namespace);
  await declare(log, codec, instanceFor(declared, Date.UTC(2012, 0, 1)));
  const read = async <Value>(topic: string, schema: string): Promise<Value[]> => {
    const values: Value[] = [];
    for (const [partition, end] of (await log.endOffsets(topic)).entries()) {
      let offset = 0;
      while (offset < end) {
        const page = await log.read({ topic, partition }, offset, { maxRecords: 10_000, maxBytes: 1e7 });
        for (const { value } of page.records) values.push(codec.decodeAs(schema, value) as Value);
        offset = page.nextOffset;
      }
    }
    return values;
  };
  const ends = async (): Promise<Record<string, number[]>> =>
    Object.fromEntries(
      await Promise.all(['meter.readings', 'rejected', 'ticks'].map(async (topic) => [topic, await log.endOffsets(topic)])),
    );
  const importAll = (files: readonly string[], more: Partial<ImportOptions> = {}) =>
    importFiles({ log, codec, mapping: declared, files, importedAtMs: Date.UTC(2024, 0, 1), ...more });
  return { log, codec, read, ends, importAll };
}

test('two files are merged by time into hourly deliveries, with ticks for their partitions only', async (t) => {
  const { read, importAll, ends } = await openLog(t);
  const report = await importAll([file(linesOf('A', 48)), file(linesOf('B', 48), { gzip: true })]);
  assert.equal(report.lines, 96);
  assert.equal(report.readings, 96);
  assert.deepEqual(report.missing, { readings: 0, gaps: 0, longestGapMs: 0 });
  assert.deepEqual(report.notes, []);
  const deliveries = await read<ReadingsDelivery>('meter.readings', 'ReadingsDelivery');
  assert.equal(deliveries.length, 48);
  const first = deliveries.find(({ siteId }) => siteId === 'site-A')!;
  assert.deepEqual(first, {
    siteId: 'site-A',
    knownAtMs: Date.UTC(2013, 0, 1, 1),
    series: [
      {
        pointId: 'site-A.grid-import',
        unit: 'MILLIWATT_HOUR',
        deviceId: null,
        startMs: [Date.UTC(2013, 0, 1), HALF_HOUR_MS],
        value: [],
        energyMilliWh: [0, 1000],
        quality: Buffer.from([0]),
      },
    ],
  });
  const { ticks, 'meter.readings': readings } = await ends();
  for (let partition = 0; partition < 12; partition++) assert.equal(ticks[partition] > 0, readings[partition] > 0);
});

test('importing again changes nothing: same file, same content under another name, both at once, packed or not', async (t) => {
  const { importAll, ends } = await openLog(t);
  const lines = [...linesOf('A', 100), 'A,nonsense,1', 'A,2013-01-09 00:00:00,?'];
  const path = file(lines);
  const first = await importAll([path]);
  assert.equal(first.facts.redelivered, 0);
  const before = await ends();
  for (const files of [[path], [file(lines, { gzip: true })], [path, file(lines)]]) {
    const again = await importAll(files);
    assert.equal(again.facts.appended, 0);
    assert.equal(again.sameFiles, files.length - 1);
    assert.deepEqual(await ends(), before);
  }
  await importAll([path, file(linesOf('B', 10))]);
  const partition = before['meter.readings'].findIndex((end) => end > 0);
  assert.equal((await ends())['meter.readings'][partition], before['meter.readings'][partition], 'A beside B is still the same A');
});

test('an import that was broken off goes on where it was, and ends as one that was not', async (t) => {
  const whole = await openLog(t);
  const files = [file(linesOf('A', 5_000)), file(linesOf('B', 5_000))];
  await whole.importAll(files);
  const broken = await openLog(t);
  const stop = new AbortController();
  await assert.rejects(
    broken.importAll(files, {
      onProgress: (done, total) => {
        if (done > total / 3 && !stop.signal.aborted) {
          stop.abort();
          throw new Error('broken off');
        }
      },
    }),
    /broken off/,
  );
  const middle = await broken.ends();
  const total = (ends: number[]) => ends.reduce((sum, end) => sum + end, 0);
  assert.ok(total(middle['meter.readings']) > 0 && total(middle['meter.readings']) < 5_000);
  const resumed = await broken.importAll(files);
  assert.ok(resumed.facts.redelivered > 0 && resumed.facts.appended > 0);
  assert.deepEqual(await broken.ends(), await whole.ends());
});

test('bad lines are set aside with their bytes, file and line, and good ones go on', async (t) => {
  const { read, importAll } = await openLog(t);
  const good = linesOf('A', 6);
  const long = `A,2013-01-01 02:00:00,${'9'.repeat(100_000)}`;
  const bad: [string, string, string | null][] = [
    ['A,2013-01-01 01:00:00', 'LINE_UNREADABLE', null],
    ['A,2013-01-01 01:00:00,1,2', 'LINE_UNREADABLE', null],
    ['A,"2013-01-01 01:00:00,1', 'LINE_UNREADABLE', null],
    [long, 'LINE_UNREADABLE', null],
    ['A,2013-02-30 01:00:00,1', 'TIME_UNREADABLE', 'site-A'],
    ['A,2013-01-01 25:00:00,1', 'TIME_UNREADABLE', 'site-A'],
    ['A,2013-01-01 01:00:00,NaN', 'VALUE_UNREADABLE', 'site-A'],
    ['A,2013-01-01 01:00:00,1e999', 'VALUE_UNREADABLE', 'site-A'],
    ['A,2013-01-01 01:00:00,"1,5"', 'VALUE_UNREADABLE', 'site-A'],
    ['C,2013-01-01 01:00:00,1', 'SITE_UNKNOWN', null],
  ];
  const lines = [...bad.slice(0, 3).map(([line]) => line), ...good, ...bad.slice(3).map(([line]) => line), '', 'A,2013-01-01 03:00:00,'];
  const report = await importAll([file(lines)]);
  assert.deepEqual(report.rejected, { LINE_UNREADABLE: 4, TIME_UNREADABLE: 2, VALUE_UNREADABLE: 3, SITE_UNKNOWN: 1 });
  assert.equal(report.readings, 6);
  assert.equal(report.blank, 1);
  assert.equal(report.blankLines, 1);
  assert.equal(report.lines, 6 + bad.length + 1);
  const rejected = await read<Rejected>('rejected', 'Rejected');
  assert.deepEqual(
    rejected.map(({ code, siteId, bytes }) => [Buffer.from(bytes).toString(), code, siteId]).sort(),
    bad.map(([line, code, siteId]) => [line.slice(0, 4096), code, siteId]).sort(),
  );
  const oversized = rejected.find(({ byteLength }) => byteLength === long.length)!;
  assert.equal(oversized.bytes.length, 4096);
  assert.match(oversized.sha256, /^[0-9a-f]{64}$/);
  assert.ok(rejected.every(({ source }) => /^\d+\.csv:\d+$/.test(source)));
  const readings = await read<ReadingsDelivery>('meter.readings', 'ReadingsDelivery');
  assert.equal(
    readings.flatMap(({ series }) => series).reduce((sum, { startMs }) => sum + startMs.length, 0),
    6,
  );
});

test('one wrong year moves no time, at the beginning, within or at the end; a real gap does', async (t) => {
  const { read, importAll } = await openLog(t);
  const wrong = ['A,2019-01-01 00:00:00,1', 'A,2038-01-19 03:14:00,2'];
  const later = linesOf('A', 5_000).slice(4_950);
  const report = await importAll([file([...wrong, ...linesOf('A', 60), ...wrong, ...later, ...wrong])]);
  assert.deepEqual(report.rejected, { READING_IN_FUTURE: 6 });
  assert.equal(report.readings, 110);
  assert.deepEqual([report.missing.gaps, report.missing.readings], [1, 4_890]);
  const deliveries = await read<ReadingsDelivery>('meter.readings', 'ReadingsDelivery');
  assert.equal(Math.max(...deliveries.map(({ knownAtMs }) => knownAtMs)), Date.UTC(2013, 0, 1) + 5_000 * HALF_HOUR_MS);
});

test('what does not fit is refused before anything is appended', async (t) => {
  const { importAll, ends, codec, log } = await openLog(t);
  const before = await ends();
  const path = file(linesOf('A', 10));
  const other = join(folder, 'other.csv');
  writeFileSync(other, 'a;b;c\n1;2;3\n');
  const broken = join(folder, 'broken.csv.gz');
  writeFileSync(broken, gzipSync('LCLid,tstp,energy(kWh/hh)\n'.repeat(10_000)).subarray(0, 60));
  const nothing = file(['A,x,1', 'A,y,2']);
  const early = file(['A,2011-12-31 00:00:00,1']);
  for (const [files, message] of [
    [[path, other], /other\.csv has no column tstp; its header has: a;b;c/],
    [[path, broken], /broken\.csv\.gz cannot be read to its end/],
    [[path, join(folder, 'none.csv')], /none\.csv cannot be read/],
    [[path, nothing], /No line of .* can be read with this mapping\. Line 2: The stamp/],
    [[path, folder], /is not a regular file/],
    [[path, early], /declared since 2012-01-01.* Set an earlier `since`/],
  ] as const)
    await assert.rejects(importAll(files), { code: 'CONFIG_INVALID', message });
  const stranger = mappingFor('low-carbon-london', ['Z']);
  await assert.rejects(importFiles({ log, codec, mapping: stranger, files: [path], importedAtMs: 0 }), /the site site-Z is not declared/);
  await assert.rejects(importFiles({ log, codec, mapping: readMapping('low-carbon-london'), files: [path], importedAtMs: 0 }), {
    code: 'CONFIG_INVALID',
    message: new RegExp(
      [
        'extends: low-carbon-london',
        'meters:',
        '  METER-1: { site: site-A, points: { "grid-import": site-A\\.grid-import } }',
        '  METER-2: .*',
        '',
        'In place of METER-1 … stands what the column LCLid holds\\.$',
      ]
        .join('\n')
        .replace(/[{}]/g, '\\$&'),
    ),
  });
  await assert.rejects(importFiles({ log, codec, mapping: readMapping('danish-heat-meter'), files: [path], importedAtMs: 0 }), {
    code: 'CONFIG_INVALID',
    message: /iflex site add FOLDER --point heating,register,"1 h",district-heat/,
  });
  assert.deepEqual(await ends(), before);
});

test('a file that changes while it is read keeps its last delivery, and what is there then is imported whole', async (t) => {
  const { read, importAll } = await openLog(t);
  const lines = linesOf('A', 48);
  const path = file(lines.slice(0, 31));
  const before = { path, ...(await contentOf(path)) };
  const whole = readFileSync(path, 'utf8');
  const context = () => ({
    mapping,
    sites: new Map(instanceFor(mapping, Date.UTC(2012, 0, 1)).sites.map((site) => [site.siteId, site])),
    omitted: [],
    importedAtMs: Date.UTC(2024, 0, 1),
    counts: { lines: 0, blankLines: 0, readings: 0, blank: 0, omitted: 0, rejected: {}, emptyFiles: [], bytes: 0 },
    coverage: new Coverage(),
  });
  const givenBy = async (text: string) => {
    writeFileSync(path, text);
    const facts: Fact[] = [];
    await assert.rejects(
      async () => {
        for await (const batch of factsOf(before, context())) facts.push(...batch);
      },
      { code: 'CONFIG_INVALID', message: /\.csv changed while it was read; import it again\./ },
    );
    return facts;
  };
  // Hours 15 and 16 of the day: the last delivery of what was read first is cut off, the last of all is not whole either.
  for (const text of [`${whole}${lines.slice(31, 32).join('\n')}\n`, whole.replace('0.030', '0.031'), whole.slice(0, -3)]) {
    const facts = await givenBy(text);
    assert.ok(
      facts.every(({ value }) => value.knownAtMs <= Date.UTC(2013, 0, 1, 15)),
      text,
    );
  }
  writeFileSync(path, `${whole}${lines.slice(31).join('\n')}\n`);
  await importAll([path]);
  const readings = await read<ReadingsDelivery>('meter.readings', 'ReadingsDelivery');
  assert.equal(
    readings.flatMap(({ series }) => series).reduce((sum, { startMs }) => sum + startMs.length, 0),
    48,
  );
});

test('a file without data is named in the report', async (t) => {
  const { importAll } = await openLog(t);
  const [empty, headerOnly, blanks] = [join(folder, 'empty.csv'), join(folder, 'header.csv'), file(['A,2013-01-01 00:00:00,'])];
  writeFileSync(empty, '');
  writeFileSync(headerOnly, 'LCLid,tstp,energy(kWh/hh)\n');
  const { notes, readings } = await importAll([empty, headerOnly, blanks, file(linesOf('A', 2))]);
  assert.deepEqual(notes.sort(), [empty, headerOnly, blanks].map((path) => `${path} holds no readings.`).sort());
  assert.equal(readings, 2);
});

test('a reading of the year 1900 is set aside, and nothing counts as missing between it and the others', async (t) => {
  const { importAll } = await openLog(t);
  const report = await importAll([file(['A,1900-01-01 00:00:00,1', ...linesOf('A', 4), 'A,1900-01-01 00:30:00,1'])]);
  assert.deepEqual([report.readings, report.missing.readings, report.rejected], [4, 0, { READING_OUT_OF_RANGE: 2 }]);
});
