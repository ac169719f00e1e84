/** Bad events between good ones through log and pipeline, against Python's fastavro. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { type Pipeline, startPipeline } from '../../infra/pipeline.ts';
import { declare } from '../../replay/instance/declare.ts';
import { schemaIdOf } from '../../schemas/codec.ts';
import { currentSchemas } from '../../schemas/files.ts';
import type { ReadingsDelivery, Rejected, ResampledWindows } from '../../schemas/types.ts';
import type { LogRecord, NewRecord } from '../../streams/event-log.ts';
import { MAX_EVENT_BYTES, MINUTE_MS, PARTITION_COUNT, REJECTED_BYTES_KEPT } from '../../streams/limits.ts';
import { openTestEngine } from '../engine.ts';
import { peerPython } from '../peers/python.ts';
import { Dice, EVENT_KINDS, MARKER_W, sha256 } from './garbage-kinds.ts';
import { instanceFor, mappingFor } from './import-instance.ts';

const engine = await openTestEngine();
const folder = mkdtempSync(join(tmpdir(), 'iflex-garbage-'));
after(() => rmSync(folder, { recursive: true }));

const SITES = 10;
const MINUTES = 1_000;
const START_MS = Date.UTC(2024, 4, 1);
const PEER = join(import.meta.dirname, '..', 'peers', 'read-events.py');

/** Two points a site: good readings go to one, what the garbage is made of to the other. */
const mapping = mappingFor(
  'uci-household',
  Array.from({ length: SITES }, (_, i) => String(i)),
  ['grid-import'],
);
const instance = instanceFor(mapping, START_MS - 1);
for (const { siteId, points } of instance.sites) points.push({ ...points[0], pointId: `${siteId}.MUTANT.Q` });

function deliveryOf(siteId: string, pointId: string, minute: number, valueW: number): ReadingsDelivery {
  const startMs = [START_MS + minute * MINUTE_MS];
  const series = { pointId, unit: 'WATT' as const, deviceId: null, startMs, value: [valueW], energyMilliWh: [], quality: Buffer.of(0) };
  return { siteId, knownAtMs: START_MS + (minute + 1) * MINUTE_MS, series: [series] };
}

interface Fed {
  /** Energy (mWh) by "point window start". */
  expected: Map<string, number>;
  good: Set<string>;
  refused: number;
}

/** A good and a bad event of each site and minute, and a tick every five minutes. */
async function feedAll({ log, codec }: Pipeline): Promise<Fed> {
  const dice = new Dice(20240501);
  const kinds = Object.values(EVENT_KINDS);
  const watts = new Map<string, number>();
  const fed: Fed = { expected: new Map(), good: new Set(), refused: 0 };
  let records: NewRecord[] = [];
  for (let minute = 0; minute < MINUTES; minute++) {
    const knownAtMs = START_MS + (minute + 1) * MINUTE_MS;
    for (const [i, { siteId, points }] of instance.sites.entries()) {
      const headers = (source: string) => ({ source: `${source} ${siteId}`, number: minute, type: 'ReadingsDelivery', knownAtMs });
      const valueW = dice.below(5_000);
      const window = `${points[0].pointId} ${START_MS + Math.floor(minute / 5) * 5 * MINUTE_MS}`;
      watts.set(window, (watts.get(window) ?? 0) + valueW);
      const value = codec.encode('ReadingsDelivery', deliveryOf(siteId, points[0].pointId, minute, valueW));
      records.push({ topic: 'meter.readings', key: siteId, value, headers: headers('good') });
      fed.good.add(sha256(value));
      const delivery = deliveryOf(siteId, points[1].pointId, minute, MARKER_W);
      const kind = kinds[(minute * SITES + i) % kinds.length];
      const bad = kind({ codec, delivery, dice, bytes: codec.encode('ReadingsDelivery', delivery) });
      records.push({ topic: 'meter.readings', key: siteId, value: bad, headers: headers('garbage') });
    }
    if (minute % 5 === 4) records.push(...ticksOf(codec, knownAtMs));
    if (minute % 100 !== 99) continue;
    await log.append(records);
    const headers = { source: 'large', number: minute, type: 'ReadingsDelivery', knownAtMs };
    const tooLarge = { topic: 'meter.readings', key: 'site-0', value: Buffer.alloc(MAX_EVENT_BYTES + 1), headers };
    await assert.rejects(log.append([...records.slice(0, 10), tooLarge]), { code: 'EVENT_TOO_LARGE' });
    fed.refused++;
    records = [];
  }
  for (const [window, sum] of watts) fed.expected.set(window, Math.round((sum * 1000) / 60));
  return fed;
}

function ticksOf(codec: Pipeline['codec'], knownAtMs: number): NewRecord[] {
  const value = codec.encode('Tick', { knownAtMs });
  const headers = { source: 'clock', number: knownAtMs / MINUTE_MS, type: 'Tick', knownAtMs };
  return Array.from({ length: PARTITION_COUNT }, (_, partition) => ({ topic: 'ticks', key: String(partition), partition, value, headers }));
}

