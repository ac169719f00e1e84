/**
 * The three requests that a log needs in a form which the client library has not: a fetch that leaves batches as bytes,
 * and produce and end-of-transaction as of KIP-890 (transaction version 2: partitions join a transaction by being
 * written to, and each end gives the producer a new epoch, so that no late request can leave a transaction open).
 */
import { createAPI, type Reader, Writer } from '@platformatic/kafka';
import type { TopicPartition } from './event-log.ts';
import type { AbortedTransaction, FetchedBatches } from './kafka-records.ts';

export interface FetchPartition extends TopicPartition {
  offset: number;
  maxBytes: number;
}

export interface FetchedPartition extends FetchedBatches {
  /** 0 where it went well. */
  errorCode: number;
  highWatermark: number;
  /** Before it, every transaction has ended. */
  lastStableOffset: number;
}

export interface FetchRequest {
  maxWaitMs: number;
  minBytes: number;
  maxBytes: number;
  /** Only what is committed, or also what may be aborted yet. */
  committed: boolean;
  partitions: readonly FetchPartition[];
}

const READ_COMMITTED = 1;
const READ_UNCOMMITTED = 0;
const ACKS_ALL = -1;

function byTopic<T extends TopicPartition>(items: readonly T[]): [string, T[]][] {
  const topics = new Map<string, T[]>();
  for (const item of items) {
    const list = topics.get(item.topic);
    if (list) list.push(item);
    else topics.set(item.topic, [item]);
  }
  return [...topics];
}

function fetchRequest({ maxWaitMs, minBytes, maxBytes, committed, partitions }: FetchRequest): Writer {
  return Writer.create()
    .appendInt32(-1)
    .appendInt32(maxWaitMs)
    .appendInt32(minBytes)
    .appendInt32(maxBytes)
    .appendInt8(committed ? READ_COMMITTED : READ_UNCOMMITTED)
    .appendInt32(0)
    .appendInt32(-1)
    .appendArray(byTopic(partitions), (w, [topic, places]) => {
      w.appendString(topic).appendArray(places, (w, { partition, offset, maxBytes: most }) => {
        w.appendInt32(partition).appendInt32(-1).appendInt64(BigInt(offset)).appendInt32(-1).appendInt64(-1n).appendInt32(most);
      });
    })
    .appendArray([], () => {})
    .appendString('')
    .appendTaggedFields();
}

function fetchResponse(_correlation: number, _key: number, _version: number, reader: Reader): FetchedPartition[] {
  const found: FetchedPartition[] = [];
  reader.readInt32();
  const errorCode = reader.readInt16();
  reader.readInt32();
  reader.readArray((r) => {
    const topic = r.readString();
    r.readArray((p) => found.push(fetchedPartition(p, topic, errorCode)));
  });
  return found;
}

function fetchedPartition(reader: Reader, topic: string, wholeError: number): FetchedPartition {
  const partition = reader.readInt32();
  const ownError = reader.readInt16();
  const highWatermark = Number(reader.readInt64());
  const lastStableOffset = Number(reader.readInt64());
  // Where the log begins.
  reader.readInt64();
  const aborted: AbortedTransaction[] =
    reader.readNullableArray((r) => ({ producerId: r.readInt64(), firstOffset: Number(r.readInt64()) })) ?? [];
  reader.readInt32();
  const bytes = reader.readNullableBytes() ?? Buffer.alloc(0);
  return { topic, partition, errorCode: ownError || wholeError, highWatermark, lastStableOffset, aborted, bytes };
}

/** Partitions of one leader. */
export const fetchApi = createAPI<[FetchRequest], FetchedPartition[]>(1, 12, fetchRequest, fetchResponse);

export interface ProduceBatch extends TopicPartition {
  bytes: Buffer;
}

export interface Produced extends TopicPartition {
  errorCode: number;
  message: string | null;
  /** Offset of the batch's first record. */
  baseOffset: number;
}

function produceRequest(transactionalId: string, timeoutMs: number, batches: readonly ProduceBatch[]): Writer {
  return Writer.create()
    .appendString(transactionalId)
    .appendInt16(ACKS_ALL)
    .appendInt32(timeoutMs)
    .appendArray(byTopic(batches), (w, [topic, places]) => {
      w.appendString(topic).appendArray(places, (w, { partition, bytes }) => {
        w.appendInt32(partition).appendBytes(bytes);
      });
    })
    .appendTaggedFields();
}

function produceResponse(_correlation: number, _key: number, _version: number, reader: Reader): Produced[] {
  const produced: Produced[] = [];
  reader.readArray((r) => {
    const topic = r.readString();
    r.readArray((p) => {
      const partition = p.readInt32();
      const errorCode = p.readInt16();
      const baseOffset = Number(p.readInt64());
      p.readInt64();
      p.readInt64();
      p.readArray((e) => {
        e.readInt32();
        e.readNullableString();
      });
      produced.push({ topic, partition, errorCode, baseOffset, message: p.readNullableString() });
    });
  });
  return produced;
}

/** One batch a partition, partitions of one leader. */
export const produceApi = createAPI<[string, number, readonly ProduceBatch[]], Produced[]>(0, 12, produceRequest, produceResponse);

export interface EndedTransaction {
  errorCode: number;
  /** With which the next transaction is written. */
  producerId: bigint;
  epoch: number;
}

function endRequest(transactionalId: string, producerId: bigint, epoch: number, commit: boolean): Writer {
  return Writer.create()
    .appendString(transactionalId)
    .appendInt64(producerId)
    .appendInt16(epoch)
    .appendBoolean(commit)
    .appendTaggedFields();
}

function endResponse(_correlation: number, _key: number, _version: number, reader: Reader): EndedTransaction {
  reader.readInt32();
  return { errorCode: reader.readInt16(), producerId: reader.readInt64(), epoch: reader.readInt16() };
}

export const endTransactionApi = createAPI<[string, bigint, number, boolean], EndedTransaction>(26, 5, endRequest, endResponse);
