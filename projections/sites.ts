/** Declared sites and their points, as they are now. */
import type { SiteDeclared } from '../schemas/types.ts';
import type { Projection } from './projection.ts';

export const sitesProjection: Projection = {
  name: 'sites',
  version: 1,
  topics: ['sites.latest'],
  tables: ['site', 'point'],
  create: (table) => `
      CREATE TABLE ${table('site')} (site_id text COLLATE "C" PRIMARY KEY, pilot_id text NOT NULL, time_zone text NOT NULL, kind text NOT NULL, origin text NOT NULL, known_at timestamptz NOT NULL);
      CREATE TABLE ${table('point')} (point_ref int PRIMARY KEY, site_id text COLLATE "C" NOT NULL, point_id text COLLATE "C" NOT NULL, name text NOT NULL, kind text NOT NULL, carrier text NOT NULL, interval_ms int NOT NULL, forecast boolean NOT NULL, UNIQUE (site_id, point_id));`,
  async apply(client, table, events, refs) {
    const latest = new Map(events.map(({ value }) => [(value as SiteDeclared).siteId, value as SiteDeclared]));
    const sites = [...latest.values()];
    const refOf = await refs.resolve(sites.flatMap((site) => site.points.map((point) => [site.siteId, point.pointId] as [string, string])));
    for (const site of sites) {
      await client.query(
        `INSERT INTO ${table('site')} VALUES ($1, $2, $3, $4, $5, to_timestamp($6 / 1000.0)) ON CONFLICT (site_id) DO UPDATE SET pilot_id = excluded.pilot_id, time_zone = excluded.time_zone, kind = excluded.kind, origin = excluded.origin, known_at = excluded.known_at`,
        [site.siteId, site.pilotId, site.timeZone, site.kind, site.origin, site.knownAtMs],
      );
      await client.query(`DELETE FROM ${table('point')} WHERE site_id = $1`, [site.siteId]);
      const { points } = site;
      await client.query(
        `INSERT INTO ${table('point')} SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::boolean[])`,
        [
          points.map((p) => refOf(site.siteId, p.pointId)),
          points.map(() => site.siteId),
          points.map((p) => p.pointId),
          points.map((p) => p.name),
          points.map((p) => p.kind),
          points.map((p) => p.carrier),
          points.map((p) => p.intervalMs),
          points.map((p) => p.forecast),
        ],
      );
    }
  },
};
