/** One site on a synchronous drive, with readings as plain values: what tests of processors deliver and look at. */
import { cutOut, type RawReading } from '../../../projections/raw-days.ts';
import { partsOfDay } from '../../../projections/reload-parts.ts';
import { Codec } from '../../../schemas/codec.ts';
import { currentSchemas } from '../../../schemas/files.ts';
import type {
  DataNotice,
  EventTypes,
  PointDeclared,
  PointReadings,
  Rejected,
  ResampledWindows,
  RevisionRequested,
  SiteDeclared,
} from '../../../schemas/types.ts';
import { Drive } from '../../../streams/drive.ts';
import type { LogRecord } from '../../../streams/event-log.ts';
import { DAY_MS, MAX_REGISTER_GAP_MS, MINUTE_MS } from '../../../streams/limits.ts';
import type { Processor } from '../../../streams/processor.ts';
import { findTopic } from '../../../streams/topics.ts';

export interface Reading {
  startMs: number;
  value: number;
  quality?: number;
  deviceId?: string | null;
}

/** One window as it was emitted. */
export interface Emitted {
  pointId: string;
  widthMs: number;
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
  flags: number;
  revision: number;
  reason: number;
}

export function codecOfCurrentSchemas(): Codec {
  const current = currentSchemas();
  const codec = new Codec(current.values());
  [...current.values()].forEach((schema, i) => {
    codec.register({ id: i + 1, schema });
  });
  return codec;
}

export function pointOf(pointId: string, kind: PointDeclared['kind'], more: Partial<PointDeclared> = {}): PointDeclared {
  return {
    pointId,
    name: pointId,
    kind,
    carrier: 'ELECTRICITY',
    intervalMs: 15 * MINUTE_MS,
    maxHoldMs: 15 * MINUTE_MS,
    deliveryDelayMs: 0,
    registerModulusMilliWh: null,
    registerJitterMilliWh: 0,
    mayExport: true,
    forecast: false,
    ...more,
  };
}

const UNIT_OF_KIND: Partial<Record<PointDeclared['kind'], PointReadings['unit']>> = {
  MEAN_POWER: 'WATT',
  INSTANT_POWER: 'WATT',
  INTERVAL_ENERGY: 'MILLIWATT_HOUR',
  REGISTER: 'MILLIWATT_HOUR',
  TEMPERATURE: 'DEGREE_CELSIUS',
  STATE: 'CODE',
};

/** Columns of one point's readings; those of one device only. */
export function seriesOf(point: PointDeclared, readings: readonly Reading[]): PointReadings {
  const unit = UNIT_OF_KIND[point.kind]!;
  const values = readings.map(({ value }) => value);
  return {
    pointId: point.pointId,
    unit,
    deviceId: readings[0]?.deviceId ?? null,
    startMs: readings.map(({ startMs }, i) => (i === 0 ? startMs : startMs - readings[i - 1].startMs)),
    value: unit === 'MILLIWATT_HOUR' ? [] : values,
    energyMilliWh: unit === 'MILLIWATT_HOUR' ? values : [],
    quality: Uint8Array.from(readings.map(({ quality }) => quality ?? 0)),
  };
}

export interface RigOptions {
  processors: readonly Processor[];
  points: readonly PointDeclared[];
  siteId?: string;
  timeZone?: string;
  /** Answers requests for reloads after each record, as the adapter does. */
  reloads?: boolean;
  /** Shared by many rigs, as it takes longer to make than most sites take. */
  codec?: Codec;
}

/** A site under test. `records` is all it was given, in order; the rest is what came out. */
export class SiteRig {
  readonly codec: Codec;
  readonly drive: Drive;
  readonly records: LogRecord[] = [];
  readonly emitted: Emitted[] = [];
  readonly notices: DataNotice[] = [];
  readonly rejected: Rejected[] = [];
  readonly requests: RevisionRequested[] = [];
  readonly siteId: string;
  points: readonly PointDeclared[];
  private readonly timeZone: string;
  private readonly reloads: boolean;
  private readonly raw = new Map<string, { byStart: Map<number, RawReading>; arrivals: Map<number, number> }>();
  private readonly offsets = new Map<string, number>();

