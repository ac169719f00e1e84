/**
 * CloudEvents headers as bytes of a Kafka record, in the order of cloud-events.ts. Records come by the million and
 * mostly repeat what the one before had, so texts are written from what was written last. A property test holds them to
 * cloud-events.ts. Reading them: kafka-header-reader.ts.
 */
import { type Bytes, NUMBER_BYTES, putSigned } from './byte-buffer.ts';
import { toCloudEvent } from './cloud-events.ts';
import type { RecordHeaders } from './event-log.ts';
import { DAY_MS } from './limits.ts';

export const NAME = {
  specversion: asText('ce_specversion'),
  id: asText('ce_id'),
  source: asText('ce_source'),
  type: asText('ce_type'),
  time: asText('ce_time'),
  number: asText('ce_deliverynumber'),
  causes: asText('ce_causes'),
  run: asText('ce_run'),
  contentType: asText('content-type'),
  traceparent: asText('traceparent'),
};

const { ce_specversion: SPEC_VERSION = '', 'content-type': CONTENT_TYPE = '' } = toCloudEvent({
  source: 's',
  number: 0,
  type: 't',
  knownAtMs: 0,
});
export const SPEC_VERSION_BYTES = asText(SPEC_VERSION);
const CONTENT_TYPE_BYTES = asText(CONTENT_TYPE);
/** Of a time as it is written: 2026-03-29T01:02:03.004Z */
export const TIME_CHARS = 24;
export const DAY_CHARS = 11;
/** Times of the four-digit years, which alone have that form. */
const MAX_TIME_MS = Date.UTC(9999, 11, 31);

/** A text with its length before it. */
function asText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const head = Buffer.alloc(NUMBER_BYTES);
  return Buffer.concat([head.subarray(0, putSigned(head, 0, bytes.length)), bytes]);
}

/** A text that was written last, as bytes with its length. */
class WrittenText {
  text: string | undefined;
  bytes: Buffer = Buffer.alloc(0);

  of(text: string, form: (text: string) => string = (same) => same): Buffer {
    if (text !== this.text) {
      this.text = text;
      this.bytes = asText(form(text));
    }
    return this.bytes;
  }
}

const lastSource = new WrittenText();
const lastType = new WrittenText();
const lastRun = new WrittenText();
const lastIdSource = new WrittenText();
let lastDay = Number.NaN;
let lastDayText = '';

/** Writes the count of headers and the headers; none for null. */
export function putHeaders(into: Bytes, headers: RecordHeaders | null): void {
  if (headers === null) {
    into.reserve(1);
    into.bytes[into.length++] = 0;
    return;
  }
  const { source, number, id, type, knownAtMs, causes, run, traceparent } = headers;
  if (!(knownAtMs >= 0 && knownAtMs < MAX_TIME_MS)) return putSlowly(into, headers);
  const count =
    6 + (number >= 0 ? 1 : 0) + (causes === undefined ? 0 : 1) + (run === undefined ? 0 : 1) + (traceparent === undefined ? 0 : 1);
  const chars = source.length + type.length + (id ?? '').length + (causes ?? '').length + (run ?? '').length + (traceparent ?? '').length;
  into.reserve(512 + 4 * chars + 9 * source.length);
  into.bytes[into.length++] = count * 2;
  put(into, NAME.specversion, SPEC_VERSION_BYTES);
  copy(into, NAME.id);
  if (id !== undefined) into.length = putText(into.bytes, into.length, id);
  else putNumberedId(into, source, number);
  put(into, NAME.source, lastSource.of(source, sourceForm));
  put(into, NAME.type, lastType.of(type));
  copy(into, NAME.time);
  putTime(into, knownAtMs);
  if (number >= 0) {
    copy(into, NAME.number);
    putNumberText(into, number);
  }
  if (causes !== undefined) {
    copy(into, NAME.causes);
    into.length = putText(into.bytes, into.length, causes);
  }
  if (run !== undefined) put(into, NAME.run, lastRun.of(run));
  put(into, NAME.contentType, CONTENT_TYPE_BYTES);
  if (traceparent !== undefined) {
    copy(into, NAME.traceparent);
    into.length = putText(into.bytes, into.length, traceparent);
  }
}

