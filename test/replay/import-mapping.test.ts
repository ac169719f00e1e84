import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { mappingOf, presetNames, readMapping } from '../../replay/import/mapping-file.ts';
import { columnsOf, RowReader } from '../../replay/import/rows.ts';

type MappingFile = Parameters<typeof mappingOf>[1];
const HEADER = ['meter', 'time', 'import', 'export', 'state', 'received'];

function fileOf(changes: Partial<MappingFile> = {}): MappingFile {
  return {
    delimiter: ';',
    decimal: ',',
    meter: { column: 'meter' },
    stamp: { column: 'time', format: 'DD.MM.YYYY HH:mm', zone: 'Europe/Helsinki', marks: 'end' },
    knownAt: { after: '10 min' },
    values: [
      { name: 'import', column: 'import', kind: 'interval-energy', carrier: 'electricity', interval: '1 h', unit: 'kWh' },
      { name: 'pv', column: 'export', kind: 'interval-energy', carrier: 'electricity', interval: '1 h', unit: 'kWh', positive: 'export' },
    ],
    meters: { M: { site: 's', points: { import: 'p', pv: 'q' } } },
    quality: { column: 'state', codes: { OK: 'measured', E: 'estimated' } },
    blank: { texts: ['', '-'], means: 'missing' },
    ...changes,
  };
}

function reader(changes: Partial<MappingFile> = {}, omitted: number[] = []) {
  const mapping = mappingOf('m.yaml', fileOf(changes));
  const rows = new RowReader(mapping, columnsOf('f.csv', mapping, HEADER), omitted, 99);
  let number = 1;
  return (text: string) => rows.read({ number: number++, bytes: Buffer.from(text) });
}
const brief = ({ readings, problems }: ReturnType<ReturnType<typeof reader>>) => [
  ...readings.map(({ pointId, startMs, value, quality }) => [pointId, new Date(startMs).toISOString(), value, quality]),
  ...problems.map(({ code }) => code),
];

test('decimal comma, sign, quality, missing values and stamps at the end of the interval', () => {
  const read = reader();
  const row = read('M;01.07.2024 15:00;1,5;2,25;E;');
  assert.deepEqual(brief(row), [
    ['p', '2024-07-01T11:00:00.000Z', 1_500_000, 1],
    ['q', '2024-07-01T11:00:00.000Z', -2_250_000, 1],
  ]);
  assert.equal(new Date(row.knownAtMs).toISOString(), '2024-07-01T11:10:00.000Z');
  assert.deepEqual(brief(read('M;01.07.2024 16:00;-;0,0;OK;')), [
    ['p', '2024-07-01T12:00:00.000Z', 0, 3],
    ['q', '2024-07-01T12:00:00.000Z', 0, 0],
  ]);
  assert.deepEqual(brief(read('M;01.07.2024 17:00;1.5;1,0;OK;')), [['q', '2024-07-01T13:00:00.000Z', -1_000_000, 0], 'VALUE_UNREADABLE']);
  assert.deepEqual(brief(read('M;01.07.2024 17:00;1,5;1,0;X;')), ['VALUE_UNREADABLE']);
});

test('an hour that is skipped is refused; one that comes twice is first the first, then the second, for each meter', () => {
  const meters = { M: { site: 's', points: { import: 'p' } }, N: { site: 't', points: { import: 'r' } } };
  const read = reader({ meters });
  const at = (meter: string, stamp: string) => brief(read(`${meter};${stamp};1,0;;OK;`))[0].slice(0, 2);
  assert.deepEqual(brief(read('M;31.03.2024 03:30;1,0;;OK;')), ['TIME_UNREADABLE']);
  assert.deepEqual(at('M', '27.10.2024 03:00'), ['p', '2024-10-26T23:00:00.000Z']);
  assert.deepEqual(at('N', '27.10.2024 03:00'), ['r', '2024-10-26T23:00:00.000Z']);
  assert.deepEqual(at('M', '27.10.2024 03:30'), ['p', '2024-10-26T23:30:00.000Z']);
  assert.deepEqual(at('M', '27.10.2024 03:00'), ['p', '2024-10-27T00:00:00.000Z']);
  assert.deepEqual(at('N', '27.10.2024 03:00'), ['r', '2024-10-27T00:00:00.000Z']);
  assert.deepEqual(at('M', '27.10.2024 04:00'), ['p', '2024-10-27T01:00:00.000Z']);
});

