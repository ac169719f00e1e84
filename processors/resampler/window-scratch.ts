import { MINUTE_MS } from '../../streams/limits.ts';

export const STEP_MS = 5 * MINUTE_MS;
/** Most five-minute windows computed in one go: a day and an hour on both sides. */
export const MAX_STEPS = 26 * 12;
export const QUALITY_MEASURED = 0;
export const QUALITY_ESTIMATED = 1;
export const QUALITY_MISSING = 3;
const MS_PER_HOUR = 3_600_000;

/**
 * Five-minute windows under construction, as columns, for the range [fromMs, toMs). Power adds value × duration; energy
 * (whole milliwatt-hours of a source interval) adds differences of its cumulative curve, rounded at the grid points, so
 * that the parts always add up to the whole.
 */
export class WindowScratch {
  fromMs = 0;
  toMs = 0;
  steps = 0;
  readonly energyMilliWh = new Float64Array(MAX_STEPS);
  readonly weighted = new Float64Array(MAX_STEPS);
  readonly coveredMs = new Float64Array(MAX_STEPS);
  readonly measuredMs = new Float64Array(MAX_STEPS);
  readonly min = new Float64Array(MAX_STEPS);
  readonly max = new Float64Array(MAX_STEPS);
  readonly last = new Float64Array(MAX_STEPS);
  readonly readingCount = new Int32Array(MAX_STEPS);
  readonly quality = new Uint8Array(MAX_STEPS);

  begin(fromMs: number, toMs: number): void {
    this.fromMs = fromMs;
    this.toMs = toMs;
    this.steps = (toMs - fromMs) / STEP_MS;
    for (let i = 0; i < this.steps; i++) {
      this.energyMilliWh[i] = 0;
      this.weighted[i] = 0;
      this.coveredMs[i] = 0;
      this.measuredMs[i] = 0;
      this.last[i] = 0;
      this.min[i] = Number.POSITIVE_INFINITY;
      this.max[i] = Number.NEGATIVE_INFINITY;
      this.readingCount[i] = 0;
      this.quality[i] = 0;
    }
  }

  count(startMs: number): void {
    if (startMs >= this.fromMs && startMs < this.toMs) this.readingCount[((startMs - this.fromMs) / STEP_MS) | 0]++;
  }

  /** A value that holds over [startMs, endMs): power in W (adds energy), or a temperature or state. */
  addValue(startMs: number, endMs: number, value: number, quality: number): void {
    let from = Math.max(startMs, this.fromMs);
    const to = Math.min(endMs, this.toMs);
    if (from >= to) return;
    let step = ((from - this.fromMs) / STEP_MS) | 0;
    let edge = this.fromMs + (step + 1) * STEP_MS;
    while (from < to) {
      const end = Math.min(edge, to);
      this.add(step, end - from, value, quality);
      from = end;
      edge += STEP_MS;
      step++;
    }
  }

  /** Energy of a source interval [startMs, endMs), spread evenly. */
  addEnergy(startMs: number, endMs: number, energyMilliWh: number, quality: number): void {
    let from = Math.max(startMs, this.fromMs);
    const to = Math.min(endMs, this.toMs);
    if (from >= to) return;
    const span = endMs - startMs;
    const meanW = (energyMilliWh * (MS_PER_HOUR / 1000)) / span;
    let before = Math.round((energyMilliWh * (from - startMs)) / span);
    let step = ((from - this.fromMs) / STEP_MS) | 0;
    let edge = this.fromMs + (step + 1) * STEP_MS;
    while (from < to) {
      const end = Math.min(edge, to);
      const until = end === endMs ? energyMilliWh : Math.round((energyMilliWh * (end - startMs)) / span);
      this.energyMilliWh[step] += until - before;
      this.add(step, end - from, meanW, quality);
      before = until;
      from = end;
      edge += STEP_MS;
      step++;
    }
  }

  /** A value that holds for some time within one window. */
  add(step: number, durationMs: number, value: number, quality: number): void {
    this.weighted[step] += value * durationMs;
    this.coveredMs[step] += durationMs;
    if (quality === QUALITY_MEASURED) this.measuredMs[step] += durationMs;
    else if (quality > this.quality[step]) this.quality[step] = quality;
    if (value < this.min[step]) this.min[step] = value;
    if (value > this.max[step]) this.max[step] = value;
    this.last[step] = value;
  }

  /** Power kinds: energy is the mean times the covered time, rounded once a window. */
  finishPower(): void {
    for (let i = 0; i < this.steps; i++) this.energyMilliWh[i] = Math.round(this.weighted[i] / (MS_PER_HOUR / 1000));
    this.finish();
  }

  /** Energy kinds keep their whole numbers; temperatures and states have none. */
  finish(): void {
    for (let i = 0; i < this.steps; i++) {
      // Overlapping source intervals (a change of spacing) cover a moment twice, which completeness must not show.
      if (this.coveredMs[i] > STEP_MS) {
        this.weighted[i] *= STEP_MS / this.coveredMs[i];
        this.measuredMs[i] = Math.min(this.measuredMs[i], STEP_MS);
        this.coveredMs[i] = STEP_MS;
      }
      if (this.coveredMs[i] === 0) this.quality[i] = QUALITY_MISSING;
    }
  }
}
