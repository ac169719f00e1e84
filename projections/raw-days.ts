/** Raw readings of days, read back from the log: what bears on the windows of each day. */
import type { Codec } from '../schemas/codec.ts';
import { CodecError } from '../schemas/codec.ts';
import type { PointKind, ReadingsDelivery } from '../schemas/types.ts';
import type { EventLog, Positions } from '../streams/event-log.ts';
import { DAY_MS, HOUR_MS, MAX_FUTURE_MS, MAX_REGISTER_GAP_MS, MAX_STEP_BYTES } from '../streams/limits.ts';
import { isRepresentable, seriesProblem } from '../streams/reading-columns.ts';
import type { ProjectionStore } from './store.ts';

export interface RawReading {
  startMs: number;
  value: number;
  quality: number;
  deviceId: string | null;
}

/** One point and UTC day that is to be reloaded. */
export interface WantedDay {
  pointId: string;
  dayStartMs: number;
}

export interface RawDaysOptions {
  log: EventLog;
  codec: Codec;
  store: ProjectionStore;
  siteId: string;
  partition: number;
  /** Records from these offsets on are left out: the task has not read them yet. */
  before: Positions;
}

const READ = { maxRecords: 1_000, maxBytes: MAX_STEP_BYTES };
/** Readings on both sides of a day that decide about its edges: two of a register, and those that decide about jitter. */
const REGISTER_NEIGHBOURS = 6;
/** Days on both sides in which neighbours may lie: the longest register gap that is spread, and what holds long. */
const FAR_REACH_DAYS = Math.ceil(MAX_REGISTER_GAP_MS / DAY_MS) + 1;
/** Point-days (with those on both sides) read in one go: what bounds memory. */
const MAX_POINT_DAYS = 200;

/** Readings of each wanted day of one site, ascending, with the neighbours that bear on it; doubles resolved. */
export async function rawReadingsOfDays(options: RawDaysOptions, wanted: readonly WantedDay[]): Promise<Map<WantedDay, RawReading[]>> {
  const kinds = await kindsOf(options.store, options.siteId);
  const found = new Map<WantedDay, RawReading[]>();
  const withFarNeighbours: WantedDay[] = [];
  for (const group of groupsWithin(wanted, 1)) {
    const readings = await readAround(options, kinds, group, 1);
    for (const day of group) {
      const isRegister = kinds.get(day.pointId) === 'REGISTER';
      const { rows, isComplete } = cutOut(readings.get(day.pointId) ?? [], day.dayStartMs, isRegister);
      found.set(day, rows);
      if (!isComplete) withFarNeighbours.push(day);
    }
  }
  for (const group of groupsWithin(withFarNeighbours, FAR_REACH_DAYS)) {
    const readings = await readAround(options, kinds, group, FAR_REACH_DAYS);
    for (const day of group) {
      const isRegister = kinds.get(day.pointId) === 'REGISTER';
      found.set(day, cutOut(readings.get(day.pointId) ?? [], day.dayStartMs, isRegister).rows);
    }
  }
  return found;
}

async function kindsOf(store: ProjectionStore, siteId: string): Promise<Map<string, PointKind>> {
  const { rows } = await store.pool.query('SELECT point_id, kind FROM point WHERE site_id = $1', [siteId]);
  return new Map(rows.map((row: { point_id: string; kind: PointKind }) => [row.point_id, row.kind]));
}

/** Cuts the wanted days into groups of which each touches a bounded number of point-days. */
function* groupsWithin(wanted: readonly WantedDay[], reachDays: number): Generator<WantedDay[]> {
  const ordered = [...wanted].sort((a, b) => a.dayStartMs - b.dayStartMs);
  let group: WantedDay[] = [];
  let touched = new Set<string>();
  for (const day of ordered) {
    const with_ = new Set(touched);
    for (const utcDay of daysAround(day, reachDays)) with_.add(`${utcDay} ${day.pointId}`);
    if (group.length > 0 && with_.size > MAX_POINT_DAYS) {
      yield group;
      group = [];
      touched = new Set();
      for (const utcDay of daysAround(day, reachDays)) touched.add(`${utcDay} ${day.pointId}`);
    } else touched = with_;
    group.push(day);
  }
  if (group.length > 0) yield group;
}

function daysAround({ dayStartMs }: WantedDay, reachDays: number): number[] {
  const day = dayStartMs / DAY_MS;
  return Array.from({ length: 2 * reachDays + 1 }, (_, i) => day - reachDays + i);
}

