import { MINUTE_MS } from '../../streams/limits.ts';

export const STEP_MS = 5 * MINUTE_MS;
/** Most five-minute windows computed in one go: a day and an hour on both sides. */
export const MAX_STEPS = 26 * 12;
export const QUALITY_MEASURED = 0;
export const QUALITY_ESTIMATED = 1;
export const QUALITY_MISSING = 3;
const MS_PER_HOUR = 3_600_000;
/** Watt-milliseconds in a milliwatt-hour. */
const PER_MILLI_WH = MS_PER_HOUR / 1000;

/** What is known of a five-minute window: numbers of one row, in this order. */
export const ROW = 9;
export const ENERGY_MILLI_WH = 0;
export const WEIGHTED = 1;
export const COVERED_MS = 2;
export const MEASURED_MS = 3;
export const MIN = 4;
export const MAX = 5;
export const LAST = 6;
export const READING_COUNT = 7;
export const QUALITY = 8;

/**
 * Five-minute windows under construction, a row each, for the range [fromMs, toMs). Power adds value × duration; energy
 * (whole milliwatt-hours of a source interval) adds differences of its cumulative curve, rounded at the grid points, so
 * that the parts always add up to the whole.
 */
export class WindowScratch {
  fromMs = 0;
  toMs = 0;
  steps = 0;
  readonly rows = new Float64Array(MAX_STEPS * ROW);

  /** Sets the range; the rows of energy kinds begin empty, those of others are put down whole. */
  begin(fromMs: number, toMs: number): void {
    this.fromMs = fromMs;
    this.toMs = toMs;
    this.steps = (toMs - fromMs) / STEP_MS;
  }

  empty(): void {
    for (let step = 0; step < this.steps; step++) this.put(step, 0, 0, 0, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0, 0);
  }

  /** Puts down a window whose readings have all been gone through. */
  put(
    step: number,
    energyMilliWh: number,
    weighted: number,
    coveredMs: number,
    measuredMs: number,
    min: number,
    max: number,
    last: number,
    readingCount: number,
    quality: number,
  ): void {
    const { rows } = this;
    const at = step * ROW;
    rows[at] = energyMilliWh;
    rows[at + WEIGHTED] = weighted;
    rows[at + COVERED_MS] = coveredMs;
    rows[at + MEASURED_MS] = measuredMs;
    rows[at + MIN] = min;
    rows[at + MAX] = max;
    rows[at + LAST] = last;
    rows[at + READING_COUNT] = readingCount;
    rows[at + QUALITY] = quality;
  }

  count(startMs: number): void {
    if (startMs >= this.fromMs && startMs < this.toMs) this.rows[(((startMs - this.fromMs) / STEP_MS) | 0) * ROW + READING_COUNT]++;
  }

  /** Energy of a source interval [startMs, endMs), spread evenly. */
  addEnergy(startMs: number, endMs: number, energyMilliWh: number, quality: number): void {
    let from = Math.max(startMs, this.fromMs);
    const to = Math.min(endMs, this.toMs);
    if (from >= to) return;
    const span = endMs - startMs;
    const meanW = (energyMilliWh * PER_MILLI_WH) / span;
    let before = Math.round((energyMilliWh * (from - startMs)) / span);
    let at = (((from - this.fromMs) / STEP_MS) | 0) * ROW;
    let edge = this.fromMs + (at / ROW + 1) * STEP_MS;
    while (from < to) {
      const end = Math.min(edge, to);
      const until = end === endMs ? energyMilliWh : Math.round((energyMilliWh * (end - startMs)) / span);
      this.rows[at] += until - before;
      this.add(at, end - from, meanW, quality);
      before = until;
      from = end;
      edge += STEP_MS;
      at += ROW;
    }
  }

  /** A value that holds for some time within the window whose row is at `at`. */
  private add(at: number, durationMs: number, value: number, quality: number): void {
    const { rows } = this;
    rows[at + WEIGHTED] += value * durationMs;
    rows[at + COVERED_MS] += durationMs;
    if (quality === QUALITY_MEASURED) rows[at + MEASURED_MS] += durationMs;
    else if (quality > rows[at + QUALITY]) rows[at + QUALITY] = quality;
    if (value < rows[at + MIN]) rows[at + MIN] = value;
    if (value > rows[at + MAX]) rows[at + MAX] = value;
    rows[at + LAST] = value;
  }

  /** Overlapping source intervals (a change of spacing) cover a moment twice, which completeness must not show. */
  finishEnergy(): void {
    const { rows } = this;
    for (let step = 0, at = 0; step < this.steps; step++, at += ROW) {
      if (rows[at + COVERED_MS] > STEP_MS) {
        rows[at + WEIGHTED] *= STEP_MS / rows[at + COVERED_MS];
        rows[at + MEASURED_MS] = Math.min(rows[at + MEASURED_MS], STEP_MS);
        rows[at + COVERED_MS] = STEP_MS;
      }
      if (rows[at + COVERED_MS] === 0) rows[at + QUALITY] = QUALITY_MISSING;
    }
  }
}

/** Energy of a window of power: the mean times the covered time, rounded once a window. */
export function energyOf(weighted: number): number {
  return Math.round(weighted / PER_MILLI_WH);
}
