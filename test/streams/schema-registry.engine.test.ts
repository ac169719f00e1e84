import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { fingerprint, schemaIdOf } from '../../schemas/codec.ts';
import { currentSchemas } from '../../schemas/files.ts';
import { openPool } from '../../streams/postgres.ts';
import { namespaceSchema, openPostgresLog } from '../../streams/postgres-log.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { TOPICS } from '../../streams/topics.ts';
import { openTestEngine } from '../engine.ts';
import { code } from './event-log-fixtures.ts';

const engine = await openTestEngine();
const admin = await openPool(engine.url, 'test of the registry', 1);
after(() => admin.end());

/** A new namespace with a log, whose name the registry is opened by. */
async function madeNamespace(): Promise<string> {
  const namespace = engine.namespace();
  await (await openPostgresLog({ url: engine.url, namespace })).close();
  return namespace;
}

const ids = async () =>
  (await admin.query('SELECT id, fingerprint FROM iflex_registry.schema ORDER BY id')).rows as { id: number; fingerprint: string }[];

test('every written topic has its subject, whose latest schema is the current one', async () => {
  const codec = await openRegistry(engine.url, await madeNamespace());
  const { rows } = await admin.query(
    `SELECT DISTINCT ON (subject) subject, id, schema FROM iflex_registry.subject JOIN iflex_registry.schema ON id = schema_id
      ORDER BY subject, version DESC`,
  );
  const latest = new Map(rows.map((row: { subject: string; id: number; schema: string }) => [row.subject, row]));
  const current = currentSchemas();
  for (const { name, schema, draft } of TOPICS) {
    const found = latest.get(`${name}-value`);
    assert.equal(found && fingerprint(found.schema), draft ? undefined : fingerprint(current.get(schema)!), name);
    if (found) assert.ok(codec.knows(found.id));
  }
  const tick = codec.encode('Tick', { knownAtMs: 5 });
  assert.equal(schemaIdOf(tick), latest.get('ticks-value')!.id);
  assert.deepEqual(codec.decode(tick), { name: 'Tick', value: { knownAtMs: 5 } });
});

test('opening again, and many at once, neither renumbers nor uses up ids', async () => {
  const namespace = await madeNamespace();
  const first = await openRegistry(engine.url, namespace);
  const before = await ids();
  const sequence = 'SELECT last_value FROM iflex_registry.schema_id_seq';
  const next = (await admin.query(sequence)).rows;
  const codecs = await Promise.all(Array.from({ length: 8 }, () => openRegistry(engine.url, namespace)));
  assert.deepEqual(await ids(), before);
  assert.deepEqual((await admin.query(sequence)).rows, next);
  const tick = first.encode('Tick', { knownAtMs: 7 });
  for (const codec of codecs) assert.ok(codec.encode('Tick', { knownAtMs: 7 }).equals(tick));
});

test('a registry that means something else by an id, or does not know it, is refused', async () => {
  const namespace = await madeNamespace();
  await openRegistry(engine.url, namespace);
  const recorded = `${namespaceSchema(namespace)}.recorded_schema`;
  const [{ id }] = await ids();
  const mismatch = (named: number) => (error: Error) => code('SCHEMA_MISMATCH')(error) && error.message.includes(` ${named} `);
  await admin.query(`UPDATE ${recorded} SET fingerprint = 'another' WHERE id = $1`, [id]);
  await assert.rejects(openRegistry(engine.url, namespace), mismatch(id));
  await admin.query(`UPDATE ${recorded} SET fingerprint = (SELECT fingerprint FROM iflex_registry.schema s WHERE s.id = ${recorded}.id)`);
  await openRegistry(engine.url, namespace);
  await admin.query(`INSERT INTO ${recorded} VALUES (2000000000, 'lost')`);
  await assert.rejects(openRegistry(engine.url, namespace), mismatch(2_000_000_000));
  await openRegistry(engine.url, await madeNamespace());
});
