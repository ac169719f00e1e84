/** Rejected events by code, counted on: a scrape reads what came since the one before, and at most so many events. */
import { countRejected } from '../projections/queries/rejected-counts.ts';
import { PARTITION_COUNT } from '../streams/limits.ts';
import type { Pool } from '../streams/postgres.ts';

export interface RejectedCount {
  events: number;
  readings: number;
}

/** Of one partition at one scrape: over a large log the first scrapes catch up step by step. */
const EVENTS_OF_A_SCRAPE = 20_000;

/** Counts on at each call and gives the totals so far, by code. Events are only ever added, in the order of their offsets. */
export function createRejectedCounter(pool: Pool, eventsAtOnce = EVENTS_OF_A_SCRAPE): () => Promise<ReadonlyMap<string, RejectedCount>> {
  const totals = new Map<string, RejectedCount>();
  const nextOffsets = Array.from({ length: PARTITION_COUNT }, () => 0);
  let underWay: Promise<ReadonlyMap<string, RejectedCount>> | null = null;
  const countOn = async () => {
    for (const { partition, code, events, readings, nextOffset } of await countRejected(pool, nextOffsets, eventsAtOnce)) {
      const before = totals.get(code) ?? { events: 0, readings: 0 };
      totals.set(code, { events: before.events + events, readings: before.readings + readings });
      nextOffsets[partition] = Math.max(nextOffsets[partition], nextOffset);
    }
    return totals;
  };
  // Two scrapes at the same time would count the same events twice.
  return () => {
    underWay ??= countOn().finally(() => {
      underWay = null;
    });
    return underWay;
  };
}
