/** The services that tests share: which ones they are, that they are started once, and what is refused. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { statusOf } from '../infra/services/lifecycle.ts';
import { APICURIO_VERSION, KAFKA_VERSION, MOSQUITTO_VERSION, SERVICE_NAMES, TIMESCALEDB_VERSION } from '../infra/services/versions.ts';
import { openTestServices, testServicesEnvironment } from './services.ts';

it('are those of the table, started once and shared', async () => {
  const { settings, versions, place } = await openTestServices(...SERVICE_NAMES);
  assert.deepEqual(Object.keys(settings), ['KAFKA_BROKERS', 'SCHEMA_REGISTRY_URL', 'DATABASE_URL', 'MQTT_URL']);
  assert.deepEqual(versions, {
    kafka: KAFKA_VERSION,
    apicurio: APICURIO_VERSION,
    timescaledb: TIMESCALEDB_VERSION,
    mosquitto: MOSQUITTO_VERSION,
  });
  const pids = () => Promise.all(SERVICE_NAMES.map(async (name) => (await statusOf(place, name)).pid));
  const before = await pids();
  const again = await openTestServices('timescaledb', 'kafka');
  assert.deepEqual(Object.keys(again.settings), ['KAFKA_BROKERS', 'DATABASE_URL']);
  assert.deepEqual(again.settings.DATABASE_URL, settings.DATABASE_URL);
  assert.deepEqual(await pids(), before);
  assert.notEqual(again.namespace(), again.namespace());
});

it('are not those of people, unless the environment says so', () => {
  const own = testServicesEnvironment({});
  assert.match(own.IFLEX_SERVICES_STATE!, /-test\/services$/);
  assert.equal(own.IFLEX_SERVICES_PORT_SHIFT, '1000');
  const given = { IFLEX_SERVICES_STATE: '/state', IFLEX_SERVICES_PORT_SHIFT: '7' };
  assert.deepEqual(testServicesEnvironment(given), given);
});
