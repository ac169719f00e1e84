/**
 * The events that answer one request: the readings of the day with the windows so far, in as many parts as an event's
 * size asks for. An hour that no event can hold is told to be set aside; nothing is lost silently.
 */
import type { Codec } from '../schemas/codec.ts';
import type { DayReloaded, RevisionRequested } from '../schemas/types.ts';
import { DAY_MS, HOUR_MS, MAX_EVENT_BYTES } from '../streams/limits.ts';
import { cutOut, type RawDay, type RawReading } from './raw-days.ts';

export interface ReloadPart {
  event: DayReloaded;
  bytes: Buffer;
  fromMs: number;
  /** New readings of an hour that no event can hold; null where the event has all. */
  heldBack: number | null;
}

/** The largest index into devices that a reading in memory has room for. */
const MAX_DEVICE_INDEX = 63;

/** Parts of a day in order, each within the limit of an event. */
export function partsOfDay(codec: Codec, request: RevisionRequested, day: RawDay, previous: DayReloaded['previous']): ReloadPart[] {
  const split = (fromMs: number, toMs: number): ReloadPart[] => {
    const event = partOf(request, day, previous, fromMs, toMs);
    const bytes = codec.encode('DayReloaded', event);
    if (bytes.length <= MAX_EVENT_BYTES) return [{ event, bytes, fromMs, heldBack: null }];
    const middleMs = fromMs + Math.floor((toMs - fromMs) / HOUR_MS / 2) * HOUR_MS;
    if (middleMs > fromMs) return [...split(fromMs, middleMs), ...split(middleMs, toMs)];
    return [heldBackPart(codec, event, day, day.arrivals - request.lateCount, fromMs, toMs)];
  };
  return split(request.dayStartMs, request.dayStartMs + DAY_MS);
}

function partOf(
  { siteId, pointId, knownAtMs, dayStartMs, lateCount }: RevisionRequested,
  day: RawDay,
  previous: DayReloaded['previous'],
  fromMs: number,
  toMs: number,
): DayReloaded {
  const isWhole = toMs - fromMs === DAY_MS;
  const { rows } = cutOut(day.readings, fromMs, toMs, day.isRegister);
  const inDay = ({ startMs }: RawReading) => startMs >= dayStartMs && startMs < dayStartMs + DAY_MS;
  const lateness = rows.map((reading) => (inDay(reading) ? latenessOf(reading, day.arrivals - lateCount) : NOT_LATE));
  return {
    ...{ siteId, pointId, knownAtMs, dayStartMs },
    ...columnsOf(rows),
    // The hours of the day before go with its beginning.
    previous: previous.map((windows) => within(windows, fromMs === dayStartMs ? Number.NEGATIVE_INFINITY : fromMs, toMs)),
    fromMs: isWhole ? null : fromMs,
    toMs: isWhole ? null : toMs,
    setAsideCount: 0,
    late: Uint8Array.from(lateness, ({ mark }) => mark),
    replaced: lateness.filter(({ mark }) => mark === REPLACED).map(({ value }) => value),
  };
}

const NOT_LATE = { mark: 0, value: 0 };
const LATE = { mark: 1, value: 0 };
const REPLACED = 2;

/** Whether a reading is among the late ones (from that arrival on), and in place of which other value it came. */
function latenessOf(reading: RawReading, firstLate: number): { mark: number; value: number } {
  if (reading.arrival < firstLate) return NOT_LATE;
  for (let { earlier } = reading; earlier !== null; { earlier } = earlier) {
    if (!saysTheSame(earlier, reading)) return { mark: REPLACED, value: earlier.value };
    if (earlier.arrival < firstLate) return NOT_LATE;
  }
  return LATE;
}

function saysTheSame(a: RawReading, b: RawReading): boolean {
  return a.value === b.value && a.quality === b.quality && a.deviceId === b.deviceId;
}

/** Windows that start in [fromMs, toMs), with starts as the event has them. */
function within(windows: DayReloaded['previous'][number], fromMs: number, toMs: number): DayReloaded['previous'][number] {
  const isIn = (_: unknown, i: number) => windows.startMs[i] >= fromMs && windows.startMs[i] < toMs;
  const starts = windows.startMs.filter(isIn);
  return {
    widthMs: windows.widthMs,
    startMs: starts.map((startMs, i) => (i === 0 ? startMs : startMs - starts[i - 1])),
    revision: windows.revision.filter(isIn),
    digest: windows.digest.filter(isIn),
    flags: windows.flags.filter(isIn),
  };
}

/** The event of an hour that has too many readings: without any, so that its windows stay as they are. */
function heldBackPart(codec: Codec, full: DayReloaded, day: RawDay, firstLate: number, fromMs: number, toMs: number): ReloadPart {
  const inside = day.readings.filter(({ startMs }) => startMs >= fromMs && startMs < toMs);
  const heldBack = inside.filter((reading) => isNew(reading, firstLate)).length;
  const none = { startMs: [], value: [], quality: new Uint8Array(), deviceIndex: new Uint8Array(), devices: [] };
  const event = { ...full, ...none, previous: [], setAsideCount: heldBack, late: new Uint8Array(), replaced: [] };
  return { event, bytes: codec.encode('DayReloaded', event), fromMs, heldBack };
}

/** Whether nothing of its start was there before the late ones came. */
function isNew(reading: RawReading, firstLate: number): boolean {
  let first = reading;
  while (first.earlier !== null) first = first.earlier;
  return first.arrival >= firstLate;
}

function columnsOf(readings: readonly RawReading[]) {
  const devices: (string | null)[] = [];
  const deviceIndex = readings.map(({ deviceId }) => {
    const at = devices.indexOf(deviceId);
    return at >= 0 ? at : Math.min(MAX_DEVICE_INDEX, devices.push(deviceId) - 1);
  });
  return {
    startMs: readings.map(({ startMs }, i) => (i === 0 ? startMs : startMs - readings[i - 1].startMs)),
    value: readings.map(({ value }) => value),
    quality: Uint8Array.from(readings.map(({ quality }) => quality)),
    deviceIndex: Uint8Array.from(deviceIndex),
    devices,
  };
}
