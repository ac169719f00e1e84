/** What each compression of record batches costs and saves, on deliveries of one reading and of sixty; needs no broker. */
import type { LogRecord } from '../../streams/event-log.ts';
import { COMPRESSIONS, type Compression, decodeRecordBatches, encodeRecordBatch } from '../../streams/kafka-records.ts';
import type { Benchmark } from './benchmark.ts';
import { numberedCodec } from './numbered-codec.ts';
import { ReadingsGenerator } from './readings-generator.ts';

const WRITER = { producerId: 1n, epoch: 0, sequence: 0 };
/** As many as an append of an importer has for one partition of twelve. */
const RECORDS_PER_BATCH = 670;

interface Cost {
  bytesPerRecord: number;
  microsecondsPerRecord: number;
}

function batchesOf(readingsPerDelivery: 1 | 60, count: number): LogRecord[][] {
  const { idOf } = numberedCodec();
  const generator = new ReadingsGenerator({
    ...{ seed: 5, points: 1_000, pointsPerSite: 10, readingsPerDelivery, form: 'deliveries' },
    deliverySchemaId: idOf('ReadingsDelivery'),
    tickSchemaId: idOf('Tick'),
  });
  const batches: LogRecord[][] = [[]];
  while (batches.length <= count)
    for (const record of generator.next()) {
      if (record.topic === 'ticks') continue;
      if (batches.at(-1)!.length === RECORDS_PER_BATCH) batches.push([]);
      batches.at(-1)!.push(record);
    }
  return batches.slice(0, count);
}

/** Of writing a batch and reading it. */
function costOf(batches: readonly LogRecord[][], compression: Compression): Cost {
  let bytes = 0;
  let records = 0;
  const began = process.cpuUsage();
  for (const batch of batches) {
    const written = encodeRecordBatch(batch, WRITER, compression);
    const read: LogRecord[] = [];
    decodeRecordBatches(
      { topic: 't', partition: 0, bytes: written, aborted: [] },
      { fromOffset: 0, maxRecords: 10_000, maxBytes: 1e9 },
      read,
    );
    bytes += written.length;
    records += read.length;
  }
  const { user, system } = process.cpuUsage(began);
  return { bytesPerRecord: bytes / records, microsecondsPerRecord: (user + system) / records };
}

const NAMES = { 1: 'kafka-compression', 60: 'kafka-compression-batched' } as const;

export const compressionBenchmark: Benchmark = {
  targets: Object.values(NAMES),
  async run({ quick }) {
    const ratios: Record<string, number> = {};
    const remarks: Record<string, string> = {};
    const figures: Record<string, number> = {};
    for (const readings of [1, 60] as const) {
      const batches = batchesOf(readings, quick ? 20 : 200);
      const costs = new Map<Compression, Cost>();
      // The first round warms up.
      for (let round = 0; round < 2; round++) for (const each of COMPRESSIONS) costs.set(each, costOf(batches, each));
      const none = costs.get('none')!;
      ratios[NAMES[readings]] = costs.get('zstd')!.bytesPerRecord / none.bytesPerRecord;
      remarks[NAMES[readings]] = [...costs]
        .map(([each, cost]) => `${each} ${Math.round(cost.bytesPerRecord)} bytes, ${cost.microsecondsPerRecord.toFixed(1)} µs`)
        .join('; ');
      for (const [each, { bytesPerRecord, microsecondsPerRecord }] of costs) {
        figures[`${readings} a delivery, ${each}: bytes a record`] = bytesPerRecord;
        figures[`${readings} a delivery, ${each}: CPU µs a record`] = microsecondsPerRecord;
      }
    }
    return { ratios, remarks, figures };
  },
};
