/** Transactions of others that are open, were ended by hand, or are still being ended, under the log's own work. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Positions } from '../../streams/event-log.ts';
import type { Lane } from '../../streams/kafka-batches.ts';
import { BrokerError, KafkaCluster } from '../../streams/kafka-cluster.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { KafkaReader } from '../../streams/kafka-reader.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { ownTopicName, topicName } from '../../streams/kafka-topics.ts';
import { TransactionWriter } from '../../streams/kafka-transaction.ts';
import { TRANSACTION_TIMEOUT_MS } from '../../streams/limits.ts';
import { isConnectionLost } from '../../streams/retry.ts';
import { openTestServices } from '../services.ts';
import { code, numbered, texts } from './event-log-fixtures.ts';

const services = await openTestServices('kafka');
const settings = kafkaSettings(services.settings)!;
const PARTITION = 3;
const READINGS = { topic: 'meter.readings', partition: PARTITION };

type Opened = Awaited<ReturnType<typeof openKafkaLog>>;

/** A log, and a writer with a transaction of its own that the work ends. */
async function withOpenTransaction(
  lanesOf: (namespace: string) => Lane[],
  work: (tools: { log: Opened; writer: TransactionWriter; reader: KafkaReader }) => Promise<void>,
): Promise<void> {
  const namespace = services.namespace();
  const log = await openKafkaLog({ settings, namespace });
  const cluster = new KafkaCluster(settings, 'test');
  try {
    const writer = new TransactionWriter(cluster, `${namespace}.test`);
    await writer.open();
    await writer.write(lanesOf(namespace));
    await work({ log, writer, reader: new KafkaReader(cluster) });
  } finally {
    await log.close();
    await cluster.close();
  }
}

const recordOf = (text: string) => ({ key: 'k', value: Buffer.from(text), headers: { source: 's', number: 1, type: 'T', knownAtMs: 1 } });
const inReadings = (namespace: string): Lane[] => [
  { topic: topicName(namespace, READINGS.topic), partition: PARTITION, records: [recordOf('held')] },
];

/** Offsets of all records that a reader who goes on and on is given, until it has so many. */
async function follow(log: Opened, count: number): Promise<number[]> {
  const seen: number[] = [];
  for (let offset = 0; seen.length < count; ) {
    const { records, nextOffset } = await log.read(READINGS, offset, { maxRecords: 10, maxBytes: 1_000 });
    seen.push(...records.map((record) => record.offset));
    offset = nextOffset;
    if (records.length === 0) await log.waitForAppend(50);
  }
  return seen;
}

for (const isCommitted of [true, false])
  test(`a transaction that is held open while another commits after it: no reader skips one (${isCommitted ? 'committed' : 'aborted'} in the end)`, async () => {
    await withOpenTransaction(inReadings, async ({ log, writer, reader }) => {
      const reading = follow(log, isCommitted ? 2 : 1);
      let isAppended = false;
      const appending = log.append([numbered('a', 1, READINGS)]).then((result) => {
        isAppended = true;
        return result;
      });
      const place = { topic: topicName(log.namespace, READINGS.topic), partition: PARTITION };
      while ((await reader.highWatermarks([place]))[0] < 2);
      assert.deepEqual((await log.read(READINGS, 0, { maxRecords: 10, maxBytes: 1_000 })).records, []);
      assert.ok(!isAppended, 'an append is acknowledged once it can be read');
      await writer.end(isCommitted);
      assert.deepEqual(await appending, { appended: 1, redelivered: 0 });
      assert.deepEqual(await texts(log, READINGS), isCommitted ? ['held', '1'] : ['1']);
      assert.equal((await reading)[0], isCommitted ? 0 : 1);
    });
  });

const LINE = { step: 7, label: 'l', positions: {} as Positions, entries: [], snapshot: null as object | null, deltasFrom: 0 };
const inJournalOf =
  (line: typeof LINE) =>
  (namespace: string): Lane[] => [
    {
      topic: ownTopicName(namespace, 'journal'),
      partition: PARTITION,
      records: [{ key: 'step', value: Buffer.from(JSON.stringify(line)), headers: null }],
    },
  ];

test('a task is taken over, and told of, once its journal is decided: a step that counts is not done again, nor missed', async () => {
  const inJournal = inJournalOf({ ...LINE, positions: { ticks: 5 } });
  await withOpenTransaction(inJournal, async ({ log, writer }) => {
    const taking = log.takeTask(PARTITION);
    const positions = log.taskPositions(PARTITION);
    // These take as long as the one would that does not wait.
    for (let other = PARTITION + 1; other < PARTITION + 4; other++) await log.takeTask(other);
    await writer.end(true);
    const { state } = await taking;
    assert.deepEqual([state.stepNumber, state.positions], [7, { ticks: 5 }]);
    assert.deepEqual(await positions, { ticks: 5 });
  });
});

