/**
 * Payload of one row of the PostgreSQL log: a batch of records of one partition. Strings that repeat (keys, sources,
 * types, causes) stand once in a table; per record there are a few small numbers; the framed values follow in a row.
 *
 *   version 2 · record count · string count · bytes of heads · (length, UTF-8)… · heads · values
 *   head of a record: offset step, key, source, type, number step, knownAt step, flags, [id], [causes], [run],
 *   [traceparent], value length
 *
 * Offsets are relative to the batch's first, so that a compacted batch may have holes.
 */
import { Bytes, NUMBER_BYTES, putNumber, putSigned } from './byte-buffer.ts';
import { type LogRecord, type NewRecord, type RecordHeaders, SharingRecord } from './event-log.ts';

const VERSION = 2;
const HAS_ID = 1;
const HAS_CAUSES = 2;
const HAS_RUN = 4;
const HAS_TRACE = 8;
/** A head has at most eleven numbers beside its id. */
const HEAD_BYTES = 11 * NUMBER_BYTES;

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
  const valueBytes = packHeads(records, offsets);
  const front = Buffer.allocUnsafe(4 * NUMBER_BYTES);
  let at = putNumber(front, 0, VERSION);
  at = putNumber(front, at, records.length);
  at = putNumber(front, at, index.size);
  at = putNumber(front, at, heads.length);
  const packed = Buffer.allocUnsafe(at + strings.length + heads.length + valueBytes);
  front.copy(packed, 0, 0, at);
  strings.bytes.copy(packed, at, 0, strings.length);
  at += strings.length;
  heads.bytes.copy(packed, at, 0, heads.length);
  at += heads.length;
  for (let i = 0; i < records.length; i++) {
    const { value } = records[i];
    packed.set(value, at);
    at += value.length;
  }
  return packed;
}

/** Returns the bytes of all values. */
function packHeads(records: readonly NewRecord[], offsets?: readonly number[]): number {
  let valueBytes = 0;
  let number = 0;
  let knownAtMs = 0;
  let offset = -1;
  let type = '';
  let typeIndex = -1;
  for (let i = 0; i < records.length; i++) {
    const { key, value, headers } = records[i];
    heads.reserve(HEAD_BYTES);
    const { bytes } = heads;
    const nextOffset = offsets ? offsets[i] : i;
    let at = putNumber(bytes, heads.length, nextOffset - offset - 1);
    offset = nextOffset;
    at = putNumber(bytes, at, stringIndex(key));
    at = putNumber(bytes, at, stringIndex(headers.source));
    if (typeIndex < 0 || headers.type !== type) {
      type = headers.type;
      typeIndex = stringIndex(type);
    }
    at = putNumber(bytes, at, typeIndex);
    at = putSigned(bytes, at, headers.number - number);
    number = headers.number;
    at = putSigned(bytes, at, headers.knownAtMs - knownAtMs);
    knownAtMs = headers.knownAtMs;
    heads.length = at;
    packOptional(headers);
    heads.length = putNumber(heads.bytes, heads.length, value.length);
    valueBytes += value.length;
  }
  return valueBytes;
}

function packOptional(headers: NewRecord['headers']): void {
  const { id, causes, run, traceparent } = headers;
  const flags =
    (id === undefined ? 0 : HAS_ID) |
    (causes === undefined ? 0 : HAS_CAUSES) |
    (run === undefined ? 0 : HAS_RUN) |
    (traceparent === undefined ? 0 : HAS_TRACE);
  heads.bytes[heads.length++] = flags;
  if (flags === 0) return;
  if (id !== undefined) {
    heads.text(id);
    heads.reserve(HEAD_BYTES);
  }
  if (causes !== undefined) heads.length = putNumber(heads.bytes, heads.length, stringIndex(causes));
  if (run !== undefined) heads.length = putNumber(heads.bytes, heads.length, stringIndex(run));
  if (traceparent !== undefined) heads.length = putNumber(heads.bytes, heads.length, stringIndex(traceparent));
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
  const { topic, partition } = place;
  const reader = new Unpacker(payload);
  if (reader.number() !== VERSION) throw new Error(`Batch at ${topic}/${partition}:${place.firstOffset} has an unknown version.`);
  const count = reader.number();
  const table: string[] = new Array(reader.number());
  const headBytes = reader.number();
  for (let i = 0; i < table.length; i++) table[i] = reader.text();
  let valueAt = reader.at + headBytes;
  const end = into.length + max;
  const memory = new DataView(payload.buffer);
  let number = 0;
  let knownAtMs = 0;
  let offset = place.firstOffset - 1;
  for (let i = 0; i < count && into.length < end; i++) {
    offset += 1 + reader.number();
    const key = table[reader.number()];
    const source = table[reader.number()];
    const type = table[reader.number()];
    number += reader.signed();
    knownAtMs += reader.signed();
    const headers: RecordHeaders = { source, number, type, knownAtMs };
    const flags = reader.number();
    if (flags !== 0) unpackOptional(reader, flags, table, headers);
    const valueEnd = reader.number() + valueAt;
    if (offset >= fromOffset) into.push(new SharingRecord(place, offset, key, headers, payload.subarray(valueAt, valueEnd), memory));
    valueAt = valueEnd;
  }
}

function unpackOptional(reader: Unpacker, flags: number, table: readonly string[], headers: RecordHeaders): void {
  if (flags & HAS_ID) headers.id = reader.text();
  if (flags & HAS_CAUSES) headers.causes = table[reader.number()];
  if (flags & HAS_RUN) headers.run = table[reader.number()];
  if (flags & HAS_TRACE) headers.traceparent = table[reader.number()];
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
