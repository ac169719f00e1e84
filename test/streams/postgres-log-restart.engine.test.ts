/** The log while its server is stopped, killed and started again, with writers and readers at work. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../infra/embedded-postgres.ts';
import type { EventLog, TaskHandle } from '../../streams/event-log.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { ALL, CONTRACT_TOPICS, code, numbered, readAll, record, stateOf, step } from './event-log-fixtures.ts';

const stateFolder = mkdtempSync(join(tmpdir(), 'iflex-restart-'));
// The server of root runs as another user.
chmodSync(stateFolder, 0o755);
let server: EmbeddedPostgres = await startEmbeddedPostgres({ stateFolder });
const port = Number(new URL(server.url).port);
after(async () => {
  await server.stop();
  rmSync(stateFolder, { recursive: true, force: true });
});

async function restart(signal: NodeJS.Signals): Promise<void> {
  process.kill(server.serverPid, signal);
  server = await startEmbeddedPostgres({ stateFolder, port });
}

/** Runs what a caller would: again where the database went away, until it is back. */
async function untilBack<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!code('DATABASE_UNREACHABLE')(error)) throw error;
      await pause(20);
    }
  }
}

const at = { topic: 'facts.a', partition: 1 };
const COUNT = 400;

/** Appends one record after the other; what the connection breaks is repeated by the log itself. */
async function write(log: EventLog, onAppend: (count: number) => void): Promise<void> {
  for (let i = 0; i < COUNT; i++) {
    await log.append([numbered('writer', i, at)]);
    onAppend(i + 1);
  }
}

/** Copies each input to an output by steps of a task, taking it over again after each failure. */
async function work(log: EventLog): Promise<void> {
  let task: TaskHandle | undefined;
  let position = 0;
  while (position < COUNT)
    await untilBack(async () => {
      try {
        if (!task) {
          task = await log.takeTask(1);
          position = task.state.positions['facts.a'] ?? 0;
        }
        const { records, nextOffset } = await log.read(at, position, { ...ALL, maxRecords: 7 });
        if (records.length === 0) return await log.waitForAppend(100);
        const outputs = records.map(({ value }) => record({ topic: 'derived', partition: 1, value }));
        await task.commit(step({ outputs, delta: Buffer.from(`${nextOffset}`), positions: { 'facts.a': nextOffset } }));
        position = nextOffset;
      } catch (error) {
        task = undefined;
        throw error;
      }
    });
}

test('a server that is stopped and killed again and again loses, doubles and skips nothing', async () => {
  const log = await openPostgresLog({ url: server.url, namespace: 'restarts', topics: CONTRACT_TOPICS });
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGKILL', 'SIGINT', 'SIGKILL'];
  let restarts: Promise<void> = Promise.resolve();
  let begun = 0;
  const onAppend = (count: number) => {
    if (count < ((begun + 1) * COUNT) / (signals.length + 1) || begun === signals.length) return;
    const signal = signals[begun++];
    restarts = restarts.then(() => restart(signal));
  };
  await Promise.all([write(log, onAppend), work(log)]);
  await restarts;
  assert.equal(begun, signals.length);
  const expected = Array.from({ length: COUNT }, (_, i) => `${i}`);
  const valuesOf = async (topic: string) =>
    (await untilBack(() => readAll(log, { topic, partition: 1 }))).map(({ value }) => Buffer.from(value).toString());
  assert.deepEqual(await valuesOf('facts.a'), expected);
  assert.deepEqual(await valuesOf('derived'), expected);
  const task = await log.takeTask(1);
  assert.equal(stateOf(task).length, task.state.stepNumber);
  assert.equal(stateOf(task).at(-1), `${task.state.positions['facts.a']}`);

  // The listening session came back too: this wait ends by the append.
  const waiting = log.waitForAppend(600_000);
  await log.append([record({})]);
  await waiting;
  await log.close();
});
