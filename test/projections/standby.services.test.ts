/** A standby of a real TimescaleDB: the API's questions go to it, and projecting goes on there once it is in charge. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { poll } from '../../infra/embedded-postgres-lock.ts';
import { projectAnew } from '../../infra/pipeline.ts';
import { readReplicaUrl } from '../../infra/read-replica.ts';
import { openApi } from '../../infra/serve-api.ts';
import { statusOf } from '../../infra/services/lifecycle.ts';
import { PROJECTIONS } from '../../projections/list.ts';
import { isCaughtUp } from '../../projections/project.ts';
import { replicaLagMs } from '../../projections/queries/replica-lag.ts';
import { type Build, openProjections } from '../../projections/store.ts';
import { MINUTE_MS } from '../../streams/limits.ts';
import { openPool, type Pool } from '../../streams/postgres.ts';
import { createNamespaceSchema } from '../../streams/postgres-log.ts';
import { keepGoing } from '../../streams/retry.ts';
import { grantAccess } from '../crash/api.ts';
import { openTestEngine } from '../engine.ts';
import { openAddress, openStandby } from './standby.ts';
import { projectedLines, withPipeline } from './timescale-world.ts';

const engine = await openTestEngine();
const standby = await openStandby();
const namespace = engine.namespace();

describe('a standby', () => {
  it('answers the API once it has what the primary has, and /ready tells its lag', async () => {
    const { primaryUrl, standbyUrl } = standby;
    const { secret, token } = await grantAccess(primaryUrl);
    await withPipeline({ url: primaryUrl, namespace }, async ({ store }) => {
      const replica = await openPool(standbyUrl, 'test', 1);
      await untilApplied(store.pool, replica);
      const { app, close } = await openApi({
        backend: { url: primaryUrl },
        namespace,
        logger: false,
        secret: Buffer.from(secret, 'hex'),
        replicaUrl: standbyUrl,
      });
      const headers = { authorization: `Bearer ${token}` };
      try {
        const ready = await app.inject('/ready');
        assert.deepEqual([ready.statusCode, ready.json().replicaLagMs], [200, 0]);
        assert.equal((await app.inject({ url: '/v1/sites', headers })).json().rows.length, 4);

        // What it has received, but not applied, is its lag; questions get the rows of before.
        await replica.query('SELECT pg_wal_replay_pause()');
        await store.pool.query('DELETE FROM site_b1');
        await poll(async () => (await replicaLagMs(replica))! > 0, MINUTE_MS);
        assert.ok((await app.inject('/ready')).json().replicaLagMs > 0);
        assert.match((await app.inject({ url: '/metrics', headers })).body, /^iflex_replica_lag_seconds 0?\.?\d*[1-9]/m);
        assert.equal((await app.inject({ url: '/v1/sites', headers })).json().rows.length, 4);
        await replica.query('SELECT pg_wal_replay_resume()');
        await untilApplied(store.pool, replica);
        assert.equal((await app.inject({ url: '/v1/sites', headers })).json().rows.length, 0);
      } finally {
        await close();
        await replica.end();
      }
    });
  });

  it('is refused at the start where it does not answer, or holds something else', async () => {
    const { primaryUrl, standbyUrl } = standby;
    const open = (replicaUrl: string) =>
      openApi({ backend: { url: primaryUrl }, namespace, logger: false, secret: new Uint8Array(32), replicaUrl });
    await assert.rejects(open(standbyUrl.replace(/:\d+\//, ':1/')), { code: 'DATABASE_UNREACHABLE', message: /DATABASE_READ_URL/ });
    await assert.rejects(open(engine.url), { code: 'CONFIG_INVALID', message: /DATABASE_READ_URL does not hold the projections/ });
    assert.throws(() => readReplicaUrl({ DATABASE_READ_URL: 'postgres://a,b/iflex' }), {
      code: 'CONFIG_INVALID',
      message: /READ_URL.*one host/,
    });
    assert.equal(readReplicaUrl({}), undefined);
  });

  it('takes over the projections with the address of a primary that was killed, and the rows are the same', async () => {
    const { place, primaryUrl, standbyUrl } = standby;
    const address = await openAddress(primaryUrl);
    await withPipeline({ url: engine.url, namespace }, async ({ log, codec, store: plain }) => {
      const projected = `${namespace}_moved`;
      await createNamespaceSchema(address.url, projected, 'test');
      const store = await openProjections(address.url, projected, codec);
      const stopping = new AbortController();
      let batches = 0;
      const moved = Promise.withResolvers<void>();
      const failOver = async () => {
        const { pid } = await statusOf(place, 'timescaledb');
        process.kill(pid!, 'SIGKILL');
        // The address moves first, as it may: for a moment it stands for a server that only reads.
        address.moveTo(standbyUrl);
        const promoting = await openPool(standbyUrl, 'test', 1);
        await promoting.query('SELECT pg_promote()').finally(() => promoting.end());
      };
      const builds: Build[] = [];
      for (const projection of PROJECTIONS) {
        const apply: typeof projection.apply = async (...batch) => {
          if (++batches === 4) moved.resolve(failOver());
          await projection.apply(...batch);
        };
        builds.push(await store.openBuild({ ...projection, apply }));
      }
      const projecting = keepGoing(stopping.signal, () => projectAnew(log, store, builds, stopping.signal));
      projecting.catch(moved.reject);
      try {
        await moved.promise;
        assert.ok(await poll(async () => isCaughtUp(log, store, PROJECTIONS).catch(() => false), MINUTE_MS), 'it caught up');
        const { rows } = await store.pool.query("SELECT pg_is_in_recovery() AS standby, current_setting('port') AS port");
        assert.deepEqual(rows, [{ standby: false, port: new URL(standbyUrl).port }]);
        assert.deepEqual(await projectedLines(store.pool), await projectedLines(plain.pool));
      } finally {
        stopping.abort();
        await projecting.catch(() => {});
        await store.close();
      }
    });
  });
});

/** Waits until the standby has applied all that the primary has written by now. */
async function untilApplied(primary: Pool, replica: Pool): Promise<void> {
  const { rows } = await primary.query('SELECT pg_current_wal_lsn()::text AS lsn');
  const applied = async () =>
    (await replica.query('SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS applied', [rows[0].lsn])).rows[0].applied;
  assert.ok(await poll(applied, MINUTE_MS), 'the standby applies what it is sent');
}