test('a task whose snapshot the log has lost in part is not taken for one that a transaction holds up', async () => {
  await withOpenTransaction(inJournalOf({ ...LINE, snapshot: { step: 7, from: 0, parts: 2 } }), async ({ log, writer }) => {
    await writer.end(true);
    await assert.rejects(log.takeTask(PARTITION), { code: 'INTERNAL', message: /lost 2 of 2 parts of the snapshot of step 7 / });
  });
});

test('a task whose producer id Kafka forgot, as it does after a week of rest, is taken anew, not given up', async (t) => {
  const log = await openKafkaLog({ settings, namespace: services.namespace() });
  try {
    const step = { label: 'l', outputs: [], delta: Buffer.from('d'), positions: { ticks: 1 }, journal: [] };
    const rested = await log.takeTask(PARTITION);
    const forgets = t.mock.method(KafkaCluster.prototype, 'send', () => Promise.reject(new BrokerError(49, 'a write of a test')));
    await assert.rejects(rested.commit(step), (error) => code('KAFKA_UNREACHABLE')(error) && isConnectionLost(error));
    forgets.mock.restore();
    await (await log.takeTask(PARTITION)).commit(step);
    assert.deepEqual(await log.taskPositions(PARTITION), { ticks: 1 });
  } finally {
    await log.close();
  }
});

test('an append whose transaction is aborted by hand, after Kafka said that it is committed, is done again', async (t) => {
  await withOpenTransaction(inReadings, async ({ log }) => {
    const { end } = TransactionWriter.prototype;
    let aborted = 0;
    // As it looks to a writer whose marks were all lost, and whose transaction nobody can know to be committed then.
    t.mock.method(TransactionWriter.prototype, 'end', function (this: TransactionWriter, isCommitted: boolean) {
      return end.call(this, isCommitted && aborted++ > 0);
    });
    // It waits for the transaction before its own, which the coordinator ends after a while, as its writer does nothing.
    assert.deepEqual(await log.append([numbered('a', 1, READINGS)]), { appended: 1, redelivered: 0 });
    assert.deepEqual(await texts(log, READINGS), ['1']);
    assert.equal(aborted, 2);
  });
});

test('CONCURRENT_TRANSACTIONS, answered again and again before it goes on, leaves appends and steps as they are', async (t) => {
  const namespace = services.namespace();
  const log = await openKafkaLog({ settings, namespace });
  const { send } = KafkaCluster.prototype;
  const asked = new Map<unknown, number>();
  // Of the requests of a writer two of three are answered so: those to begin, to write and to end a transaction.
  t.mock.method(KafkaCluster.prototype, 'send', function (this: KafkaCluster, ...given: Parameters<typeof send>) {
    const [use, , api] = given;
    if (use !== 'write') return send.apply(this, given);
    asked.set(api, (asked.get(api) ?? 0) + 1);
    if (asked.get(api)! % 3 !== 0) return Promise.reject(new BrokerError(51, 'a request of a test'));
    return send.apply(this, given);
  });
  try {
    for (let number = 1; number <= 20; number++)
      assert.deepEqual(await log.append([numbered('a', number, READINGS)]), { appended: 1, redelivered: 0 });
    const { commit } = await log.takeTask(PARTITION);
    for (let step = 1; step <= 5; step++)
      await commit({
        ...{ label: 'l', delta: Buffer.from('d'), positions: { ticks: step } },
        outputs: [numbered('task', step, { topic: 'notices', partition: PARTITION })],
        journal: [{ topic: 'ticks', firstOffset: step - 1, endOffset: step, count: 1 }],
      });
    assert.deepEqual(
      await texts(log, READINGS),
      Array.from({ length: 20 }, (_, i) => String(i + 1)),
    );
    assert.deepEqual(await texts(log, { topic: 'notices', partition: PARTITION }), ['1', '2', '3', '4', '5']);
    const { state } = await log.takeTask(PARTITION);
    assert.deepEqual([state.stepNumber, state.positions], [5, { ticks: 5 }]);
    assert.ok(
      asked.size >= 3 && [...asked.values()].every((count) => count >= 3),
      'each kind of request was refused before it was let through',
    );
  } finally {
    await log.close();
  }
});

for (const isOverdue of [false, true])
  test(`a writer that was shut out ${isOverdue ? 'while it was away for long' : 'a moment ago'} is told so`, async (t) => {
    await withOpenTransaction(inReadings, async ({ writer }) => {
      const cluster = new KafkaCluster(settings, 'test');
      await new TransactionWriter(cluster, writer.id).open();
      await cluster.close();
      const now = performance.now.bind(performance);
      if (isOverdue) t.mock.method(performance, 'now', () => now() + TRANSACTION_TIMEOUT_MS);
      await assert.rejects(writer.end(true), { code: 'TASK_FENCED', details: { isOverdue } });
    });
  });
