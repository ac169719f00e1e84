/** Pipelines end transactions that hang by themselves: as they were ended elsewhere, and only those that are over for good. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { listTransactionsV1 } from '@platformatic/kafka';
import { openCodec } from '../../infra/backend.ts';
import { ticksAt } from '../../streams/adapters/clock.ts';
import type { LogRecord, TopicPartition } from '../../streams/event-log.ts';
import { brokerErrorOf, KafkaCluster } from '../../streams/kafka-cluster.ts';
import { endTransaction, findOpenTransactions, type OpenTransaction } from '../../streams/kafka-hanging.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { KafkaReader } from '../../streams/kafka-reader.ts';
import { type HangingFound, KafkaRepair } from '../../streams/kafka-repair.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { topicName } from '../../streams/kafka-topics.ts';
import { TransactionWriter } from '../../streams/kafka-transaction.ts';
import { TRANSACTION_TIMEOUT_MS } from '../../streams/limits.ts';
import { partitionOf } from '../../streams/partitioner.ts';
import { openTestEngine } from '../engine.ts';
import { type Command, end, endAnyhow, iflex, waitFor } from '../infra/running-command.ts';
import { openTestServices } from '../services.ts';
import { numbered, readAll, texts } from './event-log-fixtures.ts';
import { leaveOpen, record, takeOver } from './kafka-hanging-fixtures.ts';

const engine = await openTestEngine();
const services = await openTestServices('kafka');
const settings = kafkaSettings(services.settings)!;
const namespace = services.namespace();
await (await openKafkaLog({ settings, namespace })).close();
const cluster = new KafkaCluster(settings, 'test');
after(() => cluster.close());
const reader = new KafkaReader(cluster);

const state = mkdtempSync(join(tmpdir(), 'iflex-repair-'));
after(() => rmSync(state, { recursive: true }));
const environment = { ...process.env, KAFKA_BROKERS: services.settings.KAFKA_BROKERS, DATABASE_URL: engine.url, IFLEX_STATE: state };

const topic = topicName(namespace, 'meter.readings');
const places = Array.from({ length: 12 }, (_, partition) => ({ topic, partition }));
const openIn = (...partitions: number[]) =>
  findOpenTransactions(
    cluster,
    reader,
    partitions.map((partition) => ({ topic, partition })),
  );
const countIn = async (at: TopicPartition) => (await reader.read(at, 0, { maxRecords: 10, maxBytes: 1_000 })).records.length;

/** Transactional ids that begin so. */
async function idsOf(prefix: string): Promise<string[]> {
  const { transactionStates } = await cluster.sendToAny(listTransactionsV1.api, [], [], -1n, null);
  return transactionStates.map(({ transactionalId }) => transactionalId).filter((id) => id.startsWith(prefix));
}

/** Leaves one open in these partitions whose producer has gone on; it is ended in the last of them where an outcome is given. */
async function leaveOver(id: string, partitions: number[], outcome?: 'commit' | 'abort'): Promise<OpenTransaction> {
  const at = partitions.map((partition) => ({ topic, partition }));
  await leaveOpen(cluster, `${namespace}.${id}`, at);
  await takeOver(cluster, `${namespace}.${id}`);
  const open = (await openIn(...partitions)).sort((a, b) => a.partition - b.partition);
  if (outcome) await endTransaction(cluster, open.at(-1)!, outcome);
  return open[0];
}

/** As a process of its own would do it, once writers have been silent for long enough. */
function member(mayEnd = true) {
  const found: HangingFound[] = [];
  const nowMs = () => Date.now() + 3 * TRANSACTION_TIMEOUT_MS;
  const repair = new KafkaRepair({ cluster, reader, places, mayEnd, onFound: (each) => found.push(each), nowMs });
  return { found, attempt: () => repair.attempt() };
}

