import type { Pool } from '../../streams/postgres.ts';
import { SERIES_TABLES } from '../series.ts';

export interface SeriesTotal {
  width: keyof typeof SERIES_TABLES;
  /** Current windows of all points. */
  rows: number;
  /** Of these, with nothing measured or estimated in them. */
  missing: number;
  /** Of these, emitted more than once. */
  revised: number;
  /** Readings that start in them. */
  readings: number;
}

/** How many windows there are at each width, the narrowest first. */
export async function seriesTotals(pool: Pool): Promise<SeriesTotal[]> {
  const perWidth = Object.entries(SERIES_TABLES).map(
    ([width, table], place) =>
      `SELECT ${place} AS place, '${width}' AS width, count(*) AS rows, count(*) FILTER (WHERE covered_ms = 0) AS missing, count(*) FILTER (WHERE revision > 0) AS revised,
        coalesce(sum(reading_count), 0)::bigint AS readings FROM ${table}`,
  );
  const { rows } = await pool.query(
    `SELECT width, rows, missing, revised, readings FROM (${perWidth.join(' UNION ALL ')}) AS totals ORDER BY place`,
  );
  return rows;
}
