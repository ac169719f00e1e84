/** The stages behind `npm run check`, `npm test`, `npm run test:services` and `npm run soak`. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from 'node:test';
import { inspect } from 'node:util';
import { PROJECT_FOLDER } from '../infra/engine.ts';
import { dataRoot } from './data.ts';
import { withServicesOfARun } from './services-of-a-run.ts';

interface Outcome {
  passed: number;
  failed: number;
}

interface Stage {
  name: string;
  limitMinutes: number;
  run(signal: AbortSignal): Promise<Outcome>;
}

const bin = (name: string) => join(PROJECT_FOLDER, 'node_modules', '.bin', name);

/** A tool counts as one test, passed where it ends with status 0 and says that it saw something. */
function tool(name: string, command: string, args: string[], saw: RegExp, limitMinutes = 2): Stage {
  return {
    name,
    limitMinutes,
    run: (signal) =>
      new Promise((done) => {
        const child = spawn(command, args, { cwd: PROJECT_FOLDER, signal, stdio: ['ignore', 'pipe', 'pipe'] });
        let output = '';
        for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
        child.on('error', (error) => (output += error.message));
        child.on('close', (code) => {
          const good = code === 0 && saw.test(output);
          if (!good) console.log(`${output}\n${name} failed (status ${code}).`);
          done(good ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 });
        });
      }),
  };
}

/** Tests by ending: NAME.test.ts needs nothing, NAME.engine.test.ts the embedded engine, NAME.peer.test.ts Python, NAME.data.test.ts real data, NAME.services.test.ts Kafka and the others. */
function testFiles(ending: RegExp, but?: RegExp): string[] {
  const { stdout } = spawnSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', 'test'], {
    cwd: PROJECT_FOLDER,
    encoding: 'utf8',
  });
  return stdout.split('\n').filter((file) => ending.test(file) && !but?.test(file) && existsSync(join(PROJECT_FOLDER, file)));
}

function tests(name: string, files: string[], how: { isolated: boolean; concurrency: number; limitMinutes: number }): Stage {
  return {
    name,
    limitMinutes: how.limitMinutes,
    run: (signal) =>
      new Promise((done) => {
        const outcome = { passed: 0, failed: 0 };
        const events = run({
          files: files.map((file) => join(PROJECT_FOLDER, file)),
          isolation: how.isolated ? 'process' : 'none',
          concurrency: how.concurrency,
          signal,
          cwd: PROJECT_FOLDER,
        });
        // Suites and files are reported too, but only tests count; one that was skipped did not pass.
        events.on('test:pass', ({ name, file, details, skip, todo }) => {
          if (details.type === 'suite' || name === file) return;
          if (skip === undefined && todo === undefined) outcome.passed++;
          else console.log(`skipped ${file}: ${name}`);
        });
        events.on('test:fail', ({ name, file, details }) => {
          if (details.type === 'suite') return;
          outcome.failed++;
          const { error } = details;
          console.log(`FAIL ${file}: ${name}\n${inspect(error.cause ?? error, { depth: 3 })}`);
        });
        events.on('test:stderr', ({ message }) => process.stderr.write(message));
        events.on('end', () => done(outcome));
        events.on('close', () => done(outcome)).resume();
      }),
  };
}

