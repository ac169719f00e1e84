import type { Pool } from '../../streams/postgres.ts';

export interface PointRow {
  pointRef: number;
  siteId: string;
  pointId: string;
  name: string;
  kind: string;
  carrier: string;
  intervalMs: number;
  forecast: boolean;
}

/** Points of a site by id; all of them (bounded by MAX_POINTS_PER_SITE), or the one that is named. */
export async function sitePoints(pool: Pool, siteId: string, pointId: string | null): Promise<PointRow[]> {
  const { rows } = await pool.query({
    name: 'site-points',
    text: `SELECT point_ref AS "pointRef", site_id AS "siteId", point_id AS "pointId", name, kind, carrier, interval_ms AS "intervalMs",
        forecast FROM point WHERE site_id = $1 AND ($2::text IS NULL OR point_id = $2) ORDER BY point_id`,
    values: [siteId, pointId],
  });
  return rows;
}
