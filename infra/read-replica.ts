/** A read-only copy of the database for the API's questions: `DATABASE_READ_URL`, where it is set. */
import { openReadPool } from '../projections/queries/read-pool.ts';
import { IflexError } from '../streams/errors.ts';
import type { Pool } from '../streams/postgres.ts';
import { namespaceSchema } from '../streams/postgres-log.ts';
import { databaseUrl } from './engine.ts';

/** The address in the environment; undefined: none. Throws CONFIG_INVALID for what is no address. */
export function readReplicaUrl(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const given = env.DATABASE_READ_URL;
  if (!given) return undefined;
  databaseUrl(given, 'DATABASE_READ_URL');
  return given;
}

/**
 * Connections to the replica. Throws DATABASE_UNREACHABLE where it does not answer, CONFIG_INVALID where it does not hold
 * the namespace: nobody is served from elsewhere than was asked for.
 */
export async function openReplicaPool(url: string, namespace: string): Promise<Pool> {
  const pool = await openReadPool(url, namespace).catch((error: IflexError) => {
    throw new IflexError(
      'DATABASE_UNREACHABLE',
      `The replica for reading does not answer. Check DATABASE_READ_URL. ${error.message}`,
      {},
      error,
    );
  });
  const { rows } = await pool.query('SELECT to_regclass($1) IS NOT NULL AS there', [`${namespaceSchema(namespace)}.projection_build`]);
  if (rows[0].there) return pool;
  await pool.end();
  throw new IflexError(
    'CONFIG_INVALID',
    `The database of DATABASE_READ_URL does not hold the projections of "${namespace}". Is it a replica of the one of DATABASE_URL?`,
  );
}
