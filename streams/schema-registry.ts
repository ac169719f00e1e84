/**
 * The schema registry of the embedded engine: a table of our own that the API serves at the Confluent paths. Subjects
 * are "<topic>-value". Start refuses where an id means another schema than the one this namespace recorded.
 */
import { Codec, fingerprint, type RegisteredSchema } from '../schemas/codec.ts';
import { currentSchemas } from '../schemas/files.ts';
import { type Client, inTransaction, openPool, reached } from './postgres.ts';
import { namespaceSchema } from './postgres-log.ts';
import { compareWithRecorded, type RecordedSchemas } from './recorded-schemas.ts';
import { subjectsOf } from './subjects.ts';

const TABLES = `
CREATE SCHEMA IF NOT EXISTS iflex_registry;
CREATE TABLE IF NOT EXISTS iflex_registry.schema (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, fingerprint text UNIQUE NOT NULL, schema text NOT NULL);
CREATE TABLE IF NOT EXISTS iflex_registry.subject (
  subject text, version int, schema_id int NOT NULL REFERENCES iflex_registry.schema,
  PRIMARY KEY (subject, version), UNIQUE (subject, schema_id));`;

/**
 * Registers the current schemas of all written topics and returns a codec that knows every schema of the registry. What
 * its ids mean is recorded with the log: in this database, unless the log is elsewhere. Throws SCHEMA_MISMATCH or
 * DATABASE_UNREACHABLE.
 */
export async function openRegistry(url: string, namespace: string, recorded?: RecordedSchemas): Promise<Codec> {
  const current = currentSchemas();
  const codec = new Codec(current.values());
  const pool = await openPool(url, 'registry', 1);
  try {
    await reached(
      inTransaction(pool, async (client) => {
        await client.query("SELECT pg_advisory_xact_lock(hashtext('iflex registry'))");
        await client.query(TABLES);
        for (const [name, schema] of current) await registerSchema(client, name, schema);
        const { rows } = await client.query('SELECT id, schema FROM iflex_registry.schema ORDER BY id');
        for (const row of rows as RegisteredSchema[]) codec.register(row);
        await compareWithRecorded(recorded ?? recordedIn(client, namespace), codec);
      }),
    );
  } finally {
    await pool.end();
  }
  return codec;
}

/** Numbers a schema where it is new, and makes it the next version of its topics' subjects where it is not one yet. */
async function registerSchema(client: Client, name: string, schema: string): Promise<void> {
  const print = fingerprint(schema);
  // Not ON CONFLICT: that would use up an id each time.
  await client.query(
    `INSERT INTO iflex_registry.schema (fingerprint, schema) SELECT $1::text, $2::text
      WHERE NOT EXISTS (SELECT FROM iflex_registry.schema WHERE fingerprint = $1::text)`,
    [print, schema],
  );
  await client.query(
    `INSERT INTO iflex_registry.subject
      SELECT s, coalesce((SELECT max(version) FROM iflex_registry.subject WHERE subject = s), 0) + 1,
        (SELECT id FROM iflex_registry.schema WHERE fingerprint = $2)
      FROM unnest($1::text[]) AS s ON CONFLICT (subject, schema_id) DO NOTHING`,
    [subjectsOf(name), print],
  );
}

/** For a registry that is elsewhere, of a log in this database. */
export async function withRecordedSchemas<T>(url: string, namespace: string, work: (recorded: RecordedSchemas) => Promise<T>): Promise<T> {
  const pool = await openPool(url, 'recorded schemas', 1);
  try {
    return await reached(inTransaction(pool, (client) => work(recordedIn(client, namespace))));
  } finally {
    await pool.end();
  }
}

/** Kept in a table of the namespace, which must be there. */
function recordedIn(client: Client, namespace: string): RecordedSchemas {
  const table = `${namespaceSchema(namespace)}.recorded_schema`;
  return {
    async read() {
      const { rows } = await client.query(`SELECT id, fingerprint FROM ${table}`);
      return new Map((rows as { id: number; fingerprint: string }[]).map((row) => [row.id, row.fingerprint]));
    },
    async add(fingerprints) {
      await client.query(`INSERT INTO ${table} SELECT * FROM unnest($1::int[], $2::text[]) ON CONFLICT DO NOTHING`, [
        [...fingerprints.keys()],
        [...fingerprints.values()],
      ]);
    },
  };
}
