/** What the command of the benchmarks says of itself, before it measures anything. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { PROJECT_FOLDER } from '../../infra/engine.ts';

function bench(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(PROJECT_FOLDER, 'test', 'bench', 'main.ts'), ...args], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status, stdout, stderr };
}

describe('npm run bench', () => {
  it('has a help with all names', () => {
    const { status, stdout, stderr } = bench('--help');
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /\[NAME…\][\s\S]*--group[\s\S]*spine[\s\S]* {2}rebuild\n/);
  });

  it('refuses a group or an option that there is not, with what there is', () => {
    assert.deepEqual(bench('--group', 'none'), {
      status: 2,
      stdout: '',
      stderr: 'There is no benchmark of a group none. There are: spine, kafka\n',
    });
    const { status, stderr } = bench('--grup', 'spine');
    assert.equal(status, 2);
    assert.match(stderr, /^Unknown option '--grup'[\s\S]*--group NAME/);
    assert.doesNotMatch(stderr, /\n {4}at /);
  });
});
