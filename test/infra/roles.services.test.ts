/**
 * One pipeline in several processes over Kafka: they come, end, are killed and freeze while facts come in, and what comes
 * out is what one process gives that nobody disturbs: all derived events in their order with their ids, and all rows.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Backend } from '../../infra/backend.ts';
import { startPipeline, untilDrained } from '../../infra/pipeline.ts';
import { TOPOLOGY } from '../../processors/topology.ts';
import { type Fact, feed } from '../../replay/facts.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import { outcomeOf } from '../crash/outcome.ts';
import { openTools, type Tools } from '../crash/roles.ts';
import { SCENARIO_FROM_MS, scenarioFacts } from '../crash/scenario.ts';
import { openTestEngine } from '../engine.ts';
import { openTestServices } from '../services.ts';
import { type GroupMember, untilShared } from '../streams/task-groups.ts';
import { type Command, end, endAnyhow, iflex, waitFor } from './running-command.ts';

const engine = await openTestEngine();
const services = await openTestServices('kafka');
const settings = kafkaSettings(services.settings)!;
const backend: Backend = { url: engine.url, kafka: settings };
const state = mkdtempSync(join(tmpdir(), 'iflex-roles-'));
after(() => rmSync(state, { recursive: true }));
const environment = { ...process.env, KAFKA_BROKERS: services.settings.KAFKA_BROKERS, DATABASE_URL: engine.url, IFLEX_STATE: state };

const SCENARIO = { seed: 21, sites: 10, days: 2 };
const STAGE_MS = 9 * HOUR_MS;
const STAGES = 6;

/**
 * Facts in so many parts, each of which is fed by itself. They are cut at whole hours, where no fact becomes known between
 * the last tick of one part and the first fact of the next: so there is one order, however late a task sees it.
 */
function stages(): Fact[][] {
  const stageOf = ({ value }: Fact) => Math.min(STAGES - 1, Math.floor((value.knownAtMs - SCENARIO_FROM_MS) / STAGE_MS));
  const byStage = Map.groupBy(scenarioFacts(SCENARIO), stageOf);
  return Array.from({ length: STAGES }, (_, stage) => byStage.get(stage)!);
}

const feedStage = ({ log, codec }: Pick<Tools, 'log' | 'codec'>, facts: Fact[]) =>
  feed({ log, codec, facts, tickMs: 15 * MINUTE_MS, tickSource: 'ticks', speed: Number.POSITIVE_INFINITY });

const cameOut = async (tools: Tools) => Object.fromEntries(await outcomeOf(tools, true));

/** What one process gives. */
async function undisturbed() {
  const namespace = name();
  const pipeline = await startPipeline({ ...backend, namespace, codeVersion: 'test' });
  try {
    for (const facts of stages()) await feedStage(pipeline, facts);
    await pipeline.drained();
    return await cameOut({ ...pipeline, close: async () => {} });
  } finally {
    await pipeline.stop();
  }
}

/** In Kafka and in the database, dropped in both when the file ends. */
function name(): string {
  const namespace = services.namespace();
  engine.drop(namespace);
  return namespace;
}

/** The process of a member. */
const pidOf = ({ clientId }: GroupMember) => Number(clientId.split(' ').at(-1));

test('processes come, end, are killed and freeze: the same events and rows as of one alone', { timeout: 400_000 }, async () => {
  const namespace = name();
  const commands: Command[] = [];
  const run = async (...roles: string[]): Promise<Command> => {
    const command = iflex(environment, 'run', '--namespace', namespace, '--no-clock', ...roles.flatMap((role) => ['--role', role]));
    commands.push(command);
    await waitFor(command, /Ctrl-C stops\./);
    return command;
  };
  // All at once into a namespace that is not there yet.
  const [first, second, rows] = await Promise.all([run('tasks'), run('tasks'), run('projector', 'adapters')]);
  const tools = await openTools({ backend, namespace, scenario: SCENARIO, speed: Number.POSITIVE_INFINITY });
  try {
    const parts = stages();
    const shared = async (...processes: Command[]) => {
      const pids = processes.map(({ process }) => process.pid!).sort();
      const areThese = (members: readonly GroupMember[]) => String(members.map(pidOf).sort()) === String(pids);
      for (const { share } of await untilShared({ settings, namespace }, areThese)) assert.equal(share.length, 12 / pids.length);
    };
    const drained = () => untilDrained({ ...tools, processors: TOPOLOGY, signal: new AbortController().signal });
    await shared(first, second);
    await feedStage(tools, parts[0]);
    const killed = end(first, 'SIGKILL');
    await feedStage(tools, parts[1]);
    assert.deepEqual(await killed, [null, 'SIGKILL']);
    const third = await run('tasks');
    await shared(second, third);
    await feedStage(tools, parts[2]);
    second.process.kill('SIGSTOP');
    await feedStage(tools, parts[3]);
    await shared(third);
    await drained();
    second.process.kill('SIGCONT');
    await shared(second, third);
    const standby = await run('projector,adapters');
    await waitFor(standby, /Another process has the projector/);
    await feedStage(tools, parts[4]);
    await end(rows, 'SIGKILL');
    await waitFor(standby, /This process has the projector/);
    await feedStage(tools, parts[5]);
    assert.deepEqual(await end(third, 'SIGTERM'), [0, null], third.printed());
    await shared(second);
    await drained();
    const outcome = await cameOut(tools);
    for (const command of [second, standby]) assert.deepEqual(await end(command, 'SIGTERM'), [0, null], command.printed());
    assert.deepEqual(outcome, await undisturbed());
    assert.ok(Object.values(outcome).filter((digest) => !digest.startsWith('0 ')).length > 40);
    assert.ok(Number.parseInt(outcome['revisions.requested/0'], 10) > 0, 'Days were reloaded.');
  } finally {
    endAnyhow(commands);
    await tools.close();
  }
});
