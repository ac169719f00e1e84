/** TimescaleDB itself, from an empty folder: which one it is, a hypertable, and its client tools. */
import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { commandOf } from '../../../infra/embedded-postgres-lock.ts';
import { down, statusOf, up } from '../../../infra/services/lifecycle.ts';
import { installedAt } from '../../../infra/services/place.ts';
import { timescaledb } from '../../../infra/services/timescaledb.ts';
import { runTool } from '../../../infra/services/tool.ts';
import { POSTGRESQL_MAJOR, TIMESCALEDB_VERSION } from '../../../infra/services/versions.ts';
import { openPool, type Pool } from '../../../streams/postgres.ts';
import { killAndRestart } from '../../services.ts';
import { emptyPlace } from './place.ts';

const { place } = await emptyPlace();

describe('TimescaleDB', () => {
  let url: string;
  let pool: Pool;
  let pid: number;
  before(async () => {
    await up(place, 'timescaledb');
    pid = (await statusOf(place, 'timescaledb')).pid!;
    url = timescaledb.clientSettings(place).DATABASE_URL;
    pool = await openPool(url, 'test', 2);
  });
  after(() => pool.end());

  it('is of the versions of the table', async () => {
    const { rows } = await pool.query("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'");
    assert.deepEqual(rows, [{ extversion: TIMESCALEDB_VERSION }]);
    const server = await pool.query(
      "SELECT current_setting('server_version') AS version, current_setting('timescaledb.license') AS edition",
    );
    assert.ok(server.rows[0].version.startsWith(`${POSTGRESQL_MAJOR}.`), server.rows[0].version);
    assert.equal(server.rows[0].edition, 'apache');
  });

  it('lets nobody in without the password, which only the server and its owner can read', async () => {
    const wrong = new URL(url);
    wrong.password = 'wrong';
    await assert.rejects(openPool(wrong.toString(), 'test', 1), { code: 'DATABASE_UNREACHABLE' });
    assert.equal(statSync(join(place.state, 'timescaledb', 'password')).mode & 0o077, 0);
  });

  it('makes a hypertable and reads it back by time_bucket', async () => {
    await pool.query('CREATE TABLE trial (at timestamptz NOT NULL, watts float8 NOT NULL)');
    await pool.query("SELECT create_hypertable('trial', 'at', chunk_time_interval => INTERVAL '1 day')");
    await pool.query(`INSERT INTO trial SELECT to_timestamp(3600 * hour), hour FROM generate_series(0, 71) hour`);
    const { rows } = await pool.query(
      "SELECT extract(epoch FROM time_bucket('1 day', at))::int AS day, sum(watts) AS sum FROM trial GROUP BY 1 ORDER BY 1",
    );
    assert.deepEqual(rows, [
      { day: 0, sum: 276 },
      { day: 86_400, sum: 852 },
      { day: 172_800, sum: 1428 },
    ]);
    const chunks = await pool.query("SELECT count(*) AS n FROM timescaledb_information.chunks WHERE hypertable_name = 'trial'");
    assert.equal(chunks.rows[0].n, 3);
  });

  it('brings client tools of its own version', async () => {
    const tools = join(installedAt(place, 'timescaledb'), 'usr/lib/postgresql', POSTGRESQL_MAJOR, 'bin');
    const asked = await runTool(join(tools, 'psql'), [url, '-Atc', 'SELECT count(*) FROM trial'], 'psql');
    assert.equal(asked.stdout.trim(), '72');
    const dumped = await runTool(join(tools, 'pg_dump'), ['--schema-only', url], 'pg_dump');
    assert.match(dumped.stdout, /CREATE EXTENSION IF NOT EXISTS timescaledb/);
  });

  it('starts again at once on its data where it was killed, whatever its children and its note of itself', async () => {
    await pool.end();
    const note = join(place.state, 'timescaledb', `data-${POSTGRESQL_MAJOR}`, 'postmaster.pid');
    const [first, ...others] = readFileSync(note, 'utf8').split('\n');
    assert.equal(first, String(pid));
    await killAndRestart(place, 'timescaledb');
    await down(place, 'timescaledb');
    // As where its number is another's by now.
    writeFileSync(note, [process.pid, ...others].join('\n'));
    await up(place, 'timescaledb');
    pid = (await statusOf(place, 'timescaledb')).pid!;
    pool = await openPool(url, 'test', 1);
    assert.equal((await pool.query('SELECT count(*) AS n FROM trial')).rows[0].n, 72);
  });

  it('keeps its data across a restart, and leaves no process', async () => {
    await pool.end();
    await down(place, 'timescaledb');
    assert.equal(commandOf(pid), undefined);
    assert.equal((await statusOf(place, 'timescaledb')).state, 'stopped');
    await up(place, 'timescaledb');
    pool = await openPool(url, 'test', 1);
    assert.equal((await pool.query('SELECT count(*) AS n FROM trial')).rows[0].n, 72);
  });
});