const check = (): Stage[] => [
  tool('types', bin('tsc'), ['--noEmit', '--listFiles', '-p', '.'], /streams\/event-log\.ts/),
  tool('lint and format', bin('biome'), ['check', '--error-on-warnings', '.'], /Checked \d\d+ files/),
  tool(
    'walls',
    bin('depcruise'),
    ['--config', '.ci/walls.cjs', '--output-type', 'err', ...FOLDERS],
    /no dependency violations found \(\d\d+ modules/,
  ),
  // It ends with status 1 where it finds anything; that it sees what it should is shown by dead-code.test.ts.
  tool(
    'dead code',
    bin('knip'),
    ['--config', '.ci/knip.json', '--no-progress', '--reporter', 'symbols', '--reporter', 'json'],
    /"issues":\[\]/,
  ),
];

const FOLDERS = ['schemas', 'streams', 'processors', 'projections', 'api', 'infra', 'replay', 'test'].filter((folder) =>
  existsSync(join(PROJECT_FOLDER, folder)),
);

function stagesOf(what: string): Stage[] {
  if (what === 'check') return [...check(), pure()];
  if (what === 'soak') return [tests('soak', testFiles(/\.soak\.ts$/), { isolated: true, concurrency: 1, limitMinutes: 180 })];
  if (what === 'services') return [services(), crashes()];
  if (what === 'test') return [...check(), pure(), engine(), ...outside()];
  console.error('Usage: node test/run.js [check|test|services|soak]');
  process.exit(2);
}

const pure = () =>
  tests('pure tests', testFiles(/\.test\.ts$/, /\.(engine|peer|data|services)\.test\.ts$/), {
    isolated: false,
    concurrency: 1,
    limitMinutes: 3,
  });
const engine = () =>
  tests('tests on the embedded engine', testFiles(/\.engine\.test\.ts$/), { isolated: true, concurrency: 2, limitMinutes: 14 });

/** The shared services (`services.ts`) are started by the first suite that asks, and end with the stage, however it ends. */
function onServices(stage: Stage): Stage {
  return { ...stage, run: (signal) => withServicesOfARun(() => stage.run(signal)) };
}

const KILLING = /^test\/crash\/.*\.services\.test\.ts$/;
const services = () =>
  onServices(tests('real services', testFiles(/\.services\.test\.ts$/, KILLING), { isolated: true, concurrency: 1, limitMinutes: 20 }));
/** Apart, as it takes longer than all the others together. */
const crashes = () =>
  onServices(tests('crashes on real services', testFiles(KILLING), { isolated: true, concurrency: 1, limitMinutes: 45 }));

/** What not every machine has: with CI=true its suites must run, elsewhere they are listed as not run where it is absent. */
function outside(): Stage[] {
  const needs = [
    { what: `the real data (${dataRoot()}; set IFLEX_DATA)`, there: existsSync(dataRoot()), ending: /\.data\.test\.ts$/ },
    { what: 'Python 3 with venv', there: spawnSync('python3', ['-c', 'import venv']).status === 0, ending: /\.peer\.(data\.)?test\.ts$/ },
  ];
  const lacking = needs.filter(({ there }) => !there && process.env.CI !== 'true');
  const files = testFiles(/\.(peer|data)\.test\.ts$/);
  const left = files.filter((file) => lacking.some(({ ending }) => ending.test(file)));
  if (left.length > 0) console.log(`Not run, for want of ${lacking.map(({ what }) => what).join(' and ')}:\n  ${left.join('\n  ')}`);
  const ran = files.filter((file) => !left.includes(file));
  return ran.length === 0 ? [] : [tests('tests on real data and against peers', ran, { isolated: true, concurrency: 2, limitMinutes: 12 })];
}

const started = performance.now();
const seconds = (sinceMs: number) => `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;
/** A signal ends the stage under way as its limit would, so that what it started ends with it. */
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupted.abort());
let passed = 0;
let failed = 0;
for (const stage of stagesOf(process.argv[2] ?? 'test')) {
  const stageStarted = performance.now();
  const limit = AbortSignal.timeout(stage.limitMinutes * 60_000);
  const outcome = await stage.run(AbortSignal.any([limit, interrupted.signal]));
  if (outcome.passed + outcome.failed === 0 || limit.aborted || interrupted.signal.aborted) outcome.failed++;
  passed += outcome.passed;
  failed += outcome.failed;
  const why = limit.aborted ? `, over its limit of ${stage.limitMinutes} min` : interrupted.signal.aborted ? ', interrupted' : '';
  console.log(
    `${outcome.failed === 0 ? 'ok  ' : 'FAIL'} ${stage.name}: ${outcome.passed} passed, ${outcome.failed} failed, ${seconds(stageStarted)}${why}`,
  );
  if (interrupted.signal.aborted) break;
}
console.log(`All stages: ${seconds(started)}`);
console.log(`${passed} passed, ${failed} failed`);
// For `.ci/run`, which adds up several runs.
if (process.env.IFLEX_COUNTS) writeFileSync(process.env.IFLEX_COUNTS, `${passed} ${failed}\n`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
