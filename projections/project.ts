import type { EventLog } from '../streams/event-log.ts';
import { linked } from '../streams/retry.ts';
import type { Projection } from './projection.ts';
import type { Build, ProjectionStore } from './store.ts';

const IDLE_WAIT_MS = 500;

/**
 * Keeps builds up to date until the signal; each projection by itself, so that a slow one holds nobody up. Where one
 * fails, all have ended when this throws, so that the caller may begin anew.
 */
export async function project(log: EventLog, store: ProjectionStore, builds: readonly Build[], signal: AbortSignal): Promise<void> {
  const units = builds.flatMap((build) => unitsOf(build.projection).map((topics) => ({ build, topics })));
  const stopping = linked(signal);
  const either = stopping.signal;
  const loops = units.map(async ({ build, topics }) => {
    try {
      while (!either.aborted) if ((await store.advance(log, build, { topics })) === 0) await log.waitForAppend(IDLE_WAIT_MS, either);
    } catch (error) {
      stopping.abort();
      throw error;
    }
  });
  await Promise.allSettled(loops);
  await Promise.all(loops);
}

/** Groups of topics that are taken in side by side. */
export function unitsOf({ topics, topicsApart }: Projection): (readonly string[])[] {
  return topicsApart ? topics.map((topic) => [topic]) : [topics];
}

/** Whether the current builds of projections have taken in everything that their topics hold now. */
export async function isCaughtUp(
  log: EventLog,
  store: ProjectionStore,
  projections: readonly { name: string; topics: readonly string[] }[],
): Promise<boolean> {
  for (const { name, topics } of projections) {
    const ends = new Map<string, number>();
    for (const topic of topics)
      for (const [partition, end] of (await log.endOffsets(topic)).entries()) ends.set(`${topic}/${partition}`, end);
    if (!(await hasReached(store, name, ends))) return false;
  }
  return true;
}

/**
 * Whether the current build of a projection has come to the positions (by "topic/partition"). The database is asked, as
 * a rebuild may have switched it and another process may be the one that projects.
 */
export async function hasReached(store: ProjectionStore, name: string, positions: ReadonlyMap<string, number>): Promise<boolean> {
  const { rows } = await store.pool.query(
    `SELECT p.topic || '/' || p.partition AS place, p.next_offset FROM projection_position p JOIN projection_build b USING (name, build)
     WHERE name = $1 AND b.current`,
    [name],
  );
  const reached = new Map(rows.map((row: { place: string; next_offset: number }) => [row.place, row.next_offset]));
  for (const [place, offset] of positions) if ((reached.get(place) ?? 0) < offset) return false;
  return true;
}
