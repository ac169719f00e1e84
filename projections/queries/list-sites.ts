import type { Pool } from '../../streams/postgres.ts';
import type { Scope } from '../../streams/security/decide.ts';
import { SITE_COLUMNS, type SiteRow } from './find-site.ts';
import { scopeParameters, withinScope } from './scope.ts';

/** Sites within the scope, by id, after the given one. */
export async function listSites(
  pool: Pool,
  ask: { scope: Scope; pilotId: string | null; afterSiteId: string | null; limit: number },
): Promise<SiteRow[]> {
  const { rows } = await pool.query({
    name: 'list-sites',
    text: `SELECT ${SITE_COLUMNS} FROM site
      WHERE ${withinScope('site', 1)} AND ($3::text IS NULL OR pilot_id = $3) AND ($4::text IS NULL OR site_id > $4 COLLATE "C")
      ORDER BY site_id LIMIT $5`,
    values: [...scopeParameters(ask.scope), ask.pilotId, ask.afterSiteId, ask.limit],
  });
  return rows;
}
