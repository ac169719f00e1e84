/** What becomes of events that others write into a log on Kafka past our own port: used, or set aside with a code, never lost. */
import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import kafkajs, { type Message } from 'kafkajs';
import { startPipeline } from '../../infra/pipeline.ts';
import type { ReadingsDelivery, Rejected, ResampledWindows, SiteDeclared } from '../../schemas/types.ts';
import { ticksAt } from '../../streams/adapters/clock.ts';
import { toCloudEvent } from '../../streams/cloud-events.ts';
import type { LogRecord } from '../../streams/event-log.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { HOUR_MS, MINUTE_MS, PARTITION_COUNT } from '../../streams/limits.ts';
import { partitionOf } from '../../streams/partitioner.ts';
import { registrySettings } from '../../streams/registry-settings.ts';
import { openTestEngine } from '../engine.ts';
import { openTestServices } from '../services.ts';
import { readAll } from './event-log-fixtures.ts';

const services = await openTestServices('kafka', 'apicurio');
const engine = await openTestEngine();
const namespace = engine.namespace();
const kafka = kafkaSettings(services.settings)!;
const registry = registrySettings(services.settings)!;
const pipeline = await startPipeline({ url: engine.url, kafka, registry, namespace, codeVersion: 'test' });
after(() => pipeline.stop());
const { log, codec } = pipeline;

const client = new kafkajs.Kafka({ clientId: 'outside', brokers: kafka.brokers, logLevel: kafkajs.logLevel.NOTHING });
const producer = client.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
await producer.connect();
after(() => producer.disconnect());

/** Of the present, as an event without a time of its own became known when it was appended. */
const START_MS = Math.floor(Date.now() / HOUR_MS - 1) * HOUR_MS;
const KNOWN_AT_MS = START_MS + 15 * MINUTE_MS;

const site: SiteDeclared = {
  siteId: 'site-1',
  knownAtMs: START_MS - HOUR_MS,
  pilotId: 'pilot',
  timeZone: 'UTC',
  kind: 'HOME',
  origin: 'SIMULATED',
  personalData: null,
  points: [
    {
      pointId: 'grid',
      name: 'grid',
      kind: 'INTERVAL_ENERGY',
      carrier: 'ELECTRICITY',
      intervalMs: 15 * MINUTE_MS,
      maxHoldMs: 30 * MINUTE_MS,
      deliveryDelayMs: 0,
      registerModulusMilliWh: null,
      registerJitterMilliWh: 0,
      mayExport: false,
      forecast: false,
    },
  ],
};

const delivery = (siteId: string): ReadingsDelivery => ({
  siteId,
  knownAtMs: KNOWN_AT_MS,
  series: [
    {
      pointId: 'grid',
      unit: 'MILLIWATT_HOUR',
      deviceId: null,
      startMs: [START_MS],
      value: [],
      energyMilliWh: [123_456],
      quality: Uint8Array.of(0),
    },
  ],
});

const headersAt = (knownAtMs: number) =>
  toCloudEvent({ source: 'outside', number: 1, type: 'ReadingsDelivery', knownAtMs }) as Record<string, string>;
const value = codec.encode('ReadingsDelivery', delivery('site-1'));
const good: Message = { key: 'site-1', value, headers: headersAt(KNOWN_AT_MS) };
const otherFrame = Buffer.from(value);
otherFrame.writeUInt32BE(2_000_000_000, 1);
const { ce_type: _, ...untyped } = good.headers as Record<string, string>;

/** What is wrong with an event that is otherwise the good one, and the code that it ends with. */
const BROKEN: [what: string, code: string, given: Partial<Message>][] = [
  ['no headers', 'EVENT_INVALID', { headers: undefined }],
  ['headers without a type', 'EVENT_INVALID', { headers: untyped }],
  ['headers of another time than the event', 'EVENT_INVALID', { headers: headersAt(KNOWN_AT_MS + 1) }],
  ['the key of another site', 'EVENT_INVALID', { key: 'site-2' }],
  ['no key', 'EVENT_INVALID', { key: null }],
  ['no value', 'EVENT_UNDECODABLE', { value: null }],
  ['no frame', 'EVENT_UNDECODABLE', { value: value.subarray(5) }],
  ['a schema that nobody knows', 'EVENT_UNDECODABLE', { value: otherFrame }],
  ['half a body', 'EVENT_UNDECODABLE', { value: value.subarray(0, 20) }],
  ['a partition that is not its site’s', 'EVENT_INVALID', { partition: (partitionOf('site-1', PARTITION_COUNT) + 1) % PARTITION_COUNT }],
];

async function allOf(topic: string): Promise<LogRecord[]> {
  const partitions = Array.from({ length: PARTITION_COUNT }, (_, partition) => readAll(log, { topic, partition }));
  return (await Promise.all(partitions)).flat();
}

it('is used where it is whole, and set aside with its bytes, place and code where it is not', async () => {
  const headers = { source: 'test', number: 0, type: 'SiteDeclared', knownAtMs: site.knownAtMs };
  await log.append([{ topic: 'sites', key: site.siteId, value: codec.encode('SiteDeclared', site), headers }]);
  await log.append(ticksAt(codec, KNOWN_AT_MS));
  const topic = `${namespace}.meter.readings`;
  const wanted = new Map<string, string>();
  for (const [, code, given] of BROKEN) {
    const [{ partition, baseOffset }] = await producer.send({ topic, messages: [{ ...good, ...given }] });
    wanted.set(`meter.readings/${partition}/${baseOffset}`, code);
  }
  await producer.send({ topic, messages: [good] });
  await log.append(ticksAt(codec, START_MS + 3 * HOUR_MS));
  await pipeline.drained();

  const rejected = (await allOf('rejected')).map((record) => codec.decodeAs('Rejected', record.value) as Rejected);
  assert.deepEqual(new Map(rejected.map(({ source, code }) => [source, code])), wanted);
  assert.equal(rejected.length, BROKEN.length);
  const bytes = BROKEN.map(([, , given]) => Buffer.from((given.value === undefined ? value : given.value) ?? '').toString('hex'));
  assert.deepEqual(rejected.map((event) => Buffer.from(event.bytes).toString('hex')).sort(), bytes.sort());

  const windows = (await allOf('resampled.15m')).flatMap(
    (record) => (codec.decodeAs('ResampledWindows', record.value) as ResampledWindows).series,
  );
  const found = windows.filter(({ startMs }) => startMs[0] === START_MS);
  assert.deepEqual(
    found.map(({ energyMilliWh }) => energyMilliWh[0]),
    [123_456],
  );
});
