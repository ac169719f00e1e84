/**
 * Raw readings of days, read back from the log: what bears on the windows of each day. Days are UTC days, not those of
 * the site's zone: a window of an hour never crosses the midnight of UTC, so that a day holds whole windows; it does
 * cross local midnight where the zone is off by a half or a quarter of an hour (Asia/Kathmandu, +05:45), and a zone can
 * be declared anew, which would cut other days out of windows that are emitted already.
 */
import type { Codec } from '../schemas/codec.ts';
import { CodecError } from '../schemas/codec.ts';
import type { PointKind, ReadingsDelivery } from '../schemas/types.ts';
import type { EventLog, Positions } from '../streams/event-log.ts';
import { DAY_MS, HOUR_MS, MAX_REGISTER_GAP_MS, MAX_STEP_BYTES } from '../streams/limits.ts';
import { isRepresentable, seriesProblem } from '../streams/reading-columns.ts';
import { placeOf, type SetAside, setAsideOf } from './set-aside-readings.ts';
import type { ProjectionStore } from './store.ts';

export interface RawReading {
  startMs: number;
  value: number;
  quality: number;
  deviceId: string | null;
  /** As the how manieth of its UTC day it came, doubles counted. */
  arrival: number;
  /** The one of the same start in whose place it came. */
  earlier: RawReading | null;
}

