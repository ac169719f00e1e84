/** Local time at the edge, by Intl's copy of the IANA time-zone database. Inside, everything is UTC epoch milliseconds. */
import { DAY_MS } from './limits.ts';

const QUARTER_MS = 15 * 60_000;
const MAX_CACHED = 100_000;

interface Zone {
  format: Intl.DateTimeFormat;
  /** Offset by quarter hour: no zone changes its clocks off the quarter (since 1970). */
  offsets: Map<number, number>;
}
const zones = new Map<string, Zone>();

function zoneOf(timeZone: string): Zone {
  let zone = zones.get(timeZone);
  if (!zone) {
    const format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    zones.set(timeZone, (zone = { format, offsets: new Map() }));
  }
  return zone;
}

/** Whether the time-zone database knows the name. */
export function isTimeZone(timeZone: string): boolean {
  try {
    zoneOf(timeZone);
    return true;
  } catch {
    return false;
  }
}

/** Local time minus UTC at an instant (ms). Throws RangeError for an unknown zone. */
export function utcOffsetMs(timeZone: string, atMs: number): number {
  const zone = zoneOf(timeZone);
  const quarter = Math.floor(atMs / QUARTER_MS);
  let offset = zone.offsets.get(quarter);
  if (offset === undefined) {
    const startMs = quarter * QUARTER_MS;
    const parts: Record<string, number> = {};
    for (const { type, value } of zone.format.formatToParts(startMs)) parts[type] = Number(value);
    offset = Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second) - startMs;
    if (zone.offsets.size >= MAX_CACHED) zone.offsets.clear();
    zone.offsets.set(quarter, offset);
  }
  return offset;
}

/** First instant (ms) of the local day that holds the instant. Where midnight does not exist, the day begins later. */
export function startOfLocalDayMs(timeZone: string, atMs: number): number {
  const localMs = atMs + utcOffsetMs(timeZone, atMs);
  const midnightMs = Math.floor(localMs / DAY_MS) * DAY_MS;
  return instantOfLocalMs(timeZone, midnightMs);
}

/** The earliest instant whose local time is the given one, or the end of the gap where that time does not exist. */
function instantOfLocalMs(timeZone: string, localMs: number): number {
  const before = localMs - utcOffsetMs(timeZone, localMs - DAY_MS);
  if (before + utcOffsetMs(timeZone, before) === localMs) return before;
  const after = localMs - utcOffsetMs(timeZone, localMs + DAY_MS);
  if (after + utcOffsetMs(timeZone, after) === localMs) return after;
  // The time was skipped: the change of clocks lies between the two readings of it.
  let low = Math.min(before, after) - QUARTER_MS;
  let high = Math.max(before, after) + QUARTER_MS;
  const offset = utcOffsetMs(timeZone, low);
  while (high - low > QUARTER_MS) {
    const middle = Math.floor((low + high) / 2 / QUARTER_MS) * QUARTER_MS;
    if (middle <= low) break;
    if (utcOffsetMs(timeZone, middle) === offset) low = middle;
    else high = middle;
  }
  return Math.ceil(high / QUARTER_MS) * QUARTER_MS;
}
