/** The one importer of `pg`: connections, binary results, transactions, and what its errors mean. */
import pg from 'pg';
import { IflexError } from './errors.ts';
import { readBinaryRows } from './postgres-rows.ts';
import { isConnectionLost } from './retry.ts';

export type Client = pg.PoolClient;
export type Pool = pg.Pool;

const BYTEA = 17;
const INT8 = 20;
const INT4 = 23;

/** Numbers from int8 (ours stay below 2^53) and raw bytes from bytea, in text and binary results. */
const types = {
  getTypeParser(oid: number, format?: 'text' | 'binary'): (value: never) => unknown {
    if (oid === BYTEA && format === 'binary') return (value: Buffer) => value;
    if (oid === INT4 && format === 'binary') return (value: Buffer) => value.readInt32BE(0);
    if (oid === INT8) return format === 'binary' ? (value: Buffer) => Number(value.readBigInt64BE(0)) : (value: string) => Number(value);
    return pg.types.getTypeParser(oid, format as 'text') as (value: never) => unknown;
  },
};

class BinaryClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    readBinaryRows(this);
    // Without a listener, a connection that breaks between two statements of a transaction would end the process.
    this.on('error', () => {});
  }
}

/** So long the other side may say nothing before we ask whether it is still there. */
const KEEPALIVE = { keepAlive: true, keepAliveInitialDelayMillis: 5_000 };
/** A machine that lost its power says nothing: the server lets its locks go after 20 s, not after hours. */
const NOTICE_DEATH =
  'SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 20000';

/** Opens a pool and proves that the server answers; throws DATABASE_UNREACHABLE with what to do. */
export async function openPool(url: string, name: string, max = 8): Promise<Pool> {
  const pool = new pg.Pool({
    connectionString: url,
    Client: BinaryClient,
    max,
    application_name: `iflex ${name}`,
    types,
    idleTimeoutMillis: 30_000,
    ...KEEPALIVE,
    onConnect: async (client) => void (await client.query(NOTICE_DEATH)),
  });
  pool.on('error', () => {}); // an idle connection died; the next query gets a new one or the error
  try {
    await pool.query('SELECT 1');
  } catch (error) {
    await pool.end().catch(() => {});
    throw unreachable(error);
  }
  return pool;
}

/** A connection of its own, outside of the pool (LISTEN, advisory locks). */
export async function openClient(url: string, name: string): Promise<pg.Client> {
  const client = new BinaryClient({ connectionString: url, application_name: `iflex ${name}`, types, ...KEEPALIVE });
  await client.connect();
  await client.query(NOTICE_DEATH);
  return client;
}

function unreachable(error: unknown): IflexError {
  const reason = (error as Error).message || (error as { code?: string }).code;
  return new IflexError(
    'DATABASE_UNREACHABLE',
    `PostgreSQL does not answer: ${reason}. Check DATABASE_URL and that the server runs.`,
    {},
    error,
  );
}

/**
 * Gives an error that says that the connection broke the code DATABASE_UNREACHABLE; whether a change was made is not
 * known then. Other errors stay.
 */
export function databaseError(error: unknown): unknown {
  return error instanceof IflexError || !isConnectionLost(error) ? error : unreachable(error);
}

/** The result of work on the database, its errors with their codes. */
export async function reached<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw databaseError(error);
  }
}

/** Runs `work` in one transaction; rolls back where it throws, and drops a connection that cannot roll back. */
export async function inTransaction<T>(pool: Pool, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('BEGIN');
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch((failure: Error) => {
      broken = failure;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

/** A query whose result comes in binary: no hex for bytea. */
export function binary(text: string, values: unknown[], name?: string): pg.QueryConfig {
  return { text, values, name, binary: true, queryMode: 'extended' } as pg.QueryConfig;
}

/** A name that may stand in SQL as an identifier. */
export function identifier(name: string): string {
  if (!/^[a-z][a-z0-9_]{0,40}$/.test(name))
    throw new IflexError('CONFIG_INVALID', `"${name}" cannot name a namespace: use lower-case letters, digits and _, at most 41 of them.`);
  return name;
}

/** Whether a statement failed because a key is there already. */
export function violatesUniqueness(error: unknown): boolean {
  return (error as { code?: unknown }).code === '23505';
}

/** Whether a statement failed because of the values given to it (SQLSTATE classes 21, 22 and 23), not for want of the server. */
export function isAboutData(error: unknown): boolean {
  return /^2[123][0-9A-Z]{3}$/.test(String((error as { code?: unknown }).code));
}
