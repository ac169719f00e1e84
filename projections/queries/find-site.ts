import type { Pool } from '../../streams/postgres.ts';
import { epochMs } from './epoch-ms.ts';

export interface SiteRow {
  siteId: string;
  pilotId: string;
  timeZone: string;
  kind: string;
  origin: string;
  knownAtMs: number;
}

export const SITE_COLUMNS = `site_id AS "siteId", pilot_id AS "pilotId", time_zone AS "timeZone", kind, origin,
  ${epochMs('known_at')} AS "knownAtMs"`;

/** One site, whoever asks: the caller decides whether it may be shown. */
export async function findSite(pool: Pool, siteId: string): Promise<SiteRow | null> {
  const { rows } = await pool.query({
    name: 'find-site',
    text: `SELECT ${SITE_COLUMNS} FROM site WHERE site_id = $1`,
    values: [siteId],
  });
  return (rows[0] as SiteRow) ?? null;
}
