import type { Pool } from '../../streams/postgres.ts';

export interface RegisteredSchema {
  id: number;
  schema: string;
  subject: string;
  version: number;
}

/** Everything that the registry of the engine knows: some dozens of rows. By subject, then version. */
export async function registeredSchemas(pool: Pool): Promise<RegisteredSchema[]> {
  const { rows } = await pool.query({
    name: 'registered-schemas',
    text: `SELECT id, schema, subject, version FROM iflex_registry.schema JOIN iflex_registry.subject ON schema_id = id
      ORDER BY subject COLLATE "C", version`,
  });
  return rows;
}
