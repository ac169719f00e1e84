/** Namespaces of the log on PostgreSQL: a schema each, with its tables, its partitions, and the version of both. */
import { readFileSync } from 'node:fs';
import { IflexError } from './errors.ts';
import { type Client, identifier, inTransaction, openPool, type Pool } from './postgres.ts';
import type { Topic } from './topics.ts';

/** Of the tables and functions in postgres-log.sql. Raise it with each change of them, and say there how to come from the last. */
export const TABLES_VERSION = 1;

/** Names that would give a schema of our own another meaning (schema-registry.ts keeps its tables in iflex_registry). */
const RESERVED = ['registry'];

export function namespaceSchema(namespace: string): string {
  if (RESERVED.includes(namespace)) throw new IflexError('CONFIG_INVALID', `"${namespace}" cannot name a namespace: the name is reserved.`);
  return `iflex_${identifier(namespace)}`;
}

export function withSearchPath(url: string, schema: string): string {
  const parsed = new URL(url);
  const given = parsed.searchParams.get('options');
  parsed.searchParams.set('options', `${given ? `${given} ` : ''}-c search_path=${schema}`);
  return parsed.toString();
}

/** Creates the tables where they are missing, and the partitions of the topics. Several processes may do so at once. */
export async function prepareNamespace(pool: Pool, schema: string, topics: readonly Topic[]): Promise<void> {
  await inTransaction(pool, async (client) => {
    await client.query("SELECT pg_advisory_xact_lock(hashtext('iflex create namespace'))");
    const version = await recordedVersion(client, schema);
    if (version === undefined) {
      await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
      await client.query(readFileSync(new URL('postgres-log.sql', import.meta.url), 'utf8'));
      await client.query('INSERT INTO log_version VALUES ($1)', [TABLES_VERSION]);
    } else if (version !== TABLES_VERSION)
      throw new IflexError(
        'CONFIG_INVALID',
        version > TABLES_VERSION
          ? `The log in ${schema} was made by a newer iflex (tables ${version}, not ${TABLES_VERSION}). Use that, or another namespace.`
          : `The log in ${schema} has tables of version ${version}, this iflex needs ${TABLES_VERSION}. Replay it into a new namespace.`,
      );
    await createPartitions(client, topics);
  });
}

/** Undefined where there are no tables of a log; 0 where there are some that do not say. */
async function recordedVersion(client: Client, schema: string): Promise<number | undefined> {
  const { rows } = await client.query('SELECT to_regclass($1) IS NOT NULL AS made, to_regclass($2) IS NOT NULL AS says', [
    `${schema}.log_partition`,
    `${schema}.log_version`,
  ]);
  const { made, says } = rows[0] as { made: boolean; says: boolean };
  if (!made) return undefined;
  if (!says) return 0;
  return (await client.query('SELECT version FROM log_version')).rows[0].version;
}

async function createPartitions(client: Client, topics: readonly Topic[]): Promise<void> {
  const names = topics.map(({ name }) => name);
  const counts = topics.map(({ partitions }) => partitions);
  await client.query(
    `INSERT INTO log_partition (topic, partition) SELECT t, generate_series(0, n - 1) FROM unnest($1::text[], $2::int[]) AS given (t, n)
      WHERE NOT EXISTS (SELECT FROM log_partition WHERE topic = t)`,
    [names, counts],
  );
  const { rows } = await client.query(
    `SELECT t AS topic, n AS wanted, made FROM unnest($1::text[], $2::int[]) AS given (t, n),
      LATERAL (SELECT count(*)::int AS made FROM log_partition WHERE topic = t) AS counted WHERE made <> n`,
    [names, counts],
  );
  if (rows.length > 0)
    throw new IflexError(
      'CONFIG_INVALID',
      `The topic ${rows[0].topic} was made with ${rows[0].made} partitions, not ${rows[0].wanted}. Replay into a new namespace.`,
    );
}

/**
 * Makes the schema of a namespace whose log is elsewhere, for its projections, and notes which log they are of. Several
 * processes may do so at once. Throws CONFIG_INVALID where they are of another log, whose positions mean other events.
 */
export async function createNamespaceSchema(url: string, namespace: string, logId: string): Promise<void> {
  const schema = namespaceSchema(namespace);
  const pool = await openPool(url, 'create namespace', 1);
  const create = inTransaction(pool, async (client) => {
    await client.query("SELECT pg_advisory_xact_lock(hashtext('iflex create namespace'))");
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
    if ((await recordedVersion(client, schema)) !== undefined) throw otherLog(namespace, 'a log in this database');
    await client.query(`CREATE TABLE IF NOT EXISTS ${schema}.log_elsewhere (id text NOT NULL)`);
    const { rows } = await client.query(`SELECT id FROM ${schema}.log_elsewhere`);
    if (rows.length === 0) await client.query(`INSERT INTO ${schema}.log_elsewhere VALUES ($1)`, [logId]);
    else if (rows[0].id !== logId) throw otherLog(namespace, 'another log of the same name, which is gone or in another cluster');
  });
  await create.finally(() => pool.end());
}

function otherLog(namespace: string, which: string): IflexError {
  return new IflexError(
    'CONFIG_INVALID',
    `The projections of the namespace "${namespace}" in this database are of ${which}. \`iflex namespaces drop ${namespace}\` drops ` +
      'log and projections of that name; or use another --namespace, or another database.',
  );
}

/** Drops a whole namespace: log, state and projections. */
export async function dropNamespace(url: string, namespace: string): Promise<void> {
  const schema = namespaceSchema(namespace);
  const pool = await openPool(url, 'drop namespace', 1);
  await pool.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`).finally(() => pool.end());
}
