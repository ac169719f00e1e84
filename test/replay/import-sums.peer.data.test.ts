/** Real files through importer, log and resampler, against sums that Python computes from the same files by itself. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { resampler } from '../../processors/resampler/resampler.ts';
import { type ImportReport, importFiles } from '../../replay/import/import-files.ts';
import type { Mapping } from '../../replay/import/mapping-file.ts';
import { declare } from '../../replay/instance/declare.ts';
import type { Codec } from '../../schemas/codec.ts';
import type { ResampledWindows } from '../../schemas/types.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { runTasks } from '../../streams/run.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { dataFile } from '../data.ts';
import { openTestEngine } from '../engine.ts';
import { instanceFor, mappingFor } from './import-instance.ts';

const engine = await openTestEngine();
const PEER = join(import.meta.dirname, '..', 'peers', 'import-sums.py');

interface Sums {
  count: number;
  total: number;
  sha256: string;
  windows?: Record<string, number>;
}
interface PeerPoint {
  sums: Record<'300' | '900' | '3600' | '86400', Sums>;
  readings: number;
  doubles: number;
  missing: number;
  gaps: number;
  longest: number;
  omitted?: number;
}

async function peerSums(...args: string[]): Promise<Record<string, PeerPoint>> {
  const { stdout } = await promisify(execFile)('python3', [PEER, ...args], { maxBuffer: 64 * 1024 * 1024 });
  return JSON.parse(stdout);
}

/** Energy by window start (s), by point, of one width. */
type Windows = Map<string, Map<number, number>>;

interface Imported {
  report: ImportReport;
  byTopic: Record<'resampled.5m' | 'resampled.15m' | 'resampled.60m', Windows>;
  revised: number;
  rejected: number;
}

async function importAndResample(mapping: Mapping, files: string[], omitFile?: string): Promise<Imported> {
  const namespace = engine.namespace();
  const log = await openPostgresLog({ url: engine.url, namespace });
  try {
    const codec = await openRegistry(engine.url, namespace);
    await declare(log, codec, instanceFor(mapping, 0));
    const report = await importFiles({ log, codec, mapping, files, omitFile, importedAtMs: Date.UTC(2026, 0, 1) });
    await runUntilDone(log, codec);
    const revisions = { revised: 0 };
    const byTopic = {
      'resampled.5m': await windowsOf(log, codec, 'resampled.5m', revisions),
      'resampled.15m': await windowsOf(log, codec, 'resampled.15m', revisions),
      'resampled.60m': await windowsOf(log, codec, 'resampled.60m', revisions),
    };
    const rejected = (await log.endOffsets('rejected')).reduce((sum, end) => sum + end, 0);
    return { report, byTopic, ...revisions, rejected };
  } finally {
    await log.close();
  }
}

/** One partition after the other, so that no more is in memory than one task. */
async function runUntilDone(log: EventLog, codec: Codec): Promise<void> {
  const stopping = new AbortController();
  const running = runTasks({
    log,
    codec,
    processors: [resampler],
    codeVersion: 'test',
    configurationHash: 'test',
    signal: stopping.signal,
    onFailure: () => stopping.abort(),
  });
  const inputs = [...resampler.reads, 'ticks'];
  const ends = await Promise.all(inputs.map((topic) => log.endOffsets(topic)));
  const isDone = async () => {
    for (const { partition } of running.tasks) {
      const positions = await log.taskPositions(partition);
      if (inputs.some((topic, i) => (positions[topic] ?? 0) < ends[i][partition])) return false;
    }
    return true;
  };
  while (!stopping.signal.aborted && !(await isDone())) await log.waitForAppend(100, stopping.signal);
  stopping.abort();
  await running.stopped;
}

async function windowsOf(log: EventLog, codec: Codec, topic: string, revisions: { revised: number }): Promise<Windows> {
  const points: Windows = new Map();
  for (const [partition, end] of (await log.endOffsets(topic)).entries()) {
    let offset = 0;
    while (offset < end) {
      const page = await log.read({ topic, partition }, offset, { maxRecords: 5_000, maxBytes: 4e6 });
      for (const { value } of page.records) takeWindows(codec.decodeAs('ResampledWindows', value) as ResampledWindows, points, revisions);
      offset = page.nextOffset;
    }
  }
  return points;
}

