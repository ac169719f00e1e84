import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { IflexError } from '../streams/errors.ts';
import { binary, isRoot, type Log, type Place, preparePlace, prepareStateFolder, runAs, USER } from './embedded-postgres-files.ts';
import { commandOf, pidInUse, poll, processStart, withLock } from './embedded-postgres-lock.ts';

/** A PostgreSQL server of our own, in a state folder, on 127.0.0.1. It outlives the process that started it. */
export interface EmbeddedPostgres {
  /** Holds the password. */
  url: string;
  dataFolder: string;
  /** Whether the server was running already. */
  adopted: boolean;
  serverPid: number;
  /** Resolves when the server ends, or throws all sessions out as one of its processes crashed; also after `stop`. */
  ended: Promise<void>;
  /** Stops the server, unless other sessions are connected: close your own first. */
  stop(): Promise<void>;
}

const DATABASE = 'iflex';
/** Given on the command line, so that neither postgresql.conf nor ALTER SYSTEM weakens them. */
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  shared_buffers: '256MB',
  max_wal_size: '2GB',
  max_connections: '100',
  jit: 'off',
};
const LOG_LIMIT_BYTES = 10 * 1024 * 1024;
const ORPHANS_END_WITHIN_MS = 60_000;
const SHUTDOWN_WITHIN_MS = 60_000;
/** A crash recovery replays up to max_wal_size, and more if checkpoints fell behind; slow disks need minutes. */
const RECOVERY_WITHIN_MS = 15 * 60_000;
/** A server that calls itself ready, yet lets nobody in: stopped in a debugger, or all connections are taken. */
const READY_BUT_SILENT_MS = 60_000;
const LOCK_WITHIN_MS = 20 * 60_000;
/** Sessions that were closed a moment ago are still listed for a few milliseconds. */
const SESSIONS_END_WITHIN_MS = 1000;

/** `ref` and `unref` are public in pg, but missing in its types. */
type Session = pg.Client & { ref(): void; unref(): void };

interface Running {
  pid: number;
  port: number;
  client: Session;
}

export function defaultStateFolder(clone: string): string {
  if (process.env.IFLEX_STATE) return resolve(process.env.IFLEX_STATE);
  if (!isRoot()) return join(resolve(clone), '.iflex');
  // The server of root runs as another user, who may not be able to enter the clone.
  return join('/var/lib/iflex', createHash('sha256').update(resolve(clone)).digest('hex').slice(0, 12));
}

export interface StartOptions {
  stateFolder: string;
  log?: Log;
  /** Where a server that is started listens; default: a free port. One that runs already keeps its own. */
  port?: number;
}

/**
 * Starts the server of the state folder, or adopts the one that runs there. Any number of processes may call this at
 * the same time. The returned handle keeps one idle session open: it tells other processes that the server is in use.
 */
export async function startEmbeddedPostgres(options: StartOptions): Promise<EmbeddedPostgres> {
  const log = options.log ?? (() => {});
  const state = prepareStateFolder(resolve(options.stateFolder));
  return withLock(join(state, 'start.lock'), LOCK_WITHIN_MS, async () => {
    const place = await preparePlace(state, log);
    const found = await adopt(place);
    const running = found ?? (await startServer(place, options.port));
    try {
      await createDatabase(running.client);
    } catch (error) {
      await endSession(running.client);
      throw error;
    }
    // Must not keep the process alive: whoever forgets to stop leaves the server running, which is harmless.
    running.client.unref();
    const how = found ? 'was running' : 'started';
    log(`PostgreSQL ${place.version} ${how}: process ${running.pid}, port ${running.port}.`);
    return handle(place, running, found !== undefined);
  });
}

function handle(place: Place, running: Running, adopted: boolean): EmbeddedPostgres {
  return {
    url: `postgres://${USER}:${place.password}@127.0.0.1:${running.port}/${DATABASE}`,
    dataFolder: place.data,
    adopted,
    serverPid: running.pid,
    ended: new Promise((resolve) => running.client.once('end', () => resolve())),
    stop: () => withLock(join(place.state, 'start.lock'), LOCK_WITHIN_MS, () => stopServer(place, running)),
  };
}

/** Ends a session, also one whose server hangs. */
async function endSession(client: Session): Promise<void> {
  client.ref();
  const enough = new AbortController();
  const limit = pause(5000, undefined, { signal: enough.signal }).catch(() => {});
  await Promise.race([client.end().catch(() => {}), limit]);
  enough.abort();
}

