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

/** Columns of one point's windows on their way into an event. Differences of starts, as the event has them. */
class Columns {
  private series: PointWindows;
  private quality: number[] = [];
  private flags: number[] = [];
  private reason: number[] = [];
  private lastStartMs = 0;

  constructor(pointId: string, hasEnergy: boolean) {
    this.series = {
      pointId,
      hasEnergy,
      startMs: [],
      energyMilliWh: [],
      mean: [],
      min: [],
      max: [],
      last: [],
      readingCount: [],
      coveredMs: [],
      measuredMs: [],
      quality: new Uint8Array(0),
      flags: new Uint8Array(0),
      revision: [],
      reason: new Uint8Array(0),
    };
  }

  push(window: Window, flags: number, revision: number, reason: number): void {
    const { series } = this;
    series.startMs.push(window.startMs - this.lastStartMs);
    this.lastStartMs = window.startMs;
    series.energyMilliWh.push(series.hasEnergy ? window.energyMilliWh : 0);
    series.mean.push(window.mean);
    series.min.push(window.min);
    series.max.push(window.max);
    series.last.push(window.last);
    series.readingCount.push(window.readingCount);
    series.coveredMs.push(window.coveredMs);
    series.measuredMs.push(window.measuredMs);
    series.revision.push(revision);
    this.quality.push(window.quality);
    this.flags.push(flags);
    this.reason.push(reason);
  }

  finish(): PointWindows {
    this.series.quality = Uint8Array.from(this.quality);
    this.series.flags = Uint8Array.from(this.flags);
    this.series.reason = Uint8Array.from(this.reason);
    return this.series;
  }
}

/** Collects the windows of one site and emits one event a width. */
export class Emission {
  private readonly siteId: string;
  private readonly knownAtMs: number;
  private readonly emit: Emit;
  private readonly series: PointWindows[][] = WIDTHS.map(() => []);
  private readonly counts = WIDTHS.map(() => 0);
  private readonly columns: (Columns | null)[] = WIDTHS.map(() => null);

  constructor(siteId: string, knownAtMs: number, emit: Emit) {
    this.siteId = siteId;
    this.knownAtMs = knownAtMs;
    this.emit = emit;
  }

  push(width: number, pointId: string, hasEnergy: boolean, window: Window, flags: number, revision: number, reason: number): void {
    const columns = (this.columns[width] ??= new Columns(pointId, hasEnergy));
    columns.push(window, flags, revision, reason);
    this.counts[width]++;
  }

  /** Ends a point's columns; emits what has become large. */
  endPoint(): void {
    for (let width = 0; width < WIDTHS.length; width++) {
      const columns = this.columns[width];
      if (columns === null) continue;
      this.series[width].push(columns.finish());
      this.columns[width] = null;
      if (this.counts[width] >= MAX_WINDOWS_PER_EVENT) this.flush(width);
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
    this.counts[width] = 0;
  }
}
