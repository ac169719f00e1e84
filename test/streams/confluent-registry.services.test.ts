/** Our schemas in Apicurio itself, through its Confluent API, from an empty registry on. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import { apicurio } from '../../infra/services/apicurio.ts';
import { down, up } from '../../infra/services/lifecycle.ts';
import { portsOf } from '../../infra/services/place.ts';
import { getJson } from '../../infra/services/probe.ts';
import { APICURIO_VERSION } from '../../infra/services/versions.ts';
import { Codec, fingerprint, schemaIdOf } from '../../schemas/codec.ts';
import { currentSchemas, publishedNames, publishedVersions } from '../../schemas/files.ts';
import { openConfluentRegistry } from '../../streams/confluent-registry.ts';
import type { RecordedSchemas } from '../../streams/recorded-schemas.ts';
import { registrySettings } from '../../streams/registry-settings.ts';
import { TOPICS } from '../../streams/topics.ts';
import { canonicalBytes } from '../../streams/verify.ts';
import { emptyPlace } from '../infra/services/place.ts';
import { recordedInMemory } from './recorded-in-memory.ts';

const { place } = await emptyPlace();
const settings = registrySettings(apicurio.clientSettings(place))!;
const { url } = settings;

/** Requests past our own client, as administrators make them. */
async function ask(path: string, method = 'GET', body?: object): Promise<{ status: number; body: Record<string, unknown> }> {
  const headers = { 'content-type': 'application/vnd.schemaregistry.v1+json' };
  const answer = await fetch(`${url}${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

const versionsOf = async (subject: string) => (await ask(`/subjects/${subject}/versions`)).body;
const idOf = async (subject: string) => (await ask(`/subjects/${subject}/versions/latest`)).body.id as number;
const levelOf = async (subject: string) => (await ask(`/config/${subject}`)).body.compatibilityLevel;
const register = (subject: string, schema: string | object) =>
  ask(`/subjects/${subject}/versions`, 'POST', { schema: typeof schema === 'string' ? schema : JSON.stringify(schema) });

/** Opens, and gives what was told. */
async function open(recorded: RecordedSchemas = recordedInMemory()): Promise<{ codec: Codec; told: string[] }> {
  const told: string[] = [];
  return { codec: await openConfluentRegistry({ settings, recorded, tell: (line) => told.push(line) }), told };
}

const written = TOPICS.filter(({ draft }) => !draft);
const tick = { knownAtMs: 5 };
const tickSchema = () => JSON.parse(currentSchemas().get('Tick')!) as { fields: { name: string; type: string }[] };

before(async () => {
  await up(place, 'apicurio');
  const info = await getJson(`http://127.0.0.1:${portsOf(place, 'apicurio')[0]}/apis/registry/v2/system/info`);
  assert.equal((info as { version: string }).version, APICURIO_VERSION);
});

describe('a registry of others', () => {
  it('gets every written topic a subject, FULL_TRANSITIVE, also by several processes that open an empty one at once', async () => {
    assert.equal(await levelOf('ticks-value'), undefined);
    const recorded = recordedInMemory();
    // All are awaited, so that none goes on behind the tests that follow.
    const settled = await Promise.allSettled(Array.from({ length: 4 }, () => open(recorded)));
    const failures = settled.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
    if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('; '));
    const opened = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const current = currentSchemas();
    for (const { name, schema } of written) {
      const { body } = await ask(`/subjects/${name}-value/versions/latest`);
      assert.equal(fingerprint(body.schema as string), fingerprint(current.get(schema)!), name);
      assert.equal(await levelOf(`${name}-value`), 'FULL_TRANSITIVE', name);
      for (const { codec } of opened) assert.equal(codec.fingerprintOf(body.id as number), fingerprint(current.get(schema)!));
    }
    const { body } = await ask('/subjects');
    assert.deepEqual([...(body as unknown as string[])].sort(), written.map(({ name }) => `${name}-value`).sort());
    const [first, ...others] = opened.map(({ codec }) => codec.registered());
    for (const other of others) assert.deepEqual(other, first);
    assert.deepEqual(recorded.kept, new Map(first.map(({ id, fingerprint: print }) => [id, print])));
  });

  it('gives one schema one id under all of its subjects, and changes nothing when it is opened again', async () => {
    const ids = await Promise.all(['5m', '15m', '60m'].map((width) => idOf(`resampled.${width}-value`)));
    assert.equal(new Set(ids).size, 1);
    const before = await Promise.all(written.map(({ name }) => versionsOf(`${name}-value`)));
    const { codec, told } = await open();
    assert.deepEqual(await Promise.all(written.map(({ name }) => versionsOf(`${name}-value`))), before);
    assert.deepEqual(told, []);
    assert.equal(schemaIdOf(codec.encode('Tick', tick)), await idOf('ticks-value'));
  });

  it('lets a client of others read what we write, and us what it writes', async () => {
    const { codec } = await open();
    const theirs = new SchemaRegistry({ host: url });
    assert.deepEqual({ ...(await theirs.decode(codec.encode('Tick', tick))) }, tick);
    assert.deepEqual(codec.decode(await theirs.encode(await idOf('ticks-value'), { knownAtMs: 8 })), {
      name: 'Tick',
      value: { knownAtMs: 8 },
    });
  });
});

