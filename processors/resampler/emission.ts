import type { PointWindows } from '../../schemas/types.ts';
import { HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import type { Emit } from '../../streams/processor.ts';
import { QUALITY_MISSING, STEP_MS, type WindowScratch } from './window-scratch.ts';

/** The widths we resample to, with their topics; a window's index in a revision key is the index here. */
export const WIDTHS = [
  { widthMs: STEP_MS, topic: 'resampled.5m' },
  { widthMs: 15 * MINUTE_MS, topic: 'resampled.15m' },
  { widthMs: HOUR_MS, topic: 'resampled.60m' },
] as const;

export const FLAG_STUCK = 1;
export const FLAG_OUTLIER = 2;
export const FLAG_NEGATIVE = 4;

/** An event is emitted early once it holds so many windows, which keeps it far below the size limit. */
const MAX_WINDOWS_PER_EVENT = 4_000;

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
  for (let i = from; i < from + steps; i++) {
    readingCount += scratch.readingCount[i];
    if (scratch.coveredMs[i] === 0) continue;
    energyMilliWh += scratch.energyMilliWh[i];
    weighted += scratch.weighted[i];
    coveredMs += scratch.coveredMs[i];
    measuredMs += scratch.measuredMs[i];
    if (scratch.min[i] < min) min = scratch.min[i];
    if (scratch.max[i] > max) max = scratch.max[i];
    last = scratch.last[i];
    if (scratch.quality[i] > quality) quality = scratch.quality[i];
  }
  out.startMs = scratch.fromMs + from * STEP_MS;
  out.energyMilliWh = energyMilliWh;
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

/**
 * Columns of one point's windows on their way into an event: differences of starts, as the event has them. They are
 * used again and again, since what is emitted is encoded at once: most series hold as many windows as the one before.
 */
class Columns {
  readonly series: PointWindows = {
    pointId: '',
    hasEnergy: false,
    startMs: [],
    energyMilliWh: [],
    mean: [],
    min: [],
    max: [],
    last: [],
    readingCount: [],
    coveredMs: [],
    measuredMs: [],
    quality: new Uint8Array(1),
    flags: new Uint8Array(1),
    revision: [],
    reason: new Uint8Array(1),
  };
  count = 0;
  private bytes = new Uint8Array(3);
  private lastStartMs = 0;

  begin(pointId: string, hasEnergy: boolean): void {
    this.series.pointId = pointId;
    this.series.hasEnergy = hasEnergy;
    this.count = this.lastStartMs = 0;
  }

  push(window: Window, flags: number, revision: number, reason: number): void {
    const { series, count: i } = this;
    series.startMs[i] = window.startMs - this.lastStartMs;
    this.lastStartMs = window.startMs;
    series.energyMilliWh[i] = series.hasEnergy ? window.energyMilliWh : 0;
    series.mean[i] = window.mean;
    series.min[i] = window.min;
    series.max[i] = window.max;
    series.last[i] = window.last;
    series.readingCount[i] = window.readingCount;
    series.coveredMs[i] = window.coveredMs;
    series.measuredMs[i] = window.measuredMs;
    series.revision[i] = revision;
    if (3 * i === this.bytes.length) this.grow();
    this.bytes[3 * i] = window.quality;
    this.bytes[3 * i + 1] = flags;
    this.bytes[3 * i + 2] = reason;
    this.count++;
  }

  private grow(): void {
    const larger = new Uint8Array(2 * this.bytes.length);
    larger.set(this.bytes);
    this.bytes = larger;
  }

  finish(): PointWindows {
    const { series, count, bytes } = this;
    if (series.startMs.length !== count) this.cut();
    if (series.quality.length !== count) this.fit();
    for (let i = 0; i < count; i++) {
      series.quality[i] = bytes[3 * i];
      series.flags[i] = bytes[3 * i + 1];
      series.reason[i] = bytes[3 * i + 2];
    }
    return series;
  }

  /** Lets go what an earlier, longer use has left. */
  private cut(): void {
    const { series, count } = this;
    series.startMs.length = series.energyMilliWh.length = count;
    series.mean.length = series.min.length = series.max.length = series.last.length = count;
    series.readingCount.length = series.coveredMs.length = series.measuredMs.length = series.revision.length = count;
  }

  /** Makes the byte columns as long as the others. */
  private fit(): void {
    const { series, count } = this;
    series.quality = new Uint8Array(count);
    series.flags = new Uint8Array(count);
    series.reason = new Uint8Array(count);
  }
}

/** Columns that are free, by width; one event has as many as points. */
const pools: Columns[][] = WIDTHS.map(() => []);

/** Collects the windows of one site and emits one event a width. */
export class Emission {
  private readonly siteId: string;
  private readonly knownAtMs: number;
  private readonly emit: Emit;
  private readonly series: PointWindows[][] = [[], [], []];
  private readonly windows = [0, 0, 0];
  private readonly columns: (Columns | null)[] = [null, null, null];

  constructor(siteId: string, knownAtMs: number, emit: Emit) {
    this.siteId = siteId;
    this.knownAtMs = knownAtMs;
    this.emit = emit;
  }

  push(width: number, pointId: string, hasEnergy: boolean, window: Window, flags: number, revision: number, reason: number): void {
    let columns = this.columns[width];
    if (columns === null) {
      const taken = this.series[width].length;
      this.columns[width] = columns = pools[width][taken] ??= new Columns();
      columns.begin(pointId, hasEnergy);
    }
    columns.push(window, flags, revision, reason);
    this.windows[width]++;
  }

  /** Ends a point's columns; emits what has become large. */
  endPoint(): void {
    for (let width = 0; width < WIDTHS.length; width++) {
      const columns = this.columns[width];
      if (columns === null) continue;
      this.series[width].push(columns.finish());
      this.columns[width] = null;
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
