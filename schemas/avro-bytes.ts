/**
 * Avro binary primitives over one growing buffer (Avro 1.11 specification, "Binary Encoding"). Longs are limited to
 * -2^52 to 2^52 - 1, where zig-zag in double arithmetic is exact; what lies beyond is refused rather than rounded.
 */
import { KnownTexts, type TextCursor } from './known-texts.ts';

export const LONG_LIMIT = 2 ** 52;

/** Why bytes or a value were refused; `code` is one of the documented error codes. */
export class CodecError extends Error {
  readonly code: 'EVENT_UNDECODABLE' | 'EVENT_INVALID';
  constructor(code: 'EVENT_UNDECODABLE' | 'EVENT_INVALID', message: string) {
    super(message);
    this.name = 'CodecError';
    this.code = code;
  }
}

const undecodable = (message: string) => new CodecError('EVENT_UNDECODABLE', message);
const invalid = (message: string) => new CodecError('EVENT_INVALID', message);

const MAX_INTERNED_LENGTH = 64;
/** Shared by all who read one byte, who must not change it. */
const ONE_BYTE = Array.from({ length: 256 }, (_, byte) => Buffer.from([byte]));

/** Reads one body; every read is bounded by the end of the bytes. */
export class AvroReader {
  bytes: Uint8Array = new Uint8Array(0);
  position = 0;
  end = 0;
  view: DataView<ArrayBufferLike> = new DataView(new ArrayBuffer(0));
  /** Where the bytes begin in the view. */
  base = 0;
  /** Pseudonymous ids come again and again: one string each saves allocation and makes comparisons cheap. */
  readonly texts = new KnownTexts();

  open(bytes: Uint8Array, from: number, memory?: DataView<ArrayBufferLike>): void {
    this.bytes = bytes;
    this.position = from;
    this.end = bytes.length;
    this.base = bytes.byteOffset;
    if (memory !== undefined) {
      if (this.view !== memory) this.view = memory;
    } else if (this.view.buffer !== bytes.buffer) this.view = new DataView(bytes.buffer);
  }

  long(): number {
    const bytes = this.bytes;
    let at = this.position;
    let byte = bytes[at++];
    let n = byte & 0x7f;
    if (byte >= 0x80) {
      byte = bytes[at++];
      n |= (byte & 0x7f) << 7;
      if (byte >= 0x80) {
        byte = bytes[at++];
        n |= (byte & 0x7f) << 14;
        if (byte >= 0x80) {
          byte = bytes[at++];
          n |= (byte & 0x7f) << 21;
          if (byte >= 0x80) return this.longTail(at, n);
        }
      }
    }
    this.position = at;
    // Past the end `byte` is undefined, so n is a partial value; the position tells.
    if (at > this.end) throw undecodable('The body ends within a number.');
    return (n >>> 1) ^ -(n & 1);
  }

  /** The bytes after the first four: up to four more by whole-number arithmetic (all times and energies), then the rest. */
  private longTail(from: number, low: number): number {
    const bytes = this.bytes;
    let at = from;
    let byte = bytes[at++];
    let high = byte & 0x7f;
    if (byte >= 0x80) {
      byte = bytes[at++];
      high |= (byte & 0x7f) << 7;
      if (byte >= 0x80) {
        byte = bytes[at++];
        high |= (byte & 0x7f) << 14;
        if (byte >= 0x80) return this.longRest(at, low + high * 268_435_456);
      }
    }
    this.position = at;
    if (at > this.end) throw undecodable('The body ends within a number.');
    const value = low + high * 268_435_456;
    return (low & 1) === 1 ? -(value + 1) / 2 : value / 2;
  }

  private longRest(from: number, sum: number): number {
    let at = from;
    let value = sum;
    let factor = 2 ** 49;
    let byte = 0;
    do {
      if (at - from > 2 || at >= this.end) throw undecodable('A number is longer than ten bytes or cut off.');
      byte = this.bytes[at++];
      value += (byte & 0x7f) * factor;
      factor *= 128;
    } while (byte >= 0x80);
    this.position = at;
    if (value >= LONG_LIMIT * 2) throw invalid('A whole number lies beyond -2^52 to 2^52 - 1.');
    return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
  }

  int(): number {
    const value = this.long();
    if (value < -2147483648 || value > 2147483647) throw undecodable('An int lies beyond 32 bits.');
    return value;
  }

