/**
 * Record batches as they stand in Kafka (message format 2, KIP-98), with CloudEvents headers. Clients build an object for
 * each record, each of its headers and each 64-bit number; here a batch is written from, and read into, the log's records.
 *
 *   base offset i64 · length i32 · leader epoch i32 · magic i8 · CRC-32C u32 · attributes i16 · last offset delta i32 ·
 *   base time i64 · greatest time i64 · producer id i64 · producer epoch i16 · base sequence i32 · count i32 · records
 *   record: length · attributes · time delta · offset delta · key · value · header count · (name, value)…, in varints
 */
import { compressionsAlgorithmsByBitmask, crc32c } from '@platformatic/kafka';
import { Bytes, NUMBER_BYTES, putSigned } from './byte-buffer.ts';
import { type CloudEventHeaders, fromCloudEvent, toCloudEvent } from './cloud-events.ts';
import { IflexError } from './errors.ts';
import { type LogRecord, type RecordHeaders, SharingRecord, type TopicPartition } from './event-log.ts';

const BATCH_HEAD_BYTES = 61;
const LENGTH_AT = 8;
const MAGIC_AT = 16;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const MAGIC = 2;
const COMPRESSION = 0b111;
const LOG_APPEND_TIME = 1 << 3;
const TRANSACTIONAL = 1 << 4;
const CONTROL = 1 << 5;

/** A record on its way into a partition; `headers` null for those of the log itself, which have none. */
export interface WireRecord {
  key: string;
  /** null: a compacted topic forgets the key. */
  value: Uint8Array | null;
  headers: RecordHeaders | null;
}

/** Who writes a batch, and the number of its first record in this transaction and partition. */
export interface BatchWriter {
  producerId: bigint;
  epoch: number;
  sequence: number;
}

const front = new Bytes();
const back = new Bytes();

/** One batch of a transaction; the broker gives it offsets and a time. */
export function encodeRecordBatch(records: readonly WireRecord[], { producerId, epoch, sequence }: BatchWriter): Buffer {
  const batch = new Bytes();
  batch.length = BATCH_HEAD_BYTES;
  for (let i = 0; i < records.length; i++) putRecord(batch, records[i], i);
  const bytes = batch.bytes.subarray(0, batch.length);
  bytes.writeBigInt64BE(0n, 0);
  bytes.writeInt32BE(batch.length - LENGTH_AT - 4, LENGTH_AT);
  bytes.writeInt32BE(-1, 12);
  bytes.writeInt8(MAGIC, MAGIC_AT);
  bytes.writeInt16BE(TRANSACTIONAL, ATTRIBUTES_AT);
  bytes.writeInt32BE(records.length - 1, 23);
  bytes.writeBigInt64BE(0n, 27);
  bytes.writeBigInt64BE(0n, 35);
  bytes.writeBigInt64BE(producerId, 43);
  bytes.writeInt16BE(epoch, 51);
  bytes.writeInt32BE(sequence, 53);
  bytes.writeInt32BE(records.length, 57);
  bytes.writeUInt32BE(crc32c(bytes.subarray(ATTRIBUTES_AT)), CRC_AT);
  return bytes;
}

function putRecord(batch: Bytes, { key, value, headers }: WireRecord, offsetDelta: number): void {
  front.length = back.length = 0;
  front.reserve(2 + NUMBER_BYTES);
  front.bytes[0] = 0;
  front.bytes[1] = 0;
  front.length = putSigned(front.bytes, 2, offsetDelta);
  putText(front, key);
  front.reserve(NUMBER_BYTES);
  front.length = putSigned(front.bytes, front.length, value === null ? -1 : value.length);
  putHeaders(headers);
  const length = front.length + (value === null ? 0 : value.length) + back.length;
  batch.reserve(length + NUMBER_BYTES);
  batch.length = putSigned(batch.bytes, batch.length, length);
  front.bytes.copy(batch.bytes, batch.length, 0, front.length);
  batch.length += front.length;
  if (value !== null) {
    batch.bytes.set(value, batch.length);
    batch.length += value.length;
  }
  back.bytes.copy(batch.bytes, batch.length, 0, back.length);
  batch.length += back.length;
}

function putText(into: Bytes, text: string): void {
  const length = Buffer.byteLength(text);
  into.reserve(length + NUMBER_BYTES);
  into.length = putSigned(into.bytes, into.length, length);
  into.length += into.bytes.write(text, into.length);
}

function putHeaders(headers: RecordHeaders | null): void {
  const attributes = headers === null ? [] : Object.entries(toCloudEvent(headers));
  back.reserve(NUMBER_BYTES);
  back.length = putSigned(back.bytes, 0, attributes.length);
  for (const [name, value] of attributes) {
    putText(back, name);
    putText(back, value);
  }
}

/** A producer whose records from an offset on do not count, up to the mark that ends its transaction. */
export interface AbortedTransaction {
  producerId: bigint;
  firstOffset: number;
}

/** What a fetch of one partition brought. */
export interface FetchedBatches extends TopicPartition {
  bytes: Buffer;
  aborted: AbortedTransaction[];
}

export interface DecodeBounds {
  fromOffset: number;
  maxRecords: number;
  /** Of values, beyond the first record. */
  maxBytes: number;
}

/**
 * Reads the committed records from an offset on into `into`, within the bounds. Returns the offset to read on from: after
 * the last record taken, or after what followed it and holds none (marks, aborted ones). A batch that is cut off at the
 * end, as brokers do, is left for the next fetch.
 */
