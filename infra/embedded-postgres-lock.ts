import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { IflexError } from '../streams/errors.ts';

/** Asks again and again, ever more slowly, until the answer is neither undefined nor false, or the time is over. */
export async function poll<T>(
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  withinMs: number,
  longestPauseMs = 250,
): Promise<T | undefined> {
  const deadline = performance.now() + withinMs;
  for (let pauseMs = 10; ; pauseMs = Math.min(pauseMs * 1.5, longestPauseMs)) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() >= deadline) return undefined;
    await pause(pauseMs);
  }
}

/** Whether the system knows this process id. A process that ended, but was never reaped by its parent, counts too. */
export function pidInUse(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function fileOrUndefined(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** What `ps` says about one process; macOS has no /proc. */
function ps(pid: number, column: string): string | undefined {
  const { stdout } = spawnSync('ps', ['-ww', '-o', `${column}=`, '-p', String(pid)], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' },
  });
  return stdout?.trim() || undefined;
}

/** A text that differs between two processes which had the same id one after the other; undefined: not running. */
export function processStart(pid: number): string | undefined {
  if (process.platform === 'linux') {
    // The name in parentheses may hold anything, so the fields are counted from the last parenthesis on.
    const fields = fileOrUndefined(`/proc/${pid}/stat`)
      ?.replace(/^.*\) /s, '')
      .split(' ');
    if (!fields || fields[0] === 'Z' || fields[0] === 'X') return undefined;
    // Ticks since boot mean nothing without knowing which boot.
    return `${fileOrUndefined('/proc/sys/kernel/random/boot_id')?.trim()}/${fields[19]}`;
  }
  if (process.platform === 'darwin') return ps(pid, 'state')?.startsWith('Z') ? undefined : ps(pid, 'lstart');
  return pidInUse(pid) ? 'running' : undefined;
}

/** The command line of a running process; undefined when there is none, or this platform does not tell. */
export function commandOf(pid: number): string | undefined {
  if (process.platform === 'linux') return fileOrUndefined(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ') || undefined;
  return process.platform === 'darwin' ? ps(pid, 'command') : undefined;
}

interface Holder {
  pid: number;
  startedAt: string;
  /** Never used twice: names this one holding of the lock. */
  nonce: string;
}

function readHolder(path: string): Holder | undefined {
  const text = fileOrUndefined(path);
  if (text === undefined) return undefined;
  try {
    const { pid, startedAt, nonce } = JSON.parse(text);
    if (Number.isInteger(pid) && /^[0-9a-f]+$/.test(nonce)) return { pid, startedAt, nonce };
  } catch {
    // Falls through: a loss of power may leave an empty file. Whoever wrote it is gone.
  }
  return { pid: 0, startedAt: '', nonce: 'unreadable' };
}

function isRunning(holder: Holder): boolean {
  return holder.pid > 0 && processStart(holder.pid) === holder.startedAt;
}

/**
 * Takes the lock when it is free, or when its holder is dead. Two processes may find the same dead holder; were each
 * to remove the file, the slower one would remove the fresh lock of the faster. So the right to replace one certain
 * holder is a lock of its own, named by the holder's nonce: whoever has it looks again and only then replaces the file.
 */
async function tryTake(path: string, claim: string, withinMs: number): Promise<boolean> {
  try {
    // A link appears with its whole content at once, and fails when the name is taken.
    linkSync(claim, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const found = readHolder(path);
  if (!found || isRunning(found)) return false;
  return withLock(`${path}.${found.nonce}`, withinMs, async () => {
    if (readHolder(path)?.nonce !== found.nonce) return false;
    renameSync(claim, path);
    return true;
  });
}

/** What killed processes left behind. Called with the lock held, so no right to replace an older holder counts now. */
function sweep(path: string): void {
  for (const name of readdirSync(dirname(path))) {
    if (!name.startsWith(`${basename(path)}.`)) continue;
    const left = join(dirname(path), name);
    const holder = readHolder(left);
    // An unreadable one may be a claim that is being written at this moment.
    if (holder && holder.pid > 0 && !isRunning(holder)) rmSync(left, { force: true });
  }
}

/**
 * Runs `work` while no other process does so under the same lock file. The lock of a dead process is taken over. The
 * folder must be on this computer, and all processes must see the same process ids.
 */
export async function withLock<T>(path: string, withinMs: number, work: () => Promise<T>): Promise<T> {
  const nonce = randomBytes(8).toString('hex');
  const own: Holder = { pid: process.pid, startedAt: processStart(process.pid) ?? '', nonce };
  const claim = `${path}.claim-${nonce}`;
  writeFileSync(claim, JSON.stringify(own), { flag: 'wx' });
  let taken: boolean | undefined;
  try {
    taken = await poll(() => tryTake(path, claim, withinMs), withinMs);
  } finally {
    rmSync(claim, { force: true });
  }
  if (!taken) {
    const pid = readHolder(path)?.pid;
    throw new IflexError('DATABASE_UNREACHABLE', `Process ${pid} has been starting or stopping this server for too long.`, {
      lock: path,
    });
  }
  try {
    sweep(path);
    return await work();
  } finally {
    if (readHolder(path)?.nonce === nonce) rmSync(path, { force: true });
  }
}
