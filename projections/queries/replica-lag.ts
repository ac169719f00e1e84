import type { Pool } from '../../streams/postgres.ts';

/**
 * How long a standby has not applied what it received (ms): 0 where it has applied all, null where it receives nothing, so
 * that nobody can tell. A server that is no standby is 0 behind itself.
 */
export async function replicaLagMs(pool: Pool): Promise<number | null> {
  const { rows } = await pool.query(`
    SELECT CASE
      WHEN NOT pg_is_in_recovery() THEN 0
      WHEN NOT EXISTS (SELECT FROM pg_stat_wal_receiver) THEN NULL
      WHEN pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn() THEN 0
      ELSE greatest(0, extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000) END::float8 AS lag_ms`);
  const lagMs = rows[0].lag_ms as number | null;
  return lagMs === null ? null : Math.round(lagMs);
}
