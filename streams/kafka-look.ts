/**
 * One consistent look at several partitions, which Kafka has no request for: partitions are fetched one after the other,
 * and a transaction can be read in one partition a moment before it can in another. So after the fetch it is asked what
 * stands beyond it, ended or not, and of what was fetched only that is given which
 *
 * - was stamped before the first of what stands beyond in the same partitions, as that may have caused it; sound where the
 *   stamps of different brokers differ by less than an append takes, and an append ends once its records can be read;
 * - is of no transaction that is still open in any topic's partition of that number, so that whatever is given of an
 *   append, in this look or a later one the rest of it can be read.
 *
 * What is held back comes in a later look. A writer that froze holds others up until the broker ends its transaction.
 */
import type { LogRecord, ReadOptions, ReadResult, TopicPartition } from './event-log.ts';
import { type KafkaReader, placeOf, type ReadRequest, type TracedResult } from './kafka-reader.ts';

/** `guards`: all places that transactions with the requested ones may write to as well. */
export async function lookAtAll(
  reader: KafkaReader,
  requests: readonly ReadRequest[],
  guards: readonly TopicPartition[],
  options: ReadOptions,
): Promise<ReadResult[]> {
  const results = await reader.readEach(requests, options);
  if (results.every(({ records }) => records.length === 0)) return results;
  // What the bounds ended is read on from there by the next look.
  const ended = requests.flatMap((request, i) => (isCut(results[i], options) ? [] : [{ ...request, offset: results[i].nextOffset }]));
  const marks = await reader.highWatermarks(guards);
  const ends = await reader.ends(guards);
  const markOf = new Map(guards.map((place, i) => [placeOf(place), marks[i]]));
  const beyond = ended.map((request) => ({ ...request, end: markOf.get(placeOf(request.at))! }));
  const pending = guards.flatMap((at, i) => (ends[i] < marks[i] ? [{ at, offset: ends[i], end: marks[i] }] : []));
  const recordsOf = async (asked: typeof beyond) => (await reader.headsUpTo(asked)).flat().filter(({ kind }) => kind === 'records');
  const later = await recordsOf(beyond);
  const open = await recordsOf(pending);
  if (later.length === 0 && open.length === 0) return results;
  const firstMs = Math.min(...later.map(({ appendedMs }) => appendedMs));
  const transactions = new Set([...later, ...open].map(({ transaction }) => transaction));
  return results.map((result) => upTo(result, firstMs, transactions));
}

/** Whether the bounds ended a result, so that what comes after it was not asked for. */
function isCut({ records }: ReadResult, { maxRecords, maxBytes }: ReadOptions): boolean {
  return records.length >= maxRecords || bytesOf(records) >= maxBytes;
}

function bytesOf(records: readonly LogRecord[]): number {
  let bytes = 0;
  for (const { value } of records) bytes += value.length;
  return bytes;
}

/** Appended times never fall within a partition. */
function upTo(result: TracedResult, beforeMs: number, open: ReadonlySet<string>): ReadResult {
  const { records, nextOffset } = result;
  const stamped = records.findIndex(({ appendedMs }) => appendedMs >= beforeMs);
  const unended = result.transactions.find(({ transaction }) => open.has(transaction))?.from ?? records.length;
  const cut = Math.min(stamped < 0 ? records.length : stamped, unended);
  return cut === records.length ? { records, nextOffset } : { records: records.slice(0, cut), nextOffset: records[cut].offset };
}