test('members at once end each as it was ended elsewhere; what may still be committed is left to its producer', async () => {
  const committed = await leaveOver('committed', [0, 1], 'commit');
  await leaveOver('aborted', [2, 3], 'abort');
  await leaveOver('everywhere', [4, 9]);
  await leaveOpen(cluster, `${namespace}.same-epoch`, [{ topic, partition: 5 }]);
  const writers = [6, 7].map(() => new TransactionWriter(cluster, `${namespace}.${crypto.randomUUID()}`));
  for (const [i, writer] of writers.entries()) {
    await writer.open();
    await writer.write([{ topic, partition: 6 + i, records: [record] }]);
  }

  const onlyTells = member(false);
  assert.equal(await onlyTells.attempt(), false);
  assert.equal(onlyTells.found.length, 4);
  for (const { outcome, text } of onlyTells.found)
    assert.match(`${outcome} ${text}`, /^left .* KAFKA_REPAIR_HANGING is false\. Run `iflex kafka hanging`/);

  const members = [member(), member(), member()];
  await Promise.all(members.map(({ attempt }) => attempt()));
  const found = members.flatMap((each) => each.found);
  const told = (partition: number) =>
    new Set(found.filter(({ text }) => text.includes(`${topic}/${partition} `)).map(({ outcome }) => outcome));
  assert.deepEqual(
    [0, 2, 4, 5, 6, 7].map((partition) => [...told(partition)]),
    [['commit'], ['abort'], ['abort'], ['left'], [], []],
  );
  assert.deepEqual(await Promise.all(places.slice(0, 5).map(countIn)), [1, 1, 0, 0, 0]);
  assert.deepEqual((await openIn(0, 1, 2, 3, 4, 5, 6, 7, 9)).map(({ partition }) => partition).sort(), [5, 6, 7]);

  assert.equal(await countIn(places[9]), 0);

  const [again] = members;
  again.found.length = 0;
  assert.equal(await again.attempt(), false, 'nothing is left that may be ended');
  assert.deepEqual(again.found, [], 'what is left was told before');

  await reader.untilDecided(await writers[0].end(true));
  assert.equal(await countIn(places[6]), 1, 'its producer could commit it');
  const [end] = await reader.highWatermarks([places[7]]);
  await reader.untilDecided([{ ...places[7], endOffset: end }]);
  assert.equal(await countIn(places[7]), 0, 'its coordinator ended it when its time was over');

  await endTransaction(cluster, committed, 'abort');
  assert.equal(await countIn(places[0]), 1, 'a mark that comes late changes nothing');
});

test('a mark of an epoch that the partition has left behind is refused', async () => {
  const open = await leaveOver('goes-on', [8]);
  const writer = new TransactionWriter(cluster, `${namespace}.goes-on`);
  await writer.open();
  await writer.write([{ ...places[8], records: [record] }]);
  await assert.rejects(endTransaction(cluster, open, 'abort'), (error) => brokerErrorOf(error) === 'INVALID_PRODUCER_EPOCH');
  await reader.untilDecided(await writer.end(true));
  assert.equal(await countIn(places[8]), 2, 'Kafka commits what was left with what came after, for which our writers wait');
});

test('appends, tasks and processes that wait behind one go on by themselves, each event once', { timeout: 240_000 }, async () => {
  const found: HangingFound[] = [];
  const own = services.namespace();
  const log = await openKafkaLog({ settings, namespace: own, onHanging: (each) => found.push(each) });
  const readings = { topic: 'meter.readings', partition: 2 };
  const derived = { topic: 'resampled.5m', partition: 3 };
  const shared = services.namespace();
  engine.drop(shared);
  const outside = await openKafkaLog({ settings, namespace: shared });
  const commands: Command[] = [];
  try {
    // The mark of an append that failed is lost, and so is that of the step of a task.
    await log.append([numbered('meter', 1, readings)]);
    const [writerId] = await idsOf(`${own}.append.`);
    await leaveOpen(cluster, writerId, [{ topic: topicName(own, readings.topic), partition: readings.partition }]);
    await leaveOpen(cluster, `${own}.task.3`, [{ topic: topicName(own, derived.topic), partition: derived.partition }]);
    // Two processes stand behind one that was committed elsewhere; nobody asks for its end.
    const both = [0, 1].map((partition) => ({ topic: topicName(shared, readings.topic), partition }));
    await leaveOpen(cluster, `${shared}.left`, both);
    await takeOver(cluster, `${shared}.left`);
    const inOne = await findOpenTransactions(cluster, reader, both.slice(1));
    await endTransaction(cluster, inOne[0], 'commit');
    for (let i = 0; i < 2; i++) commands.push(iflex(environment, 'run', '--namespace', shared, '--no-clock', '--role', 'tasks'));

    const codec = await openCodec({ url: engine.url, kafka: settings }, shared);
    await outside.append(ticksAt(codec, Date.now()));
    const step = async () => {
      const task = await log.takeTask(3);
      const output = numbered('task', -1, derived);
      await task.commit({ label: 'test', outputs: [output], delta: Buffer.from('1'), journal: [], positions: {} });
    };
    const rejected = async () => {
      for (let all: LogRecord[] = []; ; await outside.waitForAppend(1_000)) {
        all = await readAll(outside, { topic: 'rejected', partition: partitionOf(record.key, 12) });
        if (all.length >= both.length) return all.length;
      }
    };
    const came = [log.append([numbered('meter', 2, readings)]), step(), rejected()] as const;
    assert.deepEqual(await Promise.all(came), [{ appended: 1, redelivered: 0 }, undefined, 2]);
    assert.deepEqual(await texts(log, readings), ['1', '2']);
    assert.deepEqual(await texts(log, derived), ['-1']);
    assert.deepEqual(
      found.map(({ outcome }) => outcome),
      ['abort', 'abort'],
    );
    await Promise.any(
      commands.map((command) =>
        waitFor(command, /Alarm: A transaction hangs in .*\/0 .* It was ended: committed, as in its other partitions\./),
      ),
    );
    for (const command of commands) assert.deepEqual(await end(command, 'SIGTERM'), [0, null], command.printed());
  } finally {
    endAnyhow(commands);
    await log.close();
    await outside.close();
  }
});
