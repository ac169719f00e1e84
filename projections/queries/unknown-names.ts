import type { Pool } from '../../streams/postgres.ts';
import type { Scope } from '../../streams/security/decide.ts';
import { scopeParameters } from './scope.ts';

/** Those sites and pilots of a scope that nobody has declared, in its order. */
export async function unknownNames(pool: Pool, scope: Scope): Promise<{ sites: string[]; pilots: string[] }> {
  const { rows } = await pool.query(
    `SELECT ARRAY (SELECT id FROM unnest($2::text[]) WITH ORDINALITY AS s (id, place)
        WHERE NOT EXISTS (SELECT FROM site WHERE site_id = id) ORDER BY place) AS sites,
      ARRAY (SELECT id FROM unnest($1::text[]) WITH ORDINALITY AS p (id, place)
        WHERE NOT EXISTS (SELECT FROM pilot WHERE pilot_id = id) AND NOT EXISTS (SELECT FROM site WHERE pilot_id = id)
        ORDER BY place) AS pilots`,
    scopeParameters(scope),
  );
  return rows[0];
}
