/**
 * Record batches as they stand in Kafka (message format 2, KIP-98), with CloudEvents headers. Clients build an object for
 * each record, each of its headers and each 64-bit number; here a batch is written from, and read into, the log's records.
 *
 *   base offset i64 · length i32 · leader epoch i32 · magic i8 · CRC-32C u32 · attributes i16 · last offset delta i32 ·
 *   base time i64 · greatest time i64 · producer id i64 · producer epoch i16 · base sequence i32 · count i32 · records
 *   record: length · attributes · time delta · offset delta · key · value · header count · (name, value)…, in varints
 */
import { compressionsAlgorithms, compressionsAlgorithmsByBitmask, crc32c } from '@platformatic/kafka';
import { Bytes, NUMBER_BYTES, putSigned } from './byte-buffer.ts';
import { IflexError } from './errors.ts';
import { type LogRecord, type RecordHeaders, SharingRecord, type TopicPartition } from './event-log.ts';
import { HeaderReader } from './kafka-header-reader.ts';
import { putHeaders, putText } from './kafka-headers.ts';

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

/** How batches may be compressed by whoever writes them; all can be read. */
export const COMPRESSIONS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
export type Compression = (typeof COMPRESSIONS)[number];

/** One batch of a transaction; the broker gives it offsets and a time. */
export function encodeRecordBatch(
  records: readonly WireRecord[],
  { producerId, epoch, sequence }: BatchWriter,
  compression: Compression = 'none',
): Buffer {
  const batch = new Bytes();
  batch.length = BATCH_HEAD_BYTES;
  for (let i = 0; i < records.length; i++) putRecord(batch, records[i], i);
  const bytes = compression === 'none' ? batch.bytes.subarray(0, batch.length) : compressed(batch, compression);
  bytes.writeBigInt64BE(0n, 0);
  bytes.writeInt32BE(bytes.length - LENGTH_AT - 4, LENGTH_AT);
  bytes.writeInt32BE(-1, 12);
  bytes.writeInt8(MAGIC, MAGIC_AT);
  bytes.writeInt16BE(TRANSACTIONAL | compressionsAlgorithms[compression].bitmask, ATTRIBUTES_AT);
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

/** What comes after the head is compressed as one. */
function compressed(batch: Bytes, compression: Compression): Buffer {
  const records = compressionsAlgorithms[compression].compressSync(batch.bytes.subarray(BATCH_HEAD_BYTES, batch.length));
  const bytes = Buffer.allocUnsafe(BATCH_HEAD_BYTES + records.length);
  bytes.set(records, BATCH_HEAD_BYTES);
  return bytes;
}

/** Most records are shorter than 8 kB, so that their length takes two bytes. */
const LENGTH_BYTES = 2;

function putRecord(batch: Bytes, { key, value, headers }: WireRecord, offsetDelta: number): void {
  const start = batch.length;
  batch.reserve(LENGTH_BYTES + 6 * NUMBER_BYTES + 3 * key.length + (value === null ? 0 : value.length));
  let at = start + LENGTH_BYTES;
  batch.bytes[at++] = 0;
  batch.bytes[at++] = 0;
  at = putSigned(batch.bytes, at, offsetDelta);
  at = putText(batch.bytes, at, key);
  at = putSigned(batch.bytes, at, value === null ? -1 : value.length);
  if (value !== null) {
    batch.bytes.set(value, at);
    at += value.length;
  }
  batch.length = at;
  putHeaders(batch, headers);
  const length = batch.length - start - LENGTH_BYTES;
  const lengthBytes = putSigned(lengthOf, 0, length);
  if (lengthBytes !== LENGTH_BYTES) {
    batch.reserve(NUMBER_BYTES);
    batch.bytes.copyWithin(start + lengthBytes, start + LENGTH_BYTES, batch.length);
    batch.length += lengthBytes - LENGTH_BYTES;
  }
  lengthOf.copy(batch.bytes, start, 0, lengthBytes);
}

const lengthOf = Buffer.alloc(NUMBER_BYTES);

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
 * end, as brokers do, is left for the next fetch. `onBatch` is told of each batch that records are taken from, before.
 */
export function decodeRecordBatches(
  { bytes, aborted, ...at }: FetchedBatches,
  bounds: DecodeBounds,
  into: LogRecord[],
  onBatch?: (transaction: string) => void,
): number {
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
      onBatch?.(transactionOf(batch));
      const stoppedAt = new BatchReader(batch, at, bounds.fromOffset).read(room, into);
      if (stoppedAt >= 0) return stoppedAt;
    }
    nextOffset = lastOffset + 1;
  }
  return nextOffset;
}

