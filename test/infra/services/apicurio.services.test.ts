/** Apicurio itself, from an empty folder: which one it is, and one of our schemas through the Confluent API. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import { commandOf } from '../../../infra/embedded-postgres-lock.ts';
import { PROJECT_FOLDER } from '../../../infra/engine.ts';
import { apicurio } from '../../../infra/services/apicurio.ts';
import { down, statusOf, up } from '../../../infra/services/lifecycle.ts';
import { portsOf } from '../../../infra/services/place.ts';
import { getJson } from '../../../infra/services/probe.ts';
import { APICURIO_VERSION } from '../../../infra/services/versions.ts';
import { emptyPlace } from './place.ts';

const { place } = await emptyPlace();

it('is Apicurio of the table, keeps the ids of schemas across a restart, and leaves no process', async () => {
  await up(place, 'apicurio');
  const { pid, state } = await statusOf(place, 'apicurio');
  assert.equal(state, 'running');
  const [port] = portsOf(place, 'apicurio');
  const info = (await getJson(`http://127.0.0.1:${port}/apis/registry/v2/system/info`)) as { name: string; version: string };
  assert.deepEqual([info.name, info.version], ['apicurio-registry', APICURIO_VERSION]);

  const host = apicurio.clientSettings(place).SCHEMA_REGISTRY_URL;
  const schema = readFileSync(join(PROJECT_FOLDER, 'schemas', 'ReadingsDelivery.avsc'), 'utf8');
  const registered = await new SchemaRegistry({ host }).register({ type: SchemaType.AVRO, schema }, { subject: 'meter.readings-value' });

  await down(place, 'apicurio');
  assert.equal(commandOf(pid!), undefined);
  await up(place, 'apicurio');
  const latest = (await getJson(`${host}/subjects/meter.readings-value/versions/latest`)) as { id: number; schema: string };
  assert.equal(latest.id, registered.id);
  assert.deepEqual(JSON.parse(latest.schema), JSON.parse(schema));
  assert.equal(await new SchemaRegistry({ host }).getLatestSchemaId('meter.readings-value'), registered.id);

  const again = (await statusOf(place, 'apicurio')).pid!;
  await down(place, 'apicurio');
  assert.equal(commandOf(again), undefined);
  assert.equal((await statusOf(place, 'apicurio')).state, 'stopped');
});
