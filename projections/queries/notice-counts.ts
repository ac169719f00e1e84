import type { Pool } from '../../streams/postgres.ts';

/** Notices by kind, and how often what they tell of happened (a notice of doubles counts several). */
export async function noticeCounts(pool: Pool): Promise<{ kind: string; notices: number; count: number }[]> {
  const { rows } = await pool.query(
    'SELECT kind, count(*) AS notices, sum(notice_count)::bigint AS count FROM notice GROUP BY kind ORDER BY kind',
  );
  return rows;
}