test('knownAt by a column or with the import; spans left out; blanks by rule', () => {
  const byColumn = reader({ knownAt: { column: 'received' } });
  assert.equal(new Date(byColumn('M;01.07.2024 15:00;1,0;1,0;OK;02.07.2024 08:00').knownAtMs).toISOString(), '2024-07-02T05:00:00.000Z');
  assert.deepEqual(brief(byColumn('M;01.07.2024 15:00;1,0;1,0;OK;soon')), ['TIME_UNREADABLE']);
  assert.equal(reader({ knownAt: 'import' })('M;01.07.2024 15:00;1,0;1,0;OK;').knownAtMs, 99);
  const stampMs = Date.UTC(2024, 6, 1, 12);
  assert.equal(reader({}, [stampMs, stampMs])('M;01.07.2024 15:00;1,0;1,0;OK;').omitted, 2);
  assert.equal(reader({ blank: { texts: ['-'], means: 'none' } })('M;01.07.2024 15:00;-;1,0;OK;').blank, 1);
  assert.deepEqual(brief(reader({ blank: { texts: ['-'], means: 'rejected' } })('M;01.07.2024 15:00;-;-;OK;')), [
    'VALUE_UNREADABLE',
    'VALUE_UNREADABLE',
  ]);
});

test('a mapping that means nothing is refused with what to do', () => {
  const value = fileOf().values[0];
  const stamp = fileOf().stamp;
  for (const [changes, message] of [
    [{ values: [{ ...value, unit: 'kW' }] }, /values\.import: the unit kW does not fit the kind interval-energy/],
    [{ values: [{ ...value, unit: 'm³' }] }, /Volumes need calorificKWhPerM3/],
    [{ values: [value, value], meters: {} }, /values has the name import twice/],
    [{ stamp: { ...stamp, format: 'yesterday' } }, /stamp\.format "yesterday" must be iso/],
    [{ stamp: { ...stamp, zone: 'Mars' } }, /stamp\.zone Mars is neither/],
    [{ delivery: '1 d' }, /delivery must be between 1 ms and 4 h/],
    [{ tick: '15 min' }, /tick must be between 1 s and 10 min/],
    [{ header: false }, /without a header, columns are numbers from 1, not "time"/],
    [{ meters: { M: { site: 's', points: { gas: 'p' } } } }, /meters\.M\.points names gas/],
    [{ meter: undefined, meters: { A: { site: 'a', points: {} }, B: { site: 'b', points: {} } } }, /no meter\.column says/],
  ] as [Partial<MappingFile>, RegExp][])
    assert.throws(() => mappingOf('m.yaml', fileOf(changes)), { code: 'CONFIG_INVALID', message });
  assert.throws(() => readMapping('../secrets'), /neither a mapping file nor a preset/);
  const mapping = mappingOf('m.yaml', fileOf());
  assert.throws(() => columnsOf('f.csv', mapping, ['meter', 'when']), /f\.csv has no column time; its header has: meter;when/);
});

test('fields that no mapping has are refused, beside `extends` too; what it extends must be a preset', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'iflex-mapping-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'm.yaml');
  for (const [text, message] of [
    ['extends: low-carbon-london\nmeter:\n  column: LCLid\ndelivry: 2 h\n', /m\.yaml:4: the file has no field delivry/],
    ['extends: low-carbon-london\nblank: { texts: [""], mean: none }\n', /blank has no field mean/],
    ['extends: nope\n', /m\.yaml: extends nope, which is no preset\. There are: .*low-carbon-london/],
    ['', /m\.yaml is empty/],
    ['# nothing yet\n', /m\.yaml is empty/],
  ] as const) {
    writeFileSync(path, text);
    assert.throws(() => readMapping(path), { code: 'CONFIG_INVALID', message });
  }
  writeFileSync(path, 'extends: low-carbon-london\ndelivery: 2 h\n');
  assert.equal(readMapping(path).deliveryMs, 7_200_000);
});

test('a line that cannot be read counts the readings of its meter, or those that any meter has', () => {
  const meters = { M: { site: 's', points: { import: 'p' } }, N: { site: 't', points: { import: 'r', pv: 'q' } } };
  const count = (line: string, changes: Partial<MappingFile> = { meters }) => reader(changes)(line).problems[0].readingCount;
  assert.equal(count('M;31.03.2024 03:30;1,0;1,0;OK;'), 1);
  assert.equal(count('N;31.03.2024 03:30;1,0;1,0;OK;'), 2);
  assert.equal(count('X;01.07.2024 15:00;1,0;1,0;OK;'), 2);
  assert.equal(count('M;01.07.2024', { meters: { M: meters.M } }), 1);
});

test('a stamp that no event can carry is set aside at the edge, and moves no time', () => {
  const read = reader();
  for (const stamp of ['01.01.1900 00:00', '31.12.1969 23:00', '01.01.1970 02:30']) {
    const row = read(`M;${stamp};1,0;1,0;OK;`);
    assert.deepEqual([brief(row), row.knownAtMs], [['READING_OUT_OF_RANGE'], Number.NaN], stamp);
    assert.equal(row.problems[0].readingCount, 2);
  }
  assert.deepEqual(brief(read('M;01.01.1970 03:00;1,0;1,0;OK;'))[0].slice(0, 2), ['p', '1970-01-01T00:00:00.000Z']);
});

