/**
 * Readings that an import brings for days older than the hot state. Their days are reloaded once stream time has moved
 * on quietly; where no clock does that, the import ends with the ticks that make the reloads due.
 */
import type { ReadingsDelivery } from '../../schemas/types.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { latestRecord } from '../../streams/latest-record.ts';
import {
  FEED_BATCH_BYTES,
  FEED_BATCH_RECORDS,
  HOT_MS,
  PARTITION_COUNT,
  RELOAD_MAX_WAIT_MS,
  RELOAD_QUIET_MS,
} from '../../streams/limits.ts';
import { partitionOf } from '../../streams/partitioner.ts';
import type { Fact } from '../facts.ts';

/** A reloaded day may ask for its neighbours, on which its readings bear; those ask for no more that would change. */
const RELOAD_ROUNDS = 2;

export class OlderReadings {
  private readonly log: EventLog;
  private readonly tickSource: string;
  /** Latest tick of each partition that the import touches, as it was before. */
  private readonly latestTickMs = new Map<number, number>();
  /** Of each partition with older readings, the times by which the first and the last of them came. */
  private readonly stirs = new Map<number, { firstMs: number; lastMs: number }>();

  constructor(log: EventLog, tickSource: string) {
    this.log = log;
    this.tickSource = tickSource;
  }

  /** Whether any reading so far was older than the hot state. */
  get found(): boolean {
    return this.stirs.size > 0;
  }

  /** The same facts, looked at on their way. */
  async *watch(facts: AsyncIterable<Fact>): AsyncGenerator<Fact> {
    for await (const fact of facts) {
      if (fact.schema === 'ReadingsDelivery') await this.look(fact.key, fact.value as ReadingsDelivery);
      yield fact;
    }
  }

  private async look(key: string, { knownAtMs, series }: ReadingsDelivery): Promise<void> {
    const partition = partitionOf(key, PARTITION_COUNT);
    let latestMs = this.latestTickMs.get(partition);
    if (latestMs === undefined) this.latestTickMs.set(partition, (latestMs = await this.latestTickOfOthers(partition)));
    const nowMs = Math.max(latestMs, knownAtMs);
    if (earliestMs(series) >= nowMs - HOT_MS) return;
    const stir = this.stirs.get(partition);
    if (stir) stir.lastMs = Math.max(stir.lastMs, nowMs);
    else this.stirs.set(partition, { firstMs: nowMs, lastMs: nowMs });
  }

  /** The ticks of an import that was broken off and goes on are no measure of its own readings. */
  private async latestTickOfOthers(partition: number): Promise<number> {
    const at = { topic: 'ticks', partition };
    const latest = await latestRecord(this.log, at);
    if (latest === undefined) return Number.NEGATIVE_INFINITY;
    if (!latest.headers.source.startsWith(this.tickSource)) return latest.headers.knownAtMs;
    let latestMs = Number.NEGATIVE_INFINITY;
    for (let offset = 0; offset <= latest.offset; ) {
      const page = await this.log.read(at, offset, { maxRecords: FEED_BATCH_RECORDS, maxBytes: FEED_BATCH_BYTES });
      for (const { headers } of page.records)
        if (!headers.source.startsWith(this.tickSource)) latestMs = Math.max(latestMs, headers.knownAtMs);
      offset = page.nextOffset;
    }
    return latestMs;
  }

  /**
   * What makes all reloads due, given the last tick of the import itself. Where time was further already, there is a tick
   * of that time once more: so the latest tick of a partition is always the one with the latest time.
   */
  closingTicks(lastTickMs: number, tickMs: number): { partition: number; knownAtMs: number }[] {
    const ticks: { partition: number; knownAtMs: number }[] = [];
    for (const [partition, latestMs] of this.latestTickMs) {
      let knownAtMs = Math.max(latestMs, lastTickMs);
      const stir = this.stirs.get(partition);
      if (stir !== undefined) {
        // A day is due once it was quiet for as long as its readings came, so after half of the longest wait in any case.
        const dueMs = stir.lastMs + Math.min(stir.lastMs - stir.firstMs, RELOAD_MAX_WAIT_MS / 2);
        for (let round = 0; round < RELOAD_ROUNDS; round++) {
          knownAtMs = Math.ceil(Math.max(knownAtMs + RELOAD_QUIET_MS, dueMs) / tickMs) * tickMs;
          ticks.push({ partition, knownAtMs });
        }
      } else if (latestMs > lastTickMs) ticks.push({ partition, knownAtMs });
    }
    return ticks;
  }
}

function earliestMs(series: ReadingsDelivery['series']): number {
  let earliest = Number.POSITIVE_INFINITY;
  for (const { startMs } of series) {
    let ms = 0;
    for (const stepMs of startMs) {
      ms += stepMs;
      if (ms < earliest) earliest = ms;
    }
  }
  return earliest;
}
