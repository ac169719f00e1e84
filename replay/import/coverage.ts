/** Counts doubles and gaps of imported readings exactly, in any order of them, in bounded memory. */
import { MAX_COVERAGE_SPANS } from '../../streams/limits.ts';
import { Beliefs } from './beliefs.ts';

/** Expected readings of one point that stand together. */
const SLOTS = 256;

export interface PointCoverage {
  siteId: string;
  pointId: string;
  readings: number;
  identicalDoubles: number;
  conflictingDoubles: number;
  /** Readings so far behind the newest of all points, or behind later known rows, that what they could double has been let go. */
  notCompared: number;
  /** Expected readings between the first and the last that did not come, in how many runs, and the longest run (ms). */
  missing: number;
  gaps: number;
  longestGapMs: number;
  firstMs: number;
  lastMs: number;
}

interface Span {
  /** Stamp of the first reading in each slot of one interval; NaN where none came. */
  stamps: Float64Array;
  values: Float64Array;
  /** Further readings in slots that have one: denser than expected. */
  extra: Map<number, number> | null;
}

class PointTracker {
  readonly coverage: PointCoverage;
  readonly spans = new Map<number, Span>();
  private readonly intervalMs: number;
  private phaseMs = Number.NaN;
  /** Spans before this have been counted and let go. */
  private countedTo = Number.NEGATIVE_INFINITY;
  private lastSlot = Number.NaN;

  constructor(siteId: string, pointId: string, intervalMs: number) {
    this.intervalMs = intervalMs;
    this.coverage = {
      siteId,
      pointId,
      readings: 0,
      identicalDoubles: 0,
      conflictingDoubles: 0,
      notCompared: 0,
      missing: 0,
      gaps: 0,
      longestGapMs: 0,
      firstMs: Number.POSITIVE_INFINITY,
      lastMs: Number.NEGATIVE_INFINITY,
    };
  }

  /** True where a span was begun. */
  take(startMs: number, value: number): boolean {
    const { coverage } = this;
    coverage.readings++;
    if (startMs < coverage.firstMs) coverage.firstMs = startMs;
    if (startMs > coverage.lastMs) coverage.lastMs = startMs;
    if (Number.isNaN(this.phaseMs)) this.phaseMs = startMs % this.intervalMs;
    const slot = Math.floor((startMs - this.phaseMs) / this.intervalMs);
    const number = Math.floor(slot / SLOTS);
    if (number < this.countedTo) {
      coverage.notCompared++;
      return false;
    }
    let span = this.spans.get(number);
    const begun = span === undefined;
    if (span === undefined) {
      span = { stamps: new Float64Array(SLOTS).fill(Number.NaN), values: new Float64Array(SLOTS), extra: null };
      this.spans.set(number, span);
    }
    this.place(span, slot - number * SLOTS, startMs, value);
    return begun;
  }

  private place(span: Span, at: number, startMs: number, value: number): void {
    if (Number.isNaN(span.stamps[at])) {
      span.stamps[at] = startMs;
      span.values[at] = value;
      return;
    }
    const isFirst = span.stamps[at] === startMs;
    const known = isFirst ? span.values[at] : span.extra?.get(startMs);
    if (known === value) this.coverage.identicalDoubles++;
    else if (known !== undefined) this.coverage.conflictingDoubles++;
    if (isFirst) span.values[at] = value;
    else (span.extra ??= new Map()).set(startMs, value);
  }

  /** Counts the gaps of the oldest spans and lets them go, so that at most `kept` are left. */
  settle(kept: number): number {
    const numbers = [...this.spans.keys()].sort((a, b) => a - b);
    const settled = numbers.slice(0, Math.max(0, numbers.length - kept));
    for (const number of settled) {
      const { stamps } = this.spans.get(number)!;
      for (let i = 0; i < SLOTS; i++) if (!Number.isNaN(stamps[i])) this.reach(number * SLOTS + i);
      this.spans.delete(number);
      this.countedTo = number + 1;
    }
    return settled.length;
  }

  private reach(slot: number): void {
    const missing = slot - this.lastSlot - 1;
    if (missing > 0) {
      this.coverage.missing += missing;
      this.coverage.gaps++;
      this.coverage.longestGapMs = Math.max(this.coverage.longestGapMs, missing * this.intervalMs);
    }
    this.lastSlot = slot;
  }
}

export class Coverage {
  /** Which rows counted so far, where rows say when they became known. */
  readonly beliefs = new Beliefs();
  private readonly points = new Map<string, PointTracker>();
  private spanCount = 0;
  private readonly maxSpans: number;

  constructor(maxSpans = MAX_COVERAGE_SPANS) {
    this.maxSpans = maxSpans;
  }

  take(siteId: string, pointId: string, intervalMs: number, startMs: number, value: number): void {
    let point = this.points.get(pointId);
    if (point === undefined) this.points.set(pointId, (point = new PointTracker(siteId, pointId, intervalMs)));
    if (!point.take(startMs, value)) return;
    this.spanCount++;
    if (this.spanCount > this.maxSpans) this.makeRoom();
  }

  /** A reading that was taken, of which it is not known whether a row above it should count in its place. */
  notCompared(pointId: string): void {
    this.points.get(pointId)!.coverage.notCompared++;
  }

  /** Every point keeps the newest half of its spans, and one at least. */
  private makeRoom(): void {
    for (const point of this.points.values()) this.spanCount -= point.settle(Math.max(1, Math.ceil(point.spans.size / 2)));
  }

  /** Final counts of every point; nothing may be taken afterwards. */
  finish(): PointCoverage[] {
    return [...this.points.values()].map((point) => {
      point.settle(0);
      return point.coverage;
    });
  }
}
