import type { Pool } from '../../streams/postgres.ts';
import type { Scope } from '../../streams/security/decide.ts';
import { type Place, REJECTED_COLUMNS, type RejectedRow } from './rejected-events.ts';
import { scopeParameters, withinScope } from './scope.ts';

/** One rejected event with the first bytes of what was rejected; null where there is none within the scope. */
export async function findRejected(pool: Pool, scope: Scope, at: Place): Promise<(RejectedRow & { bytes: Buffer }) | null> {
  const { rows } = await pool.query(
    `SELECT ${REJECTED_COLUMNS}, bytes FROM rejected WHERE ${withinScope('rejected', 1)} AND topic_partition = $3 AND topic_offset = $4`,
    [...scopeParameters(scope), at.partition, at.offset],
  );
  return rows[0] ?? null;
}
