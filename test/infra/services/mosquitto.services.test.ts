/** Mosquitto itself, from an empty folder: which one it is, and one message through it. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import mqtt from 'mqtt';
import { commandOf } from '../../../infra/embedded-postgres-lock.ts';
import { down, statusOf, up } from '../../../infra/services/lifecycle.ts';
import { mosquitto } from '../../../infra/services/mosquitto.ts';
import { MOSQUITTO_VERSION } from '../../../infra/services/versions.ts';
import { emptyPlace } from './place.ts';

const { place } = await emptyPlace();

/** The first message of a topic. */
async function first(client: mqtt.MqttClient, topic: string): Promise<Buffer> {
  const message = new Promise<Buffer>((done) => client.on('message', (from, payload) => from === topic && done(payload)));
  await client.subscribeAsync(topic, { qos: 1 });
  return message;
}

it('is Mosquitto of the table, keeps a retained message across a restart, and leaves no process', async () => {
  await up(place, 'mosquitto');
  const { pid, state } = await statusOf(place, 'mosquitto');
  assert.equal(state, 'running');
  const url = mosquitto.clientSettings(place).MQTT_URL;
  const client = await mqtt.connectAsync(url, { clientId: 'test' });
  assert.equal(String(await first(client, '$SYS/broker/version')), `mosquitto version ${MOSQUITTO_VERSION}`);
  const live = first(client, 'sites/one/power');
  await client.publishAsync('sites/one/power', Buffer.from([1, 2, 255]), { qos: 1, retain: true });
  assert.deepEqual(await live, Buffer.from([1, 2, 255]));
  await client.endAsync();

  await down(place, 'mosquitto');
  assert.equal(commandOf(pid!), undefined);
  await up(place, 'mosquitto');
  const other = await mqtt.connectAsync(url, { clientId: 'other' });
  assert.deepEqual(await first(other, 'sites/one/power'), Buffer.from([1, 2, 255]));
  await other.endAsync();

  const again = (await statusOf(place, 'mosquitto')).pid!;
  await down(place, 'mosquitto');
  assert.equal(commandOf(again), undefined);
  assert.equal((await statusOf(place, 'mosquitto')).state, 'stopped');
});
