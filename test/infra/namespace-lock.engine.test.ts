/** Locks of a namespace on a real server, while sessions break. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whileLocked } from '../../infra/namespace-lock.ts';
import { MINUTE_MS, RECONNECT_WITHIN_MS } from '../../streams/limits.ts';
import { openClient, openPool } from '../../streams/postgres.ts';
import { openTestEngine } from '../engine.ts';

const engine = await openTestEngine();

/** Lines in the order in which they are told, each as soon as it is. */
function lines() {
  const told: PromiseWithResolvers<string>[] = [];
  let written = 0;
  let read = 0;
  const at = (i: number) => (told[i] ??= Promise.withResolvers<string>());
  return { tell: (line: string) => at(written++).resolve(line), next: () => at(read++).promise };
}

test('a standby that waits outlives one outage of the database after the other', { timeout: 60_000 }, async (t) => {
  const namespace = engine.namespace();
  const now = performance.now.bind(performance);
  let laterMs = 0;
  t.mock.method(performance, 'now', () => now() + laterMs);
  const holder = await openClient(engine.url, 'holder');
  await holder.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [`iflex tasks ${namespace}`]);
  const ending = new AbortController();
  const { tell, next } = lines();
  let worked = false;
  const standby = whileLocked({ url: engine.url, namespace, part: 'tasks', signal: ending.signal, tell }, async () => {
    worked = true;
  });
  const failed = standby.then(() => assert.fail('The standby ended.'));
  failed.catch(() => {});
  try {
    for (let outages = 0; outages < 3; outages++) {
      assert.match(await Promise.race([next(), failed]), /this one waits/);
      laterMs += RECONNECT_WITHIN_MS + MINUTE_MS;
      await holder.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [
        `iflex tasks ${namespace}`,
      ]);
    }
    assert.match(await Promise.race([next(), failed]), /this one waits/);
    await holder.end();
    await standby;
    assert.ok(worked);
  } finally {
    ending.abort();
    await holder.end();
  }
});

test('the server soon notices that a machine with a session, or a connection of a pool, is gone', async () => {
  const asked = ['tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_keepalives_count', 'tcp_user_timeout'];
  const settings = `SELECT name, setting FROM pg_settings WHERE name = ANY($1) ORDER BY array_position($1, name)`;
  const client = await openClient(engine.url, 'session');
  const pool = await openPool(engine.url, 'pool');
  try {
    for (const each of [client, pool]) {
      const { rows } = await each.query<{ setting: string }>(settings, [asked]);
      assert.deepEqual(
        rows.map(({ setting }) => setting),
        ['5', '5', '3', '20000'],
      );
    }
  } finally {
    await client.end();
    await pool.end();
  }
});
