/** Imports one after another into the same log, as a newcomer does: day by day, later days first, other meters later. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { startPipeline } from '../../infra/pipeline.ts';
import { importFiles } from '../../replay/import/import-files.ts';
import type { Mapping } from '../../replay/import/mapping-file.ts';
import { setAsideSince } from '../../replay/import/set-aside.ts';
import { declare } from '../../replay/instance/declare.ts';
import type { ResampledWindows } from '../../schemas/types.ts';
import { ticksAt } from '../../streams/adapters/clock.ts';
import { DAY_MS, GRACE_MS, MINUTE_MS, PARTITION_COUNT } from '../../streams/limits.ts';
import { partitionOf } from '../../streams/partitioner.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { openTestEngine } from '../engine.ts';
import { instanceFor, mappingFor } from './import-instance.ts';

const engine = await openTestEngine();
const folder = mkdtempSync(join(tmpdir(), 'iflex-import-days-'));
after(() => rmSync(folder, { recursive: true }));

const HALF_HOUR_MS = 1_800_000;
const mapping = mappingFor('low-carbon-london', ['A', 'B']);
const DAY_ONE_MS = Date.UTC(2013, 0, 1);
let made = 0;

/** A file of whole days of half hours, all 1 kWh; each meter from its own first half hour on. */
function file(day: number, meters: Record<string, number>): string {
  const path = join(folder, `${made++}.csv`);
  const lines = Object.entries(meters).flatMap(([meter, from]) =>
    Array.from({ length: 48 - from }, (_, i) => {
      const stamp = new Date(DAY_ONE_MS + day * DAY_MS + (from + i) * HALF_HOUR_MS).toISOString();
      return `${meter},${stamp.slice(0, 19).replace('T', ' ')},1`;
    }),
  );
  writeFileSync(path, `LCLid,tstp,energy(kWh/hh)\n${lines.join('\n')}\n`);
  return path;
}

async function openImports(t: TestContext, deliveryDelayMs?: number) {
  const namespace = engine.namespace();
  const log = await openPostgresLog({ url: engine.url, namespace });
  t.after(() => log.close());
  const codec = await openRegistry(engine.url, namespace);
  const instance = instanceFor(mapping, Date.UTC(2012, 0, 1));
  if (deliveryDelayMs !== undefined)
    for (const { points } of instance.sites) for (const point of points) Object.assign(point, { deliveryDelayMs });
  await declare(log, codec, instance);
  const run = async () => {
    const pipeline = await startPipeline({ url: engine.url, namespace, codeVersion: 'test' });
    try {
      await pipeline.drained();
    } finally {
      await pipeline.stop();
    }
  };
  const importAndRun = async (path: string, by: Mapping = mapping, importedAtMs = Date.UTC(2024, 0, 1)) => {
    const ends = await log.endOffsets('rejected');
    const report = await importFiles({ log, codec, mapping: by, files: [path], importedAtMs });
    await run();
    return { ...report, setAside: await setAsideSince(log, codec, ends) };
  };
  /** kWh of the latest revisions of a meter's hours, by day from the first. */
  const energyByDay = async (meter: string): Promise<Record<number, number>> => {
    const hours = new Map<number, number>();
    const [partition, topic] = [partitionOf(`site-${meter}`, PARTITION_COUNT), 'resampled.60m'];
    const end = (await log.endOffsets(topic))[partition];
    for (let offset = 0; offset < end; ) {
      const page = await log.read({ topic, partition }, offset, { maxRecords: 10_000, maxBytes: 1e7 });
      for (const { key, value } of page.records)
        if (key === `site-${meter}`)
          for (const { startMs, energyMilliWh } of (codec.decodeAs('ResampledWindows', value) as ResampledWindows).series)
            startMs.reduce((ms, step, i) => {
              hours.set(ms + step, energyMilliWh[i]);
              return ms + step;
            }, 0);
      offset = page.nextOffset;
    }
    const days: Record<number, number> = {};
    for (const [ms, energy] of hours) {
      const day = Math.floor((ms - DAY_ONE_MS) / DAY_MS);
      days[day] = (days[day] ?? 0) + energy / 1e6;
    }
    return days;
  };
  const ends = () => Promise.all(['meter.readings', 'ticks', 'day.reloaded', 'rejected'].map((topic) => log.endOffsets(topic)));
  return { log, codec, run, importAndRun, energyByDay, ends };
}

test('day by day, and with a meter of another partition that begins later, every reading of the first hour counts', async (t) => {
  assert.notEqual(partitionOf('site-A', PARTITION_COUNT), partitionOf('site-B', PARTITION_COUNT));
  const { importAndRun, energyByDay } = await openImports(t);
  for (const path of [file(0, { A: 0 }), file(1, { A: 0 }), file(2, { A: 0, B: 20 }), file(3, { A: 0, B: 0 })]) {
    const { setAside, rejected } = await importAndRun(path);
    assert.deepEqual([setAside, rejected], [{}, {}]);
  }
  // The last windows wait for deliveries that may be late by agreement, and no more comes.
  assert.deepEqual(await energyByDay('A'), { 0: 48, 1: 48, 2: 48, 3: 48 });
  assert.deepEqual(await energyByDay('B'), { 2: 28, 3: 48 });
});

