/** `npm start` and `iflex run` as a service manager runs them: whoever ends the first process ends all that it started. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import { lockNamespace } from '../../infra/namespace-lock.ts';
import { openTestEngine } from '../engine.ts';

const engine = await openTestEngine();

/** Starts a command, and waits until it serves; `address` is that of its API. */
async function start(t: TestContext, command: string, args: string[]): Promise<{ leader: ChildProcess; address: string }> {
  const state = mkdtempSync(join(tmpdir(), 'iflex-stop-'));
  // A group of its own: whatever would be left of it is ended after the test.
  const leader = spawn(command, args, {
    cwd: PROJECT_FOLDER,
    env: { ...process.env, DATABASE_URL: engine.url, IFLEX_STATE: state },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  t.after(() => {
    try {
      process.kill(-leader.pid!, 'SIGKILL');
    } catch {
      // Nothing is left, as it should be.
    }
    rmSync(state, { recursive: true });
  });
  let printed = '';
  leader.stderr.setEncoding('utf8').on('data', (text) => (printed += text));
  leader.stdout.setEncoding('utf8').on('data', (text) => (printed += text));
  const closed = once(leader, 'close');
  while (!printed.includes('Ctrl-C stops.')) {
    await Promise.race([once(leader.stdout, 'data'), closed]);
    assert.equal(leader.exitCode, null, printed);
  }
  return { leader, address: /http:\/\/127\.0\.0\.1:\d+/.exec(printed)?.[0] ?? assert.fail(printed) };
}

/** Signals the first process alone; with what it ended, once nothing of it is left. */
async function end({ leader, address }: Awaited<ReturnType<typeof start>>, signal: NodeJS.Signals) {
  assert.equal((await fetch(`${address}/health`)).status, 200);
  leader.kill(signal);
  // The pipes are closed once the last process that writes into them is gone.
  const ended = await once(leader, 'close');
  await assert.rejects(fetch(`${address}/health`));
  assert.throws(() => process.kill(-leader.pid!, 0), { code: 'ESRCH' });
  return ended;
}

test('a termination of npm ends the launcher, the command and its API', { timeout: 120_000 }, async (t) => {
  const args = ['start', '--', '--days', '1', '--port', '0', '--namespace', engine.namespace()];
  await end(await start(t, 'npm', args), 'SIGTERM');
});

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
  test(`${signal} to the launcher ends a running pipeline cleanly`, { timeout: 120_000 }, async (t) => {
    const namespace = engine.namespace();
    const running = await start(t, process.execPath, ['infra/iflex.js', 'run', '--port', '0', '--namespace', namespace]);
    assert.deepEqual(await end(running, signal), [0, null]);
    // Free again: the next pipeline can start at once.
    await (await lockNamespace(engine.url, namespace)).end();
  });
