/**
 * Time stamps of files. A stamp in a zone with summer time may not exist (spring) or happen twice (autumn): the first is
 * refused, and of the second the rows of a meter take the first pass until its stamps would fall, then the second.
 */
import { DAY_MS } from '../../streams/limits.ts';
import { utcOffsetMs } from '../../streams/time.ts';

/** Local time as if it were UTC (ms), and the instant where the text itself says its offset. */
export interface LocalStamp {
  localMs: number;
  instantMs: number | undefined;
}

export type StampParser = (text: string) => LocalStamp | undefined;

const ISO = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?(Z|[+-]\d\d(?::?\d\d)?)?$/;
/** Parts of a stamp: year, month, day, hour, minute, second. */
const ORDER = 'YMDhms';
const PARTS: Record<string, string> = {
  YYYY: '(\\d{4})',
  MM: '(\\d\\d)',
  M: '(\\d{1,2})',
  DD: '(\\d\\d)',
  D: '(\\d{1,2})',
  HH: '(\\d\\d)',
  H: '(\\d{1,2})',
  mm: '(\\d\\d)',
  ss: '(\\d\\d)',
};

/**
 * Parser of "iso", "epoch-s", "epoch-ms", or a pattern of YYYY MM M DD D HH H mm ss with other characters between; undefined
 * for others.
 */
export function stampParser(format: string): StampParser | undefined {
  if (format === 'iso') return parseIso;
  if (format === 'epoch-s') return (text) => epoch(text, 1000);
  if (format === 'epoch-ms') return (text) => epoch(text, 1);
  const names: string[] = [];
  const pattern = format.replace(/YYYY|MM?|DD?|HH?|mm|ss|[^A-Za-z0-9]|./g, (part) => {
    const group = PARTS[part];
    if (group === undefined) return /[A-Za-z0-9]/.test(part) && part !== 'T' ? '\u0000' : part.replace(/[.*+?^${}()|[\]\\/]/, '\\$&');
    names.push(part[0] === 'H' ? 'h' : part[0]);
    return group;
  });
  if (pattern.includes('\u0000') || !['Y', 'M', 'D'].every((name) => names.includes(name))) return undefined;
  const expression = new RegExp(`^${pattern}$`);
  // Where each part stands among the groups; named groups would be an object for each line.
  const [Y, M, D, h, m, s] = [...ORDER].map((name) => names.indexOf(name) + 1);
  return (text) => {
    const found = expression.exec(text);
    if (!found) return undefined;
    const part = (at: number) => (at === 0 ? 0 : Number(found[at]));
    const localMs = localOf(part(Y), part(M), part(D), part(h), part(m), part(s), 0);
    return localMs === undefined ? undefined : { localMs, instantMs: undefined };
  };
}

function epoch(text: string, factor: number): LocalStamp | undefined {
  if (!/^-?\d{1,14}(\.\d+)?$/.test(text)) return undefined;
  const instantMs = Math.round(Number(text) * factor);
  return { localMs: instantMs, instantMs };
}

function parseIso(text: string): LocalStamp | undefined {
  const found = ISO.exec(text);
  if (!found) return undefined;
  const [, Y, M, D, h = '0', m = '0', s = '0', fraction = '0', offset] = found;
  const localMs = localOf(+Y, +M, +D, +h, +m, +s, Math.floor(Number(`0.${fraction}`) * 1000));
  if (localMs === undefined) return undefined;
  return { localMs, instantMs: offset === undefined ? undefined : localMs - fixedOffsetMs(offset)! };
}

/** No meter is older; and Date.UTC takes the years 0 to 99 for 1900 to 1999. */
const FIRST_YEAR = 1900;

/** Days of a month; 24:00 is the end of a day, as some meters write it. */
function localOf(Y: number, M: number, D: number, h: number, m: number, s: number, ms: number): number | undefined {
  if (Y < FIRST_YEAR || M < 1 || M > 12 || D < 1 || D > 31 || m > 59 || s > 59) return undefined;
  if (h > 23 && (h > 24 || m + s + ms > 0)) return undefined;
  if (D > 28 && D > new Date(Date.UTC(Y, M, 0)).getUTCDate()) return undefined;
  return Date.UTC(Y, M - 1, D, h, m, s, ms);
}

/** Offset of "Z", "UTC", "+01:00" or "+0100" (ms), or undefined. */
export function fixedOffsetMs(text: string): number | undefined {
  if (text === 'Z' || text === 'UTC') return 0;
  const found = /^([+-])(\d\d)(?::?(\d\d))?$/.exec(text);
  if (!found) return undefined;
  const minutes = Number(found[2]) * 60 + Number(found[3] ?? 0);
  return (found[1] === '-' ? -1 : 1) * minutes * 60_000;
}

/** Instants of a local time in a zone: none (skipped), one, or the first and the second pass of it. */
export function instantsOf(localMs: number, zone: string | number): readonly number[] {
  if (typeof zone === 'number') return [localMs - zone];
  const before = localMs - utcOffsetMs(zone, localMs - DAY_MS);
  const after = localMs - utcOffsetMs(zone, localMs + DAY_MS);
  if (before === after) return [before];
  const isRight = (instantMs: number) => instantMs + utcOffsetMs(zone, instantMs) === localMs;
  return [Math.min(before, after), Math.max(before, after)].filter(isRight);
}