test('days older than what the log holds appear with the import that brings them, and importing them again adds nothing', async (t) => {
  const { importAndRun, energyByDay, ends } = await openImports(t);
  await importAndRun(file(40, { A: 0 }));
  const older = file(3, { A: 0 });
  const report = await importAndRun(older);
  assert.deepEqual(await energyByDay('A'), { 3: 48, 40: 48 });
  assert.ok(report.ticks! > 0);
  const before = await ends();
  assert.equal((await importAndRun(older)).facts.appended, 0);
  await importAndRun(file(40, { A: 0 }));
  assert.deepEqual(await ends(), before);
  await importAndRun(file(2, { A: 0, B: 0 }));
  assert.deepEqual(await energyByDay('A'), { 2: 48, 3: 48, 40: 48 });
  assert.deepEqual(await energyByDay('B'), { 2: 48 });
});

test('older days appear also where their import was broken off and goes on', async (t) => {
  const { log, codec, importAndRun, energyByDay } = await openImports(t);
  await importAndRun(file(40, { A: 0 }));
  const [older, stop] = [file(3, { A: 0 }), new AbortController()];
  const brokenOff = importFiles({
    ...{ log, codec, mapping, files: [older], importedAtMs: Date.UTC(2024, 0, 1) },
    known: { fromMs: 0, toMs: DAY_ONE_MS + 3.5 * DAY_MS },
    signal: stop.signal,
    onProgress: () => stop.abort(),
  });
  assert.ok((await brokenOff).facts.appended > 0);
  assert.equal((await energyByDay('A'))[3], undefined);
  await importAndRun(older);
  assert.deepEqual(await energyByDay('A'), { 3: 48, 40: 48 });
});

test('old readings that became known with the import appear too', async (t) => {
  // Where deliveries are agreed to come late, the import waits for them, which is long enough for a reload.
  const { importAndRun, energyByDay } = await openImports(t, 0);
  await importAndRun(file(3, { A: 0 }), { ...mapping, knownAt: 'import' });
  assert.deepEqual(await energyByDay('A'), { 3: 48 });
});

test('where a clock runs, it is left to it, and the report says when they appear', async (t) => {
  const { log, codec, importAndRun } = await openImports(t);
  await importAndRun(file(40, { A: 0 }));
  const ticks = await log.endOffsets('ticks');
  const importBeside = (path: string) =>
    importFiles({ log, codec, mapping, files: [path], importedAtMs: Date.UTC(2024, 0, 1), clockRuns: true });
  const { notes } = await importBeside(file(3, { A: 0 }));
  assert.match(notes.join(), /Readings older than four hours appear within about 15 minutes, at most 6 hours\./);
  const partition = partitionOf('site-A', PARTITION_COUNT);
  const added = await log.read({ topic: 'ticks', partition }, ticks[partition], { maxRecords: 10_000, maxBytes: 1e7 });
  assert.ok(added.records.every(({ headers }) => headers.knownAtMs < DAY_ONE_MS + 5 * DAY_MS));
  assert.deepEqual((await importBeside(file(41, { A: 0 }))).notes, []);
});

test('beside a clock no tick is later than the import, and what is open then closes with the clock', async (t) => {
  const { log, codec, run, energyByDay, ends } = await openImports(t);
  const path = file(3, { A: 0 });
  const midnightMs = DAY_ONE_MS + 4 * DAY_MS;
  const partition = partitionOf('site-A', PARTITION_COUNT);
  // By this clock the last delivery becomes known only in ten minutes.
  const importedAtMs = midnightMs - 10 * MINUTE_MS;
  const importBeside = () => importFiles({ log, codec, mapping, files: [path], importedAtMs, clockRuns: true });
  const report = await importBeside();
  assert.deepEqual([report.readings, report.rejected], [48, {}]);
  const { records } = await log.read({ topic: 'ticks', partition }, 0, { maxRecords: 10_000, maxBytes: 1e7 });
  assert.equal(Math.max(...records.map(({ headers }) => headers.knownAtMs)), importedAtMs);
  const before = await ends();
  assert.equal((await importBeside()).facts.appended, 0);
  assert.deepEqual(await ends(), before);
  await run();
  assert.deepEqual(await energyByDay('A'), { 3: 46 });
  await log.append(ticksAt(codec, midnightMs + GRACE_MS));
  await run();
  assert.deepEqual(await energyByDay('A'), { 3: 48 });
});

test('beside a clock, importing again at a later time appends nothing either', async (t) => {
  const { log, codec, ends } = await openImports(t);
  const path = file(3, { A: 0 });
  const importAt = (importedAtMs: number) => importFiles({ log, codec, mapping, files: [path], importedAtMs, clockRuns: true });
  await importAt(DAY_ONE_MS + 4 * DAY_MS);
  const before = await ends();
  assert.equal((await importAt(DAY_ONE_MS + 5 * DAY_MS)).facts.appended, 0);
  assert.deepEqual(await ends(), before);
});

test('where no clock runs, an import of readings up to now closes all their windows', async (t) => {
  const { importAndRun, energyByDay } = await openImports(t);
  for (const [day, afterMs] of [
    [3, -10 * MINUTE_MS],
    [4, 0],
    [5, 1],
  ] as const) {
    await importAndRun(file(day, { A: 0 }), mapping, DAY_ONE_MS + (day + 1) * DAY_MS + afterMs);
    assert.equal((await energyByDay('A'))[day], 48);
  }
});

test('what the pipeline sets aside is counted by code', async (t) => {
  const { importAndRun } = await openImports(t);
  const early: Mapping = { ...mapping, knownAt: { afterMs: -6 * HALF_HOUR_MS } };
  const { readings, setAside } = await importAndRun(file(0, { A: 0 }), early);
  assert.equal(readings, 48);
  assert.deepEqual(setAside, { READING_IN_FUTURE: 48 });
});
