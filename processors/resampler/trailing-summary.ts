/**
 * What a point has looked like lately, in fixed size: a histogram of hourly means on a logarithmic scale (for outliers,
 * CalTRACK 2.3.6: above median + 3 × interquartile range) and since when its value has not moved (stuck meter, 24 h).
 */
import { DAY_MS } from '../../streams/limits.ts';
import type { StateReader, StateWriter } from '../../streams/state-bytes.ts';

const BINS = 64;
const BINS_PER_OCTAVE = 4;
/** Hours that must have been seen before anything is called an outlier, and after which the old ones fade by half. */
const LEAST_HOURS = 7 * 24;
const FADE_HOURS = 60 * 24;
/** Readings of one value that show that it has not moved. */
const ENOUGH_READINGS = 2;

export class TrailingSummary {
  private readonly bins = new Uint16Array(BINS);
  private hours = 0;
  private flatValue = Number.NaN;
  private flatSinceMs = 0;
  /** Readings since then: one alone is spread or held, and says nothing of a meter that stands still. */
  private flatReadings = 0;
  /** The last stuck stretch that has ended: windows of it may still be revised. */
  private endedFromMs = 0;
  private endedToMs = 0;
  changed = false;

  /** Takes in an hour's mean, lowest and highest value, and how many readings start in it. */
  add(startMs: number, mean: number, min: number, max: number, readingCount: number): void {
    this.changed = true;
    if (min !== max || min !== this.flatValue) {
      if (this.isStuck(startMs)) {
        this.endedFromMs = this.flatSinceMs;
        this.endedToMs = startMs;
      }
      this.flatValue = min === max ? min : Number.NaN;
      this.flatSinceMs = startMs;
      this.flatReadings = 0;
    }
    this.flatReadings = Math.min(ENOUGH_READINGS, this.flatReadings + readingCount);
    this.bins[binOf(mean)]++;
    if (++this.hours < FADE_HOURS) return;
    this.hours = 0;
    for (let i = 0; i < BINS; i++) this.hours += this.bins[i] >>= 1;
  }

  /** Whether the value has not moved in the 24 hours before the time, across at least two readings. */
  isStuck(endMs: number): boolean {
    if (endMs <= this.endedToMs) return endMs - this.endedFromMs >= DAY_MS;
    return !Number.isNaN(this.flatValue) && this.flatReadings >= ENOUGH_READINGS && endMs - this.flatSinceMs >= DAY_MS;
  }

  get stuckSinceMs(): number {
    return this.flatSinceMs;
  }

  isOutlier(mean: number): boolean {
    if (this.hours < LEAST_HOURS || mean <= 0) return false;
    // A device that mostly rests has no usual load: any use would be far above its median.
    const median = this.quantile(0.5);
    if (median < 1) return false;
    const quarter = this.quantile(0.25);
    const threeQuarters = this.quantile(0.75);
    return mean > median + 3 * (threeQuarters - quarter) && binOf(mean) > binOf(threeQuarters) + BINS_PER_OCTAVE;
  }

  private quantile(share: number): number {
    const wanted = share * this.hours;
    let seen = 0;
    for (let i = 0; i < BINS; i++) {
      const inBin = this.bins[i];
      if (seen + inBin >= wanted && inBin > 0) return lowerEdge(i + (wanted - seen) / inBin);
      seen += inBin;
    }
    return lowerEdge(BINS);
  }

  encode(out: StateWriter): void {
    out.count(this.hours);
    out.double(this.flatValue);
    out.long(this.flatSinceMs);
    out.count(this.flatReadings);
    out.long(this.endedFromMs);
    out.long(this.endedToMs);
    out.array(this.bins);
  }

  decode(from: StateReader): void {
    this.hours = from.count();
    this.flatValue = from.double();
    this.flatSinceMs = from.long();
    this.flatReadings = from.count();
    this.endedFromMs = from.long();
    this.endedToMs = from.long();
    from.arrayInto(() => ({ into: this.bins, at: 0 }));
  }
}

/** Bin 0 holds everything below 1 W; each further one a quarter of an octave. */
function binOf(mean: number): number {
  return mean < 1 ? 0 : Math.min(BINS - 1, 1 + Math.floor(BINS_PER_OCTAVE * Math.log2(mean)));
}

function lowerEdge(bin: number): number {
  return bin <= 1 ? Math.max(0, bin) : 2 ** ((bin - 1) / BINS_PER_OCTAVE);
}
