/** Clients of others on a log in Kafka with a registry of others: the examples of schemas/README.md, run as they stand there. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { schemaIdOf } from '../../schemas/codec.ts';
import type { ReadingsDelivery } from '../../schemas/types.ts';
import { toCloudEvent } from '../../streams/cloud-events.ts';
import { openConfluentRegistry } from '../../streams/confluent-registry.ts';
import type { NewRecord } from '../../streams/event-log.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { PARTITION_COUNT } from '../../streams/limits.ts';
import { partitionOf } from '../../streams/partitioner.ts';
import { registrySettings } from '../../streams/registry-settings.ts';
import { peerKcat } from '../peers/kcat.ts';
import { KAFKA_CLIENT, peerPython } from '../peers/python.ts';
import { openTestServices } from '../services.ts';
import { readAll } from './event-log-fixtures.ts';
import { recordedInMemory } from './recorded-in-memory.ts';

const services = await openTestServices('kafka', 'apicurio');
const namespace = services.namespace();
const topic = 'meter.readings';
const log = await openKafkaLog({ settings: kafkaSettings(services.settings)!, namespace });
after(() => log.close());
const settings = registrySettings(services.settings)!;
const codec = await openConfluentRegistry({ settings, recorded: recordedInMemory(), tell: () => {} });

const run = promisify(execFile);
const [python, kcat] = [await peerPython(KAFKA_CLIENT), await peerKcat()];
const env = { ...process.env, ...services.settings, PATH: `${dirname(kcat)}:${process.env.PATH}` };
const guide = readFileSync(join(import.meta.dirname, '..', '..', 'schemas', 'README.md'), 'utf8');

/** What stands in the first block of code below a heading, for the namespace of this file. */
function example(heading: string): string {
  const found = new RegExp(`^### ${heading}\n[^]*?^\`\`\`\\w+\n([^]*?)^\`\`\`$`, 'm').exec(guide);
  const text = found?.[1] ?? '';
  assert.ok(text.includes(`main.${topic}`), heading);
  return text.replaceAll(`main.${topic}`, `${namespace}.${topic}`);
}

const partition = (key: string) => partitionOf(key, PARTITION_COUNT);
const siteIn = (wanted: number) => Array.from({ length: 1_000 }, (_, i) => `sité-${i}`).find((key) => partition(key) === wanted)!;
const readPartition = (of: number) => readAll(log, { topic, partition: of });

const START_MS = Date.UTC(2026, 0, 5);
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const quality = Uint8Array.of(0);

function deliveryOf(siteId: string, number: number): ReadingsDelivery {
  const power = { unit: 'WATT', deviceId: null, startMs: [START_MS, 60_000], value: [1.5, -2.25], energyMilliWh: [], quality } as const;
  const heat = {
    unit: 'MILLIWATT_HOUR',
    deviceId: 'm1',
    startMs: [START_MS],
    value: [],
    energyMilliWh: [2 ** 40 + number],
    quality,
  } as const;
  const series = [
    { pointId: 'grid', ...power },
    { pointId: 'heat', ...heat },
  ];
  return { siteId, knownAtMs: START_MS + 120_000 + number, series: series as unknown as ReadingsDelivery['series'] };
}

function recordOf(siteId: string, number: number): NewRecord {
  const value = deliveryOf(siteId, number);
  const headers = {
    source: 'gateway 1/ä',
    number,
    type: 'ReadingsDelivery',
    knownAtMs: value.knownAtMs,
    ...(number === 0 && { traceparent }),
  };
  return { topic, key: siteId, value: codec.encode('ReadingsDelivery', value), headers };
}

const sent = [recordOf(siteIn(0), 0), recordOf(siteIn(7), 1)];
await log.append(sent);

/** Of a record, as an outside client shows it. */
const shownHeaders = ({ headers }: NewRecord) => JSON.parse(JSON.stringify(toCloudEvent(headers)));

