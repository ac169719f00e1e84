/** `iflex run` as people use it: a process of its own, to which another one appends, and which Ctrl-C ends. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { tokenSecret } from '../../infra/token-secret.ts';
import { feed } from '../../replay/facts.ts';
import { ticksAt } from '../../streams/adapters/clock.ts';
import { DAY_MS, MINUTE_MS } from '../../streams/limits.ts';
import { openPool } from '../../streams/postgres.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { newClaim, signToken } from '../../streams/security/token.ts';
import { createTokenList, listToken } from '../../streams/security/token-list.ts';
import { SCENARIO_FROM_MS, scenarioFacts } from '../crash/scenario.ts';
import { openTestEngine } from '../engine.ts';
import { iflex as command, waitFor } from './running-command.ts';

const engine = await openTestEngine();
const state = mkdtempSync(join(tmpdir(), 'iflex-run-'));
after(() => rmSync(state, { recursive: true }));
const environment = { ...process.env, DATABASE_URL: engine.url, IFLEX_STATE: state };

const iflex = (...args: string[]) => command(environment, ...args);

async function operatorToken(): Promise<string> {
  const access = await openPool(engine.url, 'test access', 1);
  try {
    await createTokenList(access);
    const claim = newClaim({ role: 'operator', pilots: [], sites: [], spanMs: DAY_MS }, Date.now());
    await listToken(access, claim);
    after(async () => {
      const pool = await openPool(engine.url, 'test access', 1);
      await pool.query('DELETE FROM iflex_access.token WHERE token_id = $1', [claim.tokenId]);
      await pool.end();
    });
    return signToken(claim, tokenSecret(state));
  } finally {
    await access.end();
  }
}

test('rows of what is appended come out of the API while it runs; it refuses a second one, and an interrupt ends it', async (t) => {
  const namespace = engine.namespace();
  const running = iflex('run', '--namespace', namespace, '--port', '0', '--no-clock');
  t.after(() => running.process.kill('SIGKILL'));
  const address = await waitFor(running, /The API is at (\S+) /);
  await waitFor(running, /(The pipeline of "t\w+" runs\.)/);
  const second = iflex('run', '--namespace', namespace, '--port', '0');
  const [refused] = await once(second.process, 'close');
  assert.deepEqual([refused, second.printed().slice(0, 24)], [1, 'PIPELINE_ALREADY_RUNNING']);

  const log = await openPostgresLog({ url: engine.url, namespace });
  const codec = await openRegistry(engine.url, namespace);
  const facts = scenarioFacts({ seed: 6, sites: 1, days: 1 });
  const speed = Number.POSITIVE_INFINITY;
  await feed({ log, codec, facts, tickMs: 15 * MINUTE_MS, tickSource: 'ticks', speed });
  const authorization = `Bearer ${await operatorToken()}`;
  const from = new Date(SCENARIO_FROM_MS).toISOString();
  const to = new Date(SCENARIO_FROM_MS + DAY_MS).toISOString();
  let hours = 0;
  while (hours < 24) {
    await log.waitForAppend(50);
    const question = `${address}/v1/sites/site-0/points/point-0-0/series?resolution=60m&from=${from}&to=${to}`;
    const response = await fetch(question, { headers: { authorization } });
    // The site is not found until its declaration is projected.
    assert.ok(response.status === 200 || response.status === 404, String(response.status));
    const answer = (await response.json()) as { rows?: unknown[] };
    hours = answer.rows?.length ?? 0;
  }
  await log.close();
  running.process.kill('SIGINT');
  const [status] = await once(running.process, 'close');
  assert.equal(status, 0, running.printed());
});

test('it says at once where the log has ticked ahead of the clock', async (t) => {
  const namespace = engine.namespace();
  const log = await openPostgresLog({ url: engine.url, namespace });
  await log.append(ticksAt(await openRegistry(engine.url, namespace), Date.now() + 730 * DAY_MS));
  await log.close();
  const running = iflex('run', '--namespace', namespace, '--no-api');
  t.after(() => running.process.kill('SIGKILL'));
  await waitFor(running, /Warning: (The latest tick is of .*, 730 days ahead of the clock)/);
  running.process.kill('SIGTERM');
  assert.deepEqual(await once(running.process, 'close'), [0, null]);
});

test('with its clock it ticks at once, and a termination ends it', async (t) => {
  const namespace = engine.namespace();
  const running = iflex('run', '--namespace', namespace, '--no-api');
  t.after(() => running.process.kill('SIGKILL'));
  await waitFor(running, /(runs, with a clock)/);
  const log = await openPostgresLog({ url: engine.url, namespace });
  while ((await log.endOffsets('ticks')).some((end) => end === 0)) await log.waitForAppend(50);
  await log.close();
  running.process.kill('SIGTERM');
  const [status] = await once(running.process, 'close');
  assert.equal(status, 0, running.printed());
});
