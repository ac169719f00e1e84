import { DAY_MS, HOUR_MS } from '../../streams/limits.ts';
import type { Window } from './emission.ts';
import { TrailingSummary } from './trailing-summary.ts';

/** Since when the value had not moved at the end of each hour of a past stretch, by the rule of the trailing summary. */
export class StuckHours {
  private readonly fromMs: number;
  private readonly summary = new TrailingSummary();
  /** By hours ended since the beginning; Infinity where it had moved. */
  private readonly sinceMs: number[] = [];

  constructor(fromMs: number) {
    this.fromMs = fromMs;
  }

  /** Takes in an hour before the stretch. */
  before(hour: Window): void {
    if (hour.coveredMs > 0) this.summary.add(hour.startMs, hour.mean, hour.min, hour.max, hour.readingCount);
  }

  /** Takes in the next hour of the stretch; undefined where there is none. */
  add(hour: Window | undefined): void {
    if (this.sinceMs.length === 0) this.note();
    if (hour) this.before(hour);
    this.note();
  }

  private note(): void {
    const { summary } = this;
    this.sinceMs.push(summary.isStuck(Number.POSITIVE_INFINITY) ? summary.stuckSinceMs : Number.POSITIVE_INFINITY);
  }

  /** Start of the stretch without a move that lasts at a time, by the hours that had ended then. */
  stuckSinceMs(atMs: number): number {
    return this.sinceMs[Math.floor((atMs - this.fromMs) / HOUR_MS)] ?? Number.POSITIVE_INFINITY;
  }

  isStuckAt(atMs: number): boolean {
    return atMs - this.stuckSinceMs(atMs) >= DAY_MS;
  }
}
