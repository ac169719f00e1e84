/** Tables of an empty build while they are loaded: without indexes, as these take less time once all rows are there. */
import { type Client, inTransaction, type Pool } from '../streams/postgres.ts';
import type { Projection, Table } from './projection.ts';

/** By table (of a build), the statements that bring its indexes back. */
export type IndexesTaken = ReadonlyMap<string, readonly string[]>;

/** Takes the indexes off empty tables, within the caller's transaction. */
export async function takeIndexesOff(client: Client, tables: readonly string[]): Promise<IndexesTaken> {
  const statements = new Map<string, string[]>();
  for (const table of tables) {
    const { rows } = await client.query(
      `SELECT i.indexrelid::regclass::text AS index, quote_ident(c.conname) AS key, pg_get_constraintdef(c.oid) AS definition, pg_get_indexdef(i.indexrelid) AS statement
       FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype = 'p' WHERE i.indrelid = $1::regclass ORDER BY i.indexrelid`,
      [table],
    );
    const back: string[] = [];
    for (const { index, key, definition, statement } of rows as {
      index: string;
      key: string | null;
      definition: string;
      statement: string;
    }[]) {
      await client.query(key === null ? `DROP INDEX ${index}` : `ALTER TABLE ${table} DROP CONSTRAINT ${key}`);
      back.push(key === null ? statement : `ALTER TABLE ${table} ADD CONSTRAINT ${key} ${definition}`);
    }
    statements.set(table, back);
  }
  return statements;
}

/** What is to be done with the tables of topics (one of unitsOf) once their rows are there. Throws where a key is not unique. */
export async function finishTables(
  pool: Pool,
  { load }: Projection,
  table: Table,
  topics: readonly string[],
  indexes: IndexesTaken,
): Promise<void> {
  await sideBySide(pool, [topics], async (client) => load?.beforeIndexes?.(client, table, topics));
  await sideBySide(pool, load?.indexLater(topics).map(table) ?? [], async (client, name) => {
    for (const statement of indexes.get(name) ?? []) await client.query(statement);
  });
}

/** What is to be done with a build once all its tables are finished. */
export async function finishLoad(pool: Pool, { load }: Projection, table: Table): Promise<void> {
  await sideBySide(pool, [table], async (client) => load?.afterIndexes?.(client, table));
}

/** Each in a transaction of its own. The commit that makes the build current makes them durable. */
async function sideBySide<T>(pool: Pool, parts: readonly T[], work: (client: Client, part: T) => Promise<void>): Promise<void> {
  const all = parts.map((part) =>
    inTransaction(pool, async (client) => {
      await client.query('SET LOCAL synchronous_commit = off');
      await work(client, part);
    }),
  );
  await Promise.allSettled(all);
  await Promise.all(all);
}