/** Readings of the wanted points on the days around the wanted ones, ascending. */
async function readAround(
  options: RawDaysOptions,
  kinds: ReadonlyMap<string, PointKind>,
  group: readonly WantedDay[],
  reachDays: number,
): Promise<Map<string, RawReading[]>> {
  const { log, store, siteId, partition, before } = options;
  const points = new Map<string, { days: Set<number>; kind: PointKind; byStart: Map<number, RawReading> }>();
  for (const day of group) {
    const kind = kinds.get(day.pointId);
    if (kind === undefined) continue;
    let point = points.get(day.pointId);
    if (!point) points.set(day.pointId, (point = { days: new Set(), kind, byStart: new Map() }));
    for (const utcDay of daysAround(day, reachDays)) point.days.add(utcDay);
  }
  const days = new Set([...points.values()].flatMap((point) => [...point.days]));
  const { rows } = await store.pool.query(
    'SELECT topic, first_offset, last_offset FROM day_index WHERE site_id = $1 AND utc_day = ANY ($2) ORDER BY topic, first_offset',
    [siteId, [...days]],
  );
  for (const { topic, first, end } of mergedRanges(rows)) {
    const endOffset = Math.min(end, before[topic] ?? 0);
    for (let offset = first; offset < endOffset; ) {
      const { records, nextOffset } = await log.read({ topic, partition }, offset, READ);
      for (const record of records) {
        if (record.offset >= endOffset || record.key !== siteId) continue;
        const delivery = decoded(options.codec, record.value);
        // What the task set aside as a whole for a key or time of another does not come back by a reload.
        const sound = delivery?.siteId === siteId && delivery.knownAtMs === record.headers.knownAtMs;
        if (delivery && sound) collect(delivery, delivery.knownAtMs, points);
      }
      if (nextOffset === offset) break;
      offset = nextOffset;
    }
  }
  return new Map([...points].map(([pointId, { byStart }]) => [pointId, [...byStart.values()].sort((a, b) => a.startMs - b.startMs)]));
}

function mergedRanges(
  rows: { topic: string; first_offset: number; last_offset: number }[],
): { topic: string; first: number; end: number }[] {
  const merged: { topic: string; first: number; end: number }[] = [];
  for (const row of rows) {
    const last = merged.at(-1);
    if (last && last.topic === row.topic && row.first_offset <= last.end) last.end = Math.max(last.end, row.last_offset + 1);
    else merged.push({ topic: row.topic, first: row.first_offset, end: row.last_offset + 1 });
  }
  return merged;
}

function decoded(codec: Codec, value: Uint8Array): ReadingsDelivery | undefined {
  try {
    return codec.decodeAs('ReadingsDelivery', value) as ReadingsDelivery;
  } catch (error) {
    if (error instanceof CodecError) return undefined;
    throw error;
  }
}

/** Later deliveries of the same start count, as in the hot state; what its columns, times or values rule out is left out here too. */
function collect(
  delivery: ReadingsDelivery,
  knownAtMs: number,
  points: ReadonlyMap<string, { days: Set<number>; kind: PointKind; byStart: Map<number, RawReading> }>,
): void {
  for (const series of delivery.series) {
    const point = points.get(series.pointId);
    if (!point || seriesProblem(point.kind, series)) continue;
    const values = series.unit === 'MILLIWATT_HOUR' ? series.energyMilliWh : series.value;
    const oneQuality = series.quality.length === 1;
    let startMs = 0;
    for (let i = 0; i < values.length; i++) {
      startMs += series.startMs[i];
      if (!point.days.has(Math.floor(startMs / DAY_MS))) continue;
      if (startMs > knownAtMs + MAX_FUTURE_MS || !isRepresentable(point.kind, startMs, values[i])) continue;
      point.byStart.set(startMs, { startMs, value: values[i], quality: series.quality[oneQuality ? 0 : i], deviceId: series.deviceId });
    }
  }
}

/**
 * The readings of a day with the neighbours that bear on it: of a register some on both sides, of others the hour
 * before and one reading on both sides. `isComplete` tells whether all that can bear on it were among the readings.
 */
export function cutOut(
  readings: readonly RawReading[],
  dayStartMs: number,
  isRegister: boolean,
): { rows: RawReading[]; isComplete: boolean } {
  const inside = firstAtOrAfter(readings, dayStartMs);
  const after = firstAtOrAfter(readings, dayStartMs + DAY_MS);
  const neighbours = isRegister ? REGISTER_NEIGHBOURS : 1;
  // Source intervals that begin the day before reach into it, so the hour before comes along.
  const hourBefore = isRegister ? inside : firstAtOrAfter(readings, dayStartMs - HOUR_MS);
  const from = Math.max(0, Math.min(inside - neighbours, hourBefore));
  return {
    rows: readings.slice(from, after + neighbours),
    isComplete: inside >= neighbours && (!isRegister || readings.length - after >= neighbours),
  };
}

function firstAtOrAfter(readings: readonly RawReading[], timeMs: number): number {
  let low = 0;
  let high = readings.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (readings[middle].startMs < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