async function recordsOf({ log }: Pipeline, topic: string): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for (const [partition, end] of (await log.endOffsets(topic)).entries())
    for (let offset = 0; offset < end; ) {
      const page = await log.read({ topic, partition }, offset, { maxRecords: 5_000, maxBytes: 4e6 });
      records.push(...page.records);
      offset = page.nextOffset;
    }
  return records;
}

/** Plain JSON with bytes in hex and no negative zero, as the peer prints it. */
function shown(value: unknown): unknown {
  if (value instanceof Uint8Array) return { hex: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(shown);
  if (value !== null && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, shown(part)]));
  return value === 0 ? 0 : value;
}

async function readByPython(codec: Pipeline['codec'], records: readonly LogRecord[]): Promise<{ value?: unknown; error?: string }[]> {
  const sample = codec.encode('ReadingsDelivery', deliveryOf('s', 'p', 0, 0));
  const schemas = { [schemaIdOf(sample)]: JSON.parse(currentSchemas().get('ReadingsDelivery')!) };
  const paths = [join(folder, 'schemas.json'), join(folder, 'events.txt')];
  writeFileSync(paths[0], JSON.stringify(schemas));
  writeFileSync(paths[1], records.map(({ value }) => `${Buffer.from(value).toString('hex')}\n`).join(''));
  const { stdout } = await promisify(execFile)(await peerPython(), [PEER, ...paths], { maxBuffer: 1e9 });
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line.replaceAll('NaN', '"NaN"').replaceAll(/-?Infinity/g, '"Infinity"')));
}

test('10,000 bad events between 10,000 good ones: all are accounted for, the accepted ones are what fastavro reads', async (t) => {
  const pipeline = await startPipeline({ url: engine.url, namespace: engine.namespace(), codeVersion: 'test' });
  t.after(() => pipeline.stop());
  const { log, codec } = pipeline;
  await declare(log, codec, instance);
  const { expected, good, refused } = await feedAll(pipeline);
  await pipeline.drained();

  const all = await recordsOf(pipeline, 'meter.readings');
  const rejections = (await recordsOf(pipeline, 'rejected')).map(({ value }) => codec.decodeAs('Rejected', value) as Rejected);
  const bySource = new Map(rejections.map((rejection) => [rejection.source, rejection]));
  const sourceOf = ({ topic, partition, offset }: LogRecord) => `${topic}/${partition}/${offset}`;
  const accepted = all.filter((record) => !bySource.has(sourceOf(record)));
  const rejected = all.filter((record) => bySource.has(sourceOf(record)));
  const appended = 2 * SITES * MINUTES;
  assert.equal(all.length, appended);
  assert.equal(refused, 10);
  assert.equal(accepted.length + rejected.length + refused, appended + refused, 'accepted + rejected + refused = all');
  assert.equal(bySource.size, rejected.length, 'nothing else was set aside');
  assert.ok(
    rejected.every(({ value }) => !good.has(sha256(value))),
    'no good one is set aside',
  );
  assert.ok(accepted.length > appended / 2 + 100, 'garbage that is still an event is taken');

  for (const record of rejected) {
    const { bytes, byteLength, sha256: digest } = bySource.get(sourceOf(record))!;
    assert.ok(Buffer.from(record.value).subarray(0, REJECTED_BYTES_KEPT).equals(bytes));
    assert.deepEqual([byteLength, digest], [record.value.length, sha256(record.value)]);
  }
  assert.ok(rejections.some(({ byteLength, bytes }) => byteLength > 20_000 && bytes.length === REJECTED_BYTES_KEPT));
  const codes = new Set(rejections.map(({ code }) => code));
  for (const code of ['EVENT_UNDECODABLE', 'EVENT_INVALID', 'POINT_UNKNOWN', 'UNIT_MISMATCH', 'READING_IN_FUTURE', 'READING_OUT_OF_RANGE'])
    assert.ok(codes.has(code), code);

  const byPython = await readByPython(codec, all);
  assert.equal(byPython.length, all.length);
  all.forEach((record, i) => {
    const rejection = bySource.get(sourceOf(record));
    if (rejection === undefined || rejection.code === 'POINT_UNKNOWN')
      assert.deepEqual(shown(codec.decode(record.value).value), shown(byPython[i].value), sourceOf(record));
  });

  const windows = new Map<string, [number, number]>();
  for (const { value } of await recordsOf(pipeline, 'resampled.5m'))
    for (const { pointId, startMs, energyMilliWh, readingCount } of (codec.decodeAs('ResampledWindows', value) as ResampledWindows)
      .series) {
      let atMs = 0;
      startMs.forEach((step, i) => {
        atMs += step;
        if (!pointId.includes('MUTANT')) windows.set(`${pointId} ${atMs}`, [energyMilliWh[i], readingCount[i]]);
      });
    }
  // The last windows have not closed yet: nobody ticks on.
  const closed = [...expected].filter(([window]) => windows.has(window));
  assert.ok(closed.length >= expected.size - 3 * SITES);
  for (const [window, energy] of closed) assert.deepEqual(windows.get(window), [energy, 5], window);
  assert.ok(
    [...windows.keys()].every((window) => Number(window.split(' ')[1]) < START_MS + MINUTES * MINUTE_MS),
    'no clock of 2038 closes a window',
  );
});
