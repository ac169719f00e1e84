/** A TimescaleDB of a test's own with a streaming standby, and an address in front that can be moved from one to the other. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after } from 'node:test';
import { runAs } from '../../infra/embedded-postgres-files.ts';
import { poll } from '../../infra/embedded-postgres-lock.ts';
import { up } from '../../infra/services/lifecycle.ts';
import { SERVICES } from '../../infra/services/list.ts';
import { installedAt, type ServicesPlace, serviceFolder } from '../../infra/services/place.ts';
import { runTool } from '../../infra/services/tool.ts';
import { POSTGRESQL_MAJOR, VERSIONS } from '../../infra/services/versions.ts';
import { openClient, openPool } from '../../streams/postgres.ts';
import { emptyPlace } from '../infra/services/place.ts';

export interface Standby {
  place: ServicesPlace;
  primaryUrl: string;
  standbyUrl: string;
  /** Kills the standby (SIGKILL) and waits until it has ended. */
  killStandby(): Promise<void>;
}

/** The primary and a standby of it that answers; both end with the test file that asks at its top level. */
export async function openStandby(): Promise<Standby> {
  const { place } = await emptyPlace();
  await up(place, 'timescaledb');
  const primaryUrl = SERVICES.timescaledb.clientSettings(place).DATABASE_URL;
  const standbyUrl = withPort(primaryUrl, await freePort());
  const server = await startStandby(place, primaryUrl, standbyUrl);
  const killStandby = async () => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'close');
    server.kill('SIGKILL');
    await ended;
  };
  after(killStandby);
  const answers = await poll(() => {
    if (server.exitCode !== null) throw new Error(`The standby ended:\n${readFileSync(logPath(place), 'utf8')}`);
    return openPool(standbyUrl, 'test', 1).catch(() => undefined);
  }, VERSIONS.timescaledb.readyWithinMs);
  assert.ok(answers, 'the standby answers');
  await answers.end();
  return { place, primaryUrl, standbyUrl, killStandby };
}

/** A copy of the primary's files, taken as for a base backup, that goes on with what the primary sends. */
async function startStandby(place: ServicesPlace, primaryUrl: string, standbyUrl: string): Promise<ChildProcess> {
  const folder = serviceFolder(place, 'timescaledb');
  const [from, data] = [join(folder, `data-${POSTGRESQL_MAJOR}`), join(folder, 'standby')];
  const session = await openClient(primaryUrl, 'base backup');
  await session.query("SELECT pg_backup_start('standby', true)");
  // Files may go while they are copied, as in any base backup of a server at work.
  cpSync(from, data, { recursive: true, force: true, preserveTimestamps: true });
  const { rows } = await session.query('SELECT labelfile FROM pg_backup_stop()');
  await session.end();
  rmSync(join(data, 'postmaster.pid'), { force: true });
  writeFileSync(join(data, 'backup_label'), rows[0].labelfile);
  writeFileSync(join(data, 'standby.signal'), '');
  const { username, password, hostname, port } = new URL(primaryUrl);
  const source = `host=${hostname} port=${port} user=${username} password=${password}`;
  const settings = { config_file: join(folder, 'postgresql.conf'), port: new URL(standbyUrl).port, primary_conninfo: source };
  const { user } = place;
  chmodSync(data, 0o700);
  if (user) await runTool('chown', ['-R', `${user.uid}:${user.gid}`, data], 'the standby');
  const log = openSync(logPath(place), 'w');
  return spawn(
    join(installedAt(place, 'timescaledb'), `usr/lib/postgresql/${POSTGRESQL_MAJOR}/bin/postgres`),
    ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    { ...runAs({ user, state: folder }), stdio: ['ignore', log, log] },
  );
}

const logPath = ({ state }: ServicesPlace) => join(state, 'standby.log');

function withPort(url: string, port: number): string {
  const other = new URL(url);
  other.port = String(port);
  return other.toString();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** An address that stands for a server, as a name or a virtual address does; moving it breaks what was connected. */
export async function openAddress(firstUrl: string): Promise<{ url: string; moveTo(url: string): void }> {
  let target = Number(new URL(firstUrl).port);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const other = connect(target, '127.0.0.1');
    for (const [one, its] of [
      [client, other],
      [other, client],
    ]) {
      sockets.add(one);
      one.on('error', () => its.destroy()).on('close', () => its.destroy());
      one.on('close', () => sockets.delete(one));
      one.pipe(its);
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    url: withPort(firstUrl, (server.address() as AddressInfo).port),
    moveTo(url) {
      target = Number(new URL(url).port);
      for (const socket of sockets) socket.destroy();
    },
  };
}
