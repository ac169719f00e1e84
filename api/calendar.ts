/** Spans of the local calendar: days of 23, 24 or 25 hours, weeks from Monday, months. */
import { HOUR_MS, MINUTE_MS } from '../streams/limits.ts';
import { localDateOf, startOfLocalDateMs } from './times.ts';

export const CALENDAR_UNITS = ['day', 'week', 'month'] as const;
export type CalendarUnit = (typeof CALENDAR_UNITS)[number];

const MS_OF_DATE = 86_400_000;

/**
 * Bounds of the spans that start in [fromMs, toMs), ascending and with the end of the last: whole spans only.
 *
 *     from        to          [ ] empty where no span starts between them
 *      |  A  |  B  |  C  |    starts of A, B and C, and the end of C
 */
export function calendarBounds(unit: CalendarUnit, timeZone: string, fromMs: number, toMs: number): number[] {
  let date = firstDateOf(unit, localDateOf(timeZone, fromMs));
  const bounds: number[] = [];
  for (;;) {
    const startMs = startOfLocalDateMs(timeZone, date);
    // Where a date was skipped (a zone that crossed the date line), the next one starts at the same instant.
    if (startMs >= fromMs && startMs !== bounds.at(-1)) bounds.push(startMs);
    if (startMs >= toMs) return bounds.length > 1 ? bounds : [];
    date = nextDateOf(unit, date);
  }
}

/** Start of the span that holds the instant. */
export function calendarStartMs(unit: CalendarUnit, timeZone: string, atMs: number): number {
  return startOfLocalDateMs(timeZone, firstDateOf(unit, localDateOf(timeZone, atMs)));
}

/** The widest windows whose edges fall on all bounds. */
export function widthOfBounds(boundsMs: readonly number[]): '5m' | '15m' | '60m' {
  if (boundsMs.every((boundMs) => boundMs % HOUR_MS === 0)) return '60m';
  return boundsMs.every((boundMs) => boundMs % (15 * MINUTE_MS) === 0) ? '15m' : '5m';
}

/** Dates are days since 1970-01-01, which was a Thursday. */
function firstDateOf(unit: CalendarUnit, date: number): number {
  if (unit === 'day') return date;
  if (unit === 'week') return date - ((((date + 3) % 7) + 7) % 7);
  const at = new Date(date * MS_OF_DATE);
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), 1) / MS_OF_DATE;
}

function nextDateOf(unit: CalendarUnit, date: number): number {
  if (unit === 'day') return date + 1;
  if (unit === 'week') return date + 7;
  const at = new Date(date * MS_OF_DATE);
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1, 1) / MS_OF_DATE;
}