/** Line 1 of postmaster.pid is the process, line 4 the port, line 8 the state. */
function readPidFile(data: string): { pid: number; port: number; status: string } | undefined {
  try {
    const lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
    const [pid, port] = [Number(lines[0]), Number(lines[3])];
    return pid > 0 ? { pid, port, status: (lines[7] ?? '').trim() } : undefined;
  } catch {
    return undefined;
  }
}

/** Whether this process is a PostgreSQL server at work in this folder, and not one that has got its old id since. */
function isServerOf(data: string, pid: number): boolean {
  if (processStart(pid) === undefined) return false;
  if (process.platform === 'win32') return true;
  if (!commandOf(pid)?.includes('postgres')) return false;
  if (process.platform !== 'linux') return true;
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === data;
  } catch {
    return false;
  }
}

/** The server that runs already, once it lets us in. Undefined: there is none. */
async function adopt(place: Place): Promise<Running | undefined> {
  const found = readPidFile(place.data);
  if (!found) return undefined;
  if (isServerOf(place.data, found.pid)) return awaitReady(place, found.pid, () => isServerOf(place.data, found.pid));
  // PostgreSQL believes any process with this id to be its predecessor, even one that came later by chance or was
  // never reaped. Left-over processes of the real predecessor it recognises by their shared memory instead.
  if (pidInUse(found.pid)) rmSync(join(place.data, 'postmaster.pid'), { force: true });
  return undefined;
}

/** Waits until the server has recovered and lets us in. Undefined: it ended. */
async function awaitReady(place: Place, pid: number, lives: () => boolean): Promise<Running | undefined> {
  let readySince: number | undefined;
  let told = performance.now();
  const answer = await poll<Running | 'ended'>(async () => {
    if (!lives()) return 'ended';
    const entry = readPidFile(place.data);
    if (entry?.pid !== pid) return undefined;
    const client = await connect(place, entry.port, lives);
    if (client) return { pid, port: entry.port, client };
    const now = performance.now();
    readySince = entry.status === 'ready' ? (readySince ?? now) : undefined;
    if (readySince !== undefined && now - readySince > READY_BUT_SILENT_MS) {
      throw new IflexError('DATABASE_UNREACHABLE', `PostgreSQL (process ${pid}) runs, but accepts no connection.`);
    }
    if (now - told > 10_000) {
      told = now;
      place.log(`Waiting for PostgreSQL (process ${pid}, ${entry.status || 'starting'}).`);
    }
    return undefined;
  }, RECOVERY_WITHIN_MS);
  if (answer) return answer === 'ended' ? undefined : answer;
  throw new IflexError('DATABASE_UNREACHABLE', `PostgreSQL (process ${pid}) is not ready yet; see ${logPath(place)}.`);
}

/** A session, if the server accepts one now. */
async function connect(place: Place, port: number, lives: () => boolean): Promise<Session | undefined> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user: USER,
    password: place.password,
    // Not `iflex`: a session there would stand in the way of dropping or copying that database.
    database: 'postgres',
    application_name: 'iflex server handle',
    ssl: false,
    connectionTimeoutMillis: 5000,
    query_timeout: 60_000,
  }) as Session;
  // The server may end at any time; whoever needs it learns that from sessions of his own.
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query("SELECT current_setting('data_directory') AS folder");
    if (realpathSync(rows[0].folder) === realpathSync(place.data)) return client;
    throw new IflexError('DATABASE_UNREACHABLE', `Port ${port} belongs to a server of ${rows[0].folder}.`);
  } catch (error) {
    await endSession(client);
    // A stranger may have taken the port just before our server did, which has ended then.
    if (!lives()) return undefined;
    if (error instanceof IflexError) throw error;
    if (!/^(28|3D|42)/.test(String((error as { code?: string }).code))) return undefined;
    const refused = `PostgreSQL refuses the password in ${join(place.state, 'password')}`;
    throw new IflexError('DATABASE_UNREACHABLE', `${refused}: ${(error as Error).message}`, {}, error);
  }
}

async function createDatabase(client: pg.Client): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
  if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
}

function logPath(place: Place): string {
  return join(place.state, 'postgres.log');
}

function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const server = createServer();
    server.on('error', failed).listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}

