/** Transactions that hold readers back: told of, and ended only where nobody else ever will. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import { KafkaCluster } from '../../streams/kafka-cluster.ts';
import { endTransaction, findOpenTransactions, isHanging, outcomeElsewhere } from '../../streams/kafka-hanging.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { KafkaReader } from '../../streams/kafka-reader.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { applyTopics, planTopics, topicName, wantedTopics } from '../../streams/kafka-topics.ts';
import { TransactionWriter } from '../../streams/kafka-transaction.ts';
import { TRANSACTION_TIMEOUT_MS } from '../../streams/limits.ts';
import { TOPICS } from '../../streams/topics.ts';
import { openTestServices } from '../services.ts';
import { numbered, texts } from './event-log-fixtures.ts';
import { leaveOpen, record } from './kafka-hanging-fixtures.ts';

const services = await openTestServices('kafka');
const settings = kafkaSettings(services.settings)!;
const LATER_MS = 3 * TRANSACTION_TIMEOUT_MS;

async function withLog(work: (tools: { namespace: string; cluster: KafkaCluster; reader: KafkaReader }) => Promise<void>): Promise<void> {
  const namespace = services.namespace();
  await (await openKafkaLog({ settings, namespace })).close();
  const cluster = new KafkaCluster(settings, 'test');
  try {
    await work({ namespace, cluster, reader: new KafkaReader(cluster) });
  } finally {
    await cluster.close();
  }
}

const iflex = (...args: string[]) =>
  spawnSync(process.execPath, [join(PROJECT_FOLDER, 'infra', 'iflex.js'), ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...services.settings },
  });

test('an open transaction is shown with its owner, and is not held for one that hangs', async () => {
  await withLog(async ({ namespace, cluster, reader }) => {
    const place = { topic: topicName(namespace, 'meter.readings'), partition: 0 };
    const writer = new TransactionWriter(cluster, `${namespace}.test`);
    await writer.open();
    await writer.write([{ ...place, records: [record] }]);
    const [open, ...others] = await findOpenTransactions(cluster, reader, [place, { ...place, partition: 1 }]);
    assert.deepEqual(others, []);
    assert.equal(open.transaction?.id, `${namespace}.test`);
    assert.equal(open.transaction?.timeoutMs, TRANSACTION_TIMEOUT_MS);
    assert.deepEqual([open.topic, open.partition, open.firstOffset, open.heldBack], [place.topic, 0, 0, 1]);
    assert.ok(!isHanging(open, Date.now() + LATER_MS));
    const shown = iflex('kafka', 'hanging', '--namespace', namespace, '--end');
    assert.match(shown.stdout, /its coordinator ends it after 15 s/);
    assert.equal(shown.status, 0);
    await writer.end(true);
    // The coordinator has decided so; the mark comes a moment later.
    await reader.untilDecided([{ ...place, endOffset: 1 }]);
    assert.deepEqual(await findOpenTransactions(cluster, reader, [place]), []);
  });
});

test('one that no coordinator knows is told of, and ended by hand: its records never were, later ones come', async () => {
  await withLog(async ({ namespace, cluster, reader }) => {
    const place = { topic: topicName(namespace, 'meter.readings'), partition: 0 };
    await leaveOpen(cluster, `${namespace}.old`, [place]);
    const [open] = await findOpenTransactions(cluster, reader, [place]);
    assert.equal(open.transaction, null);
    assert.ok(!isHanging(open, open.lastWriteMs + TRANSACTION_TIMEOUT_MS), 'its writer may still be at it');
    assert.ok(isHanging(open, open.lastWriteMs + LATER_MS));
    const early = iflex('kafka', 'hanging', '--namespace', namespace, '--end');
    assert.match(early.stdout, /No coordinator has it under way; if it is still there in a minute/);
    const log = await openKafkaLog({ settings, namespace });
    const appending = log.append([numbered('after', 1, { topic: 'meter.readings', partition: 0 })]);
    const [before] = await reader.ends([place]);
    assert.equal(before, 0, 'what comes after it cannot be read');
    assert.equal(await outcomeElsewhere(reader, open, [place, { ...place, partition: 1 }]), null);
    await endTransaction(cluster, open, 'abort');
    assert.deepEqual(await appending, { appended: 1, redelivered: 0 });
    assert.deepEqual(await texts(log, { topic: 'meter.readings', partition: 0 }), ['1']);
    await log.close();
  });
});

test('one whose mark one partition has and another has not is ended alike in both', async () => {
  await withLog(async ({ namespace, cluster, reader }) => {
    const places = [0, 1].map((partition) => ({ topic: topicName(namespace, 'meter.readings'), partition }));
    for (const outcome of ['commit', 'abort'] as const) {
      const before = await reader.ends(places);
      await leaveOpen(cluster, `${namespace}.${outcome}`, places);
      const [one, two] = (await findOpenTransactions(cluster, reader, places)).sort((a, b) => a.partition - b.partition);
      assert.equal(await outcomeElsewhere(reader, one, places), null);
      await endTransaction(cluster, two, outcome);
      assert.equal(await outcomeElsewhere(reader, one, places), outcome);
      await endTransaction(cluster, one, outcome);
      for (const [i, at] of places.entries()) {
        const { records } = await reader.read(at, before[i], { maxRecords: 10, maxBytes: 1_000 });
        assert.equal(records.length, outcome === 'commit' ? 1 : 0);
      }
    }
  });
});

test('topics are compared with the table, and set right', async () => {
  await withLog(async ({ namespace, cluster }) => {
    const keeping = { compactionLagMs: 3_600_000 };
    const wanted = wantedTopics(namespace, TOPICS, keeping);
    assert.deepEqual(await planTopics(settings, wanted), []);
    assert.equal(iflex('topics', 'apply', '--namespace', namespace).status, 0);
    const other = wanted.map((each) =>
      each.name === topicName(namespace, 'ticks') ? { ...each, settings: { ...each.settings, 'retention.ms': '86400000' } } : each,
    );
    const more = [...other, { name: topicName(namespace, 'further'), partitions: 2, settings: { 'cleanup.policy': 'compact' } }];
    const drift = await planTopics(settings, more);
    assert.deepEqual(drift, [
      {
        topic: topicName(namespace, 'ticks'),
        partitions: { is: 12, wanted: 12 },
        settings: [{ name: 'retention.ms', is: '-1', wanted: '86400000' }],
      },
      { topic: topicName(namespace, 'further'), partitions: null, settings: [] },
    ]);
    await applyTopics(cluster, more, drift);
    await cluster.untilDone(() => cluster.refresh([topicName(namespace, 'further')]), { withinMs: 30_000 });
    assert.deepEqual(await planTopics(settings, more), []);
    const shown = iflex('topics', 'apply', '--namespace', namespace);
    assert.match(shown.stdout, /ticks: retention.ms is 86400000, is set to -1/);
    assert.equal(shown.status, 1);
    assert.equal(iflex('topics', 'apply', '--namespace', namespace, '--yes').status, 0);
    assert.deepEqual(await planTopics(settings, wanted), []);
  });
});