  double(): number {
    const at = this.position;
    if (at + 8 > this.end) throw undecodable('The body ends within a double.');
    this.position = at + 8;
    const value = this.view.getFloat64(this.bytes.byteOffset + at, true);
    if (!Number.isFinite(value)) throw invalid('A value is not a finite number.');
    return value;
  }

  boolean(): boolean {
    if (this.position >= this.end) throw undecodable('The body ends within a boolean.');
    const byte = this.bytes[this.position++];
    if (byte > 1) throw undecodable('A boolean is neither 0 nor 1.');
    return byte === 1;
  }

  private length(): number {
    const length = this.long();
    if (length < 0 || length > this.end - this.position) throw undecodable('A length goes beyond the end of the body.');
    return length;
  }

  /** A text; the cursor is that of the field it stands in. */
  string(cursor: TextCursor): string {
    const length = this.length();
    const from = this.position;
    this.position = from + length;
    if (length > MAX_INTERNED_LENGTH) return decodeText(this.bytes, from, this.position);
    return this.texts.find(this.view, this.bytes.byteOffset + from, length, cursor) ?? this.remember(from, length, cursor);
  }

  private remember(from: number, length: number, cursor: TextCursor): string {
    const text = decodeText(this.bytes, from, this.position);
    this.texts.add(this.view, this.bytes.byteOffset + from, length, text, cursor);
    return text;
  }

  byteArray(): Uint8Array {
    const length = this.length();
    const from = this.position;
    this.position = from + length;
    // A view costs as much as the rest of a small event, and one byte (a quality for all) is the usual case.
    if (length === 1) return ONE_BYTE[this.bytes[from]];
    return this.bytes.subarray(from, this.position);
  }

  index(count: number): number {
    const index = this.long();
    if (index < 0 || index >= count) throw undecodable('An enum or union index is out of range.');
    return index;
  }

  /** Item count of the next array block, 0 at the end; every item takes at least `least` bytes. */
  block(least: number): number {
    const byte = this.bytes[this.position];
    // Most arrays are empty, hold one item, or end here.
    if (byte <= 2 && byte !== 1 && this.position < this.end) {
      const count = byte >> 1;
      if (++this.position + count * least <= this.end) return count;
      throw undecodable('An array is longer than the body.');
    }
    let count = this.long();
    if (count < 0) {
      count = -count;
      this.long();
    }
    if (count * least > this.end - this.position) throw undecodable('An array is longer than the body.');
    return count;
  }

  longs(): number[] {
    const count = this.block(1);
    if (count === 0) return [];
    const values: number[] = count === 1 ? [this.long()] : new Array(count);
    if (count > 1) for (let i = 0; i < count; i++) values[i] = this.long();
    for (let more = this.block(1); more > 0; more = this.block(1)) for (let i = 0; i < more; i++) values.push(this.long());
    return values;
  }

  /** As `longs`, into an array that is there already. */
  longsInto(values: number[]): number[] {
    let length = 0;
    for (let count = this.block(1); count > 0; count = this.block(1)) for (; count > 0; count--) values[length++] = this.long();
    if (length === 0) return NONE;
    if (values.length !== length) values.length = length;
    return values;
  }

  doublesInto(values: number[]): number[] {
    let length = 0;
    for (let count = this.block(8); count > 0; count = this.block(8)) for (; count > 0; count--) values[length++] = this.double();
    if (length === 0) return NONE;
    if (values.length !== length) values.length = length;
    return values;
  }

  doubles(): number[] {
    const count = this.block(8);
    if (count === 0) return [];
    const values: number[] = count === 1 ? [this.double()] : new Array(count);
    if (count > 1) for (let i = 0; i < count; i++) values[i] = this.double();
    for (let more = this.block(8); more > 0; more = this.block(8)) for (let i = 0; i < more; i++) values.push(this.double());
    return values;
  }
}

/** What arrays without items are read as where arrays are filled anew; nobody may change it. */
const NONE: number[] = [];

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeText(bytes: Uint8Array, from: number, to: number): string {
  try {
    return strictUtf8.decode(bytes.subarray(from, to));
  } catch {
    throw undecodable('A string is not UTF-8.');
  }
}

/** Writes one body at a time into a buffer of its own; `finish` copies it out. */
export class AvroWriter {
  private bytes = Buffer.allocUnsafe(64 * 1024);
  private view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
  position = 0;

  /** Starts a framed body: magic byte 0 and the schema id, as Confluent's wire format has it. */
  start(schemaId: number): void {
    this.bytes[0] = 0;
    this.bytes.writeUInt32BE(schemaId, 1);
    this.position = 5;
  }