function sourceForm(source: string): string {
  return encodeURIComponent(source).replaceAll('%2F', '/');
}

function putSlowly(into: Bytes, headers: RecordHeaders): void {
  const attributes = Object.entries(toCloudEvent(headers));
  into.reserve(NUMBER_BYTES);
  into.length = putSigned(into.bytes, into.length, attributes.length);
  for (const [name, value] of attributes) {
    into.reserve(2 * NUMBER_BYTES + 3 * (name.length + value.length));
    into.length = putText(into.bytes, into.length, name);
    into.length = putText(into.bytes, into.length, value);
  }
}

/** Room for it must have been reserved. */
function copy(into: Bytes, from: Buffer): void {
  const { bytes } = into;
  let at = into.length;
  for (let i = 0; i < from.length; i++) bytes[at++] = from[i];
  into.length = at;
}

function put(into: Bytes, name: Buffer, value: Buffer): void {
  copy(into, name);
  copy(into, value);
}

/** Writes a text with its length before it, for which there is room; returns where the next one goes. */
export function putText(bytes: Buffer, at: number, text: string): number {
  const length = bytes.write(text, at + 1);
  if (length < 64) {
    bytes[at] = length * 2;
    return at + 1 + length;
  }
  const start = putSigned(bytes, at, Buffer.byteLength(text));
  return start + bytes.write(text, start);
}

/** source#number */
function putNumberedId(into: Bytes, source: string, number: number): void {
  const named = lastIdSource.of(source);
  const sourceBytes = Buffer.byteLength(source);
  const start = into.length;
  const length = sourceBytes + 1 + digitsOf(number);
  into.length = putSigned(into.bytes, start, length);
  for (let i = named.length - sourceBytes; i < named.length; i++) into.bytes[into.length++] = named[i];
  into.bytes[into.length++] = HASH;
  putDigits(into, number);
}

function putNumberText(into: Bytes, number: number): void {
  into.bytes[into.length++] = digitsOf(number) * 2;
  putDigits(into, number);
}

export const HASH = 0x23;
export const ZERO = 0x30;
const MINUS = 0x2d;

function digitsOf(number: number): number {
  let count = number < 0 ? 2 : 1;
  for (let rest = Math.abs(number); rest >= 10; rest = Math.floor(rest / 10)) count++;
  return count;
}

function putDigits(into: Bytes, number: number): void {
  const end = into.length + digitsOf(number);
  let at = end;
  let rest = Math.abs(number);
  do {
    into.bytes[--at] = ZERO + (rest % 10);
    rest = Math.floor(rest / 10);
  } while (rest > 0);
  if (number < 0) into.bytes[--at] = MINUS;
  into.length = end;
}

function putTime(into: Bytes, timeMs: number): void {
  const day = Math.floor(timeMs / DAY_MS);
  if (day !== lastDay) {
    lastDay = day;
    lastDayText = new Date(day * DAY_MS).toISOString().slice(0, DAY_CHARS);
  }
  const { bytes } = into;
  let at = into.length;
  bytes[at++] = TIME_CHARS * 2;
  at += bytes.write(lastDayText, at, 'latin1');
  const ms = timeMs - day * DAY_MS;
  at = putTwo(bytes, at, Math.floor(ms / 3_600_000));
  bytes[at++] = COLON;
  at = putTwo(bytes, at, Math.floor(ms / 60_000) % 60);
  bytes[at++] = COLON;
  at = putTwo(bytes, at, Math.floor(ms / 1_000) % 60);
  bytes[at++] = DOT;
  bytes[at++] = ZERO + Math.floor((ms % 1_000) / 100);
  at = putTwo(bytes, at, ms % 100);
  bytes[at++] = ZULU;
  into.length = at;
}

export const COLON = 0x3a;
export const DOT = 0x2e;
export const ZULU = 0x5a;

function putTwo(bytes: Buffer, at: number, value: number): number {
  bytes[at] = ZERO + Math.floor(value / 10);
  bytes[at + 1] = ZERO + (value % 10);
  return at + 2;
}