describe('outside readers', () => {
  it('in Python get keys, CloudEvents headers, and events by the registry', async () => {
    const { stdout } = await run(python, ['-c', example('Reading with Python')], { env });
    const shown = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .sort((a, b) => a.event.knownAtMs - b.event.knownAtMs);
    assert.deepEqual(
      shown,
      sent.map((record, number) => ({
        key: record.key,
        headers: shownHeaders(record),
        event: JSON.parse(JSON.stringify(deliveryOf(record.key, number), (_, part) => (part instanceof Uint8Array ? [...part] : part))),
      })),
    );
  });

  it('in kcat show keys, headers, sizes and framed bytes', async () => {
    const { stdout } = await run('sh', ['-ec', example('Looking with kcat')], { env });
    const lines = stdout.trimEnd().split('\n');
    const wanted = sent.map((record) => {
      const headers = Object.entries(shownHeaders(record)).map(([name, value]) => `${name}=${value}`);
      return `${partition(record.key)}/0 ${record.key} ${record.value.length} bytes, ${headers.join(',')}`;
    });
    assert.deepEqual(lines.slice(0, sent.length).sort(), wanted.sort());
    const bytes = lines.slice(sent.length).flatMap((line) => line.trim().split(/\s+/).slice(1));
    assert.equal(bytes.join(''), Buffer.from(sent[0].value).toString('hex'));
    assert.equal(bytes[0], '00');
    assert.equal(Number.parseInt(bytes.slice(1, 5).join(''), 16), schemaIdOf(sent[0].value));
  });
});

describe('outside writers', () => {
  it('in Python are read as any other: partition, key, headers, value', async () => {
    await run(python, ['-c', example('Writing with Python')], { env });
    const [record] = (await readPartition(partition('site-1'))).filter(({ key }) => key === 'site-1');
    const { headers, value, fault } = record;
    assert.equal(fault, undefined);
    const event = codec.decodeAs('ReadingsDelivery', value) as ReadingsDelivery;
    const { knownAtMs } = event;
    assert.deepEqual({ ...headers }, { source: 'gateway-7', number: 1, type: 'ReadingsDelivery', knownAtMs });
    const [{ startMs, value: powers, unit }] = event.series;
    assert.deepEqual([event.siteId, unit, startMs, powers], ['site-1', 'WATT', [knownAtMs - 120_000, 60_000], [230.5, 241]]);
  });

  it('that give no headers, or such that make no sense, are told of in what is read, and their key and bytes are kept', async () => {
    const produce = (key: string, ...headers: string[]) => {
      const folder = mkdtempSync(join(tmpdir(), 'iflex-kcat-'));
      const file = join(folder, 'value');
      writeFileSync(file, recordOf(key, 0).value);
      const options = headers.flatMap((header) => ['-H', header]);
      const args = ['-b', services.settings.KAFKA_BROKERS, '-P', '-t', `${namespace}.${topic}`, '-p', '3', '-k', key, ...options, file];
      return run(kcat, args).finally(() => rmSync(folder, { recursive: true }));
    };
    await produce('bare');
    await produce('odd', 'ce_specversion=1.0', 'ce_id=a#1', 'ce_type=ReadingsDelivery', 'ce_source=a', 'ce_time=yesterday');
    const found = await readPartition(3);
    assert.deepEqual(
      found.map(({ key, fault }) => [key, fault]),
      [
        ['bare', 'The event has no headers; those of CloudEvents in binary mode are needed.'],
        ['odd', 'The headers of a CloudEvent have neither a time of RFC 3339 (yesterday) nor ce_knownatms.'],
      ],
    );
    for (const { key, value } of found) assert.ok(Buffer.from(value).equals(recordOf(key, 0).value));
  });

  it('may compress in any way that Kafka has', async () => {
    const series = Array.from({ length: 50 }, () => deliveryOf('squeezed', 0).series).flat();
    const value = codec.encode('ReadingsDelivery', { ...deliveryOf('squeezed', 0), series });
    const folder = mkdtempSync(join(tmpdir(), 'iflex-kcat-'));
    after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'value');
    writeFileSync(file, value);
    const headers = Object.entries(shownHeaders(sent[0])).flatMap(([name, text]) => ['-H', `${name}=${text}`]);
    const to = ['-b', services.settings.KAFKA_BROKERS, '-P', '-t', `${namespace}.${topic}`, '-p', '5', '-k', 'squeezed'];
    for (const how of ['gzip', 'snappy', 'lz4', 'zstd']) {
      await run(kcat, [...to, ...headers, '-z', how, file]);
      const latest = (await readPartition(5)).at(-1)!;
      assert.ok(Buffer.from(latest.value).equals(value), how);
    }
    assert.equal((await readPartition(5)).length, 4);
  });
});
