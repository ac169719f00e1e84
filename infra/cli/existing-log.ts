/** What commands that look at a log have in common: they never make a namespace by a misspelt name. */
import type { Codec } from '../../schemas/codec.ts';
import { IflexError } from '../../streams/errors.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { type Backend, findNamespace, openCodec, openLog } from '../backend.ts';
import { openEngine } from '../engine.ts';

export const DEFAULT_NAMESPACE = 'main';

export interface ExistingLog {
  backend: Backend;
  log: EventLog;
  codec: Codec;
}

export async function withEngine<T>(work: (backend: Backend) => Promise<T>): Promise<T> {
  const engine = await openEngine();
  try {
    return await work(engine);
  } finally {
    await engine.stop();
  }
}

/** Opens the log of a namespace that exists; throws NOT_FOUND with the names that there are. */
export async function withExistingLog<T>(backend: Backend, namespace: string, work: (existing: ExistingLog) => Promise<T>): Promise<T> {
  await findNamespace(backend, namespace);
  const log = await openLog(backend, namespace);
  try {
    return await work({ backend, log, codec: await openCodec(backend, namespace) });
  } finally {
    await log.close();
  }
}

/** UTC epoch ms of an ISO 8601 time with its zone, or of a day (its beginning in UTC). */
export function instantOf(text: string, option: string): number {
  const timeMs = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(timeMs))
    throw new IflexError(
      'CONFIG_INVALID',
      `${option} ${text} is not a time. Write a day in UTC (2026-03-29) or a time with its zone (2026-03-29T01:00+02:00).`,
    );
  return timeMs;
}

/** Ctrl-C comes several times at once: from the terminal, from npm and from the launcher, which each pass it on. */
const SAME_INTERRUPT_MS = 1_000;

/**
 * Aborts at the first interrupt, termination, or end of the terminal, so that a command can end what it does; a further
 * one, a while later, ends it at once.
 */
export function untilInterrupted(): AbortController {
  const interrupted = new AbortController();
  let firstMs = Number.POSITIVE_INFINITY;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => {
      const nowMs = performance.now();
      if (nowMs - firstMs > SAME_INTERRUPT_MS) process.exit(130);
      firstMs = Math.min(firstMs, nowMs);
      interrupted.abort();
    });
  return interrupted;
}
