/** Connections for questions: read-only, and no statement outlives its time. */
import { API_STATEMENT_TIMEOUT_MS } from '../../streams/limits.ts';
import { openPool, type Pool } from '../../streams/postgres.ts';
import { namespaceSchema } from '../../streams/postgres-log.ts';

export async function openReadPool(url: string, namespace: string, statementTimeoutMs = API_STATEMENT_TIMEOUT_MS): Promise<Pool> {
  const settings = {
    search_path: namespaceSchema(namespace),
    statement_timeout: String(statementTimeoutMs),
    default_transaction_read_only: 'on',
    TimeZone: 'UTC',
  };
  const read = new URL(url);
  read.searchParams.set(
    'options',
    Object.entries(settings)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(' '),
  );
  return openPool(read.toString(), `read ${namespace}`);
}
