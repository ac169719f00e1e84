/** PostgreSQL with TimescaleDB (Apache edition) and the client tools psql, pg_dump, pg_restore. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { openPool } from '../../streams/postgres.ts';
import { poll } from '../embedded-postgres-lock.ts';
import { unpackDebian } from './debian.ts';
import { clientPort, type ServicesPlace, serviceFolder, writeConfiguration, writeForServer } from './place.ts';
import { isPortTaken } from './probe.ts';
import type { Service } from './service.ts';
import { runSetup } from './setup.ts';
import { POSTGRESQL_MAJOR, STOP_WITHIN_MS, TIMESCALEDB_VERSION } from './versions.ts';

const USER = 'iflex';
const DATABASE = 'iflex';
const PROGRAMS = `usr/lib/postgresql/${POSTGRESQL_MAJOR}/bin`;
const EXTENSION = `postgresql-${POSTGRESQL_MAJOR}-timescaledb`;

export const timescaledb: Service = {
  name: 'timescaledb',
  // Open sessions are ended, what was committed is written.
  stopSignal: 'SIGINT',
  install: (_place, folder) =>
    unpackDebian(
      {
        name: 'timescaledb',
        packages: [`postgresql-${POSTGRESQL_MAJOR}`, `postgresql-client-${POSTGRESQL_MAJOR}`, EXTENSION],
        pinned: { package: EXTENSION, version: TIMESCALEDB_VERSION },
        programs: ['postgres', 'initdb', 'pg_ctl', 'psql', 'pg_dump', 'pg_restore', 'pg_isready'].map((name) => `${PROGRAMS}/${name}`),
      },
      folder,
    ),
  async prepare(place, folder) {
    const data = join(serviceFolder(place, 'timescaledb'), `data-${POSTGRESQL_MAJOR}`);
    if (!existsSync(data)) await createCluster(place, folder, data);
    await forgetPredecessor(data);
    const { host } = place;
    const clients = host === '127.0.0.1' ? '127.0.0.1/32' : 'all';
    const hbaFile = writeConfiguration(place, 'timescaledb', 'pg_hba.conf', { clients });
    const values = { host, port: clientPort(place, 'timescaledb'), hbaFile };
    const configuration = writeConfiguration(place, 'timescaledb', 'postgresql.conf', values);
    return { command: join(folder, PROGRAMS, 'postgres'), args: ['-D', data, '-c', `config_file=${configuration}`] };
  },
  async isReady(place) {
    // A stranger on the port would hear the password's proof, and a pool would wait for long where nobody listens.
    if (!existsSync(passwordPath(place)) || !(await isPortTaken(clientPort(place, 'timescaledb')))) return false;
    try {
      const pool = await openPool(databaseUrl(place, 'postgres'), 'service check', 1);
      await pool.end();
      return true;
    } catch {
      return false;
    }
  },
  async settle(place) {
    await query(place, 'postgres', async (ask) => {
      if ((await ask(`SELECT FROM pg_database WHERE datname = '${DATABASE}'`)) === 0) await ask(`CREATE DATABASE ${DATABASE}`);
    });
    await query(place, DATABASE, (ask) => ask('CREATE EXTENSION IF NOT EXISTS timescaledb'));
  },
  clientSettings(place): Record<string, string> {
    // Before the first start there is no password.
    return existsSync(passwordPath(place)) ? { DATABASE_URL: databaseUrl(place, DATABASE) } : {};
  },
};

function passwordPath(place: ServicesPlace): string {
  return join(place.state, 'timescaledb', 'password');
}

function databaseUrl(place: ServicesPlace, database: string): string {
  return `postgres://${USER}:${readFileSync(passwordPath(place), 'utf8').trim()}@127.0.0.1:${clientPort(place, 'timescaledb')}/${database}`;
}

async function query<T>(
  place: ServicesPlace,
  database: string,
  work: (ask: (sql: string) => Promise<number | null>) => Promise<T>,
): Promise<T> {
  const pool = await openPool(databaseUrl(place, database), 'service set-up', 1);
  return work(async (sql) => (await pool.query(sql)).rowCount).finally(() => pool.end());
}

/**
 * After a kill, the server's children end by themselves a moment later, and would keep the next one from starting. Its own
 * note of its process goes, as PostgreSQL believes any process of that id to be it, even one that was never reaped.
 */
async function forgetPredecessor(data: string): Promise<void> {
  await poll(() => !readdirSync('/proc').some((id) => /^\d+$/.test(id) && worksIn(id, data)), STOP_WITHIN_MS);
  rmSync(join(data, 'postmaster.pid'), { force: true });
}

function worksIn(processId: string, folder: string): boolean {
  try {
    return readlinkSync(`/proc/${processId}/cwd`) === folder;
  } catch {
    // It has ended, or is somebody else's.
    return false;
  }
}

/** Creates the database files under another name, so that one that is interrupted leaves nothing half-made. */
async function createCluster(place: ServicesPlace, folder: string, data: string): Promise<void> {
  place.log('timescaledb: creating the database files.');
  const made = `${data}.new`;
  rmSync(made, { recursive: true, force: true });
  writeForServer(place, passwordPath(place), `${randomBytes(24).toString('base64url')}\n`);
  const options = ['-U', USER, '-E', 'UTF8', '--locale=C', '-A', 'scram-sha-256', '--no-instructions', `--pwfile=${passwordPath(place)}`];
  await runSetup(place, 'timescaledb', { command: join(folder, PROGRAMS, 'initdb'), args: ['-D', made, ...options] });
  renameSync(made, data);
}
