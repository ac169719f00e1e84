/**
 * Locks of a namespace, held by sessions of the database. A pipeline that runs whole excludes every other process; those
 * that share the work let each other in, and each part that only one may do has a lock of its own, for which the others wait.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { IflexError } from '../streams/errors.ts';
import { STANDBY_LOOK_MS } from '../streams/limits.ts';
import { openClient } from '../streams/postgres.ts';
import { linked, Patience } from '../streams/retry.ts';

export interface NamespaceLock {
  /** Rejects once the lock is lost for good: another process took it while the database was away, or that lasts too long. */
  lost: Promise<never>;
  end(): Promise<void>;
}

export interface NamespaceLockOptions {
  /** Whether others that share are let in too. */
  isShared?: boolean;
}

/** Takes the lock of a namespace and takes it again where its session breaks. Throws PIPELINE_ALREADY_RUNNING. */
export async function lockNamespace(
  url: string,
  namespace: string,
  { isShared = false }: NamespaceLockOptions = {},
): Promise<NamespaceLock> {
  const ending = new AbortController();
  const { signal } = ending;
  let session = await takeLock(url, namespace, isShared);
  const watch = async (): Promise<void> => {
    const patience = new Patience();
    while (!signal.aborted) {
      if (session.open) await session.ended;
      if (signal.aborted) return;
      try {
        session = await takeLock(url, namespace, isShared);
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
      [pipelineLock(namespace)],
    );
    return rows[0].locked;
  } finally {
    await client.end();
  }
}

const pipelineLock = (namespace: string) => `iflex pipeline ${namespace}`;

interface Session {
  open: boolean;
  ended: Promise<void>;
  /** Whether the lock is this session's now. */
  take(lockName: string, isShared: boolean): Promise<boolean>;
  close(): Promise<void>;
}

async function openSession(url: string, name: string): Promise<Session> {
  const client = await openClient(url, name);
  const session: Session = {
    open: true,
    ended: Promise.resolve(),
    async take(lockName, isShared) {
      const take = isShared ? 'pg_try_advisory_lock_shared' : 'pg_try_advisory_lock';
      const { rows } = await client.query(`SELECT ${take}(hashtextextended($1, 0)) AS taken`, [lockName]);
      return rows[0].taken;
    },
    close: () => client.end().catch(() => {}),
  };
  session.ended = new Promise((resolve) =>
    client.once('end', () => {
      session.open = false;
      resolve();
    }),
  );
  return session;
}

async function takeLock(url: string, namespace: string, isShared: boolean): Promise<Session> {
  const session = await openSession(url, `pipeline ${namespace}`);
  try {
    if (await session.take(pipelineLock(namespace), isShared)) return session;
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

export interface PartLock {
  url: string;
  namespace: string;
  /** What only one process may do at a time. */
  part: string;
  signal: AbortSignal;
  /** Is told when this process begins to wait for another one, and when it has the part. */
  tell: (line: string) => void;
}

/**
 * Does the work while no other process does; until then it waits. Where the lock is lost, the work is ended and waits for
 * it again. Returns once the work has ended by itself, or after the signal.
 */
export async function whileLocked(lock: PartLock, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const patience = new Patience();
  while (!lock.signal.aborted)
    try {
      if (await lockAndWork(lock, work, () => patience.afterSuccess())) return;
    } catch (error) {
      // Another process has the part: this one's session had broken, and nobody told it yet.
      if ((error as IflexError).code === 'PIPELINE_ALREADY_RUNNING') await look(lock.signal);
      else await patience.afterFailure(error, lock.signal);
    }
}

/** False where the lock was lost. */
async function lockAndWork(
  { url, namespace, part, signal, tell }: PartLock,
  work: (signal: AbortSignal) => Promise<void>,
  onAnswer: () => void,
): Promise<boolean> {
  const session = await openSession(url, `${part} ${namespace}`);
  try {
    const take = async () => {
      const isTaken = await session.take(`iflex ${part} ${namespace}`, false);
      onAnswer();
      return isTaken;
    };
    for (let waits = 0; !(await take()); waits++) {
      if (waits === 0) tell(`Another process has the ${part} of "${namespace}"; this one waits to take over.`);
      await look(signal);
      if (signal.aborted) return true;
    }
    tell(`This process has the ${part} of "${namespace}" now.`);
    const ending = linked(signal);
    void session.ended.then(() => ending.abort());
    await work(ending.signal);
    return signal.aborted || session.open;
  } finally {
    await session.close();
  }
}

async function look(signal: AbortSignal): Promise<void> {
  await pause(STANDBY_LOOK_MS, undefined, { signal }).catch(() => {});
}

/** Does something while no other process does the like; these wait for each other. */
export async function oneAtATime<T>(url: string, name: string, work: () => Promise<T>): Promise<T> {
  const client = await openClient(url, name);
  try {
    await client.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [`iflex ${name}`]);
    return await work();
  } finally {
    await client.end().catch(() => {});
  }
}
