import type { PointWindows } from '../../schemas/types.ts';
import { HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import type { Emit } from '../../streams/processor.ts';
import {
  COVERED_MS,
  ENERGY_MILLI_WH,
  LAST,
  MAX,
  MEASURED_MS,
  MIN,
  QUALITY,
  QUALITY_MISSING,
  READING_COUNT,
  ROW as SCRATCH_ROW,
  STEP_MS,
  WEIGHTED,
  type WindowScratch,
} from './window-scratch.ts';

/** The widths we resample to, with their topics; a window's index in a revision key is the index here. */
export const WIDTHS = [
  { widthMs: STEP_MS, topic: 'resampled.5m' },
  { widthMs: 15 * MINUTE_MS, topic: 'resampled.15m' },
  { widthMs: HOUR_MS, topic: 'resampled.60m' },
] as const;

export const FLAG_STUCK = 1;
export const FLAG_OUTLIER = 2;
export const FLAG_NEGATIVE = 4;

const MAX_WINDOW_MILLI_WH = 2 ** 51;

/** An event is emitted early once it holds so many windows, which keeps it far below the size limit. */
const MAX_WINDOWS_PER_EVENT = 4_000;

const ROW = 11;

/** One window, composed of five-minute ones. */
export interface Window {
  startMs: number;
  energyMilliWh: number;
  mean: number;
  min: number;
  max: number;
  last: number;
  readingCount: number;
  coveredMs: number;
  measuredMs: number;
  quality: number;
}

export function emptyWindow(): Window {
  return { startMs: 0, energyMilliWh: 0, mean: 0, min: 0, max: 0, last: 0, readingCount: 0, coveredMs: 0, measuredMs: 0, quality: 0 };
}

/** Adds up the five-minute windows `from` … `from + steps − 1` of the scratch. */
export function compose(scratch: WindowScratch, from: number, steps: number, out: Window): Window {
  let energyMilliWh = 0;
  let weighted = 0;
  let coveredMs = 0;
  let measuredMs = 0;
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let last = 0;
  let readingCount = 0;
  let quality = 0;
  const { rows } = scratch;
  for (let at = from * SCRATCH_ROW, end = at + steps * SCRATCH_ROW; at < end; at += SCRATCH_ROW) {
    readingCount += rows[at + READING_COUNT];
    if (rows[at + COVERED_MS] === 0) continue;
    energyMilliWh += rows[at + ENERGY_MILLI_WH];
    weighted += rows[at + WEIGHTED];
    coveredMs += rows[at + COVERED_MS];
    measuredMs += rows[at + MEASURED_MS];
    if (rows[at + MIN] < min) min = rows[at + MIN];
    if (rows[at + MAX] > max) max = rows[at + MAX];
    last = rows[at + LAST];
    if (rows[at + QUALITY] > quality) quality = rows[at + QUALITY];
  }
  out.startMs = scratch.fromMs + from * STEP_MS;
  // Beyond what an event can hold only nonsense adds up, which must not stop a site.
  out.energyMilliWh = Math.max(-MAX_WINDOW_MILLI_WH, Math.min(MAX_WINDOW_MILLI_WH, energyMilliWh));
  out.mean = coveredMs > 0 ? weighted / coveredMs : 0;
  out.min = coveredMs > 0 ? min : 0;
  out.max = coveredMs > 0 ? max : 0;
  out.last = last;
  out.readingCount = readingCount;
  out.coveredMs = coveredMs;
  out.measuredMs = measuredMs;
  out.quality = coveredMs > 0 ? quality : QUALITY_MISSING;
  return out;
}

/** Digest of a window's values, to tell whether a recomputation changed anything. */
export function windowDigest(window: {
  energyMilliWh: number;
  mean: number;
  min: number;
  max: number;
  last: number;
  readingCount: number;
  coveredMs: number;
  measuredMs: number;
  quality: number;
}): string {
  const { energyMilliWh, mean, min, max, last, readingCount, coveredMs, measuredMs, quality } = window;
  return [energyMilliWh, mean, min, max, last, readingCount, coveredMs, measuredMs, quality].join(' ');
}

/** The count of readings within a digest. */
export function readingCountOf(digest: string): number {
  return Number(digest.split(' ')[5]);
}

/** Windows of one point and width on their way into an event: ten numbers each. */
class Staging {
  count = 0;
  private rows = new Float64Array(64 * ROW);

  push(window: Window, flags: number, revision: number, reason: number): void {
    const at = this.count++ * ROW;
    if (at === this.rows.length) this.grow();
    const { rows } = this;
    rows[at] = window.startMs;
    rows[at + 1] = window.energyMilliWh;
    rows[at + 2] = window.mean;
    rows[at + 3] = window.min;
    rows[at + 4] = window.max;
    rows[at + 5] = window.last;
    rows[at + 6] = window.readingCount;
    rows[at + 7] = window.coveredMs;
    rows[at + 8] = window.measuredMs;
    rows[at + 9] = revision;
    rows[at + 10] = window.quality | (flags << 8) | (reason << 16);
  }

  private grow(): void {
    const larger = new Float64Array(2 * this.rows.length);
    larger.set(this.rows);
    this.rows = larger;
  }

  /** Moves all windows into the columns of a series, which has room for just as many. */
  moveTo(series: PointWindows, hasEnergy: boolean): void {
    const { rows, count } = this;
    let lastStartMs = 0;
    for (let i = 0, at = 0; i < count; i++, at += ROW) {
      // Differences of starts, as the event has them.
      series.startMs[i] = rows[at] - lastStartMs;
      lastStartMs = rows[at];
      series.energyMilliWh[i] = hasEnergy ? rows[at + 1] : 0;
      series.mean[i] = rows[at + 2];
      series.min[i] = rows[at + 3];
      series.max[i] = rows[at + 4];
      series.last[i] = rows[at + 5];
      series.readingCount[i] = rows[at + 6];
      series.coveredMs[i] = rows[at + 7];
      series.measuredMs[i] = rows[at + 8];
      series.revision[i] = rows[at + 9];
      const marks = rows[at + 10];
      series.quality[i] = marks & 0xff;
      series.flags[i] = (marks >> 8) & 0xff;
      series.reason[i] = marks >> 16;
    }
    series.hasEnergy = hasEnergy;
    this.count = 0;
  }
}

function seriesOf(count: number): PointWindows {
  // Begun with a double, so that a column holds its numbers in place.
  const column = () => new Array<number>(count).fill(0.5);
  return {
    pointId: '',
    hasEnergy: false,
    startMs: column(),
    energyMilliWh: column(),
    mean: column(),
    min: column(),
    max: column(),
    last: column(),
    readingCount: column(),
    coveredMs: column(),
    measuredMs: column(),
    quality: new Uint8Array(count),
    flags: new Uint8Array(count),
    revision: column(),
    reason: new Uint8Array(count),
  };
}

/**
 * Series that are used again and again, since what is emitted is encoded (or taken in) at once: by how many windows
 * they hold. Longer ones are made anew.
 */
const MAX_POOLED_WINDOWS = 20;
const pools: PointWindows[][] = Array.from({ length: MAX_POOLED_WINDOWS + 1 }, () => []);
const taken = new Uint32Array(MAX_POOLED_WINDOWS + 1);
const staged = WIDTHS.map(() => new Staging());

function takeSeries(count: number): PointWindows {
  if (count > MAX_POOLED_WINDOWS) return seriesOf(count);
  return (pools[count][taken[count]++] ??= seriesOf(count));
}

/** Collects the windows of one site and emits one event a width. */
export class Emission {
  private readonly siteId: string;
  private readonly knownAtMs: number;
  private readonly emit: Emit;
  private readonly series: PointWindows[][] = [[], [], []];
  private readonly windows = [0, 0, 0];

  constructor(siteId: string, knownAtMs: number, emit: Emit) {
    this.siteId = siteId;
    this.knownAtMs = knownAtMs;
    this.emit = emit;
    // One that threw may have left something.
    for (const staging of staged) staging.count = 0;
    taken.fill(0);
  }

  push(width: number, window: Window, flags: number, revision: number, reason: number): void {
    staged[width].push(window, flags, revision, reason);
  }

  /** Ends what was pushed for a point; emits what has become large. */
  endPoint(pointId: string, hasEnergy: boolean): void {
    for (let width = 0; width < WIDTHS.length; width++) {
      const { count } = staged[width];
      if (count === 0) continue;
      const series = takeSeries(count);
      series.pointId = pointId;
      staged[width].moveTo(series, hasEnergy);
      this.series[width].push(series);
      this.windows[width] += count;
      if (this.windows[width] >= MAX_WINDOWS_PER_EVENT) this.flush(width);
    }
  }

  end(): void {
    for (let width = 0; width < WIDTHS.length; width++) this.flush(width);
  }

  private flush(width: number): void {
    const series = this.series[width];
    if (series.length === 0) return;
    const { widthMs, topic } = WIDTHS[width];
    this.emit(topic, { siteId: this.siteId, knownAtMs: this.knownAtMs, widthMs, series } as { knownAtMs: number });
    this.series[width] = [];
    this.windows[width] = 0;
  }
}
