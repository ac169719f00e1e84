/** Dropping namespaces of a Kafka cluster, whoever else does, and looking at them meanwhile. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { KafkaCluster } from '../../streams/kafka-cluster.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { dropKafkaNamespace, listKafkaNamespaces, lookUpKafkaNamespace } from '../../streams/kafka-namespaces.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { deleteTopics, listTopics } from '../../streams/kafka-topics.ts';
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
