/** Small numbers for points: rows carry four bytes instead of two pseudonyms. The registry only ever grows. */
import type { Pool } from '../streams/postgres.ts';

export const POINT_REF_TABLE = `CREATE TABLE IF NOT EXISTS point_ref (
  point_ref int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, site_id text COLLATE "C" NOT NULL, point_id text COLLATE "C" NOT NULL, UNIQUE (site_id, point_id))`;

/** Known numbers, by "site\0point". Numbers are committed by themselves, so that a rolled-back batch cannot leave a wrong one here. */
export class PointRefs {
  private readonly known = new Map<string, number>();
  private readonly pool: Pool;
  constructor(pool: Pool) {
    this.pool = pool;
  }

  /** Makes sure that all pairs of site and point have a number, and returns the look-up. */
  async resolve(pairs: Iterable<[string, string]>): Promise<(siteId: string, pointId: string) => number> {
    const missing = new Map<string, [string, string]>();
    for (const [siteId, pointId] of pairs) {
      const name = `${siteId}\0${pointId}`;
      if (!this.known.has(name)) missing.set(name, [siteId, pointId]);
    }
    if (missing.size > 0) {
      const sites = [...missing.values()].map(([siteId]) => siteId);
      const points = [...missing.values()].map(([, pointId]) => pointId);
      await this.pool.query(
        'INSERT INTO point_ref (site_id, point_id) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING',
        [sites, points],
      );
      const { rows } = await this.pool.query(
        'SELECT r.* FROM point_ref r JOIN unnest($1::text[], $2::text[]) AS g (s, p) ON r.site_id = g.s AND r.point_id = g.p',
        [sites, points],
      );
      for (const row of rows as { point_ref: number; site_id: string; point_id: string }[])
        this.known.set(`${row.site_id}\0${row.point_id}`, row.point_ref);
    }
    return (siteId, pointId) => this.known.get(`${siteId}\0${pointId}`)!;
  }
}
