/** Apache Kafka itself, from an empty folder: which one it is, and one record through it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import kafkajs from 'kafkajs';
import { commandOf } from '../../../infra/embedded-postgres-lock.ts';
import { down, statusOf, up } from '../../../infra/services/lifecycle.ts';
import { recordedChecksums } from '../../../infra/services/maven.ts';
import { installedAt, portsOf } from '../../../infra/services/place.ts';
import { findJava, runTool } from '../../../infra/services/tool.ts';
import { KAFKA_VERSION } from '../../../infra/services/versions.ts';
import { emptyPlace } from './place.ts';

const { place } = await emptyPlace();

it('is Apache Kafka of the table, keeps a record across a restart, and leaves no process', async () => {
  await up(place, 'kafka');
  const started = await statusOf(place, 'kafka');
  assert.equal(started.state, 'running');
  const pid = started.pid!;

  const folder = installedAt(place, 'kafka');
  const version = await runTool(await findJava(), ['-cp', `${folder}/*`, 'kafka.Kafka', '--version'], 'version');
  assert.equal(version.stdout.split(/\s/)[0], KAFKA_VERSION);
  assert.ok(commandOf(pid)?.includes(`-cp ${folder}/* kafka.Kafka`), 'the running process is of the same files');
  assert.ok(readFileSync(started.log, 'utf8').includes(`Kafka version: ${KAFKA_VERSION} `), 'and it says so itself');
  assert.ok(recordedChecksums('kafka').has(`kafka_2.13-${KAFKA_VERSION}.jar`));

  const [port] = portsOf(place, 'kafka');
  const client = new kafkajs.Kafka({ clientId: 'test', brokers: [`127.0.0.1:${port}`], logLevel: kafkajs.logLevel.NOTHING });
  const admin = client.admin();
  await admin.connect();
  const { brokers, clusterId } = await admin.describeCluster();
  assert.deepEqual(brokers, [{ nodeId: 1, host: '127.0.0.1', port }]);
  const meta = readFileSync(join(place.state, 'kafka', 'data', 'meta.properties'), 'utf8');
  assert.ok(meta.includes(`cluster.id=${clusterId}`));
  await admin.createTopics({ topics: [{ topic: 'trial', numPartitions: 1 }], waitForLeaders: false });
  assert.deepEqual(await admin.listTopics(), ['trial']);
  await admin.disconnect();

  const producer = client.producer();
  await producer.connect();
  const sent = { key: Buffer.from('point'), value: Buffer.from([0, 1, 2, 255]), headers: { ce_id: 'one' } };
  await producer.send({ topic: 'trial', acks: -1, messages: [sent] });
  await producer.disconnect();

  await down(place, 'kafka');
  assert.equal((await statusOf(place, 'kafka')).state, 'stopped');
  assert.equal(commandOf(pid), undefined);
  await up(place, 'kafka');

  const consumer = client.consumer({ groupId: 'trial' });
  await consumer.connect();
  await consumer.subscribe({ topic: 'trial', fromBeginning: true });
  const received = await new Promise<kafkajs.KafkaMessage>((done, failed) => {
    consumer.run({ eachMessage: async ({ message }) => done(message) }).catch(failed);
  });
  await consumer.disconnect();
  assert.deepEqual([received.offset, received.key, received.value], ['0', sent.key, sent.value]);
  assert.equal(String(received.headers?.ce_id), 'one');

  const again = (await statusOf(place, 'kafka')).pid!;
  await down(place, 'kafka');
  assert.equal(commandOf(again), undefined);
});
