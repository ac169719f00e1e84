/** Finding namespaces while others come and go. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { noteOf, prepareTarget } from '../../infra/cli/replay-what-if.ts';
import { findNamespace, listNamespaces, lookUpNamespace } from '../../streams/namespaces.ts';
import { inTransaction, openPool } from '../../streams/postgres.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openTestEngine } from '../engine.ts';

const engine = await openTestEngine();

async function made(): Promise<string> {
  const namespace = engine.namespace();
  await (await openPostgresLog({ url: engine.url, namespace })).close();
  return namespace;
}

describe('namespaces', () => {
  it('are found without looking into others, which may be locked', { timeout: 30_000 }, async () => {
    const [wanted, locked] = [await made(), await made()];
    const pool = await openPool(engine.url, 'test locks', 1);
    await inTransaction(pool, async (client) => {
      await client.query(`LOCK TABLE iflex_${locked}.log_partition IN ACCESS EXCLUSIVE MODE`);
      assert.equal((await findNamespace(engine.url, wanted)).name, wanted);
      assert.equal((await lookUpNamespace(engine.url, wanted))?.name, wanted);
      assert.equal(await lookUpNamespace(engine.url, engine.namespace()), undefined);
      // A replay asks for its target only.
      const target = engine.namespace();
      await prepareTarget({ url: engine.url }, target, 'refuse', noteOf(wanted, { fromMs: -Infinity, toMs: Infinity }));
      await assert.rejects(prepareTarget({ url: engine.url }, target, 'refuse', 'other'), { code: 'CONFIG_INVALID', message: /exists/ });
      const names = new RegExp(`(?=.*${wanted})(?=.*${locked})`);
      await assert.rejects(findNamespace(engine.url, engine.namespace()), { code: 'NOT_FOUND', message: names });
    });
    await pool.end();
  });

  it('are left out where somebody drops them while they are listed', { timeout: 30_000 }, async () => {
    const [kept, dropped] = [await made(), await made()];
    const pool = await openPool(engine.url, 'test drop', 1);
    const watch = await openPool(engine.url, 'test watch', 1);
    const [listed, found] = await inTransaction(pool, async (client) => {
      await client.query(`DROP SCHEMA iflex_${dropped} CASCADE`);
      const asked = [listNamespaces(engine.url), findNamespace(engine.url, dropped).catch((error) => error)] as const;
      // Both have seen that it is there, and wait for its tables.
      for (let waiting = 0; waiting < 2; ) {
        const { rows } = await watch.query(
          `SELECT count(*)::int AS waiting FROM pg_stat_activity
           WHERE application_name = 'iflex namespaces' AND wait_event_type = 'Lock' AND $1 = ANY (pg_blocking_pids(pid))`,
          [(await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid],
        );
        waiting = rows[0].waiting;
      }
      return asked;
    });
    const names = (await listed).map(({ name }) => name);
    assert.ok(names.includes(kept) && !names.includes(dropped));
    assert.equal((await found).code, 'NOT_FOUND');
    await Promise.all([pool.end(), watch.end()]);
  });
});
