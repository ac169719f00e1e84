/** Small numbers for points: rows carry four bytes instead of two pseudonyms. The registry only ever grows. */
import type { Pool } from '../streams/postgres.ts';

/** The number of a point of a site. */
export type RefOf = (siteId: string, pointId: string) => number;

/** Known numbers, by site and point. Numbers are committed by themselves, so that a rolled-back batch cannot leave a wrong one here. */
export class PointRefs {
  private readonly known = new Map<string, Map<string, number>>();
  private readonly pool: Pool;
  constructor(pool: Pool) {
    this.pool = pool;
  }

  /** Runs a synchronous pass that asks for numbers; where some were not known, gets them and runs it once more. */
  async during<T>(pass: (refOf: RefOf) => T): Promise<T> {
    for (;;) {
      const missing = new Map<string, [string, string]>();
      const result = pass((siteId, pointId) => {
        const ref = this.known.get(siteId)?.get(pointId);
        if (ref === undefined) missing.set(JSON.stringify([siteId, pointId]), [siteId, pointId]);
        return ref ?? 0;
      });
      if (missing.size === 0) return result;
      await this.learn([...missing.values()]);
    }
  }

  /** Learns all numbers that there are, so that a pass over a whole log need not be run twice. */
  async learnAll(): Promise<void> {
    const { rows } = await this.pool.query('SELECT * FROM point_ref');
    this.keep(rows);
  }

  private async learn(pairs: [string, string][]): Promise<void> {
    const sites = pairs.map(([siteId]) => siteId);
    const points = pairs.map(([, pointId]) => pointId);
    await this.pool.query(
      'INSERT INTO point_ref (site_id, point_id) SELECT * FROM unnest($1::text[], $2::text[]) ORDER BY 1, 2 ON CONFLICT DO NOTHING',
      [sites, points],
    );
    const { rows } = await this.pool.query(
      'SELECT r.* FROM point_ref r JOIN unnest($1::text[], $2::text[]) AS g (s, p) ON r.site_id = g.s AND r.point_id = g.p',
      [sites, points],
    );
    this.keep(rows);
  }

  private keep(rows: readonly { point_ref: number; site_id: string; point_id: string }[]): void {
    for (const row of rows) {
      let ofSite = this.known.get(row.site_id);
      if (!ofSite) this.known.set(row.site_id, (ofSite = new Map()));
      ofSite.set(row.point_id, row.point_ref);
    }
  }
}
