/** Tables of an empty build while they are loaded: without indexes, as these take less time once all rows are there. */
import { type Client, inTransaction, type Pool } from '../streams/postgres.ts';
import { unitsOf } from './project.ts';
import type { Projection, Table } from './projection.ts';

/** Takes the indexes off empty tables, within the caller's transaction; returns by table the statements that bring them back. */
export async function takeIndexesOff(client: Client, tables: readonly string[]): Promise<string[][]> {
  const statements: string[][] = [];
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
    statements.push(back);
  }
  return statements;
}

/** What is to be done once all rows are there, `indexes` by table. Throws where a key is not unique. */
export async function finishLoad(pool: Pool, projection: Projection, table: Table, indexes: readonly (readonly string[])[]): Promise<void> {
  const { load } = projection;
  await sideBySide(pool, unitsOf(projection), async (client, topics) => load?.beforeIndexes?.(client, table, topics));
  await sideBySide(pool, indexes, async (client, statements) => {
    for (const statement of statements) await client.query(statement);
  });
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
