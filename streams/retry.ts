/** Going on after the database went away for a while: it was restarted, it crashed, or the network broke. */
import { setTimeout as pause } from 'node:timers/promises';
import { IflexError } from './errors.ts';
import { RECONNECT_WITHIN_MS } from './limits.ts';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;
/**
 * Of Node's sockets and names; and of PostgreSQL: connections refused or ended by a server that starts, stops or has crashed,
 * or that is still a standby (25006), as where an address moves to it a moment before it is promoted.
 */
const CODES = /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|57P0[123]|08\w{3}|53300|25006)$/;
const MESSAGES = /Connection terminated|connection timeout|timeout exceeded when trying to connect|not queryable|Client was closed/i;

const UNREACHABLE: ReadonlySet<string> = new Set(['DATABASE_UNREACHABLE', 'KAFKA_UNREACHABLE', 'REGISTRY_UNREACHABLE']);

/** Whether an error says that the connection is lost, so that the same work may succeed once the database is back. */
export function isConnectionLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof IflexError && UNREACHABLE.has(error.code)) return true;
  if (CODES.test(String((error as { code?: unknown }).code)) || MESSAGES.test(error.message)) return true;
  return error.cause !== undefined && isConnectionLost(error.cause);
}

/** Counts how long the connection has been lost, and waits ever longer between attempts. */
export class Patience {
  private since = Number.NaN;
  private pauseMs = FIRST_PAUSE_MS;
  private readonly withinMs: number;

  constructor(withinMs = RECONNECT_WITHIN_MS) {
    this.withinMs = withinMs;
  }

  /** Waits before the next attempt; throws what is no loss of connection, and the loss that lasts too long. */
  async afterFailure(error: unknown, signal?: AbortSignal): Promise<void> {
    if (!isConnectionLost(error)) throw error;
    if (Number.isNaN(this.since)) this.since = performance.now();
    if (performance.now() - this.since > this.withinMs) throw error;
    await pause(this.pauseMs, undefined, { signal }).catch(() => {});
    this.pauseMs = Math.min(LONGEST_PAUSE_MS, this.pauseMs * 1.5);
  }

  afterSuccess(): void {
    this.since = Number.NaN;
    this.pauseMs = FIRST_PAUSE_MS;
  }
}

/** What went on for so long before the connection was lost had not been waiting for it. */
const STEADY_MS = 60_000;

/** Runs `work`, which goes on until the signal, anew whenever the connection was lost. */
export async function keepGoing(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  const patience = new Patience();
  while (!signal.aborted) {
    const startedMs = performance.now();
    try {
      return await work();
    } catch (error) {
      if (performance.now() - startedMs > STEADY_MS) patience.afterSuccess();
      await patience.afterFailure(error, signal);
    }
  }
}

/** A controller that is aborted with the signal, and may be alone; then the signal, which may outlive many, forgets it. */
export function linked(signal: AbortSignal): AbortController {
  const controller = new AbortController();
  if (signal.aborted) controller.abort();
  else signal.addEventListener('abort', () => controller.abort(), { once: true, signal: controller.signal });
  return controller;
}