test('what a file holds instead of a header is shown short, and moves no cursor', () => {
  const mapping = mappingOf('m.yaml', fileOf());
  const header = `\u001b[2Jx\u0000${'y'.repeat(5_000)}`;
  assert.throws(
    () => columnsOf('f.csv', mapping, [header]),
    (error: Error) => {
      assert.match(error.message, /its header has: \\u001b\[2Jx\\u0000y+ …\. Is it/);
      assert.ok(error.message.length < 400);
      return true;
    },
  );
});

test('every preset is a mapping that only lacks its meters', () => {
  assert.deepEqual(presetNames().sort(), ['danish-heat-meter', 'low-carbon-london', 'uci-household']);
  for (const name of presetNames()) assert.equal(readMapping(name).meters.size, 0);
});

test('who the meters are is no part of the identity, what the columns mean is', () => {
  const identity = (changes: Partial<MappingFile>) => mappingOf('m.yaml', fileOf(changes)).identity;
  assert.equal(identity({ meters: {} }), identity({}));
  assert.equal(identity({ tick: '1 min' }), identity({}));
  assert.notEqual(identity({ delivery: '30 min' }), identity({}));
});

test('devices get pseudonyms: by the key, the site and the serial number; an empty field is about the device before', () => {
  const meters = { M: { site: 's', points: { import: 'p' } }, N: { site: 't', points: { import: 'r' } } };
  const device = (key: string) => ({ column: 'export', key });
  const devicesOf = (key: string, ...lines: [string, string][]) => {
    const read = reader({ meters, device: device(key), values: [fileOf().values[0]] });
    return lines.map(([meter, serial], i) => read(`${meter};01.07.2024 1${i}:00;1,0;${serial};OK;`).readings[0].deviceId);
  };
  const [none, a, still, b, back, atN] = devicesOf(
    '0123456789abcdef',
    ['M', ''],
    ['M', 'A'],
    ['M', ''],
    ['M', 'B'],
    ['M', 'A'],
    ['N', 'A'],
  );
  assert.deepEqual([none, still, back], [null, a, a]);
  for (const id of [a, b, atN]) assert.match(String(id), /^device-[0-9a-f]{16}$/);
  assert.equal(new Set([a, b, atN]).size, 3);
  assert.deepEqual(devicesOf('0123456789abcdef', ['M', 'A']), [a]);
  assert.notEqual(devicesOf('another secret key', ['M', 'A'])[0], a);
});

test('a device without a key is refused, with a key to take', () => {
  const suggested = () => {
    let message = '';
    assert.throws(
      () => mappingOf('m.yaml', fileOf({ device: { column: 'export' } })),
      (error: Error & { code: string }) => {
        message = error.message;
        return error.code === 'CONFIG_INVALID';
      },
    );
    return /key: "([0-9a-f]{32})"$/.exec(message)?.[1];
  };
  const [one, two] = [suggested(), suggested()];
  assert.ok(one && two && one !== two);
});

test('where the fields of a header are set apart by another character, it is told which', () => {
  const mapping = mappingOf('m.yaml', fileOf({ delimiter: ',', decimal: '.' }));
  assert.throws(() => columnsOf('f.csv', mapping, ['meter;time;import']), {
    code: 'CONFIG_INVALID',
    message: /^f\.csv has no column time; .* write `delimiter: ";"` into the mapping, and `decimal: ","` where numbers have a comma\.$/,
  });
  assert.throws(() => columnsOf('f.csv', mapping, ['meter\ttime\timport']), { message: /write `delimiter: "\\t"` into the mapping\.$/ });
  assert.throws(() => columnsOf('f.csv', mapping, ['a', 'b', 'c']), { message: /Is it the mapping for this file\?$/ });
});

test('a field that takes several forms is refused in one line that says which', () => {
  const folder = mkdtempSync(join(tmpdir(), 'iflex-forms-'));
  const path = join(folder, 'm.yaml');
  const messageOf = (text: string): string => {
    writeFileSync(path, `extends: low-carbon-london\n${text}\n`);
    try {
      readMapping(path);
    } catch (error) {
      return (error as Error).message.replace(`${path}:2: `, '');
    }
    return 'taken';
  };
  const span = 'knownAt must be { after: a span like 30 s, 15 min or 1 h }, { column: a column }, or import.';
  for (const knownAt of ['{after: -1 h}', '{column: 0}', 'soon', '{afterr: 1 h}']) assert.equal(messageOf(`knownAt: ${knownAt}`), span);
  assert.equal(messageOf('meter: {column: -1}'), 'meter.column must be the name of a column, or its number from 1.');
  rmSync(folder, { recursive: true });
});