/** Of which transaction a batch is: each has an epoch of its own (KIP-890). */
function transactionOf(batch: Buffer): string {
  return `${batch.readBigInt64BE(43)}/${batch.readInt16BE(51)}`;
}

/** The key of a mark is a version and a type; those of transactions have the types 0 and 1. */
function markOf(batch: Buffer): 'commit' | 'abort' {
  const reader = new HeaderReader(batch.subarray(BATCH_HEAD_BYTES));
  reader.signed();
  reader.at++;
  reader.signed();
  reader.signed();
  reader.signed();
  return batch.readInt16BE(BATCH_HEAD_BYTES + reader.at + 2) === 1 ? 'commit' : 'abort';
}

/** A batch seen from outside: records of a transaction, or the mark that ends one in its partition. */
export interface BatchHead {
  kind: 'records' | 'commit' | 'abort';
  producerId: bigint;
  transaction: string;
  appendedMs: number;
}

/** What batches there are from an offset on, and the offset after them. */
export function readBatchHeads(bytes: Buffer, fromOffset: number): { heads: BatchHead[]; nextOffset: number } {
  const heads: BatchHead[] = [];
  let nextOffset = fromOffset;
  for (let start = 0; start + BATCH_HEAD_BYTES <= bytes.length; ) {
    const batch = bytes.subarray(start);
    start += LENGTH_AT + 4 + batch.readInt32BE(LENGTH_AT);
    const lastOffset = Number(batch.readBigInt64BE(0)) + batch.readInt32BE(23);
    if (lastOffset < fromOffset) continue;
    nextOffset = lastOffset + 1;
    const attributes = batch.readInt16BE(ATTRIBUTES_AT);
    heads.push({
      kind: attributes & CONTROL ? markOf(batch) : 'records',
      producerId: batch.readBigInt64BE(43),
      transaction: transactionOf(batch),
      appendedMs: Number(batch.readBigInt64BE(attributes & LOG_APPEND_TIME ? 35 : 27)),
    });
  }
  return { heads, nextOffset };
}

class BatchReader {
  private readonly reader: HeaderReader;
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
    this.reader = new HeaderReader(this.bytes);
  }

  /** Reads while there is room; gives the offset at which it stopped for want of it, or -1. */
  read(room: { records: number; bytes: number }, into: LogRecord[]): number {
    const { reader, bytes } = this;
    for (let i = 0; i < this.count; i++) {
      const end = reader.signed() + reader.at;
      reader.at++;
      reader.signed();
      const offset = this.firstOffset + reader.signed();
      if (offset < this.fromOffset) {
        reader.at = end;
        continue;
      }
      if (room.records <= 0 || room.bytes <= 0) return offset;
      const key = reader.key();
      const length = Math.max(0, reader.signed());
      const value = bytes.subarray(reader.at, reader.at + length);
      reader.at += length;
      const record = new SharingRecord(this.place, offset, key, NO_HEADERS, value, this.memory);
      this.takeHeaders(record, end);
      into.push(record);
      room.records--;
      room.bytes -= length;
      reader.at = end;
    }
    return -1;
  }

  /** An event of an outside producer whose headers make no sense is told of as such, so that it can be set aside. */
  private takeHeaders(record: SharingRecord, end: number): void {
    const hasNone = this.bytes[this.reader.at] === 0;
    try {
      if (!hasNone) record.headers = this.reader.read(end);
      else record.fault = 'The event has no headers; those of CloudEvents in binary mode are needed.';
    } catch (error) {
      record.fault = (error as Error).message;
    }
    if (record.fault === undefined) return;
    const { topic, partition, appendedMs } = this.place;
    record.headers = { source: `${topic}/${partition}`, number: record.offset, type: '', knownAtMs: appendedMs };
  }
}

const NO_HEADERS: RecordHeaders = { source: '', number: -1, type: '', knownAtMs: 0 };

function decompressed(compression: number, bytes: Buffer): Buffer {
  const algorithm = compressionsAlgorithmsByBitmask[compression as keyof typeof compressionsAlgorithmsByBitmask];
  if (!algorithm) throw new IflexError('EVENT_UNDECODABLE', `A batch is compressed in a way that is not known (${compression}).`);
  return Buffer.from(algorithm.decompressSync(bytes));
}