  finish(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.position));
  }

  private reserve(count: number): void {
    if (this.position + count <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.position + count));
    this.bytes.copy(larger, 0, 0, this.position);
    this.bytes = larger;
    this.view = new DataView(larger.buffer, larger.byteOffset, larger.length);
  }

  long(value: number): void {
    if (!Number.isInteger(value) || value >= LONG_LIMIT || value < -LONG_LIMIT)
      throw invalid(`${shown(value)} is not a whole number from -2^52 to 2^52 - 1.`);
    this.reserve(10);
    this.putLong(value);
  }

  private putLong(value: number): void {
    const bytes = this.bytes;
    let at = this.position;
    if (value >= -1073741824 && value < 1073741824) {
      let n = value >= 0 ? value << 1 : (~value << 1) | 1;
      n >>>= 0;
      while (n > 0x7f) {
        bytes[at++] = (n & 0x7f) | 0x80;
        n >>>= 7;
      }
      bytes[at++] = n;
    } else {
      let f = value >= 0 ? value * 2 : -value * 2 - 1;
      while (f > 0x7f) {
        bytes[at++] = (f % 128) | 0x80;
        f = Math.floor(f / 128);
      }
      bytes[at++] = f;
    }
    this.position = at;
  }

  int(value: number): void {
    if (!Number.isInteger(value) || value !== (value | 0)) throw invalid(`${shown(value)} is not a 32-bit whole number.`);
    this.reserve(10);
    this.putLong(value);
  }

  double(value: number): void {
    if (!Number.isFinite(value)) throw invalid(`${shown(value)} is not a finite number.`);
    this.reserve(8);
    this.view.setFloat64(this.position, value, true);
    this.position += 8;
  }

  boolean(value: boolean): void {
    if (typeof value !== 'boolean') throw invalid('A flag is not true or false.');
    this.reserve(1);
    this.bytes[this.position++] = value ? 1 : 0;
  }

  string(value: string): void {
    if (typeof value !== 'string') throw invalid('A text field is missing or not a text.');
    const bound = value.length * 3;
    this.reserve(bound + 10);
    const length = value.length < 40 && isAscii(value) ? value.length : utf8Length(value);
    this.putLong(length);
    if (length === value.length && length < 40) for (let i = 0; i < length; i++) this.bytes[this.position + i] = value.charCodeAt(i);
    else this.bytes.write(value, this.position, 'utf8');
    this.position += length;
  }

  byteArray(value: Uint8Array): void {
    if (!(value instanceof Uint8Array)) throw invalid('A bytes field is missing or not bytes.');
    this.reserve(value.length + 10);
    this.putLong(value.length);
    this.bytes.set(value, this.position);
    this.position += value.length;
  }

  /** Array of longs as one block. */
  longs(values: ArrayLike<number>, int: boolean): void {
    const count = lengthOf(values);
    this.reserve(count * 10 + 11);
    if (count > 0) this.putLong(count);
    for (let i = 0; i < count; i++) {
      const value = values[i];
      if (!Number.isInteger(value) || value >= LONG_LIMIT || value < -LONG_LIMIT || (int && value !== (value | 0)))
        throw invalid(`${shown(value)} is not a whole number in range.`);
      this.putLong(value);
    }
    this.bytes[this.position++] = 0;
  }

  doubles(values: ArrayLike<number>): void {
    const count = lengthOf(values);
    this.reserve(count * 8 + 11);
    if (count > 0) this.putLong(count);
    for (let i = 0; i < count; i++) {
      const value = values[i];
      if (!Number.isFinite(value)) throw invalid(`${shown(value)} is not a finite number.`);
      this.view.setFloat64(this.position, value, true);
      this.position += 8;
    }
    this.bytes[this.position++] = 0;
  }
}

/** Length of an array or typed array; anything else is refused. */
export function lengthOf(values: ArrayLike<unknown>): number {
  const listed = Array.isArray(values) || (ArrayBuffer.isView(values) && !(values instanceof DataView));
  if (!listed) throw invalid('A list field is missing or not a list.');
  return values.length;
}

/** A value for an error message. Not by template: that itself throws for symbols and objects without a prototype. */
export function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : typeof value === 'number' ? String(value) : typeof value;
}

/** Half a surrogate pair has no UTF-8: it would be replaced without a word and come back as another text. */
function utf8Length(text: string): number {
  if (!text.isWellFormed()) throw invalid('A text holds half a surrogate pair.');
  return Buffer.byteLength(text, 'utf8');
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}