/** What is known of a wanted day: its readings with the neighbours that bear on it, ascending, the latest of each start. */
export interface RawDay {
  isRegister: boolean;
  readings: RawReading[];
  /** Readings of the day itself that came, doubles counted. */
  arrivals: number;
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
/** Readings, by the spacing that their points declare, that are read in one go (if it is not a single day): what bounds memory. */
const MAX_READINGS_AT_ONCE = 300_000;

interface Point {
  kind: PointKind;
  /** Readings of a day, as declared. */
  perDay: number;
}

/** What is in memory of a point while days are read. */
interface Collected {
  kind: PointKind;
  days: Set<number>;
  byStart: Map<number, RawReading>;
  arrivals: Map<number, number>;
}

/** Each wanted day of one site, as the task has taken it in. */
export async function rawReadingsOfDays(options: RawDaysOptions, wanted: readonly WantedDay[]): Promise<Map<WantedDay, RawDay>> {
  const points = await pointsOf(options.store, options.siteId);
  const found = new Map<WantedDay, RawDay>();
  const withFarNeighbours: WantedDay[] = [];
  for (const reachDays of [1, FAR_REACH_DAYS]) {
    for (const group of groupsWithin(reachDays === 1 ? wanted : withFarNeighbours, points, reachDays)) {
      const read = await readAround(options, points, group, reachDays);
      for (const day of group) {
        const { kind, ascending, arrivals } = read.get(day.pointId) ?? NOTHING;
        const isRegister = kind === 'REGISTER';
        const { rows, isComplete } = cutOut(ascending, day.dayStartMs, day.dayStartMs + DAY_MS, isRegister);
        found.set(day, { isRegister, readings: rows, arrivals: arrivals.get(day.dayStartMs / DAY_MS) ?? 0 });
        if (!isComplete && reachDays === 1) withFarNeighbours.push(day);
      }
    }
  }
  return found;
}

/** What was read of a point, ascending. */
type Read = Pick<Collected, 'kind' | 'arrivals'> & { ascending: RawReading[] };

const NOTHING: Read = { kind: 'UNKNOWN', ascending: [], arrivals: new Map() };

async function pointsOf(store: ProjectionStore, siteId: string): Promise<Map<string, Point>> {
  const { rows } = await store.pool.query('SELECT point_id, kind, interval_ms FROM point WHERE site_id = $1', [siteId]);
  return new Map(
    rows.map((row: { point_id: string; kind: PointKind; interval_ms: number }) => [
      row.point_id,
      { kind: row.kind, perDay: DAY_MS / row.interval_ms },
    ]),
  );
}

/** Cuts the wanted days into groups of which each touches a bounded number of readings. */
function* groupsWithin(wanted: readonly WantedDay[], points: ReadonlyMap<string, Point>, reachDays: number): Generator<WantedDay[]> {
  const ordered = [...wanted].sort((a, b) => a.dayStartMs - b.dayStartMs);
  let group: WantedDay[] = [];
  let touched = new Set<string>();
  let readings = 0;
  for (const day of ordered) {
    const perDay = points.get(day.pointId)?.perDay ?? 0;
    const around = daysAround(day, reachDays).map((utcDay) => `${utcDay} ${day.pointId}`);
    const added = around.filter((pointDay) => !touched.has(pointDay)).length * perDay;
    if (group.length > 0 && readings + added > MAX_READINGS_AT_ONCE) {
      yield group;
      group = [];
      touched = new Set();
      readings = around.length * perDay;
    } else readings += added;
    for (const pointDay of around) touched.add(pointDay);
    group.push(day);
  }
  if (group.length > 0) yield group;
}

function daysAround({ dayStartMs }: WantedDay, reachDays: number): number[] {
  const day = dayStartMs / DAY_MS;
  return Array.from({ length: 2 * reachDays + 1 }, (_, i) => day - reachDays + i);
}

/** Readings of the wanted points on the days around the wanted ones. */
async function readAround(
  options: RawDaysOptions,
  points: ReadonlyMap<string, Point>,
  group: readonly WantedDay[],
  reachDays: number,
): Promise<Map<string, Read>> {
  const { store, siteId } = options;
  const collected = new Map<string, Collected>();
  for (const day of group) {
    const kind = points.get(day.pointId)?.kind;
    if (kind === undefined) continue;
    let point = collected.get(day.pointId);
    if (!point) collected.set(day.pointId, (point = { kind, days: new Set(), byStart: new Map(), arrivals: new Map() }));
    for (const utcDay of daysAround(day, reachDays)) point.days.add(utcDay);
  }
  const days = new Set([...collected.values()].flatMap((point) => [...point.days]));
  const { rows } = await store.pool.query(
    'SELECT topic, first_offset, last_offset FROM day_index WHERE site_id = $1 AND utc_day = ANY ($2) ORDER BY topic, first_offset',
    [siteId, [...days]],
  );
  for (const range of mergedRanges(rows)) await readRange(options, range, collected);
  return new Map(
    [...collected].map(([pointId, { kind, byStart, arrivals }]) => [
      pointId,
      { kind, arrivals, ascending: [...byStart.values()].sort((a, b) => a.startMs - b.startMs) },
    ]),
  );
}

async function readRange(
  options: RawDaysOptions,
  { topic, first, end }: { topic: string; first: number; end: number },
  collected: ReadonlyMap<string, Collected>,
): Promise<void> {
  const { log, siteId, partition, before } = options;
  const endOffset = Math.min(end, before[topic] ?? 0);
  for (let offset = first; offset < endOffset; ) {
    const { records, nextOffset } = await log.read({ topic, partition }, offset, READ);
    const ofSite = records.filter((record) => record.offset < endOffset && record.key === siteId);
    const setAside = await setAsideOf(options, ofSite);
    for (const record of ofSite) {
      const delivery = decoded(options.codec, record.value);
      if (delivery) collect(delivery, setAside.get(placeOf(record)), collected);
    }
    if (nextOffset === offset) return;
    offset = nextOffset;
  }
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

/** Later deliveries of the same start count, as in the hot state; what was set aside, or would be for what it says, is left out. */
function collect(delivery: ReadingsDelivery, setAside: SetAside | undefined, collected: ReadonlyMap<string, Collected>): void {
  if (setAside?.all) return;
  for (const series of delivery.series) {
    const { pointId, deviceId, quality } = series;
    const point = collected.get(pointId);
    if (!point || setAside?.points.has(pointId) || seriesProblem(point.kind, series)) continue;
    const values = series.unit === 'MILLIWATT_HOUR' ? series.energyMilliWh : series.value;
    const startsLeftOut = setAside?.starts.get(pointId);
    const oneQuality = quality.length === 1;
    let startMs = 0;
    for (let i = 0; i < values.length; i++) {
      startMs += series.startMs[i];
      const utcDay = Math.floor(startMs / DAY_MS);
      if (!point.days.has(utcDay) || startsLeftOut?.has(startMs) || !isRepresentable(point.kind, startMs, values[i])) continue;
      const arrival = point.arrivals.get(utcDay) ?? 0;
      point.arrivals.set(utcDay, arrival + 1);
      const earlier = point.byStart.get(startMs) ?? null;
      point.byStart.set(startMs, { startMs, value: values[i], quality: quality[oneQuality ? 0 : i], deviceId, arrival, earlier });
    }
  }
}

/**
 * The readings of a span with the neighbours that bear on it: of a register some on both sides, of others the hour
 * before and one reading on both sides. `isComplete` tells whether all that can bear on it were among the readings.
 */
export function cutOut(
  readings: readonly RawReading[],
  fromMs: number,
  toMs: number,
  isRegister: boolean,
): { rows: RawReading[]; isComplete: boolean } {
  const inside = firstAtOrAfter(readings, fromMs);
  const after = firstAtOrAfter(readings, toMs);
  const neighbours = isRegister ? REGISTER_NEIGHBOURS : 1;
  // Source intervals that begin before it reach into it, so the hour before comes along.
  const hourBefore = isRegister ? inside : firstAtOrAfter(readings, fromMs - HOUR_MS);
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
