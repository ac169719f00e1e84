/** `npm start` as a service manager runs it: whoever ends npm ends all that it started. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import { openTestEngine } from '../engine.ts';

const engine = await openTestEngine();

test('a termination of npm ends the launcher, the command and its API', { timeout: 120_000 }, async (t) => {
  const state = mkdtempSync(join(tmpdir(), 'iflex-stop-'));
  const args = ['start', '--', '--days', '1', '--port', '0', '--namespace', engine.namespace()];
  // A group of its own: whatever would be left of it is ended after the test.
  const npm = spawn('npm', args, {
    cwd: PROJECT_FOLDER,
    env: { ...process.env, DATABASE_URL: engine.url, IFLEX_STATE: state },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  t.after(() => {
    try {
      process.kill(-npm.pid!, 'SIGKILL');
    } catch {
      // Nothing is left, as it should be.
    }
    rmSync(state, { recursive: true });
  });
  let printed = '';
  npm.stderr.setEncoding('utf8').on('data', (text) => (printed += text));
  npm.stdout.setEncoding('utf8').on('data', (text) => (printed += text));
  const closed = once(npm, 'close');
  while (!printed.includes('Ctrl-C stops.')) {
    await Promise.race([once(npm.stdout, 'data'), closed]);
    assert.equal(npm.exitCode, null, printed);
  }
  const address = /http:\/\/127\.0\.0\.1:\d+/.exec(printed)?.[0] ?? assert.fail(printed);
  assert.equal((await fetch(`${address}/health`)).status, 200);
  npm.kill('SIGTERM');
  // The pipes are closed once the last process that writes into them is gone.
  await closed;
  await assert.rejects(fetch(`${address}/health`));
  assert.throws(() => process.kill(-npm.pid!, 0), { code: 'ESRCH' });
});
