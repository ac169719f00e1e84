/**
 * What becomes of transactions of either client, kafkajs and ours: a broker is ended while transactions of several writers are
 * open, started again, and every writer comes back and shuts its former self out. After that no transaction may be left
 * open, and none of those that were told to be committed may be missing or there twice. Where a single broker leaves some
 * open all the same (it does so now and then with either client, see kafka-hanging.ts), they are ended as `iflex kafka
 * hanging` does it; as ours tells of a transaction once it can be read, none that was told may be lost by that. Results
 * go to transaction-results.json.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import { codeVersion } from '../../infra/code-version.ts';
import { down, up } from '../../infra/services/lifecycle.ts';
import { clientPort, type ServicesPlace } from '../../infra/services/place.ts';
import { stopProcess } from '../../infra/services/process.ts';
import { KAFKA_VERSION } from '../../infra/services/versions.ts';
import { KafkaCluster } from '../../streams/kafka-cluster.ts';
import { endTransaction, findOpenTransactions, outcomeElsewhere } from '../../streams/kafka-hanging.ts';
import { KafkaReader } from '../../streams/kafka-reader.ts';
import { TransactionWriter } from '../../streams/kafka-transaction.ts';
import { TRANSACTION_TIMEOUT_MS } from '../../streams/limits.ts';
import { emptyPlace } from '../infra/services/place.ts';

const RUNS = Number(process.env.IFLEX_SOAK_RUNS ?? 8);
const WRITERS = 6;
const PARTITIONS = 12;
const RECORDS = 60;
/** Any open transaction is ended by the broker's own upkeep within this. */
const ENDED_WITHIN_MS = TRANSACTION_TIMEOUT_MS + 30_000;

const COMMIT = codeVersion();
/** A broker for each run, as what one run leaves behind could bear on the next. */
let place: ServicesPlace;
let brokers: string[] = [];

async function freshBroker(): Promise<void> {
  ({ place } = await emptyPlace());
  await up(place, 'kafka');
  brokers = [`127.0.0.1:${clientPort(place, 'kafka')}`];
}

/** One writer, by either client: transactions of records with the writer's and a running number, until it fails. */
interface Writing {
  open(): Promise<void>;
  transaction(topic: string, records: { partition: number; value: string }[]): Promise<void>;
  close(): Promise<void>;
}

function byKafkajs(id: string): Writing {
  const client = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING, retry: { initialRetryTime: 20, retries: 8 } });
  const producer = client.producer({
    ...{ transactionalId: id, idempotent: true, maxInFlightRequests: 1, transactionTimeout: TRANSACTION_TIMEOUT_MS },
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  });
  return {
    async open() {
      await producer.connect();
      await (await producer.transaction()).abort();
    },
    async transaction(topic, records) {
      const transaction = await producer.transaction();
      await transaction.sendBatch({ topicMessages: [{ topic, messages: records }] });
      await transaction.commit();
    },
    close: () => producer.disconnect(),
  };
}

function byOurs(id: string): Writing {
  const cluster = new KafkaCluster({ brokers }, 'soak');
  const writer = new TransactionWriter(cluster, id);
  const reader = new KafkaReader(cluster);
  return {
    open: () => writer.open(),
    async transaction(topic, records) {
      const lanes = Array.from({ length: PARTITIONS }, (_, partition) => ({
        ...{ topic, partition },
        records: records
          .filter((each) => each.partition === partition)
          .map(({ value }) => ({ key: '', value: Buffer.from(value), headers: null })),
      }));
      await writer.write(lanes.filter((lane) => lane.records.length > 0));
      await reader.untilDecided(await writer.end(true));
    },
    close: () => cluster.close(),
  };
}

const CLIENTS = { kafkajs: byKafkajs, 'KIP-890': byOurs } as const;
type Client = keyof typeof CLIENTS;

interface Outcome {
  client: Client;
  signal: 'SIGTERM' | 'SIGKILL';
  run: number;
  committed: number;
  /** Of the writers, how many could shut their former selves out. */
  reopened: number;
  /** Partitions whose last stable offset stayed below the high watermark, before any of them was mended. */
  hanging: number;
  /** Open transactions in them that no coordinator has under way. */
  unknown: number;
  /** Values of transactions that were told to be committed, and are not there. */
  lost: number;
  doubled: number;
}

const outcomes: Outcome[] = [];

async function withCluster<T>(work: (reader: KafkaReader, cluster: KafkaCluster) => Promise<T>): Promise<T> {
  const cluster = new KafkaCluster({ brokers }, 'soak');
  try {
    return await work(new KafkaReader(cluster), cluster);
  } finally {
    await cluster.close();
  }
}

