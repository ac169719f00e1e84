/** A meter is swapped in the middle of a file of register readings: known from its column of serial numbers, which stay out of the log. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { startPipeline } from '../../infra/pipeline.ts';
import { importFiles } from '../../replay/import/import-files.ts';
import { type Mapping, readMapping } from '../../replay/import/mapping-file.ts';
import { declare } from '../../replay/instance/declare.ts';
import type { DataNotice, ReadingsDelivery } from '../../schemas/types.ts';
import { HOUR_MS } from '../../streams/limits.ts';
import { openTestEngine } from '../engine.ts';
import { instanceFor } from './import-instance.ts';

const engine = await openTestEngine();
const folder = mkdtempSync(join(tmpdir(), 'iflex-import-'));
after(() => rmSync(folder, { recursive: true }));

const FROM_MS = Date.UTC(2024, 0, 1);
const [FIRST_SERIAL, SECOND_SERIAL] = ['7045521', '9910037'];

function mappingWith(device: string): Mapping {
  const path = join(folder, 'mapping.yaml');
  const meters = 'meters: { M: { site: site-m, points: { heating: site-m.heating } } }';
  writeFileSync(path, `extends: danish-heat-meter\n${device}\n${meters}\n`);
  return readMapping(path);
}

/** Hourly registers that rise by 1 kWh: twelve of one meter, then of another, whose serial number two lines leave out. */
function writeReadings(): string {
  const lines = Array.from({ length: 24 }, (_, i) => {
    const serial = i === 5 || i === 15 ? '' : i < 12 ? FIRST_SERIAL : SECOND_SERIAL;
    return `M,${new Date(FROM_MS + i * HOUR_MS).toISOString()},${i < 12 ? 500 + i : i - 9},${serial}`;
  });
  const path = join(folder, 'readings.csv');
  writeFileSync(path, `meter_id,time_rounded,energy_heat_kwh,serial\n${lines.join('\n')}\n`);
  return path;
}

/** Imports through the whole pipeline; returns what the log and the series hold. */
async function imported(t: TestContext, mapping: Mapping) {
  const namespace = engine.namespace();
  const pipeline = await startPipeline({ url: engine.url, namespace, codeVersion: 'test' });
  t.after(() => pipeline.stop());
  const { log, codec, store } = pipeline;
  await declare(log, codec, instanceFor(mapping, Date.UTC(2023, 0, 1)));
  const importing = () => importFiles({ log, codec, mapping, files: [writeReadings()], importedAtMs: Date.UTC(2024, 6, 1) });
  const report = await importing();
  const again = await importing();
  await pipeline.drained();
  const read = async <Value>(topic: string, schema: string): Promise<Value[]> => {
    const values: Value[] = [];
    for (let partition = 0; partition < 12; partition++)
      for (const { value } of (await log.read({ topic, partition }, 0, { maxRecords: 10_000, maxBytes: 1e7 })).records)
        values.push(codec.decodeAs(schema, value) as Value);
    return values;
  };
  const { rows } = await store.pool.query(
    `SELECT (extract(epoch FROM start_at) * 1000)::bigint AS start_ms, energy_mwh FROM series_60m WHERE covered_ms > 0 ORDER BY start_at`,
  );
  const deliveries = await read<ReadingsDelivery>('meter.readings', 'ReadingsDelivery');
  return { report, again, deliveries, notices: await read<DataNotice>('notices', 'DataNotice'), rows };
}

test('a swap is told as one, and neither meter counts for the other', async (t) => {
  const { report, again, deliveries, notices, rows } = await imported(
    t,
    mappingWith('device: { column: serial, key: "a secret of this test" }'),
  );
  assert.equal(report.readings, 24);
  assert.equal(again.facts.appended, 0);
  const devices = new Set(deliveries.flatMap(({ series }) => series.map(({ deviceId }) => deviceId)));
  assert.equal(devices.size, 2);
  for (const deviceId of devices) assert.match(String(deviceId), /^device-[0-9a-f]{16}$/);
  const bytes = JSON.stringify(deliveries);
  for (const serial of [FIRST_SERIAL, SECOND_SERIAL]) assert.ok(!bytes.includes(serial));
  assert.deepEqual(
    notices.map(({ kind, startMs }) => [kind, startMs]),
    [['METER_SWAP', FROM_MS + 12 * HOUR_MS]],
  );
  // What flowed between the last reading of the one and the first of the other, nobody knows.
  assert.deepEqual(
    rows.map((row: { start_ms: number; energy_mwh: number }) => [(row.start_ms - FROM_MS) / HOUR_MS, row.energy_mwh]),
    Array.from({ length: 23 }, (_, i) => [i, 1_000_000]).filter(([hour]) => hour !== 11),
  );
});

test('without the column it looks like a reset', async (t) => {
  const { deliveries, notices } = await imported(t, mappingWith(''));
  assert.ok(deliveries.every(({ series }) => series.every(({ deviceId }) => deviceId === null)));
  assert.deepEqual(
    notices.map(({ kind }) => kind),
    ['REGISTER_RESET'],
  );
});
