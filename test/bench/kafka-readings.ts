/** Fills a log with the generator's deliveries, sites and ticks, as importers and the clock would, and keeps the truth of some points. */
import type { Codec } from '../../schemas/codec.ts';
import type { ReadingsDelivery } from '../../schemas/types.ts';
import type { EventLog, LogRecord, NewRecord } from '../../streams/event-log.ts';
import { PARTITION_COUNT } from '../../streams/limits.ts';
import { partitionOf } from '../../streams/partitioner.ts';
import { ExpectedWindows } from './kafka-windows.ts';
import { GENERATOR_FROM_MS, ReadingsGenerator, siteIdOf } from './readings-generator.ts';

export interface LoadOptions {
  log: EventLog;
  /** Knows the schemas by the ids that frames are to carry. */
  codec: Codec;
  seed: number;
  points: number;
  pointsPerSite: number;
  readingsPerDelivery: 1 | 60;
  /** At least so many, up to a whole minute of all points. */
  readings: number;
  /** Sites, from the first on, whose windows can be checked afterwards. */
  watchedSites: number;
  /** Awaited before each append; default: nothing holds it up. */
  room?: () => Promise<void>;
}

export interface LoadedReadings {
  /** All that was appended: sites, deliveries, and the ticks of every partition. */
  records: number;
  /** Records of meter.readings, and readings in them, doubles included. */
  deliveries: number;
  readings: number;
  doubled: number;
  expected: ExpectedWindows;
}

const APPENDED_AT_ONCE = 8_000;

/** After so many minutes nothing of the generator's is late any more. */
export function graceMinutesOf(readingsPerDelivery: 1 | 60): number {
  return readingsPerDelivery === 1 ? 65 : 125;
}

export async function loadReadings({ log, codec, watchedSites, readings, room, ...options }: LoadOptions): Promise<LoadedReadings> {
  const generator = new ReadingsGenerator({
    ...options,
    form: 'deliveries',
    deliverySchemaId: schemaIdOf(codec.encode('ReadingsDelivery', { siteId: '', knownAtMs: 0, series: [] })),
    tickSchemaId: schemaIdOf(codec.encode('Tick', { knownAtMs: 0 })),
  });
  const watched = new Set(Array.from({ length: watchedSites }, (_, site) => siteIdOf(site)));
  const expected = new ExpectedWindows();
  const waiting: NewRecord[] = [...generator.sites()].map((site, number) => ({
    topic: 'sites',
    key: site.siteId,
    value: codec.encode('SiteDeclared', site),
    headers: { source: 'sites', number, type: 'SiteDeclared', knownAtMs: site.knownAtMs },
  }));
  let [records, deliveries] = [waiting.length, 0];
  while (generator.delivered < readings) {
    for (const record of generator.next()) {
      if (record.topic === 'ticks') {
        waiting.push(...ticksOf(record));
        records += PARTITION_COUNT;
        continue;
      }
      records++;
      deliveries++;
      const { key, value, headers } = record;
      waiting.push({ topic: record.topic, key, value, headers });
      expected.passed(partitionOf(key, PARTITION_COUNT), headers.knownAtMs);
      if (watched.has(key)) expected.take(codec.decode(value).value as ReadingsDelivery);
    }
    while (waiting.length >= APPENDED_AT_ONCE) {
      await room?.();
      await log.append(waiting.splice(0, APPENDED_AT_ONCE));
    }
  }
  if (waiting.length > 0) await log.append(waiting);
  return { records, deliveries, readings: generator.delivered, doubled: generator.doubled, expected };
}

/** Every partition has its own tick, as that alone closes its windows. */
function ticksOf({ topic, value, headers }: LogRecord): NewRecord[] {
  const number = (headers.knownAtMs - GENERATOR_FROM_MS) / 60_000;
  return Array.from({ length: PARTITION_COUNT }, (_, partition) => ({
    topic,
    key: String(partition),
    partition,
    value,
    headers: { ...headers, number },
  }));
}

function schemaIdOf(framed: Buffer): number {
  return framed.readUInt32BE(1);
}
