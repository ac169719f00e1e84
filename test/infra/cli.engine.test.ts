/** The command line end to end: commands that stream as processes of their own, others within this one. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, it, mock } from 'node:test';
import { Command } from 'commander';
import { registerNamespaces } from '../../infra/cli/namespaces.ts';
import { registerReplay } from '../../infra/cli/replay.ts';
import { registerSchemas } from '../../infra/cli/schemas.ts';
import { registerTopics } from '../../infra/cli/topics.ts';
import { codeVersion } from '../../infra/code-version.ts';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import { writeNewPilot, writeNewSite } from '../../replay/instance/new-instance.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openTestEngine } from '../engine.ts';
import { feedNew } from '../replay/replaying.ts';
import { simulatedFacts } from '../replay/simulated-facts.ts';

const engine = await openTestEngine();
process.env.DATABASE_URL = engine.url;
const MAIN = join(PROJECT_FOLDER, 'infra', 'cli', 'main.ts');

/** Starts `iflex` on the engine of the tests. */
function start(...args: string[]) {
  return spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Standard output of a command that ends well. */
async function runAlone(...args: string[]): Promise<string> {
  const child = start(...args);
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
  const [status] = await once(child, 'close');
  assert.equal(status, 0, `iflex ${args.join(' ')}: ${err}`);
  return out;
}

/** What a command prints that runs within this process, which is faster. */
async function run(...args: string[]): Promise<string> {
  const program = new Command();
  for (const register of [registerTopics, registerSchemas, registerReplay, registerNamespaces]) register(program);
  const printed = mock.method(console, 'log', () => {});
  try {
    await program.parseAsync(args, { from: 'user' });
    return printed.mock.calls.map(({ arguments: texts }) => `${texts.join(' ')}\n`).join('');
  } finally {
    printed.mock.restore();
  }
}

async function refused(message: RegExp, ...args: string[]): Promise<void> {
  await assert.rejects(run(...args), { name: 'IflexError', message });
}

describe('the command line', () => {
  it('says its name and versions', async () => {
    const version = codeVersion();
    assert.equal(await runAlone('--version'), `iflex ${version.split('+')[0]} (code version ${version})\n`);
  });

  let source: string;
  before(async () => {
    source = await feedNew(engine, simulatedFacts({ days: 1, homes: 1 }));
  });

  it('lists topics with their ends', async () => {
    const topics = JSON.parse(await run('topics', '--namespace', source, '--json')) as { name: string; endOffsets: number[] }[];
    const readings = topics.find(({ name }) => name === 'meter.readings')!;
    assert.equal(readings.endOffsets.length, 12);
    const events = readings.endOffsets.reduce((sum, end) => sum + end, 0);
    assert.ok(events > 0);
    assert.match(await run('topics', '--namespace', source), new RegExp(`meter.readings .*\\n {2}${events} events; ends `));
    await refused(/There is no namespace "nowhere"\. There are: .*/, 'topics', '--namespace', 'nowhere');
  });

  it('says what upkeep would remove, and removes it once', async () => {
    const namespace = engine.namespace();
    const log = await openPostgresLog({ url: engine.url, namespace });
    const headers = { source: 'test', number: -1, type: 'SiteDeclared', knownAtMs: 0 };
    await log.append(['a', 'a', 'b', 'a'].map((key) => ({ topic: 'sites.latest', partition: 0, key, value: Buffer.from('x'), headers })));
    await log.close();
    const plan = 'sites.latest: 2 of 4 events are not the latest of their key.\n';
    const maintain = ['topics', 'maintain', '--namespace', namespace];
    for (let time = 0; time < 2; time++) assert.equal(await run(...maintain, '--dry-run'), plan);
    assert.equal(await run(...maintain), `${plan}Removed 2 events of sites.latest.\n`);
    assert.match(await run(...maintain, '--dry-run'), /: 0 of 2 events/);
  });

  it('checks schemas', async () => {
    assert.match(await run('schemas', 'check'), /^\d+ schemas checked: good\n$/);
    assert.match(await run('schemas', 'list'), /^ReadingsDelivery +1 published +meter.readings sensor.readings$/m);
  });

  it('taps rows as JSON and CSV', async () => {
    const rows = (await runAlone('tap', 'resampled.60m', '--namespace', source))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.ok(rows.length >= 20);
    assert.ok(rows.every(({ widthMs, site, appended }) => widthMs === 3_600_000 && site && appended));
    const csv = (await runAlone('tap', 'resampled.60m', '--namespace', source, '--format', 'csv', '--limit', '5')).trimEnd().split('\n');
    assert.equal(csv.length, 6);
    assert.match(csv[0], /^site,point,start,widthMs,energyMilliWh,mean,.*,partition,offset,id,problem$/);
  });

  it('ends a tap quietly where its reader has gone', async () => {
    // More than a pipe holds, so that it is still writing.
    const child = start('tap', 'resampled.5m', '--namespace', source, '--follow');
    let err = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
    await once(child.stdout, 'data');
    child.stdout.destroy();
    const [status] = await once(child, 'close');
    assert.deepEqual({ status, err }, { status: 0, err: '' });
  });

  it('ends a tap that follows at an interrupt', async () => {
    const child = start('tap', 'sites.latest', '--namespace', source, '--follow');
    const [text] = await once(child.stdout.setEncoding('utf8'), 'data');
    assert.match(text, /"site":/);
    child.kill('SIGINT');
    const [status] = await once(child, 'close');
    assert.equal(status, 0);
  });

  it('replays, verifies, lists and drops namespaces, and never writes to one that no replay made', async () => {
    const target = engine.namespace();
    const verified = await run('replay', '--source', source, '--verify');
    assert.match(verified, /^Task \d+, from its first step: \d+ facts, \d+ events emitted$/m);
    assert.match(verified, /\d+ events: the log holds the same canonical bytes\.\n$/);
    const replayed = await run('replay', '--source', source, '--namespace', target);
    assert.match(replayed, /^\d+ facts replayed into "t\w+", 0 were there already\.\nCompared with "t\w+" \(left\) by canonical bytes:\n/);
    assert.match(replayed, /^ {2}resampled\.5m +\d+ events, equal$/m);
    assert.doesNotMatch(replayed, /differ/);
    const again = ['replay', '--source', source, '--namespace', target];
    await refused(/The namespace "t\w+" exists \(what-if replay of t\w+\)/, ...again);
    await refused(
      /is another one .*, not: what-if replay of t\w+, known from 2026-03-02T00:00/,
      ...again,
      '--resume',
      '--from',
      '2026-03-02',
    );
    assert.match(await run(...again, '--resume'), /^0 facts replayed into "t\w+", \d+ were there already\.$/m);
    assert.match(await run(...again, '--replace', '--compare-with', source), /resampled\.60m +\d+ events, equal/);
    await refused(/was not made by a replay/, 'replay', '--source', target, '--namespace', source, '--replace');
    assert.match(await run('namespaces'), new RegExp(`^${target} +\\d+ events, .* \\(what-if replay of ${source}\\)$`, 'm'));
    await refused(/Add --yes to do it/, 'namespaces', 'drop', target);
    assert.match(await run('namespaces', 'drop', target, '--yes'), /^Dropped /);
    assert.doesNotMatch(await run('namespaces'), new RegExp(`^${target} `, 'm'));
  });

  it('replays files of a declared pilot, within times and at a speed', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'iflex-cli-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const pilot = join(folder, 'pilot');
    writeNewPilot({ folder: pilot, name: 'Files', country: 'GB', timeZone: 'Europe/London', language: 'en', since: '2012-01-01' });
    const points = [{ name: 'grid-import', kind: 'interval-energy', interval: '30 min', carrier: 'electricity' }];
    const sitePath = writeNewSite({ folder: pilot, kind: 'home', origin: 'measured', points });
    const [siteId, pointId] = [/site-[0-9a-f]+/, /point-[0-9a-f]+/].map((pattern) => pattern.exec(readFileSync(sitePath, 'utf8'))![0]);
    const [mapping, file] = [join(folder, 'mapping.yaml'), join(folder, 'a.csv')];
    writeFileSync(mapping, `extends: low-carbon-london\nmeters:\n  M1: { site: ${siteId}, points: { grid-import: ${pointId} } }\n`);
    const stamp = (i: number) => new Date(Date.UTC(2013, 0, 1) + i * 1_800_000).toISOString().slice(0, 19).replace('T', ' ');
    const lines = Array.from({ length: 96 }, (_, i) => `M1,${stamp(i)},0.${i + 100}`);
    writeFileSync(file, `LCLid,tstp,energy(kWh/hh)\n${lines.join('\n')}\n`);
    const replay = ['replay', file, '--pilot', pilot, '--mapping', mapping];
    const [whole, paced, part] = [engine.namespace(), engine.namespace(), engine.namespace()];
    assert.match(await run(...replay, '--namespace', whole), /^read +96 lines of 1 files: 96 readings/);
    const compared = await run(...replay, '--namespace', paced, '--speed', '200000', '--compare-with', whole);
    assert.match(compared, /resampled\.60m +\d+ events, equal/);
    assert.doesNotMatch(compared, /differ/);
    await run(...replay, '--namespace', part, '--to', '2013-01-02');
    const events = async (namespace: string) => {
      const topics = JSON.parse(await run('topics', '--namespace', namespace, '--json')) as { name: string; endOffsets: number[] }[];
      return topics.find(({ name }) => name === 'meter.readings')!.endOffsets.reduce((sum, end) => sum + end, 0);
    };
    const [all, first] = [await events(whole), await events(part)];
    assert.ok(first > 0 && first < all, `${first} of ${all}`);
  });

  // The last, as it spoils the log that the others look at.
  it('verifies no log that holds what its facts do not give, and says which run made it', async (t) => {
    const log = await openPostgresLog({ url: engine.url, namespace: source });
    t.after(() => log.close());
    const partition = (await log.endOffsets('resampled.60m')).findIndex((end) => end > 0);
    const [stray] = (await log.read({ topic: 'resampled.60m', partition }, 0, { maxRecords: 1, maxBytes: 1 })).records;
    await log.append([stray]);
    const verified = await run('replay', '--source', source, '--verify');
    const status = process.exitCode;
    process.exitCode = undefined;
    assert.equal(status, 1);
    assert.match(verified, /differs: The log holds resampled\.60m\/\d+:\d+, which the replay did not emit\./);
    assert.match(verified, /^ {2}run [0-9a-f]{32} made the events, otherwise than this replay:\n {4}codeVersion: "test", now "0\.1\.0/m);
  });
});