it('makes no difference to what replays compare, whatever its ids are', async () => {
  const { codec } = await open();
  const other = new Codec(currentSchemas().values());
  for (const [i, schema] of [...currentSchemas().values()].entries()) other.register({ id: 1_000_000 + i, schema });
  const [ours, theirs] = [codec, other].map((each) => {
    const headers = { source: 's', number: -1, id: 'derived', type: 'Tick', knownAtMs: 5 };
    return { topic: 'ticks', key: '0', value: each.encode('Tick', tick), headers };
  });
  assert.notDeepEqual(ours.value, theirs.value);
  const canonical = (each: Codec, record: typeof ours) => canonicalBytes(record, (id) => each.fingerprintOf(id));
  assert.ok(canonical(codec, ours).equals(canonical(other, theirs)));
});

describe('a change of a schema', () => {
  it('is refused by the registry where it breaks readers', async () => {
    const broken = tickSchema();
    broken.fields[0].type = 'string';
    assert.equal((await register('ticks-value', broken)).status, 409);
    const added = tickSchema();
    added.fields.push({ name: 'needed', type: 'int' });
    assert.equal((await register('ticks-value', added)).status, 409);
    const theirs = new SchemaRegistry({ host: url });
    const schema = { type: SchemaType.AVRO as const, schema: JSON.stringify(added) };
    await assert.rejects(theirs.register(schema, { subject: 'ticks-value', compatibility: 'FULL_TRANSITIVE' as never }), { status: 409 });
  });

  it('of ours is refused with SCHEMA_INCOMPATIBLE where the subject holds what it breaks', async () => {
    const recorded = recordedInMemory();
    await open(recorded);
    assert.equal((await ask('/subjects/ticks-value', 'DELETE')).status, 200);
    const other = tickSchema();
    other.fields[0].type = 'string';
    assert.equal((await register('ticks-value', other)).status, 200);
    await assert.rejects(open(), (error: Error & { code: string }) => {
      return error.code === 'SCHEMA_INCOMPATIBLE' && /knownAtMs|STRING/.test(error.message);
    });
    await ask('/subjects/ticks-value', 'DELETE');
    // The same schema has its old id again.
    assert.deepEqual((await open(recorded)).told, []);
  });

  it('of its documentation alone makes no version; one that others made is read, and ours is still written', async () => {
    const id = await idOf('ticks-value');
    const documented = { ...tickSchema(), doc: 'said by others' };
    const made = (await register('ticks-value', documented)).body.id as number;
    assert.notEqual(made, id);
    const { codec } = await open();
    assert.equal(codec.fingerprintOf(made), codec.fingerprintOf(id));
    assert.equal(schemaIdOf(codec.encode('Tick', tick)), id);
    assert.deepEqual(codec.decode(await new SchemaRegistry({ host: url }).encode(made, tick)), { name: 'Tick', value: tick });
    assert.equal(await idOf('ticks-value'), made);
  });

  it('that the gate let through goes through the registry too, version after version, and old events are read as new ones', async () => {
    const changed = publishedNames().filter((name) => publishedVersions(name).length > 1);
    assert.ok(changed.length > 0);
    for (const name of changed) {
      const subject = `${written.find(({ schema }) => schema === name)!.name}-value`;
      await ask(`/subjects/${subject}`, 'DELETE');
      const versions = publishedVersions(name);
      await register(subject, versions[0]);
      await ask(`/config/${subject}`, 'PUT', { compatibility: 'FULL_TRANSITIVE' });
      for (const version of versions.slice(1)) assert.equal((await register(subject, version)).status, 200, name);
    }
    const { codec, told } = await open();
    assert.deepEqual(told, []);
    // Numbers of versions go on where a subject was deleted.
    const [first] = (await versionsOf('runs-value')) as unknown as number[];
    const { body } = await ask(`/subjects/runs-value/versions/${first}`);
    const old = {
      runId: 'r',
      knownAtMs: 1,
      partition: 2,
      codeVersion: 'c',
      configurationHash: 'h',
      processors: [],
      seed: null,
      models: [],
    };
    const bytes = await new SchemaRegistry({ host: url }).encode(body.id as number, old);
    assert.deepEqual(codec.decode(bytes), { name: 'RunStarted', value: { ...old, schemas: [] } });
  });
});

