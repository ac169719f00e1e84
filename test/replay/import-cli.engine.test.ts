import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import { isNamespaceLocked, lockNamespace } from '../../infra/namespace-lock.ts';
import { openTestEngine } from '../engine.ts';

const engine = await openTestEngine();
const folder = mkdtempSync(join(tmpdir(), 'iflex-import-cli-'));
after(() => rmSync(folder, { recursive: true }));

const iflex = (...args: string[]) =>
  promisify(execFile)(process.execPath, [join(PROJECT_FOLDER, 'infra', 'cli', 'main.ts'), ...args], {
    env: { ...process.env, DATABASE_URL: engine.url },
  });

test('from a new pilot to imported and processed readings by commands alone; again changes nothing', async () => {
  const namespace = engine.namespace();
  const pilot = join(folder, 'pilot');
  await iflex('pilot', 'new', 'Gauges', '--country', 'GB', '--zone', 'Europe/London', '--since', '2012-01-01', '--folder', pilot);
  const added = await iflex('site', 'add', pilot, '--point', 'grid-import,interval-energy,30 min,electricity');
  const site = readFileSync(added.stdout.split('\n')[0], 'utf8');
  const [siteId, pointId] = [/site-[0-9a-f]+/, /point-[0-9a-f]+/].map((pattern) => pattern.exec(site)![0]);
  assert.match((await iflex('site', 'check', pilot)).stdout, /1 sites, 1 points: good/);
  assert.match((await iflex('pilot', 'declare', pilot, '--namespace', namespace)).stdout, /2 declared, 0 unchanged/);

  const mapping = join(folder, 'mapping.yaml');
  writeFileSync(mapping, `extends: low-carbon-london\nmeters:\n  M1: { site: ${siteId}, points: { grid-import: ${pointId} } }\n`);
  const file = join(folder, 'a.csv');
  const lines = ['00:00,0.5', '00:30,0.25', '00:30,0.25', '01:30,0.125', '01:00,x'].map(
    (line) => `M1,2013-01-01 ${line.replace(',', ':00,')}`,
  );
  writeFileSync(file, `LCLid,tstp,energy(kWh/hh)\n${lines.join('\n')}\n`);
  const importAgain = async () => JSON.parse((await iflex('import', mapping, file, '--namespace', namespace, '--json')).stdout);
  const report = await importAgain();
  assert.deepEqual(
    [report.lines, report.readings, report.doubled.identical, report.rejected, report.missing.readings, report.missing.longestGapMs],
    [5, 4, 1, { VALUE_UNREADABLE: 1 }, 1, 1_800_000],
  );
  assert.ok(report.facts.appended > report.ticks && report.ticks > 0);
  assert.deepEqual(report.setAside, {});
  const rows = await iflex('tap', 'resampled.60m', '--namespace', namespace, '--format', 'csv');
  assert.match(rows.stdout, /750000/);
  assert.equal((await importAgain()).facts.appended, 0);
  const text = await iflex('import', mapping, file, '--namespace', namespace, '--no-run', '--points');
  assert.match(text.stdout, /rejected +VALUE_UNREADABLE 1 readings\n/);
  assert.match(text.stdout, /appended +0 events, 0 of them ticks;/);
  assert.match(text.stdout, /read +5 lines of 1 files: 4 readings/);
  assert.match(text.stdout, /close before the readings .* With `deliveryDelay: 90 min` in their site files they wait/);
  assert.match(text.stdout, new RegExp(`${siteId} ${pointId}: 4 readings, 1 doubled, 1 missing in 1 gaps`));
  await assert.rejects(iflex('import', 'no-such-preset', file), /CONFIG_INVALID: no-such-preset is neither a mapping file nor a preset/);
});

test('a site that was declared of too late a day takes readings in as soon as it is declared again, as the error says', async () => {
  const namespace = engine.namespace();
  const pilot = join(folder, 'late');
  await iflex('pilot', 'new', 'Late', '--country', 'GB', '--zone', 'Europe/London', '--since', '2024-01-01', '--folder', pilot);
  const added = await iflex('site', 'add', pilot, '--point', 'grid-import,interval-energy,30 min,electricity');
  const sitePath = added.stdout.split('\n')[0];
  const site = readFileSync(sitePath, 'utf8');
  const [siteId, pointId] = [/site-[0-9a-f]+/, /point-[0-9a-f]+/].map((pattern) => pattern.exec(site)![0]);
  await iflex('pilot', 'declare', pilot, '--namespace', namespace);
  const [mapping, file] = [join(folder, 'late.yaml'), join(folder, 'late.csv')];
  writeFileSync(mapping, `extends: low-carbon-london\nmeters: { M1: { site: ${siteId}, points: { grid-import: ${pointId} } } }\n`);
  writeFileSync(file, 'LCLid,tstp,energy(kWh/hh)\nM1,2013-01-01 00:00:00,0.5\nM1,2013-01-01 00:30:00,0.25\n');
  await assert.rejects(iflex('import', mapping, file, '--namespace', namespace), /is declared since 2024-01-01.*Set an earlier `since`/);
  writeFileSync(sitePath, site.replace('2024-01-01', '2012-01-01'));
  await iflex('pilot', 'declare', pilot, '--namespace', namespace);
  const report = JSON.parse((await iflex('import', mapping, file, '--namespace', namespace, '--json')).stdout);
  assert.deepEqual([report.readings, report.setAside], [2, {}]);
});

test('what is missing is told with what to do next, and a wrong database in one line', async () => {
  const path = join(folder, 'b.csv');
  writeFileSync(path, 'LCLid,tstp,energy(kWh/hh)\n');
  const namespace = engine.namespace();
  await assert.rejects(iflex('import', 'low-carbon-london', path, '--namespace', namespace), {
    code: 1,
    stderr: new RegExp(`^NOT_FOUND: There is no namespace "${namespace}"[^]*\\n.*\`iflex pilot declare FOLDER --namespace ${namespace}\``),
  });
  const wrong = promisify(execFile)(process.execPath, [join(PROJECT_FOLDER, 'infra', 'cli', 'main.ts'), 'topics', '--namespace', 'main'], {
    env: { ...process.env, DATABASE_URL: 'foo' },
  });
  await assert.rejects(wrong, {
    code: 1,
    stderr: 'CONFIG_INVALID: DATABASE_URL must look like postgres://user:password@host:5432/name.\n',
  });
});

test('a name in any letters gives a folder of its own', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(PROJECT_FOLDER, 'infra', 'cli', 'main.ts'), 'pilot', 'new', 'Σπίτι 1', '--country', 'GR', '--zone', 'Europe/Athens'],
    { cwd: folder },
  );
  assert.match(stdout, /^σπίτι-1\/pilot\.yaml\n/);
});

test('whether a pipeline runs on a namespace is seen without taking its lock', async () => {
  // Several, as the key of a lock has either sign.
  for (const namespace of Array.from({ length: 6 }, () => engine.namespace())) {
    assert.equal(await isNamespaceLocked(engine.url, namespace), false);
    const lock = await lockNamespace(engine.url, namespace);
    assert.equal(await isNamespaceLocked(engine.url, namespace), true);
    await lock.end();
    assert.equal(await isNamespaceLocked(engine.url, namespace), false);
  }
});
