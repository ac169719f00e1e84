/**
 * One consistent look at several partitions, which Kafka has no request for. They are fetched one after the other, then
 * looked at again: where one has got further records meanwhile, an effect of those may be in what was fetched of another.
 * So only what was stamped before the first of them is given, and the rest is held back for the next look. Sound where
 * the stamps of different brokers differ by less than an append takes, and an append ends once its records can be read.
 */
import type { LogRecord, ReadOptions, ReadResult } from './event-log.ts';
import type { KafkaReader, ReadRequest } from './kafka-reader.ts';

export async function lookAtAll(reader: KafkaReader, requests: readonly ReadRequest[], options: ReadOptions): Promise<ReadResult[]> {
  const results = await reader.readEach(requests, options);
  const open = requests.flatMap((request, i) => (isCut(results[i], options) ? [] : [{ ...request, offset: results[i].nextOffset }]));
  if (open.length === 0 || results.every(({ records }) => records.length === 0)) return results;
  const later = await reader.readEach(open, { maxRecords: 1, maxBytes: 1 });
  const firstMs = Math.min(...later.flatMap(({ records }) => (records.length > 0 ? [records[0].appendedMs] : [])));
  if (firstMs === Number.POSITIVE_INFINITY) return results;
  return results.map((result) => upTo(result, firstMs));
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
function upTo(result: ReadResult, beforeMs: number): ReadResult {
  const cut = result.records.findIndex(({ appendedMs }) => appendedMs >= beforeMs);
  if (cut < 0) return result;
  return { records: result.records.slice(0, cut), nextOffset: result.records[cut].offset };
}
