import type { Pool } from '../../streams/postgres.ts';

/** Forecasts issued, and the slots that they cover in all. */
export async function forecastTotals(pool: Pool): Promise<{ issues: number; slots: number }> {
  const { rows } = await pool.query('SELECT count(DISTINCT (point_ref, issued_at)) AS issues, count(*) AS slots FROM forecast');
  return rows[0];
}
