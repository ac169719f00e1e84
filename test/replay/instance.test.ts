import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Declarations, newDeclarations } from '../../replay/instance/declare.ts';
import { type NewSite, writeNewPilot, writeNewSite } from '../../replay/instance/new-instance.ts';
import { readInstance } from '../../replay/instance/read-instance.ts';

const root = mkdtempSync(join(tmpdir(), 'iflex-instance-'));
after(() => rmSync(root, { recursive: true }));
let made = 0;

function newPilot(): string {
  const folder = join(root, String(made++));
  writeNewPilot({ folder, name: 'Demo: 1', country: 'NO', timeZone: 'Europe/Oslo', language: 'nb', bidZone: 'NO-1', since: '2024-01-31' });
  return folder;
}

function newSite(folder: string, more: Partial<NewSite> = {}): string {
  const points = [{ name: 'grid-import', kind: 'mean-power', interval: '1 min', carrier: 'electricity' }];
  return writeNewSite({ folder, kind: 'home', origin: 'measured', points, ...more });
}

const edit = (path: string, from: string | RegExp, to: string) => {
  const before = readFileSync(path, 'utf8');
  const text = before.replace(from, to);
  assert.notEqual(text, before, `${from} does not stand in ${path}`);
  writeFileSync(path, text);
};
const refused = (folder: string, message: RegExp) =>
  assert.throws(
    () => readInstance(folder),
    (error: Error & { code?: string }) => error.code === 'CONFIG_INVALID' && message.test(error.message),
  );
const nothing = (): Declarations => ({ pilots: new Map(), sites: new Map() });
const declaredBy = (folder: string): Declarations => {
  const { pilot, sites } = readInstance(folder);
  const standing = <V>(value: V) => ({ value, nextNumber: 1 });
  return { pilots: new Map([[pilot.pilotId, standing(pilot)]]), sites: new Map(sites.map((site) => [site.siteId, standing(site)])) };
};

test('a new pilot with a new site reads back as the events that declare it', () => {
  const folder = newPilot();
  const path = newSite(folder, { timeZone: 'Europe/Ljubljana', since: '2024-02-01T12:00:00+01:00' });
  edit(path, '# registerRange', 'mayExport: true\n    deliveryDelay: 1.5 h\n    # registerRange');
  const { pilot, sites } = readInstance(folder);
  assert.deepEqual(
    { ...pilot, pilotId: '' },
    {
      pilotId: '',
      knownAtMs: Date.UTC(2024, 0, 31),
      name: 'Demo: 1',
      country: 'NO',
      timeZone: 'Europe/Oslo',
      language: 'nb',
      bidZone: 'NO-1',
    },
  );
  assert.equal(sites.length, 1);
  const [{ points, ...site }] = sites;
  assert.match(site.siteId, /^site-[0-9a-f]{16}$/);
  assert.match(points[0].pointId, /^point-[0-9a-f]{16}$/);
  assert.deepEqual(
    { ...site, siteId: '' },
    {
      siteId: '',
      knownAtMs: Date.UTC(2024, 1, 1, 11),
      pilotId: pilot.pilotId,
      timeZone: 'Europe/Ljubljana',
      kind: 'HOME',
      origin: 'MEASURED',
      personalData: null,
    },
  );
  assert.deepEqual(
    { ...points[0], pointId: '' },
    {
      pointId: '',
      name: 'grid-import',
      kind: 'MEAN_POWER',
      carrier: 'ELECTRICITY',
      intervalMs: 60_000,
      maxHoldMs: 120_000,
      deliveryDelayMs: 5_400_000,
      registerModulusMilliWh: null,
      registerJitterMilliWh: 0,
      mayExport: true,
      forecast: false,
    },
  );
});

test('a register declares its range and jitter in milliwatt-hours', () => {
  const folder = newPilot();
  const path = newSite(folder, { points: [{ name: 'heat', kind: 'register', interval: '1 h', carrier: 'district-heat' }] });
  edit(path, '# registerRange', 'registerRange');
  edit(path, '# registerJitter: 1 Wh', 'registerJitter: 1.5 Wh');
  const [point] = readInstance(folder).sites[0].points;
  assert.equal(point.registerModulusMilliWh, 100_000_000_000);
  assert.equal(point.registerJitterMilliWh, 1500);
});

