/** What a subject may see, as conditions of a statement: the same rule as `decide` for a single site. */
import type { Scope } from '../../streams/security/decide.ts';

/**
 * A condition on the `site_id` of a table for parameters $n (pilots) and $n+1 (sites), both text[] or null. What belongs
 * to no known site is seen without restrictions only.
 */
export function withinScope(table: string, pilotsParameter: number): string {
  // With the table's name, as inside of the subquery a bare site_id would be its own.
  const siteId = `${table}.site_id`;
  const [pilots, sites] = [`$${pilotsParameter}::text[]`, `$${pilotsParameter + 1}::text[]`];
  return `(${sites} IS NULL OR ${siteId} = ANY (${sites}))
    AND (${pilots} IS NULL OR EXISTS (SELECT FROM site AS scope WHERE scope.site_id = ${siteId} AND scope.pilot_id = ANY (${pilots})))`;
}

export const scopeParameters = ({ pilots, sites }: Scope): [readonly string[] | null, readonly string[] | null] => [pilots, sites];
