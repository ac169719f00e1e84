/**
 * Payload of one row of the PostgreSQL log: a batch of records of one partition. Strings that repeat (keys, sources,
 * types, causes) stand once in a table; per record there are a few small numbers; the framed values follow in a row.
 *
 *   version 1 · record count · string count · (length, UTF-8)… · per record: offset step, key, source, type, number step,
 *   knownAt step, flags, [id], [causes], [run], [traceparent], value length · values
 *
 * Offsets are relative to the batch's first, so that a compacted batch may have holes.
 */
import type { LogRecord, NewRecord } from './event-log.ts';

const VERSION = 1;
const HAS_ID = 1;
const HAS_CAUSES = 2;
const HAS_RUN = 4;
const HAS_TRACE = 8;

/** Growing byte buffer with varints. */
class Bytes {
  bytes = Buffer.allocUnsafe(64 * 1024);
  length = 0;

  reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.length + count));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  /** Non-negative whole number below 2^53; the caller has reserved 8 bytes. */
  number(value: number): void {
    let rest = value;
    while (rest > 0x7fffffff) {
      this.bytes[this.length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    while (rest > 0x7f) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.length++] = rest;
  }

  signed(value: number): void {
    this.number(value >= 0 ? value * 2 : -value * 2 - 1);
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.reserve(length + 8);
    this.number(length);
    this.bytes.write(value, this.length);
    this.length += length;
  }
}

const strings = new Bytes();
const heads = new Bytes();
const index = new Map<string, number>();

function stringIndex(text: string): number {
  let at = index.get(text);
  if (at === undefined) {
    at = index.size;
    index.set(text, at);
    strings.text(text);
  }
  return at;
}

/** Packs records of one partition. `offsets` are relative to the batch's first offset, ascending; default 0, 1, 2 … */
export function packBatch(records: readonly NewRecord[], offsets?: readonly number[]): Buffer {
  strings.length = heads.length = 0;
  index.clear();
  let valueBytes = 0;
  let number = 0;
  let knownAtMs = 0;
  let offset = -1;
  for (let i = 0; i < records.length; i++) {
    const { key, value, headers } = records[i];
    heads.reserve(128);
    const at = offsets ? offsets[i] : i;
    heads.number(at - offset - 1);
    offset = at;
    heads.number(stringIndex(key));
    heads.number(stringIndex(headers.source));
    heads.number(stringIndex(headers.type));
    heads.signed(headers.number - number);
    number = headers.number;
    heads.signed(headers.knownAtMs - knownAtMs);
    knownAtMs = headers.knownAtMs;
    packOptional(headers);
    heads.number(value.length);
    valueBytes += value.length;
  }
  const front = new Bytes();
  front.number(VERSION);
  front.number(records.length);
  front.number(index.size);
  const packed = Buffer.allocUnsafe(front.length + strings.length + heads.length + valueBytes);
  front.bytes.copy(packed, 0, 0, front.length);
  strings.bytes.copy(packed, front.length, 0, strings.length);
  heads.bytes.copy(packed, front.length + strings.length, 0, heads.length);
  let at = front.length + strings.length + heads.length;
  for (const { value } of records) {
    packed.set(value, at);
    at += value.length;
  }
  return packed;
}

function packOptional(headers: NewRecord['headers']): void {
  const { id, causes, run, traceparent } = headers;
  const flags =
    (id === undefined ? 0 : HAS_ID) |
    (causes === undefined ? 0 : HAS_CAUSES) |
    (run === undefined ? 0 : HAS_RUN) |
    (traceparent === undefined ? 0 : HAS_TRACE);
  heads.number(flags);
  if (flags === 0) return;
  if (id !== undefined) heads.text(id);
  if (causes !== undefined) heads.number(stringIndex(causes));
  if (run !== undefined) heads.number(stringIndex(run));
  if (traceparent !== undefined) heads.number(stringIndex(traceparent));
}

/** Where a batch comes from, to fill in what the payload does not repeat. */
export interface BatchPlace {
  topic: string;
  partition: number;
  firstOffset: number;
  appendedMs: number;
}

/** Unpacks the records from `fromOffset` on into `into`, at most `max` of them. Values share memory with the payload. */
export function unpackBatch(payload: Buffer, place: BatchPlace, fromOffset: number, max: number, into: LogRecord[]): void {
  const reader = new Unpacker(payload);
  if (reader.number() !== VERSION)
    throw new Error(`Batch at ${place.topic}/${place.partition}:${place.firstOffset} has an unknown version.`);
  const count = reader.number();
  const table: string[] = new Array(reader.number());
  for (let i = 0; i < table.length; i++) table[i] = reader.text();
  const first = into.length;
  const lengths: number[] = [];
  let skipped = 0;
  let number = 0;
  let knownAtMs = 0;
  let offset = place.firstOffset - 1;
  for (let i = 0; i < count; i++) {
    offset += 1 + reader.number();
    const key = table[reader.number()];
    const headers: LogRecord['headers'] = {
      source: table[reader.number()],
      type: table[reader.number()],
      number: 0,
      knownAtMs: 0,
    };
    headers.number = number += reader.signed();
    headers.knownAtMs = knownAtMs += reader.signed();
    const flags = reader.number();
    if (flags & HAS_ID) headers.id = reader.text();
    if (flags & HAS_CAUSES) headers.causes = table[reader.number()];
    if (flags & HAS_RUN) headers.run = table[reader.number()];
    if (flags & HAS_TRACE) headers.traceparent = table[reader.number()];
    const length = reader.number();
    if (offset < fromOffset) skipped += length;
    else if (into.length - first < max) {
      into.push({
        topic: place.topic,
        partition: place.partition,
        offset,
        appendedMs: place.appendedMs,
        key,
        headers,
        value: payload,
      });
      lengths.push(length);
    }
  }
  let at = reader.at + skipped;
  for (let i = 0; i < lengths.length; i++) {
    into[first + i].value = payload.subarray(at, at + lengths[i]);
    at += lengths[i];
  }
}

class Unpacker {
  at = 0;
  private readonly bytes: Buffer;
  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  number(): number {
    let byte = this.bytes[this.at++];
    let value = byte & 0x7f;
    let factor = 128;
    while (byte > 0x7f) {
      byte = this.bytes[this.at++];
      value += (byte & 0x7f) * factor;
      factor *= 128;
    }
    return value;
  }

  signed(): number {
    const value = this.number();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  text(): string {
    const length = this.number();
    this.at += length;
    return this.bytes.toString('utf8', this.at - length, this.at);
  }
}
