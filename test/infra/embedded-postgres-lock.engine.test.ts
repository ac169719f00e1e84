import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { poll, processStart, withLock } from '../../infra/embedded-postgres-lock.ts';

const folder = mkdtempSync(join(tmpdir(), 'iflex-lock-'));
const trace = join(folder, 'trace');
const module = new URL('../../infra/embedded-postgres-lock.ts', import.meta.url).href;

after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the script in that many processes; `write` notes who did what, in the order in which it happened. */
async function contend(processes: number, script: string): Promise<(string | number | null)[]> {
  writeFileSync(trace, '');
  const start = `import { appendFileSync } from 'node:fs';
    import { withLock } from ${JSON.stringify(module)};
    const folder = ${JSON.stringify(folder)};
    const write = (...what) => appendFileSync(folder + '/trace', [process.pid, ...what].join(' ') + '\\n');
    const pause = (ms) => new Promise((done) => setTimeout(done, ms));`;
  const children = Array.from({ length: processes }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', start + script], { stdio: 'inherit' }),
  );
  try {
    const ended = () => children.every((each) => each.exitCode !== null || each.signalCode !== null);
    assert.ok(await poll(ended, 30_000));
    return children.map((each) => each.signalCode ?? each.exitCode);
  } finally {
    for (const each of children) if (each.exitCode === null && each.signalCode === null) each.kill('SIGKILL');
  }
}

const traced = () => readFileSync(trace, 'utf8').trim().split('\n');

/** A holder that has our process id, but began at another time: it is dead, and its id was given to us. */
const dead = (nonce: string) => JSON.stringify({ pid: process.pid, startedAt: 'once', nonce });

test('the lock admits one process at a time, also when holders are killed', async () => {
  writeFileSync(join(folder, 'lock'), dead('aa'));
  const ends = await contend(
    6,
    `for (let n = 0; n < 15; n++) await withLock(folder + '/lock', 20000, async () => {
      write('in', n);
      await pause(1);
      if (n === 14) process.kill(process.pid, 'SIGKILL');
      write('out', n);
    });`,
  );
  assert.deepEqual(ends, Array(6).fill('SIGKILL'));
  assert.equal(traced().length, 6 * 29);
  let holder: string | undefined;
  for (const line of traced()) {
    const [pid, what, round] = line.split(' ');
    assert.equal(holder, what === 'out' ? pid : undefined, `${line}, while ${holder} holds the lock`);
    // In its last round each is killed with the lock held.
    holder = what === 'in' && round !== '14' ? pid : undefined;
  }
  assert.equal(await withLock(join(folder, 'lock'), 5000, async () => 'mine'), 'mine');
  assert.deepEqual(readdirSync(folder), ['trace']);
});

test('of processes that find the same dead holder at the same moment, one gets the lock', async () => {
  const rounds = 60;
  for (let round = 0; round < rounds; round++) writeFileSync(join(folder, `lock${round}`), dead(`${round}`));
  const begin = Date.now() + 500;
  const ends = await contend(
    2,
    `for (let round = 0; round < ${rounds}; round++) {
      while (Date.now() < ${begin} + round * 20);
      await withLock(folder + '/lock' + round, 20000, async () => {
        write('in', round);
        await pause(2);
        write('out', round);
      });
    }`,
  );
  assert.deepEqual(ends, [0, 0]);
  const inside = new Map<string, string>();
  for (const line of traced()) {
    const [pid, what, round] = line.split(' ');
    assert.equal(inside.get(round), what === 'out' ? pid : undefined, `both were inside in round ${round}`);
    if (what === 'in') inside.set(round, pid);
    else inside.delete(round);
  }
  assert.equal(traced().length, rounds * 4);
});

test('waiting for a holder that lives ends with an error that names it, and a failed holder frees the lock', async () => {
  const path = join(folder, 'held');
  writeFileSync(path, JSON.stringify({ pid: process.pid, startedAt: processStart(process.pid), nonce: 'bb' }));
  const waiting = withLock(path, 50, async () => 'never');
  await assert.rejects(waiting, { code: 'DATABASE_UNREACHABLE', message: new RegExp(`${process.pid}`) });
  rmSync(path);
  const failing = withLock(path, 50, async () => {
    throw new Error('on purpose');
  });
  await assert.rejects(failing, /on purpose/);
  // What a loss of power leaves of a lock file.
  writeFileSync(path, '');
  assert.equal(await withLock(path, 5000, async () => 'mine'), 'mine');
});
