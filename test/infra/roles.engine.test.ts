/** One pipeline in several processes whose log is in PostgreSQL: each role is had by one of them, and others take it over. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { untilDrained } from '../../infra/pipeline.ts';
import { TOPOLOGY } from '../../processors/topology.ts';
import { feed } from '../../replay/facts.ts';
import { MINUTE_MS } from '../../streams/limits.ts';
import { openTools } from '../crash/roles.ts';
import { scenarioFacts } from '../crash/scenario.ts';
import { openTestEngine } from '../engine.ts';
import { assertVerified } from '../replay/replaying.ts';
import { type Command, end, endAnyhow, iflex, waitFor } from './running-command.ts';

const engine = await openTestEngine();
const state = mkdtempSync(join(tmpdir(), 'iflex-roles-'));
after(() => rmSync(state, { recursive: true }));
const environment = { ...process.env, DATABASE_URL: engine.url, IFLEX_STATE: state };
const SCENARIO = { seed: 22, sites: 3, days: 1 };

test('roles begin together, a standby takes over, and who would run everything alone is refused', { timeout: 180_000 }, async () => {
  const namespace = engine.namespace();
  const commands: Command[] = [];
  const start = (...args: string[]) => {
    const command = iflex(environment, 'run', '--namespace', namespace, ...args);
    commands.push(command);
    return command;
  };
  try {
    const tasks = start('--role', 'tasks');
    const rows = start('--role', 'projector', '--role', 'adapters', '--no-clock');
    const api = start('--role', 'api', '--port', '0');
    await waitFor(tasks, /This process has the tasks of/);
    const standby = start('--role', 'tasks');
    await waitFor(standby, /Another process has the tasks of/);
    const address = await waitFor(api, /The API is at (\S+) /);
    await waitFor(rows, /Ctrl-C stops\./);
    const alone = start('--no-api');
    const [status] = await once(alone.process, 'close');
    assert.deepEqual([status, /^PIPELINE_ALREADY_RUNNING: .*$/m.test(alone.printed())], [1, true], alone.printed());

    const tools = await openTools({ backend: engine, namespace, scenario: SCENARIO, speed: Number.POSITIVE_INFINITY });
    const facts = scenarioFacts(SCENARIO);
    const ticks = { tickMs: 15 * MINUTE_MS, tickSource: 'ticks', speed: Number.POSITIVE_INFINITY };
    const feeding = feed({ log: tools.log, codec: tools.codec, facts, ...ticks });
    await end(tasks, 'SIGKILL');
    await waitFor(standby, /This process has the tasks of/);
    await feeding;
    await untilDrained({ ...tools, processors: TOPOLOGY, signal: new AbortController().signal });
    const { rows: counted } = await tools.store.pool.query('SELECT count(*)::int AS hours FROM series_60m');
    assert.ok(counted[0].hours > 3 * 3 * 20, `${counted[0].hours} hours`);
    await tools.close();
    assert.equal((await fetch(`${address}/health`)).status, 200);
    for (const command of [standby, rows, api]) assert.deepEqual(await end(command, 'SIGTERM'), [0, null], command.printed());
    await assertVerified(engine, namespace);
  } finally {
    endAnyhow(commands);
  }
});

test('who runs everything alone lets in no other role but the API', { timeout: 120_000 }, async () => {
  const namespace = engine.namespace();
  const commands: Command[] = [];
  try {
    const alone = iflex(environment, 'run', '--namespace', namespace, '--no-api');
    commands.push(alone);
    await waitFor(alone, /Ctrl-C stops\./);
    const tasks = iflex(environment, 'run', '--namespace', namespace, '--role', 'tasks');
    const api = iflex(environment, 'run', '--namespace', namespace, '--role', 'api', '--port', '0');
    commands.push(tasks, api);
    const [status] = await once(tasks.process, 'close');
    assert.deepEqual([status, /^PIPELINE_ALREADY_RUNNING: .*$/m.test(tasks.printed())], [1, true], tasks.printed());
    await waitFor(api, /Ctrl-C stops\./);
    for (const command of [alone, api]) assert.deepEqual(await end(command, 'SIGTERM'), [0, null], command.printed());
  } finally {
    endAnyhow(commands);
  }
});