  constructor({
    processors,
    points,
    siteId = 'site',
    timeZone = 'Europe/Helsinki',
    reloads = true,
    codec = codecOfCurrentSchemas(),
  }: RigOptions) {
    this.codec = codec;
    this.drive = new Drive({ processors, codec: this.codec });
    this.siteId = siteId;
    this.timeZone = timeZone;
    this.reloads = reloads;
    this.points = points;
    this.declare(points, 0);
  }

  declare(points: readonly PointDeclared[], knownAtMs: number, timeZone = this.timeZone): void {
    this.points = points;
    const value: SiteDeclared = {
      siteId: this.siteId,
      knownAtMs,
      pilotId: 'pilot',
      timeZone,
      kind: 'HOME',
      origin: 'SIMULATED',
      personalData: null,
      points: [...points],
    };
    this.give('sites', 'SiteDeclared', value);
  }

  /** One delivery of one point's readings, split by device. */
  deliver(pointId: string, readings: readonly Reading[], knownAtMs: number): void {
    const point = this.points.find((declared) => declared.pointId === pointId) ?? pointOf(pointId, 'MEAN_POWER');
    const series: PointReadings[] = [];
    for (let from = 0; from < readings.length; ) {
      let to = from + 1;
      while (to < readings.length && (readings[to].deviceId ?? null) === (readings[from].deviceId ?? null)) to++;
      series.push(seriesOf(point, readings.slice(from, to)));
      from = to;
    }
    const rejectedBefore = this.rejected.length;
    this.deliverSeries(series, knownAtMs);
    this.keep(pointId, readings, this.rejected.slice(rejectedBefore));
  }

  /** What was set aside is left out of reloads too. */
  private keep(pointId: string, readings: readonly Reading[], rejected: readonly Rejected[]): void {
    if (rejected.some(({ startsMs }) => startsMs.length === 0)) return;
    const setAside = new Set<number>();
    for (const { startsMs } of rejected) {
      let startMs = 0;
      for (const stepMs of startsMs) setAside.add((startMs += stepMs));
    }
    const archive = this.raw.get(pointId) ?? { byStart: new Map(), arrivals: new Map() };
    this.raw.set(pointId, archive);
    for (const { startMs, value, quality = 0, deviceId = null } of readings) {
      if (setAside.has(startMs)) continue;
      const utcDay = Math.floor(startMs / DAY_MS);
      const arrival = archive.arrivals.get(utcDay) ?? 0;
      archive.arrivals.set(utcDay, arrival + 1);
      const earlier = archive.byStart.get(startMs) ?? null;
      archive.byStart.set(startMs, { startMs, value, quality, deviceId, arrival, earlier });
    }
  }

  deliverSeries(series: PointReadings[], knownAtMs: number): void {
    this.give('meter.readings', 'ReadingsDelivery', { siteId: this.siteId, knownAtMs, series });
  }

  tick(knownAtMs: number): void {
    this.give('ticks', 'Tick', { knownAtMs });
  }

  /** Ticks every so often, the last one at or after the end. */
  tickThrough(fromMs: number, toMs: number, everyMs = MINUTE_MS): void {
    for (let tickMs = fromMs; ; tickMs += everyMs) {
      this.tick(tickMs);
      if (tickMs >= toMs) return;
    }
  }

  /** Latest revision of every window of a point and width, by start. */
  current(pointId: string, widthMs: number): Map<number, Emitted> {
    const found = new Map<number, Emitted>();
    for (const window of this.emitted) if (window.pointId === pointId && window.widthMs === widthMs) found.set(window.startMs, window);
    return new Map([...found].sort(([a], [b]) => a - b));
  }

  energyMilliWh(pointId: string, widthMs: number, fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY): number {
    let sum = 0;
    for (const [startMs, window] of this.current(pointId, widthMs)) if (startMs >= fromMs && startMs < toMs) sum += window.energyMilliWh;
    return sum;
  }

