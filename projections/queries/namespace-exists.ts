import type { Pool } from '../../streams/postgres.ts';

/** Whether the namespace that the pool reads holds a log. */
export async function namespaceExists(pool: Pool): Promise<boolean> {
  const { rows } = await pool.query("SELECT to_regclass('log_partition') IS NOT NULL AS made");
  return rows[0].made;
}
