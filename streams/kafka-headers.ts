/**
 * CloudEvents headers as bytes of a Kafka record, in the order of cloud-events.ts. Records come by the million and
 * mostly repeat what the one before had, so texts are compared as bytes and written from what was written last. What is
 * in another order or form, as outside producers write it, goes through cloud-events.ts; a property test holds both equal.
 */
import { type Bytes, NUMBER_BYTES, putSigned } from './byte-buffer.ts';
import { type CloudEventHeaders, fromCloudEvent, toCloudEvent } from './cloud-events.ts';
import type { RecordHeaders } from './event-log.ts';
import { DAY_MS } from './limits.ts';

const NAME = {
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
const SPEC_VERSION_BYTES = asText(SPEC_VERSION);
const CONTENT_TYPE_BYTES = asText(CONTENT_TYPE);
/** Of a time as it is written: 2026-03-29T01:02:03.004Z */
const TIME_CHARS = 24;
const DAY_CHARS = 11;
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
  into.reserve(512 + 4 * (source.length + (id?.length ?? 0) + (causes?.length ?? 0) + (traceparent?.length ?? 0)) + 9 * source.length);
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

const HASH = 0x23;
const ZERO = 0x30;
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

const COLON = 0x3a;
const DOT = 0x2e;
const ZULU = 0x5a;

function putTwo(bytes: Buffer, at: number, value: number): number {
  bytes[at] = ZERO + Math.floor(value / 10);
  bytes[at + 1] = ZERO + (value % 10);
  return at + 2;
}

/** A text that was read last, by its bytes. */
class ReadText {
  private bytes: Buffer = Buffer.alloc(0);
  private text = '';
  private readonly form: (text: string) => string;

  constructor(form: (text: string) => string = (same) => same) {
    this.form = form;
  }

  /** Throws where the form of the text is wrong. */
  of(bytes: Buffer, start: number, end: number): string {
    if (!same(bytes, start, end, this.bytes)) {
      this.text = this.form(bytes.toString('utf8', start, end));
      this.bytes = Buffer.from(bytes.subarray(start, end));
    }
    return this.text;
  }
}

function same(bytes: Buffer, start: number, end: number, known: Buffer): boolean {
  if (end - start !== known.length) return false;
  for (let i = 0; i < known.length; i++) if (bytes[start + i] !== known[i]) return false;
  return true;
}

/** Reads headers of records one after the other. `at` is where the next thing begins. */
export class HeaderReader {
  at = 0;
  private readonly bytes: Buffer;
  private valueStart = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Throws EVENT_INVALID for headers that are not those of a CloudEvent, with `at` anywhere. */
  read(): RecordHeaders {
    const start = this.at;
    const fast = this.readQuickly();
    if (fast !== undefined) return fast;
    this.at = start;
    return fromCloudEvent(this.readAll());
  }

  /** Undefined where they are not as `putHeaders` writes them. */
  private readQuickly(): RecordHeaders | undefined {
    const { bytes } = this;
    const end = this.at + 1;
    let left = bytes[this.at] >> 1;
    this.at = end;
    if (left < 6 || left > 10) return undefined;
    if (!this.value(NAME.specversion) || !same(bytes, this.valueStart - 1, this.at, SPEC_VERSION_BYTES) || !this.value(NAME.id))
      return undefined;
    const [idStart, idEnd] = [this.valueStart, this.at];
    if (!this.value(NAME.source)) return undefined;
    const source = this.memo(readSource);
    if (!this.value(NAME.type)) return undefined;
    const type = this.memo(readType);
    if (source === '' || type === '' || idEnd === idStart || !this.value(NAME.time)) return undefined;
    const knownAtMs = this.time();
    if (knownAtMs < 0) return undefined;
    left -= 5;
    const number = this.value(NAME.number) ? this.number() : -1;
    if (number >= 0) left--;
    const headers: RecordHeaders = { source, number, type, knownAtMs };
    if (!(number >= 0 && this.isNumbered(idStart, idEnd, number))) {
      const id = bytes.toString('utf8', idStart, idEnd);
      if (id !== `${source}#${number}`) headers.id = id;
    }
    left -= this.optional(headers);
    return left === 0 ? headers : undefined;
  }

  /** How many there are of those that may be missing, with the media type, which always is there. */
  private optional(headers: RecordHeaders): number {
    let count = 0;
    if (this.value(NAME.causes)) {
      headers.causes = this.bytes.toString('utf8', this.valueStart, this.at);
      count++;
    }
    if (this.value(NAME.run)) {
      headers.run = this.memo(readRun);
      count++;
    }
    if (this.value(NAME.contentType)) count++;
    if (this.value(NAME.traceparent)) {
      headers.traceparent = this.bytes.toString('utf8', this.valueStart, this.at);
      count++;
    }
    return count;
  }

  private memo(read: ReadText): string {
    return read.of(this.bytes, this.valueStart, this.at);
  }

  /** Goes past the header if it has this name; its value is from `valueStart` to `at` then. */
  private value(name: Buffer): boolean {
    const { bytes, at } = this;
    if (!same(bytes, at, at + name.length, name)) return false;
    this.at = at + name.length;
    const length = this.signed();
    if (length < 0) {
      this.at = at;
      return false;
    }
    this.valueStart = this.at;
    this.at += length;
    return true;
  }

  /** -1 for what is not written as we write it. */
  private time(): number {
    const { bytes, valueStart: start } = this;
    if (this.at - start !== TIME_CHARS || bytes[start + 13] !== COLON || bytes[start + 16] !== COLON) return -1;
    if (bytes[start + 19] !== DOT || bytes[start + 23] !== ZULU) return -1;
    const day = Number(readDay.of(bytes, start, start + DAY_CHARS));
    if (Number.isNaN(day)) return -1;
    let ms = 0;
    for (const [at, size] of PLACES) {
      const digit = bytes[start + at] - ZERO;
      if (digit < 0 || digit > 9) return -1;
      ms += digit * size;
    }
    return ms < DAY_MS ? day + ms : -1;
  }

  private number(): number {
    let value = 0;
    if (this.at - this.valueStart > 16) return -1;
    for (let i = this.valueStart; i < this.at; i++) {
      const digit = this.bytes[i] - ZERO;
      if (digit < 0 || digit > 9) return -1;
      value = value * 10 + digit;
    }
    return this.at > this.valueStart ? value : -1;
  }

  /** Whether an id ends in #number, with the source before it as it was read. */
  private isNumbered(start: number, end: number, number: number): boolean {
    const { bytes } = this;
    let rest = number;
    let at = end;
    do {
      if (--at < start || bytes[at] !== ZERO + (rest % 10)) return false;
      rest = Math.floor(rest / 10);
    } while (rest > 0);
    return bytes[--at] === HASH && at >= start && readIdSource.of(bytes, start, at) === readSource.latest;
  }

  private readAll(): CloudEventHeaders {
    const given: Record<string, string> = {};
    const count = this.signed();
    for (let i = 0; i < count; i++) {
      const name = this.text() ?? '';
      const value = this.text();
      if (value !== undefined) given[name] = value;
    }
    return given;
  }

  /** undefined for one that is null. */
  text(): string | undefined {
    const length = this.signed();
    if (length < 0) return undefined;
    this.at += length;
    return this.bytes.toString('utf8', this.at - length, this.at);
  }

  signed(): number {
    const { bytes } = this;
    let byte = bytes[this.at++];
    let value = byte & 0x7f;
    if (byte > 0x7f)
      for (let factor = 128; byte > 0x7f; factor *= 128) {
        byte = bytes[this.at++];
        value += (byte & 0x7f) * factor;
      }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}

/** Of a time's digits after the day: their places, and how many milliseconds one is. */
const PLACES = [
  [11, 36_000_000],
  [12, 3_600_000],
  [14, 600_000],
  [15, 60_000],
  [17, 10_000],
  [18, 1_000],
  [20, 100],
  [21, 10],
  [22, 1],
] as const;

const readSource = new (class extends ReadText {
  latest = '';
  override of(bytes: Buffer, start: number, end: number): string {
    return (this.latest = super.of(bytes, start, end));
  }
})((text) => decodeURIComponent(text));
const readIdSource = new ReadText();
const readType = new ReadText();
const readRun = new ReadText();
const readDay = new ReadText((text) => (/^\d{4}-\d\d-\d\dT$/.test(text) ? String(Date.parse(`${text}00:00:00.000Z`)) : 'NaN'));