async function makeTopic(topic: string): Promise<void> {
  const admin = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING }).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS, replicationFactor: 1 }], waitForLeaders: false });
  await admin.disconnect();
  await withCluster((_, cluster) => cluster.untilDone(() => cluster.refresh([topic]), { withinMs: 30_000 }));
}

/** Writes until it fails, or the broker is gone; the values of what was told to be committed go into `committed`. */
async function writeOn(writing: Writing, topic: string, writer: number, committed: string[], alive: () => boolean): Promise<void> {
  for (let i = 0; alive(); i++) {
    const records = Array.from({ length: RECORDS }, (_, j) => ({ partition: (i + j) % PARTITIONS, value: `${writer}.${i}.${j}` }));
    try {
      await writing.transaction(topic, records);
    } catch {
      return;
    }
    committed.push(...records.map(({ value }) => value));
  }
}

async function run(client: Client, signal: Outcome['signal'], number: number): Promise<Outcome> {
  const topic = `across_${client.replace(/\W/g, '')}_${signal}_${number}`;
  await makeTopic(topic);
  const idOf = (writer: number) => `${topic}.${writer}`;
  const committed: string[] = [];
  let alive = true;
  const first = Array.from({ length: WRITERS }, (_, writer) => CLIENTS[client](idOf(writer)));
  await Promise.all(first.map((writing) => writing.open()));
  const writing = Promise.all(first.map((each, writer) => writeOn(each, topic, writer, committed, () => alive)));
  // Ended at some time while they write: by what was written, not by a clock.
  while (committed.length < RECORDS * WRITERS * (4 + number)) await pause(1);
  if (signal === 'SIGTERM') await down(place, 'kafka');
  else await stopProcess(place, 'kafka', 'SIGKILL');
  alive = false;
  await up(place, 'kafka');
  await Promise.race([writing, pause(60_000, undefined, { ref: false })]);
  await Promise.all(first.map((each) => each.close().catch(() => {})));
  const second = Array.from({ length: WRITERS }, (_, writer) => CLIENTS[client](idOf(writer)));
  const reopened = (await Promise.allSettled(second.map((each) => each.open()))).filter(({ status }) => status === 'fulfilled').length;
  const result = await withCluster((reader, cluster) => judge(client, reader, cluster, topic, committed));
  await Promise.all(second.map((each) => each.close().catch(() => {})));
  return { client, signal, run: number, committed: committed.length, reopened, ...result };
}

async function judge(
  client: Client,
  reader: KafkaReader,
  cluster: KafkaCluster,
  topic: string,
  committed: readonly string[],
): Promise<Pick<Outcome, 'hanging' | 'unknown' | 'lost' | 'doubled'>> {
  const places = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic, partition }));
  const hangingNow = async () => {
    const [ends, high] = [await reader.ends(places), await reader.highWatermarks(places)];
    return ends.filter((end, i) => end < high[i]).length;
  };
  let hanging = await hangingNow();
  for (const started = performance.now(); hanging > 0 && performance.now() - started < ENDED_WITHIN_MS; hanging = await hangingNow())
    await pause(500);
  const open = await findOpenTransactions(cluster, reader, places);
  if (client === 'KIP-890')
    for (const each of open) await endTransaction(cluster, each, (await outcomeElsewhere(reader, each, places)) ?? 'abort');
  const seen = new Map<string, number>();
  for (const at of places)
    for (let offset = 0; ; ) {
      const { records, nextOffset } = await reader.read(at, offset, { maxRecords: 10_000, maxBytes: 4e6 });
      for (const { value } of records) seen.set(Buffer.from(value).toString(), (seen.get(Buffer.from(value).toString()) ?? 0) + 1);
      if (nextOffset === offset) break;
      offset = nextOffset;
    }
  return {
    hanging,
    unknown: open.filter(({ transaction }) => transaction === null).length,
    lost: committed.filter((value) => !seen.has(value)).length,
    doubled: [...seen.values()].filter((count) => count > 1).length,
  };
}

for (let number = 0; number < RUNS; number++)
  for (const signal of ['SIGTERM', 'SIGKILL'] as const)
    for (const client of Object.keys(CLIENTS) as Client[])
      test(`${client}: the broker ends by ${signal} amid transactions (${number})`, async () => {
        await freshBroker();
        const outcome = await run(client, signal, number);
        outcomes.push(outcome);
        console.log(JSON.stringify(outcome));
        const summary = { commit: COMMIT, kafka: KAFKA_VERSION, runs: RUNS, outcomes };
        writeFileSync(new URL('transaction-results.json', import.meta.url), `${JSON.stringify(summary, null, 2)}\n`);
        // kafkajs is measured, not judged.
        if (client === 'KIP-890') assert.deepEqual([outcome.lost, outcome.doubled], [0, 0]);
      });
