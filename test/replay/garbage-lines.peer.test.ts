/** Bad lines between good ones, against a strict reader in Python: every line is a reading, a blank one, or set aside. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { importFiles } from '../../replay/import/import-files.ts';
import { declare } from '../../replay/instance/declare.ts';
import type { ReadingsDelivery, Rejected } from '../../schemas/types.ts';
import { REJECTED_BYTES_KEPT } from '../../streams/limits.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { openTestEngine } from '../engine.ts';
import { Dice, LINE_KINDS, sha256 } from './garbage-kinds.ts';
import { instanceFor, mappingFor } from './import-instance.ts';

const engine = await openTestEngine();
const folder = mkdtempSync(join(tmpdir(), 'iflex-garbage-'));
after(() => rmSync(folder, { recursive: true }));

const COUNT = 10_000;
const PEER = join(import.meta.dirname, '..', 'peers', 'read-lines.py');
const ZONE = 'Europe/London';

test('10,000 bad lines between 10,000 good ones: all are accounted for, the accepted ones are what Python reads', async (t) => {
  const dice = new Dice(20130101);
  const kinds = Object.values(LINE_KINDS);
  const parts: Buffer[] = [Buffer.from('LCLid,tstp,energy(kWh/hh)')];
  const good: string[] = [];
  for (let i = 0; i < COUNT; i++) {
    const instantMs = Date.UTC(2013, 0, 1) + i * 1_800_000;
    // Local time of London in 2013: summer time from 31 March, 01:00 UTC; the last line is of 28 July.
    const summerMs = instantMs >= Date.UTC(2013, 2, 31, 1) ? 3_600_000 : 0;
    const stamp = new Date(instantMs + summerMs).toISOString().slice(0, 19).replace('T', ' ');
    const milliWh = 1000 * dice.below(2_000);
    good.push(`GOOD ${instantMs / 1000} ${milliWh}`);
    const bad = kinds[i % kinds.length]({ meter: 'MUTANT', stamp, value: String(dice.below(2_000) / 1000), dice });
    parts.push(Buffer.from(`GOOD,${stamp}, ${milliWh / 1e6} `), bad);
  }
  const path = join(folder, 'garbage.csv');
  const content = Buffer.concat(parts.flatMap((part) => [part, Buffer.from('\n')]));
  writeFileSync(path, content);
  const lines = content.toString('latin1').split('\n').slice(1, -1);

  const namespace = engine.namespace();
  const log = await openPostgresLog({ url: engine.url, namespace });
  t.after(() => log.close());
  const codec = await openRegistry(engine.url, namespace);
  const mapping = { ...mappingFor('low-carbon-london', ['GOOD', 'MUTANT']), zone: ZONE };
  await declare(log, codec, instanceFor(mapping, 0));
  const report = await importFiles({ log, codec, mapping, files: [path], importedAtMs: Date.UTC(2026, 0, 1) });
  const read = async <Value>(topic: string, schema: string): Promise<Value[]> => {
    const values: Value[] = [];
    for (const [partition, end] of (await log.endOffsets(topic)).entries())
      for (let offset = 0; offset < end; ) {
        const page = await log.read({ topic, partition }, offset, { maxRecords: 10_000, maxBytes: 1e7 });
        for (const { value } of page.records) values.push(codec.decodeAs(schema, value) as Value);
        offset = page.nextOffset;
      }
    return values;
  };
  const accepted: string[] = [];
  for (const { siteId, series } of await read<ReadingsDelivery>('meter.readings', 'ReadingsDelivery'))
    for (const { startMs, energyMilliWh } of series) {
      let atMs = 0;
      energyMilliWh.forEach((energy, i) => {
        atMs += startMs[i];
        accepted.push(`${siteId.slice('site-'.length)} ${atMs / 1000} ${energy}`);
      });
    }
  const rejected = await read<Rejected>('rejected', 'Rejected');

  assert.deepEqual(
    accepted.filter((reading) => reading.startsWith('GOOD')),
    good,
    'all good ones arrive, in order',
  );
  const empty = lines.filter((line) => line === '' || line === '\r').length;
  assert.equal(report.lines + report.blankLines, lines.length);
  assert.equal(report.blankLines, empty);
  assert.equal(accepted.length + rejected.length + report.blank, report.lines, 'accepted + rejected + blank = all');
  assert.equal(report.readings, accepted.length);
  for (const { source, bytes, byteLength, sha256: digest } of rejected) {
    const line = Buffer.from(lines[Number(source.split(':')[1]) - 2], 'latin1');
    const whole = line.at(-1) === 0x0d ? line.subarray(0, -1) : line;
    assert.ok(whole.subarray(0, REJECTED_BYTES_KEPT).equals(bytes), source);
    assert.deepEqual([byteLength, digest], [whole.length, sha256(whole)], source);
  }
  assert.ok(rejected.some(({ byteLength, bytes }) => byteLength > 65_536 && bytes.length === REJECTED_BYTES_KEPT));
  const codes = new Set(rejected.map(({ code }) => code));
  for (const code of ['LINE_UNREADABLE', 'TIME_UNREADABLE', 'VALUE_UNREADABLE', 'SITE_UNKNOWN', 'READING_IN_FUTURE'])
    assert.ok(codes.has(code), code);

  const { stdout } = await promisify(execFile)('python3', [PEER, path, ZONE, 'GOOD', 'MUTANT'], { maxBuffer: 1e8 });
  const byPython = new Map(
    stdout
      .trim()
      .split('\n')
      .map((line) => [Number(line.split(' ')[0]), line.slice(line.indexOf(' ') + 1)]),
  );
  // Python knows no order of time, so what runs ahead of the lines around it is the one thing that it takes and we do not.
  for (const { code, source } of rejected)
    if (code === 'READING_IN_FUTURE') assert.ok(byPython.delete(Number(source.split(':')[1])), source);
  assert.deepEqual(accepted.sort(), [...byPython.values()].sort(), 'the accepted ones are what Python reads');
  assert.ok(accepted.length > COUNT + 500, 'garbage that is still a reading is read');
  assert.ok(readFileSync(path).equals(content));
});