/** Starts the server; after a crash, as soon as the processes which the crashed one left behind have ended. */
async function startServer(place: Place, port?: number): Promise<Running> {
  if (existsSync(logPath(place)) && statSync(logPath(place)).size > LOG_LIMIT_BYTES) {
    renameSync(logPath(place), `${logPath(place)}.1`);
  }
  // Which compressions there are depends on how the binaries were built.
  const asked = ['-D', place.data, '-C', 'wal_compression', '-c', 'wal_compression=lz4'];
  const compression = spawnSync(binary(place, 'postgres'), asked, runAs(place)).status === 0 ? 'lz4' : 'off';
  const deadline = performance.now() + ORPHANS_END_WITHIN_MS;
  let portsTaken = 0;
  for (let pauseMs = 100; ; pauseMs = Math.min(pauseMs * 1.5, 2000)) {
    const outcome = await launch(place, compression, port ?? (await freePort()));
    if (typeof outcome !== 'string') return outcome;
    if (/could not bind|could not create any TCP\/IP sockets/.test(outcome) && portsTaken++ < 5) continue;
    const leftOver = /pre-existing shared memory block|lock file "postmaster\.pid" already exists/.test(outcome);
    if (!leftOver || performance.now() > deadline) {
      throw new IflexError('DATABASE_UNREACHABLE', `PostgreSQL did not start; see ${logPath(place)}. ${outcome.slice(-2000)}`);
    }
    if (pauseMs === 100) place.log('Waiting for the processes of a crashed PostgreSQL to end.');
    await pause(pauseMs);
  }
}

/** One attempt: the server, or what it wrote to its log before it ended. */
async function launch(place: Place, compression: string, port: number): Promise<Running | string> {
  const settings = Object.entries({ ...SETTINGS, port, wal_compression: compression });
  const log = openSync(logPath(place), 'a+', 0o600);
  try {
    const from = fstatSync(log).size;
    const server = spawn(
      binary(place, 'postgres'),
      ['-D', place.data, ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      // Detached: in a session of its own, where neither the end of this process nor Ctrl-C in its terminal reach it.
      { ...runAs(place), stdio: ['ignore', log, log], detached: true },
    );
    let ended = false;
    let failure = '';
    server.on('exit', () => (ended = true));
    server.on('error', (error) => (failure = error.message));
    server.unref();
    try {
      const running = server.pid !== undefined && (await awaitReady(place, server.pid, () => !ended));
      if (running) return running;
    } catch (error) {
      // Nobody can use it, for instance because the password does not fit. But a long recovery goes on.
      if (readPidFile(place.data)?.status === 'ready') server.kill('SIGINT');
      throw error;
    }
    // Nothing was spawned: the reason comes with the next turn of the event loop.
    if (server.pid === undefined) await pause(0);
    const written = Buffer.alloc(Math.min(fstatSync(log).size - from, 16_384));
    readSync(log, written, 0, written.length, from);
    return failure + written.toString('utf8');
  } finally {
    closeSync(log);
  }
}

/** Whether no session but this one is connected. Ends it. */
async function isAlone(probe: Session): Promise<boolean> {
  const others = `SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`;
  try {
    const alone = async () => (await probe.query(others)).rowCount === 0;
    return (await poll(alone, SESSIONS_END_WITHIN_MS)) === true;
  } finally {
    await endSession(probe);
  }
}

async function stopServer(place: Place, { pid, client }: Running): Promise<void> {
  // Ours no longer counts as a session. It may be broken already, if the server crashed.
  await endSession(client);
  const entry = readPidFile(place.data);
  const lives = () => isServerOf(place.data, pid);
  // A process that is ending loses its command line first; gone it is only when its id is.
  const began = processStart(pid);
  if (entry?.pid !== pid || !lives()) return;
  const probe = await connect(place, entry.port, lives);
  // Without a session of our own we cannot know about others; perhaps it is they who take up all connections.
  const alone = probe !== undefined && (await isAlone(probe));
  if (!lives()) return;
  if (!alone) return place.log(`PostgreSQL (process ${pid}) keeps running: other sessions are connected.`);
  if (process.platform === 'win32') spawnSync(binary(place, 'pg_ctl'), ['kill', 'INT', String(pid)], { windowsHide: true });
  else process.kill(pid, 'SIGINT');
  const gone = await poll(() => processStart(pid) !== began, SHUTDOWN_WITHIN_MS);
  place.log(`PostgreSQL (process ${pid}) ${gone ? 'stopped' : 'is still shutting down'}.`);
}
