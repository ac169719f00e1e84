/** What is written on the command line, and what is refused there. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Command } from 'commander';
import { instantOf } from '../../infra/cli/existing-log.ts';
import { registerReplay, speedOf } from '../../infra/cli/replay.ts';
import { registerRun, rolesOf } from '../../infra/cli/run.ts';
import { registerTap } from '../../infra/cli/tap.ts';

describe('times on the command line', () => {
  it('are days in UTC, or times with their zone', () => {
    assert.equal(instantOf('2026-03-29', '--from'), Date.UTC(2026, 2, 29));
    assert.equal(instantOf('2026-03-29T01:00Z', '--from'), Date.UTC(2026, 2, 29, 1));
    assert.equal(instantOf('2026-03-29T01:00:30.250+02:00', '--from'), Date.UTC(2026, 2, 28, 23, 0, 30, 250));
  });

  it('are refused where the zone is missing, or no such time exists', () => {
    for (const text of ['2026-03-29T01:00', 'yesterday', '2026-13-01', '2026-03-29 01:00Z', '1774746000000', ''])
      assert.throws(() => instantOf(text, '--from'), { code: 'CONFIG_INVALID', message: /--from .* is not a time/ });
  });
});

describe('speeds on the command line', () => {
  it('are max or a factor', () => {
    assert.equal(speedOf('max'), Number.POSITIVE_INFINITY);
    for (const text of ['60', 'x60', '×60']) assert.equal(speedOf(text), 60);
    assert.equal(speedOf('0.5'), 0.5);
  });

  it('are refused where time would stand still or run backwards', () => {
    for (const text of ['0', '-1', 'fast', '1e9', 'Infinity', '']) assert.throws(() => speedOf(text), { code: 'CONFIG_INVALID' });
  });
});

describe('roles on the command line', () => {
  it('are given by commas, repeated, or both', () => {
    assert.deepEqual(rolesOf('projector,adapters'), ['projector', 'adapters']);
    assert.deepEqual(rolesOf('api, tasks', rolesOf('tasks')), ['tasks', 'api']);
  });

  it('are refused where there is none of that name', () => {
    for (const text of ['', 'task', 'tasks,', 'all'])
      assert.throws(() => rolesOf(text), { message: /There is no role ".*"; there are tasks,/ });
  });
});

describe('options that do not go together, or mean nothing', () => {
  const refusals: [RegExp, ...string[]][] = [
    [/There is no topic "meter". `iflex topics` lists them./, 'tap', 'meter'],
    [/The topic tariffs is a draft/, 'tap', 'tariffs'],
    [/--from noon is not a place. Write an offset \(1200\), a day .* or end/, 'tap', 'ticks', '--from', 'noon'],
    [/--to -5 is not a place/, 'tap', 'ticks', '--to', '-5'],
    [/--from 2026-03-29T01:00 is not a time/, 'tap', 'ticks', '--from', '2026-03-29T01:00'],
    [/--from end: nothing lies after it yet. Add --follow/, 'tap', 'ticks', '--from', 'end', '--to', '5'],
    [/--key 12: the keys of ticks are its partitions, 0 to 11/, 'tap', 'ticks', '--key', '12'],
    [/--key site-1: the keys of ticks are/, 'tap', 'ticks', '--key', 'site-1', '--follow'],
    [/--follow has no end/, 'tap', 'ticks', '--follow', '--to', 'end'],
    [/--from 5 is after --to 3/, 'tap', 'ticks', '--from', '5', '--to', '3'],
    [/--from 2026-03-02 is after --to 2026-03-01/, 'tap', 'ticks', '--from', '2026-03-02', '--to', '2026-03-01'],
    [/--limit 0 is not/, 'tap', 'ticks', '--limit', '0'],
    [/needs --namespace/, 'replay'],
    [/never writes to its source/, 'replay', '--source', 'a', '--namespace', 'a'],
    [/--compare-with needs another namespace/, 'replay', '--namespace', 'a', '--compare-with', 'a'],
    [/give one of them/, 'replay', '--namespace', 'a', '--replace', '--resume'],
    [/--from 2026-03-02 is not before --to 2026-03-01/, 'replay', '--namespace', 'a', '--from', '2026-03-02', '--to', '2026-03-01'],
    [/--speed fast is neither/, 'replay', '--namespace', 'a', '--speed', 'fast'],
    [/--verify .* does not go with --to, --speed/, 'replay', '--verify', '--speed', '60', '--to', '2026-03-02'],
    [/--verify checks a log/, 'replay', 'a.csv', '--verify'],
    [/Files need --pilot .* and --mapping/, 'replay', 'a.csv', '--namespace', 'a'],
    [/one source: files, or --source/, 'replay', 'a.csv', '--namespace', 'a', '--source', 'b'],
    [/give files, or leave them out/, 'replay', '--pilot', 'p', '--namespace', 'a'],
    [/--no-api and --role api exclude each other/, 'run', '--role', 'tasks,api', '--no-api'],
    [/--verify .* does not go with --compare-with/, 'replay', '--verify', '--compare-with', 'a'],
  ];
  for (const [message, ...args] of refusals)
    it(`are refused before anything is started: iflex ${args.join(' ')}`, async () => {
      const program = new Command();
      registerReplay(program);
      registerRun(program);
      registerTap(program);
      await assert.rejects(program.parseAsync(args, { from: 'user' }), { name: 'IflexError', message });
    });
});
