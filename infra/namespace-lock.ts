/** One pipeline a namespace: a second one is refused while the first holds its session. */
import { IflexError } from '../streams/errors.ts';
import { openClient } from '../streams/postgres.ts';
import { Patience } from '../streams/retry.ts';

export interface NamespaceLock {
  /** Rejects once the lock is lost for good: another process took it while the database was away, or that lasts too long. */
  lost: Promise<never>;
  end(): Promise<void>;
}

/** Takes the lock of a namespace and takes it again where its session breaks. Throws PIPELINE_ALREADY_RUNNING. */
export async function lockNamespace(url: string, namespace: string): Promise<NamespaceLock> {
  const ending = new AbortController();
  const { signal } = ending;
  let session = await takeLock(url, namespace);
  const watch = async (): Promise<void> => {
    const patience = new Patience();
    while (!signal.aborted) {
      if (session.open) await session.ended;
      if (signal.aborted) return;
      try {
        session = await takeLock(url, namespace);
        patience.afterSuccess();
      } catch (error) {
        await patience.afterFailure(error, signal);
      }
    }
  };
  let lose: (error: unknown) => void = () => {};
  const lost = new Promise<never>((_, reject) => {
    lose = reject;
  });
  lost.catch(() => {});
  const watching = watch().catch((error) => lose(error));
  const end = async () => {
    ending.abort();
    await session.close();
    await watching;
    await session.close();
  };
  return { lost, end };
}

/** Whether a pipeline runs on the namespace at this moment. */
export async function isNamespaceLocked(url: string, namespace: string): Promise<boolean> {
  const client = await openClient(url, `look at ${namespace}`);
  try {
    const { rows } = await client.query(
      `SELECT EXISTS (SELECT FROM pg_locks, hashtextextended($1, 0) AS key WHERE locktype = 'advisory' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND objsubid = 1
        AND (classid::bigint << 32 | objid::bigint) = key) AS locked`,
      [lockName(namespace)],
    );
    return rows[0].locked;
  } finally {
    await client.end();
  }
}

const lockName = (namespace: string) => `iflex pipeline ${namespace}`;

interface Session {
  open: boolean;
  ended: Promise<void>;
  close(): Promise<void>;
}

async function takeLock(url: string, namespace: string): Promise<Session> {
  const client = await openClient(url, `pipeline ${namespace}`);
  const session: Session = { open: true, ended: Promise.resolve(), close: () => client.end().catch(() => {}) };
  session.ended = new Promise((resolve) =>
    client.once('end', () => {
      session.open = false;
      resolve();
    }),
  );
  try {
    const { rows } = await client.query('SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS taken', [lockName(namespace)]);
    if (rows[0].taken) return session;
  } catch (error) {
    await session.close();
    throw error;
  }
  await session.close();
  throw new IflexError(
    'PIPELINE_ALREADY_RUNNING',
    `Another process runs the pipeline of the namespace "${namespace}". Stop it first, or use another --namespace.`,
  );
}
