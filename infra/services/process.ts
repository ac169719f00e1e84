/** Server processes: started in a session of their own, known by id and time of start, and only those are ever ended. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, readSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IflexError } from '../../streams/errors.ts';
import { runAs } from '../embedded-postgres-files.ts';
import { poll, processStart } from '../embedded-postgres-lock.ts';
import { type ServicesPlace, serviceFolder } from './place.ts';
import { SERVICE_LOG_LIMIT_BYTES, type ServiceName, STOP_WITHIN_MS } from './versions.ts';

/** How to run a server; the environment is clean but for what is given. */
export interface Launch {
  command: string;
  args: string[];
  env?: Record<string, string>;
}

export function logPathOf(place: ServicesPlace, name: ServiceName): string {
  return join(place.state, `${name}.log`);
}

function pidPathOf(place: ServicesPlace, name: ServiceName): string {
  return join(place.state, `${name}.pid`);
}

/** The process that was started here and still runs; a later process with the same id is not it. */
export function startedProcess(place: ServicesPlace, name: ServiceName): number | undefined {
  try {
    const { pid, startedAt } = JSON.parse(readFileSync(pidPathOf(place, name), 'utf8'));
    return Number.isInteger(pid) && pid > 0 && processStart(pid) === startedAt ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Starts the server and notes its process. Throws SERVICE_NOT_STARTED where the program cannot be run at all. */
export async function startProcess(place: ServicesPlace, name: ServiceName, { command, args, env }: Launch): Promise<number> {
  const log = logPathOf(place, name);
  if (existsSync(log) && statSync(log).size > SERVICE_LOG_LIMIT_BYTES) renameSync(log, `${log}.1`);
  const file = openSync(log, 'a', 0o600);
  try {
    const how = runAs({ user: place.user, state: serviceFolder(place, name) });
    const server = spawn(command, args, { ...how, env: { ...how.env, ...env }, stdio: ['ignore', file, file], detached: true });
    try {
      await once(server, 'spawn');
    } catch (error) {
      throw new IflexError('SERVICE_NOT_STARTED', `${command} cannot be run: ${(error as Error).message}`, {}, error);
    }
    const pid = server.pid!;
    const path = pidPathOf(place, name);
    writeFileSync(`${path}.new`, `${JSON.stringify({ pid, startedAt: processStart(pid) })}\n`);
    renameSync(`${path}.new`, path);
    server.unref();
    return pid;
  } finally {
    closeSync(file);
  }
}

/** Ends the process that was started here, if it runs; the hard way where it does not end in time. Gives its id. */
export async function stopProcess(place: ServicesPlace, name: ServiceName, signal: NodeJS.Signals): Promise<number | undefined> {
  const pid = startedProcess(place, name);
  if (pid !== undefined) {
    const began = processStart(pid);
    const gone = () => processStart(pid) !== began;
    sendSignal(pid, signal);
    if (!(await poll(gone, STOP_WITHIN_MS))) {
      place.log(`${name}: process ${pid} did not end within ${STOP_WITHIN_MS / 1000} s and is ended the hard way.`);
      if (!gone()) sendSignal(pid, 'SIGKILL');
      await poll(gone, STOP_WITHIN_MS);
    }
  }
  rmSync(pidPathOf(place, name), { force: true });
  return pid;
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It may have ended by itself just now.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** The end of what a server wrote to its log. */
export function logTail(place: ServicesPlace, name: ServiceName, bytes = 1500): string {
  const file = openSync(logPathOf(place, name), 'r');
  try {
    const buffer = Buffer.alloc(bytes);
    const from = Math.max(0, statSync(logPathOf(place, name)).size - bytes);
    return buffer.subarray(0, readSync(file, buffer, 0, bytes, from)).toString('utf8');
  } finally {
    closeSync(file);
  }
}