export function decodeRecordBatches({ bytes, aborted, ...at }: FetchedBatches, bounds: DecodeBounds, into: LogRecord[]): number {
  const waiting = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset);
  const open = new Set<bigint>();
  const room = { records: bounds.maxRecords, bytes: bounds.maxBytes };
  let nextOffset = bounds.fromOffset;
  for (let start = 0; start + BATCH_HEAD_BYTES <= bytes.length; ) {
    const end = start + LENGTH_AT + 4 + bytes.readInt32BE(start + LENGTH_AT);
    if (end > bytes.length) break;
    const batch = bytes.subarray(start, end);
    start = end;
    const firstOffset = Number(batch.readBigInt64BE(0));
    const lastOffset = firstOffset + batch.readInt32BE(23);
    if (lastOffset < bounds.fromOffset) continue;
    while (waiting.length > 0 && waiting[0].firstOffset <= lastOffset) open.add(waiting.shift()!.producerId);
    const producerId = batch.readBigInt64BE(43);
    const attributes = batch.readInt16BE(ATTRIBUTES_AT);
    if (attributes & CONTROL) open.delete(producerId);
    else if (!(attributes & TRANSACTIONAL && open.has(producerId))) {
      const stoppedAt = new BatchReader(batch, at, bounds.fromOffset).read(room, into);
      if (stoppedAt >= 0) return stoppedAt;
    }
    nextOffset = lastOffset + 1;
  }
  return nextOffset;
}

/** The last texts read at each place of a record: mostly the next record has the same. */
class BatchReader {
  private at = 0;
  private readonly bytes: Buffer;
  private readonly memory: DataView;
  private readonly place: { topic: string; partition: number; appendedMs: number };
  private readonly firstOffset: number;
  private readonly count: number;
  private readonly fromOffset: number;

  constructor(batch: Buffer, { topic, partition }: TopicPartition, fromOffset: number) {
    if (batch.readInt8(MAGIC_AT) !== MAGIC)
      throw new IflexError('EVENT_UNDECODABLE', `A batch of ${topic}/${partition} is in a message format that is not ${MAGIC}.`);
    const attributes = batch.readInt16BE(ATTRIBUTES_AT);
    // Of topics with the time of appending, which all of ours are, the batch has it as its greatest time.
    const appendedMs = Number(batch.readBigInt64BE(attributes & LOG_APPEND_TIME ? 35 : 27));
    this.place = { topic, partition, appendedMs };
    this.firstOffset = Number(batch.readBigInt64BE(0));
    this.count = batch.readInt32BE(57);
    this.fromOffset = fromOffset;
    const records = batch.subarray(BATCH_HEAD_BYTES);
    const compression = attributes & COMPRESSION;
    this.bytes = compression === 0 ? records : decompressed(compression, records);
    this.memory = new DataView(this.bytes.buffer);
  }

  /** Reads while there is room; gives the offset at which it stopped for want of it, or -1. */
  read(room: { records: number; bytes: number }, into: LogRecord[]): number {
    for (let i = 0; i < this.count; i++) {
      const end = this.signed() + this.at;
      this.at++;
      this.signed();
      const offset = this.firstOffset + this.signed();
      if (offset < this.fromOffset) {
        this.at = end;
        continue;
      }
      if (room.records <= 0 || room.bytes <= 0) return offset;
      const key = this.text() ?? '';
      const length = this.signed();
      const value = this.bytes.subarray(this.at, this.at + Math.max(0, length));
      this.at += value.length;
      const record = new SharingRecord(this.place, offset, key, NO_HEADERS, value, this.memory);
      this.takeHeaders(record);
      into.push(record);
      room.records--;
      room.bytes -= value.length;
      this.at = end;
    }
    return -1;
  }

  /** A record of an outside producer whose headers make no sense is told of as such, so that it can be set aside. */
  private takeHeaders(record: SharingRecord): void {
    const given: Record<string, string> = {};
    const count = this.signed();
    for (let i = 0; i < count; i++) {
      const name = this.text() ?? '';
      const value = this.text();
      if (value !== undefined) given[name] = value;
    }
    try {
      record.headers = fromCloudEvent(given as CloudEventHeaders);
    } catch (error) {
      if (!(error instanceof IflexError)) throw error;
      const { topic, partition, appendedMs } = this.place;
      record.headers = { source: `${topic}/${partition}`, number: record.offset, type: '', knownAtMs: appendedMs };
      record.fault = count === 0 ? 'The event has no headers; those of CloudEvents in binary mode are needed.' : error.message;
    }
  }

  private signed(): number {
    let byte = this.bytes[this.at++];
    let value = byte & 0x7f;
    let factor = 128;
    while (byte > 0x7f) {
      byte = this.bytes[this.at++];
      value += (byte & 0x7f) * factor;
      factor *= 128;
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** undefined for one that is null. */
  private text(): string | undefined {
    const length = this.signed();
    if (length < 0) return undefined;
    this.at += length;
    return this.bytes.toString('utf8', this.at - length, this.at);
  }
}

const NO_HEADERS: RecordHeaders = { source: '', number: -1, type: '', knownAtMs: 0 };

function decompressed(compression: number, bytes: Buffer): Buffer {
  const algorithm = compressionsAlgorithmsByBitmask[compression as keyof typeof compressionsAlgorithmsByBitmask];
  if (!algorithm) throw new IflexError('EVENT_UNDECODABLE', `A batch is compressed in a way that is not known (${compression}).`);
  return Buffer.from(algorithm.decompressSync(bytes));
}
