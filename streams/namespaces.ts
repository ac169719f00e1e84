/** Namespaces of a database: which there are, how large they are, and what made them. Dropping one: postgres-log.ts. */
import { IflexError } from './errors.ts';
import { openPool, type Pool } from './postgres.ts';
import { namespaceSchema } from './postgres-log.ts';

export interface Namespace {
  name: string;
  /** What made it, as `noteNamespace` wrote it; null for one that was not noted. */
  note: string | null;
  /** On disk: log, state and projections. */
  bytes: number;
  /** Ever appended, all topics. */
  events: number;
  /** null: nothing was. */
  lastAppendedMs: number | null;
}

const PREFIX = namespaceSchema('x').slice(0, -1);

/** All namespaces that hold a log, by name. */
export async function listNamespaces(url: string): Promise<Namespace[]> {
  return withPool(url, (pool) => readNamespaces(pool, null));
}

/** The namespace of a name, or undefined where there is none. Looks into no other one. */
export async function lookUpNamespace(url: string, name: string): Promise<Namespace | undefined> {
  namespaceSchema(name);
  return withPool(url, async (pool) => (await readNamespaces(pool, name))[0]);
}

/** As `lookUpNamespace`, but throws NOT_FOUND with the names that there are. */
export async function findNamespace(url: string, name: string): Promise<Namespace> {
  const found = await lookUpNamespace(url, name);
  if (found) return found;
  return withPool(url, async (pool) => {
    throw notFound(name, await namesOf(pool));
  });
}

export function notFound(name: string, names: readonly string[]): IflexError {
  const there = names.length === 0 ? 'There is none yet: `npm start` makes one.' : `There are: ${names.join(', ')}.`;
  return new IflexError('NOT_FOUND', `There is no namespace "${name}". ${there}`);
}

/** By the catalogue alone, which nobody's work locks. */
async function namesOf(pool: Pool): Promise<string[]> {
  const { rows } = await pool.query(
    `SELECT substr(n.nspname, length($1) + 1) AS name FROM pg_namespace n JOIN pg_class log
      ON log.relnamespace = n.oid AND log.relname = 'log_partition' WHERE starts_with(n.nspname, $1) ORDER BY name`,
    [PREFIX],
  );
  return rows.map(({ name }: { name: string }) => name);
}

/** What made each namespace, as `noteNamespace` wrote it, whether or not its log is in this database. */
export async function namespaceNotes(url: string): Promise<Map<string, string>> {
  return withPool(url, async (pool) => {
    const { rows } = await pool.query(
      `SELECT substr(nspname, length($1) + 1) AS name, obj_description(oid, 'pg_namespace') AS note FROM pg_namespace
        WHERE starts_with(nspname, $1) AND obj_description(oid, 'pg_namespace') IS NOT NULL`,
      [PREFIX],
    );
    return new Map(rows.map(({ name, note }: { name: string; note: string }) => [name, note]));
  });
}

async function readNamespaces(pool: Pool, only: string | null): Promise<Namespace[]> {
  const { rows } = await pool.query(
    `SELECT substr(n.nspname, length($1) + 1) AS name, obj_description(n.oid, 'pg_namespace') AS note,
      (SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
        FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'm')) AS bytes
    FROM pg_namespace n JOIN pg_class log ON log.relnamespace = n.oid AND log.relname = 'log_partition'
    WHERE starts_with(n.nspname, $1) AND ($2::text IS NULL OR n.nspname = $1 || $2) ORDER BY name`,
    [PREFIX, only],
  );
  const namespaces: Namespace[] = [];
  for (const { name, note, bytes } of rows as { name: string; note: string | null; bytes: number }[]) {
    const reach = await reachOf(pool, name);
    if (reach) namespaces.push({ name, note, bytes, ...reach });
  }
  return namespaces;
}

const UNDEFINED_TABLE = '42P01';

/** Undefined for a namespace that somebody has dropped meanwhile. */
async function reachOf(pool: Pool, name: string): Promise<Pick<Namespace, 'events' | 'lastAppendedMs'> | undefined> {
  try {
    const { rows } = await pool.query(
      `SELECT coalesce(sum(next_offset), 0)::bigint AS events, nullif(max(last_appended_ms), 0) AS latest
      FROM ${namespaceSchema(name)}.log_partition`,
    );
    return { events: rows[0].events, lastAppendedMs: rows[0].latest };
  } catch (error) {
    if ((error as { code?: string }).code === UNDEFINED_TABLE) return undefined;
    throw error;
  }
}

/** Writes what made a namespace, for people and for whoever wants to go on with it. */
export async function noteNamespace(url: string, name: string, note: string): Promise<void> {
  await withPool(url, async (pool) => {
    const { rows } = await pool.query("SELECT format('COMMENT ON SCHEMA %I IS %L', $1::text, $2::text) AS statement", [
      namespaceSchema(name),
      note,
    ]);
    await pool.query(rows[0].statement);
  });
}

async function withPool<T>(url: string, work: (pool: Pool) => Promise<T>): Promise<T> {
  const pool = await openPool(url, 'namespaces', 1);
  try {
    return await work(pool);
  } finally {
    await pool.end();
  }
}