describe('what others set in the registry', () => {
  it('is set right and told where a subject lets more through', async () => {
    await ask('/config/ticks-value', 'PUT', { compatibility: 'NONE' });
    assert.deepEqual((await open()).told, ['The compatibility of the subject ticks-value was NONE and is FULL_TRANSITIVE now.']);
    assert.equal(await levelOf('ticks-value'), 'FULL_TRANSITIVE');
  });

  it('is told and passed over where a version is nothing that events can be read by', async () => {
    await ask('/config/ticks-value', 'PUT', { compatibility: 'NONE' });
    const { id } = (await register('ticks-value', { ...tickSchema(), fields: [{ name: 'at', type: 'float' }] })).body;
    const { codec, told } = await open();
    assert.equal(codec.knows(id as number), false);
    assert.match(told.join('\n'), new RegExp(`Version \\d+ of the subject ticks-value \\(id ${id}\\) cannot be read`));
  });
});

describe('what ids meant', () => {
  it('is recorded, and a registry that gives one another meaning, or has lost it, is refused', async () => {
    const recorded = recordedInMemory();
    await open(recorded);
    const id = await idOf('sites-value');
    const kept = recorded.kept.get(id)!;
    recorded.kept.set(id, 'another');
    await assert.rejects(open(recorded), { code: 'SCHEMA_MISMATCH', message: new RegExp(` ids ${id} another`) });
    recorded.kept.set(id, kept);
    recorded.kept.set(2_000_000_000, kept);
    await assert.rejects(open(recorded), { code: 'SCHEMA_MISMATCH', message: / 2000000000 / });
    recorded.kept.delete(2_000_000_000);
    await open(recorded);
  });

  it('stays with a version that was deleted', async () => {
    const recorded = recordedInMemory();
    const made = (await register('sites-value', { ...JSON.parse(currentSchemas().get('SiteDeclared')!), doc: 'for a while' })).body
      .id as number;
    await open(recorded);
    assert.ok(recorded.kept.has(made));
    assert.equal((await ask('/subjects/sites-value/versions/latest', 'DELETE')).status, 200);
    assert.ok((await open(recorded)).codec.knows(made));
  });
});

describe('a registry that is away', () => {
  it('is told at start, awaited for a while, and means the same once it is back', async () => {
    const recorded = recordedInMemory();
    const { codec } = await open(recorded);
    await down(place, 'apicurio');
    const atOnce = openConfluentRegistry({ settings, recorded, tell: assert.fail, withinMs: 0 });
    await assert.rejects(atOnce, { code: 'REGISTRY_UNREACHABLE', message: new RegExp(`${url} does not answer: .*ECONNREFUSED`) });
    const awaited = openConfluentRegistry({ settings, recorded, tell: () => {}, withinMs: 600_000 });
    await up(place, 'apicurio');
    assert.deepEqual((await awaited).registered(), codec.registered());
    assert.ok((await awaited).encode('Tick', tick).equals(codec.encode('Tick', tick)));
  });

  it('is not taken for one where something else answers at the address', async () => {
    for (const path of ['/apis/ccompat', '/apis/registry/v2']) {
      const wrong = { url: new URL(path, url).href };
      await assert.rejects(openConfluentRegistry({ settings: wrong, recorded: recordedInMemory(), tell: assert.fail, withinMs: 0 }), {
        code: 'CONFIG_INVALID',
      });
    }
  });
});
