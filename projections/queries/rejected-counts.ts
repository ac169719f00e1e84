import type { Pool } from '../../streams/postgres.ts';

/** Rejected events and readings by code. */
export async function rejectedCounts(pool: Pool): Promise<{ code: string; events: number; readings: number }[]> {
  const { rows } = await pool.query(
    'SELECT code, count(*) AS events, sum(reading_count)::bigint AS readings FROM rejected GROUP BY code ORDER BY code',
  );
  return rows;
}
