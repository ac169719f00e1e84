/** Which of several rows of one point and start became known last, where rows stand in any order and say it themselves. */

/** Readings that are remembered at least, and twice as many at most (some 100 MB). */
const MAX_BELIEFS = 500_000;

/** For each series of readings, by start, when what counts became known (UTC epoch ms). */
type Known = Map<string, Map<number, number>>;

/**
 * Each file is held against itself: of two files the log takes what became known later, as they are merged by that.
 * The readings of the rows that were read last are remembered.
 */
export class Beliefs {
  private latest: Known = new Map();
  private former: Known = new Map();
  private latestCount = 0;
  private hasForgotten = false;
  private readonly maxBeliefs: number;

  constructor(maxBeliefs = MAX_BELIEFS) {
    this.maxBeliefs = maxBeliefs;
  }

  /**
   * The next row of a file: `superseded` where a row above it became known later, so that this one must not count after
   * it. `unknown` where the row is `moved` behind later ones and what they said may have been forgotten.
   */
  take(file: string, pointId: string, startMs: number, knownAtMs: number, moved: boolean): 'counts' | 'superseded' | 'unknown' {
    const series = `${file} ${pointId}`;
    const known = this.latest.get(series)?.get(startMs) ?? this.former.get(series)?.get(startMs);
    if (known !== undefined && known > knownAtMs) return 'superseded';
    this.remember(series, startMs, knownAtMs);
    return moved && known === undefined && this.hasForgotten ? 'unknown' : 'counts';
  }

  private remember(series: string, startMs: number, knownAtMs: number): void {
    let starts = this.latest.get(series);
    if (starts === undefined) this.latest.set(series, (starts = new Map()));
    if (!starts.has(startMs)) this.latestCount++;
    starts.set(startMs, knownAtMs);
    if (this.latestCount < this.maxBeliefs) return;
    this.hasForgotten ||= this.former.size > 0;
    this.former = this.latest;
    this.latest = new Map();
    this.latestCount = 0;
  }
}
