import type { EventLog } from '../streams/event-log.ts';
import type { Build, ProjectionStore } from './store.ts';

const IDLE_WAIT_MS = 500;

/** Keeps builds up to date until the signal; each projection by itself, so that a slow one holds nobody up. */
export async function project(log: EventLog, store: ProjectionStore, builds: readonly Build[], signal: AbortSignal): Promise<void> {
  await Promise.all(
    builds.map(async (build) => {
      while (!signal.aborted) if ((await store.advance(log, build)) === 0) await log.waitForAppend(IDLE_WAIT_MS, signal);
    }),
  );
}

/** Whether a build has taken in everything that its topics hold now. */
export async function isCaughtUp(log: EventLog, build: Build, topics = build.projection.topics): Promise<boolean> {
  for (const topic of topics) {
    const ends = await log.endOffsets(topic);
    if (ends.some((end, partition) => (build.positions.get(`${topic}/${partition}`) ?? 0) < end)) return false;
  }
  return true;
}
