import type { Pool } from '../../streams/postgres.ts';
import { epochMs } from './epoch-ms.ts';

export interface LatestRow {
  pointId: string;
  kind: string;
  startMs: number;
  last: number;
  mean: number;
  quality: number;
  knownAtMs: number;
}

/** The latest five-minute window with readings of each point of a site that has one; of one point where it is named. */
export async function latestValues(pool: Pool, siteId: string, pointId: string | null): Promise<LatestRow[]> {
  const { rows } = await pool.query({
    name: 'latest-values',
    text: `SELECT point_id AS "pointId", kind, ${epochMs('start_at')} AS "startMs", last, mean, quality,
        ${epochMs('known_at')} AS "knownAtMs" FROM point JOIN latest_value USING (point_ref)
      WHERE site_id = $1 AND ($2::text IS NULL OR point_id = $2) ORDER BY point_id`,
    values: [siteId, pointId],
  });
  return rows;
}
