/** What the parts of a pipeline stand on, and how each piece of it is killed. */
import type { Backend } from '../../infra/backend.ts';
import type { KeptServer } from '../../infra/engine.ts';
import type { Part } from './roles.ts';

export interface Outage {
  /** Kills it; resolves once it is back. */
  strike(): Promise<void>;
  /** A part that is killed at the same time, and begins anew while the other is away. */
  with?: Part;
}

export interface Ground {
  backend: Backend;
  /** Event time per wall time of the importer: such that positions move for long enough that kills come meanwhile. */
  speed: number;
  /** How many processes share the tasks, beside one that runs them all. */
  memberCounts: readonly number[];
  /** By the name under which results show it. */
  outages: Readonly<Record<string, Outage>>;
  /** What an operator does where a run stalls after an outage; returns how many transactions had to be ended by hand. */
  mend?(namespace: string, signal: AbortSignal): Promise<number>;
}

/** Everything in the embedded engine, which is started again by whoever keeps it. */
export function embeddedGround(kept: KeptServer): Ground {
  const strike = async () => void process.kill(kept.server().serverPid, 'SIGKILL');
  return { backend: { url: kept.server().url }, speed: 200_000, memberCounts: [], outages: { postgres: { strike } } };
}
