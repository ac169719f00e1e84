/** Declared sites and their points, and pilots, as they are now. */
import type { PilotDeclared, SiteDeclared } from '../schemas/types.ts';
import { readSql } from './migrations.ts';
import type { Projection } from './projection.ts';

export const sitesProjection: Projection = {
  name: 'sites',
  version: 1,
  sql: readSql('sites.v1.sql'),
  topics: ['sites.latest'],
  tables: ['site', 'point'],
  async apply(client, table, events, refs) {
    const latest = new Map<string, SiteDeclared>();
    for (const { value } of events) latest.set((value as SiteDeclared).siteId, value as SiteDeclared);
    const rows = await refs.during((refOf) =>
      [...latest.values()].map((site) => ({ site, pointRefs: site.points.map(({ pointId }) => refOf(site.siteId, pointId)) })),
    );
    for (const { site, pointRefs } of rows) {
      await client.query(
        `INSERT INTO ${table('site')} VALUES ($1, $2, $3, $4, $5, to_timestamp($6 / 1000.0)) ON CONFLICT (site_id) DO UPDATE SET pilot_id = excluded.pilot_id, time_zone = excluded.time_zone, kind = excluded.kind, origin = excluded.origin, known_at = excluded.known_at`,
        [site.siteId, site.pilotId, site.timeZone, site.kind, site.origin, site.knownAtMs],
      );
      await client.query(`DELETE FROM ${table('point')} WHERE site_id = $1`, [site.siteId]);
      const { points } = site;
      await client.query(
        `INSERT INTO ${table('point')} SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::boolean[])
         ON CONFLICT DO NOTHING`,
        [
          pointRefs,
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

export const pilotsProjection: Projection = {
  name: 'pilots',
  version: 1,
  sql: readSql('pilots.v1.sql'),
  topics: ['configuration'],
  tables: ['pilot'],
  async apply(client, table, events) {
    for (const { value } of events) {
      const pilot = value as PilotDeclared;
      await client.query(
        `INSERT INTO ${table('pilot')} VALUES ($1, $2, $3, $4, $5, $6, to_timestamp($7 / 1000.0)) ON CONFLICT (pilot_id) DO UPDATE SET name = excluded.name, country = excluded.country, time_zone = excluded.time_zone, language = excluded.language, bid_zone = excluded.bid_zone, known_at = excluded.known_at`,
        [pilot.pilotId, pilot.name, pilot.country, pilot.timeZone, pilot.language, pilot.bidZone, pilot.knownAtMs],
      );
    }
  },
};
