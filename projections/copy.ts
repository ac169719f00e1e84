import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import type { Client } from '../streams/postgres.ts';
import type { BinaryRows } from './binary-rows.ts';

/** Loads rows into a table within the client's transaction, and lets go of them; where that fails, they are still there. */
export async function copyRows(client: Client, table: string, columns: readonly string[], rows: BinaryRows): Promise<void> {
  if (rows.rowCount === 0) return;
  const bytes = rows.finish();
  const stream = client.query(copyFrom(`COPY ${table} (${columns.join(', ')}) FROM STDIN (FORMAT binary)`));
  await pipeline(Readable.from([bytes]), stream);
  rows.release();
}