  give<Name extends keyof EventTypes & string>(topic: string, schema: Name, value: EventTypes[Name]): void {
    const offset = this.offsets.get(topic) ?? 0;
    this.offsets.set(topic, offset + 1);
    const { knownAtMs } = value as { knownAtMs: number };
    const record: LogRecord = {
      topic,
      key: topic === 'ticks' ? '0' : this.siteId,
      partition: 0,
      offset,
      appendedMs: 0,
      value: this.codec.encode(schema, value),
      headers: { source: topic, number: offset, type: schema, knownAtMs },
    };
    this.records.push(record);
    this.drive.take(record);
    const outputs = this.drive.outputs;
    this.drive.outputs = [];
    const asked: RevisionRequested[] = [];
    for (const output of outputs) {
      const decoded = this.codec.decodeAs(findTopic(output.topic)!.schema, output.value);
      if (output.topic === 'notices') this.notices.push(decoded as DataNotice);
      else if (output.topic === 'rejected') this.rejected.push(decoded as Rejected);
      else if (output.topic === 'revisions.requested') asked.push(decoded as RevisionRequested);
      else if (output.topic.startsWith('resampled.')) this.emitted.push(...windowsOf(decoded as ResampledWindows));
    }
    this.requests.push(...asked);
    if (this.reloads) for (const request of asked) this.answer(request);
  }

  /** What the reload adapter does, from the readings delivered so far and the windows emitted so far. */
  answer(request: RevisionRequested): void {
    const { pointId, dayStartMs } = request;
    const isRegister = this.points.find((declared) => declared.pointId === pointId)?.kind === 'REGISTER';
    const { byStart, arrivals } = this.raw.get(pointId) ?? { byStart: new Map<number, RawReading>(), arrivals: new Map<number, number>() };
    const near = [...byStart.values()].filter(({ startMs }) => Math.abs(startMs - dayStartMs) <= MAX_REGISTER_GAP_MS + DAY_MS);
    const ascending = near.sort((a, b) => a.startMs - b.startMs);
    const { rows } = cutOut(ascending, dayStartMs, dayStartMs + DAY_MS, isRegister);
    const previous = [5, 15, 60].map((minutes) => {
      const fromMs = minutes === 60 ? dayStartMs - DAY_MS : dayStartMs;
      const windows = [...this.current(pointId, minutes * MINUTE_MS).values()].filter(
        ({ startMs }) => startMs >= fromMs && startMs < dayStartMs + DAY_MS,
      );
      return {
        widthMs: minutes * MINUTE_MS,
        startMs: windows.map(({ startMs }) => startMs),
        revision: windows.map(({ revision }) => revision),
        flags: Uint8Array.from(windows, ({ flags }) => flags),
        digest: windows.map((w) =>
          [w.energyMilliWh, w.mean, w.min, w.max, w.last, w.readingCount, w.coveredMs, w.measuredMs, w.quality].join(' '),
        ),
      };
    });
    const day = { isRegister, readings: rows, arrivals: arrivals.get(dayStartMs / DAY_MS) ?? 0 };
    for (const { event } of partsOfDay(this.codec, request, day, previous)) this.give('day.reloaded', 'DayReloaded', event);
  }
}

function windowsOf({ widthMs, series }: ResampledWindows): Emitted[] {
  return series.flatMap((point) => {
    let startMs = 0;
    return point.startMs.map((step, i) => {
      startMs += step;
      return {
        pointId: point.pointId,
        widthMs,
        startMs,
        energyMilliWh: point.energyMilliWh[i],
        mean: point.mean[i],
        min: point.min[i],
        max: point.max[i],
        last: point.last[i],
        readingCount: point.readingCount[i],
        coveredMs: point.coveredMs[i],
        measuredMs: point.measuredMs[i],
        quality: point.quality[i],
        flags: point.flags[i],
        revision: point.revision[i],
        reason: point.reason[i],
      };
    });
  });
}

/** Readings of point p, one a minute. */
export const minutely = (fromMs: number, toMs: number, value: (startMs: number) => number): Reading[] =>
  Array.from({ length: (toMs - fromMs) / MINUTE_MS }, (_, i) => ({
    startMs: fromMs + i * MINUTE_MS,
    value: value(fromMs + i * MINUTE_MS),
  }));

/** Delivers minute by minute, each reading as it ends, with a tick after it. */
export function live(
  rig: SiteRig,
  fromMs: number,
  toMs: number,
  value: (startMs: number) => number,
  but: (startMs: number) => boolean = () => false,
): void {
  for (const reading of minutely(fromMs, toMs, value)) {
    if (!but(reading.startMs)) rig.deliver('p', [reading], reading.startMs + MINUTE_MS);
    rig.tick(reading.startMs + MINUTE_MS);
  }
}
