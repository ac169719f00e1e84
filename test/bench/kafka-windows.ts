/**
 * What windows of generated readings must say, by plain sums over the minutes of a point, and the comparison with what a
 * program wrote into topics of ResampledWindows. It holds for readings of one minute without gaps, as the generator's are.
 */
import assert from 'node:assert/strict';
import type { Codec } from '../../schemas/codec.ts';
import type { ReadingsDelivery, ResampledWindows } from '../../schemas/types.ts';
import type { EventLog } from '../../streams/event-log.ts';
import { MAX_STEP_BYTES, MINUTE_MS, PARTITION_COUNT } from '../../streams/limits.ts';
import { partitionOf } from '../../streams/partitioner.ts';

interface Minute {
  value: number;
  device: string | null;
}

interface ExpectedPoint {
  siteId: string;
  kind: 'power' | 'interval' | 'register';
  /** By start (UTC epoch ms). */
  minutes: Map<number, Minute>;
}

export interface Window {
  readingCount: number;
  energyMilliWh: number;
  mean: number;
  min: number;
  max: number;
  last: number;
  coveredMs: number;
}

/** Power in W of a mWh in a minute. */
const WATT = 60 / 1000;
/** Rounding of energies once, and of each window of five minutes within a wider one. */
const ENERGY_TOLERANCE_MILLI_WH = 12;
const RELATIVE_TOLERANCE = 1e-9;

export class ExpectedWindows {
  private readonly points = new Map<string, ExpectedPoint>();
  private readonly streamTimeMs: number[] = Array.from({ length: PARTITION_COUNT }, () => 0);

  /** A partition's stream time moves on. */
  passed(partition: number, knownAtMs: number): void {
    this.streamTimeMs[partition] = Math.max(this.streamTimeMs[partition], knownAtMs);
  }

  take({ siteId, series }: ReadingsDelivery): void {
    for (const { pointId, unit, deviceId, startMs, value, energyMilliWh } of series) {
      const kind = unit === 'WATT' ? 'power' : deviceId === null ? 'interval' : 'register';
      let point = this.points.get(pointId);
      if (!point) this.points.set(pointId, (point = { siteId, kind, minutes: new Map() }));
      let atMs = 0;
      for (let i = 0; i < startMs.length; i++) {
        atMs += startMs[i];
        point.minutes.set(atMs, { value: kind === 'power' ? value[i] : energyMilliWh[i], device: deviceId });
      }
    }
  }

  /** Windows of a width of all points that are over by the grace, as "point start". */
  closed(widthMs: number, graceMs: number): Map<string, Window> {
    const windows = new Map<string, Window>();
    for (const [pointId, point] of this.points) {
      const untilMs = this.streamTimeMs[partitionOf(point.siteId, PARTITION_COUNT)] - graceMs;
      const starts = new Set([...point.minutes.keys()].map((minuteMs) => Math.floor(minuteMs / widthMs) * widthMs));
      for (const startMs of starts)
        if (startMs + widthMs <= untilMs) windows.set(`${pointId} ${startMs}`, windowOf(point, startMs, startMs + widthMs));
    }
    return windows;
  }
}

function windowOf({ kind, minutes }: ExpectedPoint, fromMs: number, toMs: number): Window {
  const watts: number[] = [];
  let readingCount = 0;
  for (let atMs = fromMs; atMs < toMs; atMs += MINUTE_MS) {
    const minute = minutes.get(atMs);
    if (!minute) continue;
    readingCount++;
    const watt =
      kind === 'power' ? minute.value : (kind === 'interval' ? minute.value : counted(minute, minutes.get(atMs + MINUTE_MS))) * WATT;
    if (!Number.isNaN(watt)) watts.push(watt);
  }
  const sum = watts.reduce((total, watt) => total + watt, 0);
  return {
    readingCount,
    energyMilliWh: sum / WATT,
    mean: watts.length === 0 ? 0 : sum / watts.length,
    min: watts.length === 0 ? 0 : Math.min(...watts),
    max: watts.length === 0 ? 0 : Math.max(...watts),
    last: watts.at(-1) ?? 0,
    coveredMs: watts.length * MINUTE_MS,
  };
}

/** What a register counted up to its next reading (mWh): from zero where it was reset, unknown where the meter changed. */
function counted(minute: Minute, next: Minute | undefined): number {
  if (next?.device !== minute.device) return Number.NaN;
  return next.value >= minute.value ? next.value - minute.value : next.value;
}

/** The latest revision of all windows of a topic, as "point start". */
export async function windowsIn(log: EventLog, topic: string, codec: Codec): Promise<Map<string, Window>> {
  const windows = new Map<string, Window>();
  for (let partition = 0; partition < PARTITION_COUNT; partition++)
    for (let offset = 0; ; ) {
      const { records, nextOffset } = await log.read({ topic, partition }, offset, { maxRecords: 10_000, maxBytes: MAX_STEP_BYTES });
      for (const { value } of records) addWindows(codec.decode(value).value as ResampledWindows, windows);
      if (nextOffset === offset) break;
      offset = nextOffset;
    }
  return windows;
}

function addWindows({ series }: ResampledWindows, windows: Map<string, Window>): void {
  for (const columns of series) {
    let atMs = 0;
    columns.startMs.forEach((step, i) => {
      atMs += step;
      windows.set(`${columns.pointId} ${atMs}`, {
        readingCount: columns.readingCount[i],
        energyMilliWh: columns.energyMilliWh[i],
        mean: columns.mean[i],
        min: columns.min[i],
        max: columns.max[i],
        last: columns.last[i],
        coveredMs: columns.coveredMs[i],
      });
    });
  }
}

/** Every expected window is there and says the same within rounding; throws AssertionError at the first that does not. */
export function assertWindows(found: ReadonlyMap<string, Window>, expected: ReadonlyMap<string, Window>): void {
  assert.ok(expected.size > 0, 'there is something to compare');
  for (const [name, wanted] of expected) {
    const is = found.get(name);
    assert.ok(is, `the window ${name} was written`);
    assert.deepEqual([is.readingCount, is.coveredMs], [wanted.readingCount, wanted.coveredMs], `readings and cover of ${name}`);
    assert.ok(Math.abs(is.energyMilliWh - wanted.energyMilliWh) <= ENERGY_TOLERANCE_MILLI_WH, `energy of ${name}`);
    for (const quantity of ['mean', 'min', 'max', 'last'] as const)
      assert.ok(
        Math.abs(is[quantity] - wanted[quantity]) <= RELATIVE_TOLERANCE * Math.abs(wanted[quantity]),
        `${quantity} of ${name}: ${is[quantity]}, not ${wanted[quantity]}`,
      );
  }
}