test('what is wrong in a file is told with file, line, field and what may stand there', () => {
  for (const [from, to, message] of [
    [/interval: 1 min/, 'interval: 1 fortnight', /site-\w+\.yaml:13: points\.0\.interval must match .*a span like 30 s, 15 min or 1 h/],
    [/kind: mean-power/, 'kind: volume', /points\.0\.kind must be one of: mean-power, instant-power,/],
    [/interval: 1 min/, 'interval: 25 d', /interval must be between 1 ms and 24 d/],
    [/interval: 1 min/, 'interval: 24.1 d', /interval must be between 1 ms and 24 d/],
    [
      /interval: 1 min/,
      'interval: 1 min\n    deliveryDelay: 32 d',
      /point point-\w+: deliveryDelayMs \d+ is not within 0 to \d+ \(31 days\)/,
    ],
    [
      /interval: 1 min/,
      'interval: 1 s\n    deliveryDelay: 1 d',
      /point point-\w+: a reading every 1000 ms .* 108001 readings .* at most 24576 fit/,
    ],
    [/timeZone: .*/, 'timeZone: Europe/Atlantis', /timeZone Europe\/Atlantis is not known\. Use an IANA name/],
    [/# mayExport/, 'owner: Maija\n    # mayExport', /points\.0 has no field owner/],
    [/ {4}carrier.*\n/, '', /points\.0 lacks carrier/],
    [/# registerRange/, 'registerRange', /registerRange and registerJitter belong to points of kind register/],
    [/siteId: .*/, 'siteId: "Maija\'s house"', /siteId must match .*a random pseudonym/],
    [/since: .*/, 'since: "2024-02-31T00:00:00Z"', /since 2024-02-31T00:00:00Z does not exist/],
    [/since: .*/, 'since: "1890-01-01"', /since 1890-01-01 is not a time from 1970 to 2099/],
    [/since: .*/, 'since: "2190-01-01"', /since 2190-01-01 is not a time from 1970 to 2099/],
    [/pilotId: .*/, 'pilotId: pilot-other', /pilotId pilot-other is not that of/],
    [/points:/, 'points: [', /site-\w+\.yaml:\d+: /],
  ] as const) {
    const folder = newPilot();
    edit(newSite(folder), from, to);
    refused(folder, message);
  }
});

test('ids that stand twice are refused, in a site and across sites', () => {
  const folder = newPilot();
  const path = newSite(folder, {
    points: ['a', 'b'].map((name) => ({ name, kind: 'state', interval: '1 min', carrier: 'none' })),
  });
  const ids = [...readFileSync(path, 'utf8').matchAll(/point-\w+/g)].map(String);
  edit(path, ids[1], ids[0]);
  refused(folder, /pointId point-\w+ stands twice/);
  edit(path, ids[0], ids[1]);
  writeFileSync(join(folder, 'sites', 'zzz.yaml'), readFileSync(path));
  refused(folder, /zzz\.yaml: siteId site-\w+ stands in .*site-\w+\.yaml too/);
  edit(join(folder, 'sites', 'zzz.yaml'), /site-\w+/, 'site-other');
  refused(folder, /The point point-\w+ of site site-other belongs to the site site-\w+\. Give yours another random pointId/);
});

test('two points of a site cannot have one name', () => {
  const folder = newPilot();
  const points = ['grid', 'grid'].map((name) => ({ name, kind: 'state', interval: '1 min', carrier: 'none' }));
  assert.throws(() => newSite(folder, { points }), { code: 'CONFIG_INVALID', message: /two points have the name grid\./ });
});

test('a site has at most 500 points, and every problem of a folder is told at once', () => {
  const folder = newPilot();
  const pointsOf = (length: number) =>
    Array.from({ length }, (_, i) => ({ name: `p${i}`, kind: 'state', interval: '1 min', carrier: 'none' }));
  newSite(folder, { points: pointsOf(500) });
  const two = [newSite(folder), newSite(folder)];
  assert.equal(readInstance(folder).sites.length, 3);
  for (const path of two) edit(path, 'kind: home', 'kind: castle');
  refused(folder, /kind must be one of[\s\S]*\n[\s\S]*kind must be one of/);
  assert.throws(() => newSite(folder, { points: pointsOf(501) }), /points .*500/);
});

test('nothing is written over, and wrong answers write nothing', () => {
  const folder = newPilot();
  assert.throws(
    () => writeNewPilot({ folder, name: 'x', country: 'FI', timeZone: 'Europe/Helsinki', language: 'fi', since: '2024-01-01' }),
    /exists/,
  );
  assert.throws(() => newSite(folder, { timeZone: 'Nowhere' }), /not known/);
  assert.deepEqual(readdirSync(join(folder, 'sites')), []);
  assert.throws(() => readInstance(root), /no pilot\.yaml. Make a pilot with/);
});

test('a new pilot is refused where its zone or day does not exist, or its folder cannot be written', () => {
  const answers = { name: 'x', country: 'FI', timeZone: 'Europe/Helsinki', language: 'fi', since: '2024-01-01' };
  const folder = join(root, 'wrong');
  for (const [wrong, message] of [
    [{ timeZone: 'Mars/Phobos' }, /timeZone Mars\/Phobos is not known/],
    [{ since: '2026-02-31' }, /since 2026-02-31 does not exist/],
  ] as const)
    assert.throws(() => writeNewPilot({ folder, ...answers, ...wrong }), { code: 'CONFIG_INVALID', message });
  assert.ok(!existsSync(folder));
  const file = join(root, 'a file');
  writeFileSync(file, '');
  assert.throws(() => writeNewPilot({ folder: join(file, 'pilot'), ...answers }), {
    code: 'CONFIG_INVALID',
    message: /pilot\.yaml cannot be written: ENOTDIR/,
  });
});

test('only what is new is declared; a site and a point of others cannot be claimed', () => {
  const folder = newPilot();
  const path = newSite(folder);
  const instance = readInstance(folder);
  assert.deepEqual(
    newDeclarations(instance, nothing()).map(({ topic, number }) => [topic, number]),
    [
      ['configuration', 0],
      ['sites', 0],
    ],
  );
  const known = declaredBy(folder);
  assert.deepEqual(newDeclarations(instance, known), []);
  edit(path, 'kind: home', 'kind: apartment-building');
  assert.deepEqual(
    newDeclarations(readInstance(folder), known).map(({ topic, number }) => [topic, number]),
    [['sites', 1]],
  );

  const other = newPilot();
  const otherPath = newSite(other);
  const [point] = instance.sites[0].points;
  edit(otherPath, /point-\w+/, point.pointId);
  assert.throws(() => newDeclarations(readInstance(other), known), /point point-\w+ of site site-\w+ belongs to the site/);
  edit(otherPath, /site-\w+/, instance.sites[0].siteId);
  assert.throws(() => newDeclarations(readInstance(other), known), /site site-\w+ belongs to the pilot/);
});

test('of a file with many problems ten are told, and how many more there are', () => {
  const folder = newPilot();
  const path = newSite(folder);
  const fields = (count: number) => Array.from({ length: count }, (_, i) => `  - { name: 7, f${i}: 1 }`).join('\n');
  edit(path, /points:[\s\S]*$/, `points:\n${fields(12)}\n`);
  const told = () => {
    try {
      readInstance(folder);
    } catch (error) {
      return (error as Error).message.split('\n');
    }
    return [];
  };
  // What it lacks, what it has too much, and its name.
  const problemsOfPoint = 3;
  assert.deepEqual([told().length, told().at(-1)], [11, `… and ${12 * problemsOfPoint - 10} more.`]);
  edit(path, /points:[\s\S]*$/, `points:\n${fields(400)}\n`);
  assert.match(told().at(-1) ?? '', /^… and \d{3} or more others\.$/);
});