/** A later event of a window takes the place of an earlier one; windows without any reading are none. */
function takeWindows({ series }: ResampledWindows, points: Windows, revisions: { revised: number }): void {
  for (const { pointId, startMs, energyMilliWh, coveredMs, revision } of series) {
    let windows = points.get(pointId);
    if (!windows) points.set(pointId, (windows = new Map()));
    let atMs = 0;
    for (let i = 0; i < startMs.length; i++) {
      atMs += startMs[i];
      if (revision[i] > 0) revisions.revised++;
      if (coveredMs[i] > 0) windows.set(atMs / 1000, energyMilliWh[i]);
      else windows.delete(atMs / 1000);
    }
  }
}

function digestOf(windows: Map<number, number>): Sums {
  const starts = [...windows.keys()].sort((a, b) => a - b);
  const lines = starts.map((start) => `${start} ${windows.get(start)}`).join('\n');
  const total = starts.reduce((sum, start) => sum + windows.get(start)!, 0);
  return { count: starts.length, total, sha256: createHash('sha256').update(lines).digest('hex') };
}

function daysOf(hours: Map<number, number>): Map<number, number> {
  const days = new Map<number, number>();
  for (const [start, energy] of hours) {
    const day = start - (start % 86_400);
    days.set(day, (days.get(day) ?? 0) + energy);
  }
  return days;
}

function assertSumsEqual(imported: Imported, pointId: string, peer: PeerPoint): void {
  const { byTopic, report } = imported;
  const hours = byTopic['resampled.60m'].get(pointId)!;
  assert.deepEqual(
    Object.fromEntries([...daysOf(hours)].map(([start, energy]) => [String(start), energy])),
    peer.sums['86400'].windows,
    `days of ${pointId}`,
  );
  assert.deepEqual(digestOf(hours), peer.sums['3600'], `hours of ${pointId}`);
  assert.deepEqual(digestOf(byTopic['resampled.15m'].get(pointId)!), peer.sums['900'], `quarters of ${pointId}`);
  assert.deepEqual(digestOf(byTopic['resampled.5m'].get(pointId)!), peer.sums['300'], `five minutes of ${pointId}`);
  const point = report.points.find((candidate) => candidate.pointId === pointId)!;
  assert.deepEqual(
    {
      readings: point.readings,
      doubles: point.identicalDoubles + point.conflictingDoubles,
      missing: point.missing,
      gaps: point.gaps,
      longest: point.longestGapMs / 1000,
    },
    { readings: peer.readings, doubles: peer.doubles, missing: peer.missing, gaps: peer.gaps, longest: peer.longest },
    `counts of ${pointId}`,
  );
  assert.equal(point.notCompared, 0);
}

test('Low Carbon London: 37 homes and a year', async () => {
  const folder = dataFile('lcl-homes-30min-2013', 'homes');
  const files = readdirSync(folder).map((name) => join(folder, name));
  const meters = files.map((path) => /MAC\d+/.exec(path)![0]);
  assert.equal(meters.length, 37);
  const imported = await importAndResample(mappingFor('low-carbon-london', meters), files);
  const peer = await peerSums('lcl', folder);
  assert.deepEqual(Object.keys(peer).sort(), meters.sort());
  for (const meter of meters) assertSumsEqual(imported, `site-${meter}.grid-import`, peer[meter]);
  assert.equal(imported.rejected, 0);
  assert.equal(imported.revised, 0);
});

test('UCI household: two years at one minute, without the minutes that were filled in', async () => {
  const file = dataFile('uci-household-1min', 'household_power_2006_2008.csv.gz');
  const omit = dataFile('uci-household-1min', 'imputed_runs.csv');
  const mapping = mappingFor('uci-household', ['home'], ['grid-import', 'water-heater-and-cooling']);
  const imported = await importAndResample(mapping, [file], omit);
  const peer = await peerSums('uci', file, omit);
  for (const [name, point] of Object.entries(peer)) assertSumsEqual(imported, `site-home.${name}`, point);
  assert.equal(imported.report.lines, 1_074_636);
  assert.equal(imported.report.omitted, 2 * peer['grid-import'].omitted!);
  assert.equal(imported.report.omitted, 2 * 4_049);
  assert.equal(imported.rejected, 0);
  assert.equal(imported.revised, 0);
});

test('a Danish heat meter: three years of an hourly register', async () => {
  const file = dataFile('heat-dk-smart-heat-meter', 'processed_final_data_sample.csv.gz');
  const imported = await importAndResample(mappingFor('danish-heat-meter', ['660']), [file]);
  const peer = await peerSums('heat', file);
  assertSumsEqual(imported, 'site-660.heating', peer.heating);
  assert.equal(imported.report.lines, 26_256);
  assert.equal(imported.rejected, 0);
});
