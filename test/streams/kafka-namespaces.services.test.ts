/** Making and dropping namespaces of a Kafka cluster, whoever else does, and looking at them meanwhile. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { KafkaCluster } from '../../streams/kafka-cluster.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { dropKafkaNamespace, listKafkaNamespaces, lookUpKafkaNamespace } from '../../streams/kafka-namespaces.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { deleteTopics, listTopics, planTopics, wantedTopics } from '../../streams/kafka-topics.ts';
import { HOUR_MS } from '../../streams/limits.ts';
import { TOPICS } from '../../streams/topics.ts';
import { openTestServices } from '../services.ts';

const services = await openTestServices('kafka');
const settings = kafkaSettings(services.settings)!;
const cluster = new KafkaCluster(settings, 'test');
after(() => cluster.close());

const WITHIN_MS = 30_000;
const ROUNDS = 3;

async function madeNamespace(name = services.namespace()): Promise<string> {
  await (await openKafkaLog({ settings, namespace: name })).close();
  return name;
}

const topicsOf = async (name: string) => (await listTopics(cluster)).filter((topic) => topic.startsWith(`${name}.`));

test('several who drop one namespace at once all end, with none of its topics left, and those of a longer name stay', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const name = await madeNamespace();
    const longer = await madeNamespace(`${name}b`);
    await Promise.all([1, 2, 3].map(() => dropKafkaNamespace(settings, name)));
    assert.deepEqual(await topicsOf(name), []);
    assert.equal(await lookUpKafkaNamespace(settings, name), undefined);
    assert.ok((await lookUpKafkaNamespace(settings, longer))!.bytes >= 0);
    await dropKafkaNamespace(settings, longer);
  }
});

test('one of which some topics are just deleted is dropped, and so is one that was just dropped', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const name = await madeNamespace();
    const half = (await topicsOf(name)).filter((_, i) => i % 2 === 0);
    assert.ok(half.length > 1);
    await Promise.all([deleteTopics(cluster, half, WITHIN_MS), dropKafkaNamespace(settings, name)]);
    assert.deepEqual(await topicsOf(name), []);
    await deleteTopics(cluster, half, WITHIN_MS);
    await dropKafkaNamespace(settings, name);
  }
});

test('those that are dropped while all are looked at are left out', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const [kept, dropped] = [await madeNamespace(), await madeNamespace()];
    const [names] = await Promise.all([listKafkaNamespaces(settings), dropKafkaNamespace(settings, dropped)]);
    assert.ok(names.some(({ name }) => name === kept));
    await dropKafkaNamespace(settings, kept);
    assert.ok(!(await listKafkaNamespaces(settings)).some(({ name }) => name === kept || name === dropped));
  }
});

test('several who open one namespace at once, some of whose topics are just deleted, all find it whole', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const name = await madeNamespace();
    const half = (await topicsOf(name)).filter((_, i) => i % 2 === 0);
    await deleteTopics(cluster, half, WITHIN_MS);
    // The broker hears of it from the controller.
    while ((await topicsOf(name)).some((topic) => half.includes(topic)));
    await Promise.all([1, 2, 3].map(() => madeNamespace(name)));
    assert.deepEqual(await planTopics(settings, wantedTopics(name, TOPICS, { compactionLagMs: HOUR_MS })), []);
    await dropKafkaNamespace(settings, name);
  }
});

test('topics that are deleted while they are compared with the table are told as missing, or as they were', async () => {
  const name = await madeNamespace();
  const wanted = wantedTopics(name, TOPICS, { compactionLagMs: HOUR_MS });
  let dropped = false;
  const dropping = dropKafkaNamespace(settings, name).finally(() => {
    dropped = true;
  });
  while (!dropped)
    for (const { partitions, settings: differing } of await planTopics(settings, wanted))
      assert.deepEqual([partitions, differing], [null, []]);
  await dropping;
  assert.equal((await planTopics(settings, wanted)).length, wanted.length);
});
