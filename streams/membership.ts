/**
 * Which process runs which tasks. Safety does not rest on it: a task that two processes take at a time belongs to the
 * one that took it last, as taking it over shuts the other out (event-log.ts). A wrong assignment only costs work.
 */
import { once } from 'node:events';
import { PARTITION_COUNT } from './limits.ts';

/** What runs tasks, as a membership sees it. */
export interface Crew {
  /** Partitions whose tasks run now, or have not stopped yet. */
  held(): number[];
  /** Runs the tasks of these partitions and no others. Resolves once those that are no longer wanted have stopped. */
  run(partitions: readonly number[]): Promise<void>;
}

export interface Membership {
  /** Whether other processes may rightly take a task of this one; if not, that one was taken ends the run. */
  readonly isShared: boolean;
  /** Tells the crew what to run, anew whenever that changes, until the signal; then lets it stop and leaves. */
  follow(crew: Crew, signal: AbortSignal): Promise<void>;
}

export const ALL_PARTITIONS: readonly number[] = Array.from({ length: PARTITION_COUNT }, (_, partition) => partition);

/** One process runs all of them. */
export function soleMembership(partitions: readonly number[]): Membership {
  return {
    isShared: false,
    async follow(crew, signal) {
      if (!signal.aborted) await crew.run(partitions);
      if (!signal.aborted) await once(signal, 'abort');
      await crew.run([]);
    },
  };
}

/** What a member says of itself where tasks are shared out. */
export interface Claim {
  id: string;
  held: readonly number[];
  /** In which generation of the group it got them; -1 where it got none. */
  generation: number;
}

/**
 * Shares partitions 0 … `count` - 1 out: numbers of any two members differ by one at most, and as few tasks move as can
 * be. A task that moves is nobody's until the member that holds it has stopped it and says so: no work is lost, and the
 * tasks that stay run on. Of two that claim the same the later generation counts.
 */
export function shareOut(claims: readonly Claim[], count: number): Map<string, number[]> {
  const holders = holdersOf(claims, count);
  const heldBy = (id: string) => holders.flatMap((holder, partition) => (holder === id ? [partition] : []));
  // Who holds most gets the ones over, so that they need not move.
  const members = claims
    .map(({ id }) => ({ id, held: heldBy(id) }))
    .sort((a, b) => b.held.length - a.held.length || (a.id < b.id ? -1 : 1));
  const free = holders.flatMap((holder, partition) => (holder === undefined ? [partition] : []));
  const shares = members.map(({ id, held }, i) => {
    const quota = Math.floor(count / members.length) + (i < count % members.length ? 1 : 0);
    return { id, quota, kept: held.slice(0, quota) };
  });
  return new Map(shares.map(({ id, quota, kept }) => [id, [...kept, ...free.splice(0, quota - kept.length)].sort((a, b) => a - b)]));
}

/** By partition; undefined where nobody holds it. */
function holdersOf(claims: readonly Claim[], count: number): (string | undefined)[] {
  const holders = new Array<string | undefined>(count).fill(undefined);
  for (const { id, held } of [...claims].sort((a, b) => a.generation - b.generation))
    for (const partition of held) if (partition < count) holders[partition] = id;
  return holders;
}
