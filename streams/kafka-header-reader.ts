/**
 * Reads CloudEvents headers from bytes as kafka-headers.ts writes them: texts that are those of the record before are
 * compared as bytes. What is in another order or form, as outside producers write it, goes through cloud-events.ts.
 */
import { type CloudEventHeaders, fromCloudEvent } from './cloud-events.ts';
import type { RecordHeaders } from './event-log.ts';
import { COLON, DAY_CHARS, DOT, HASH, NAME, SPEC_VERSION_BYTES, TIME_CHARS, ZERO, ZULU } from './kafka-headers.ts';
import { DAY_MS } from './limits.ts';

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
  private readonly view: DataView;
  private valueStart = 0;
  /** Of the headers read last: the end of the id, the beginning of the time and of the number, and its digits. */
  private readonly marks = { idEnd: 0, timeStart: 0, numberStart: 0, digits: 0 };
  private latest: (HeaderReader['marks'] & { start: number; length: number; headers: RecordHeaders }) | undefined;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Up to `end`. Throws EVENT_INVALID for headers that are not those of a CloudEvent, with `at` anywhere. */
  read(end: number): RecordHeaders {
    const start = this.at;
    const alike = this.readAlike(start, end);
    if (alike !== undefined) return alike;
    const fast = this.readQuickly();
    if (fast !== undefined) {
      this.latest = this.isDelivery(fast, start, end) ? { ...this.marks, start, length: end - start, headers: fast } : undefined;
      return fast;
    }
    this.latest = undefined;
    this.at = start;
    return fromCloudEvent(this.readAll());
  }

  /** Whether headers have nothing that differs from one delivery of a source to the next but number and time of a day. */
  private isDelivery({ id, number, causes, run, traceparent }: RecordHeaders, start: number, end: number): boolean {
    return this.at === end && start >= 0 && number >= 0 && !id && !causes && !run && !traceparent;
  }

  /** Where headers have all bytes of the ones before but the digits of a number and of a time of the same day. */
  private readAlike(start: number, end: number): RecordHeaders | undefined {
    const { latest } = this;
    if (latest === undefined || end - start !== latest.length) return undefined;
    const shift = start - latest.start;
    const idDigits = latest.idEnd - latest.digits;
    if (!this.isAlike(latest.start, idDigits, shift) || !this.isAlike(latest.idEnd, latest.timeStart + DAY_CHARS, shift)) return undefined;
    if (!this.isAlike(latest.timeStart + TIME_CHARS, latest.numberStart, shift)) return undefined;
    if (!this.isAlike(latest.numberStart + latest.digits, latest.start + latest.length, shift)) return undefined;
    for (let i = 0; i < latest.digits; i++)
      if (this.bytes[idDigits + shift + i] !== this.bytes[latest.numberStart + shift + i]) return undefined;
    this.valueStart = latest.timeStart + shift;
    this.at = this.valueStart + TIME_CHARS;
    const knownAtMs = this.time();
    this.valueStart = latest.numberStart + shift;
    this.at = this.valueStart + latest.digits;
    // One that begins with zeros is another text than its number's.
    const number = this.bytes[this.valueStart] === ZERO && latest.digits > 1 ? -1 : this.number();
    this.at = end;
    if (knownAtMs < 0 || number < 0) {
      this.at = start;
      return undefined;
    }
    return { source: latest.headers.source, number, type: latest.headers.type, knownAtMs };
  }

  /** Whether the bytes from one place up to another are those that lie so much further on. */
  private isAlike(from: number, to: number, shift: number): boolean {
    const { bytes, view } = this;
    let at = from;
    for (; at + 4 <= to; at += 4) if (view.getInt32(at) !== view.getInt32(at + shift)) return false;
    for (; at < to; at++) if (bytes[at] !== bytes[at + shift]) return false;
    return true;
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
    this.marks.idEnd = idEnd;
    if (!this.value(NAME.source)) return undefined;
    const source = this.memo(readSource);
    if (!this.value(NAME.type)) return undefined;
    const type = this.memo(readType);
    if (source === '' || type === '' || idEnd === idStart || !this.value(NAME.time)) return undefined;
    this.marks.timeStart = this.valueStart;
    const knownAtMs = this.time();
    if (knownAtMs < 0) return undefined;
    left -= 5;
    const number = this.value(NAME.number) ? this.number() : -1;
    if (number >= 0) left--;
    this.marks.numberStart = this.valueStart;
    this.marks.digits = this.at - this.valueStart;
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

  /** The key of a record, mostly that of the one before; empty for none. */
  key(): string {
    const length = this.signed();
    if (length <= 0) return '';
    this.valueStart = this.at;
    this.at += length;
    return this.memo(readKey);
  }

  /** undefined for one that is null. */
  private text(): string | undefined {
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
const readKey = new ReadText();
const readRun = new ReadText();
const readDay = new ReadText((text) => (/^\d{4}-\d\d-\d\dT$/.test(text) ? String(Date.parse(`${text}00:00:00.000Z`)) : 'NaN'));
