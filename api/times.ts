/** Times at the edge: parsing what requests say, rendering what answers say. */
import { IflexError } from '../streams/errors.ts';
import { DAY_MS, HOUR_MS } from '../streams/limits.ts';
import { startOfLocalDayMs, utcOffsetMs } from '../streams/time.ts';

/**
 * Times outside of these are refused: nothing of ours is older, and later ones are mistakes. The first and last local
 * days of these years count in every zone, which reach from 12 h behind UTC to 14 h before it.
 */
const FIRST_MS = Date.UTC(1971, 0, 1) - 14 * HOUR_MS;
const LAST_MS = Date.UTC(2200, 0, 1) + 12 * HOUR_MS;
/** What RFC 3339 can say with every offset (its years have four digits); data may be stamped with any such time. */
export const FIRST_RENDERED_MS = -6e13;
export const LAST_RENDERED_MS = Date.UTC(9999, 11, 30);
const FORM = /^(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/;

/** The name of a zone as the database of zones writes it; throws REQUEST_INVALID. */
export function timeZoneOf(text: string): string {
  try {
    // Canonical names are few; what people write (also in other cases) is not, and every zone is remembered.
    return new Intl.DateTimeFormat('en-US', { timeZone: text }).resolvedOptions().timeZone;
  } catch {
    throw new IflexError('REQUEST_INVALID', `tz: "${text}" is not a time zone. Write an IANA name, such as Europe/Helsinki.`);
  }
}

/**
 * An instant (UTC epoch ms) of "2026-03-29T00:00:00+02:00", or of "2026-03-29", the start of the local day. Of a fraction
 * the whole milliseconds count.
 */
export function instantOf(text: string, timeZone: string, name: string): number {
  // A plus sign that was not escaped arrives as a space.
  const written = text.replace(/ (\d\d:\d\d)$/, '+$1').toUpperCase();
  const match = FORM.exec(written);
  const [, date] = match ?? [];
  const dayMs = Date.parse(`${date}T00:00:00Z`);
  const exists = Number.isFinite(dayMs) && new Date(dayMs).toISOString().startsWith(date);
  const atMs = !exists ? Number.NaN : written.length === date.length ? startOfLocalDateMs(timeZone, dayMs / DAY_MS) : Date.parse(written);
  if (!(atMs >= FIRST_MS && atMs <= LAST_MS))
    throw new IflexError(
      'REQUEST_INVALID',
      `${name}: "${text.slice(0, 40)}" is not a time from 1971 to 2199, such as 2026-03-29T00:00:00+02:00 or 2026-03-29 (its local start).`,
    );
  return atMs;
}

/** First instant of a local date, given as days since 1970-01-01. */
export function startOfLocalDateMs(timeZone: string, localDay: number): number {
  // Near local noon, where no clock changes, so that a wrong hour still falls into the date.
  const noonMs = localDay * DAY_MS + 12 * HOUR_MS;
  return startOfLocalDayMs(timeZone, noonMs - utcOffsetMs(timeZone, noonMs));
}

/** Days since 1970-01-01 of the local date that holds an instant. */
export function localDateOf(timeZone: string, atMs: number): number {
  return Math.floor((atMs + utcOffsetMs(timeZone, atMs)) / DAY_MS);
}

/** RFC 3339 with the zone's offset at that time; "Z" for UTC. Milliseconds only where there are some. */
export function rendered(atMs: number, timeZone: string): string {
  const offsetMs = timeZone === 'UTC' ? 0 : utcOffsetMs(timeZone, atMs);
  const local = new Date(atMs + offsetMs).toISOString();
  const plain = atMs % 1000 === 0 ? local.slice(0, 19) : local.slice(0, 23);
  if (timeZone === 'UTC') return `${plain}Z`;
  const minutes = Math.abs(Math.round(offsetMs / 60_000));
  const two = (value: number) => String(value).padStart(2, '0');
  return `${plain}${offsetMs < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}
