/** Cuts what a transaction writes into batches that brokers take and requests that stay small. */
import type { TopicPartition } from './event-log.ts';
import type { WireRecord } from './kafka-records.ts';
import { MAX_BATCH_BYTES, MAX_BATCH_RECORDS } from './limits.ts';

/** Records of one partition. */
export interface Lane extends TopicPartition {
  records: readonly WireRecord[];
}

/** Bytes of one request to a broker. */
const MAX_REQUEST_BYTES = 4 * MAX_BATCH_BYTES;
/** A record's own lengths and the names of its headers, with those values that have a bound. */
const HEAD_BYTES = 260;
/** Of a character in UTF-8. */
const MOST_BYTES = 3;

/** Rounds of batches: each has at most one for each partition. */
export function* roundsOf(lanes: readonly Lane[]): Generator<Lane[]> {
  const cuts = lanes.map((lane) => batchesOf(lane));
  for (let i = 0; ; i++) {
    const round = cuts.flatMap((batches) => (i < batches.length ? [batches[i]] : []));
    if (round.length === 0) return;
    let part: Lane[] = [];
    let bytes = 0;
    for (const { lane, bytes: laneBytes } of round) {
      if (part.length > 0 && bytes + laneBytes > MAX_REQUEST_BYTES) {
        yield part;
        part = [];
        bytes = 0;
      }
      part.push(lane);
      bytes += laneBytes;
    }
    yield part;
  }
}

function batchesOf({ topic, partition, records }: Lane): { lane: Lane; bytes: number }[] {
  const batches: { lane: Lane; bytes: number }[] = [];
  let from = 0;
  let bytes = 0;
  for (let i = 0; i <= records.length; i++) {
    const size = i < records.length ? sizeOf(records[i]) : 0;
    if (i > from && (i === records.length || i - from >= MAX_BATCH_RECORDS || bytes + size > MAX_BATCH_BYTES)) {
      batches.push({ lane: { topic, partition, records: records.slice(from, i) }, bytes });
      from = i;
      bytes = 0;
    }
    bytes += size;
  }
  return batches;
}

/** At most so many bytes of a batch. */
function sizeOf({ key, value, headers }: WireRecord): number {
  const bytes = HEAD_BYTES + MOST_BYTES * key.length + (value?.length ?? 0);
  if (headers === null) return bytes;
  const { source, id = '', type, causes = '', run = '', traceparent = '' } = headers;
  // A fact has its source in its id too.
  const named = 2 * sourceBytes(source) + MOST_BYTES * (id.length + type.length + run.length + traceparent.length);
  // The trigger's source is in it as it was given.
  return bytes + named + Buffer.byteLength(causes);
}

let lastSource = '';
let lastSourceBytes = 0;

/** Sources are written in percent-encoding; records in a row mostly have the same one. */
function sourceBytes(source: string): number {
  if (source !== lastSource) {
    lastSource = source;
    lastSourceBytes = encodeURIComponent(source).length;
  }
  return lastSourceBytes;
}
