/** Derived events for tests of projections. */
import type { Codec } from '../../schemas/codec.ts';
import type { ResampledWindows } from '../../schemas/types.ts';
import type { NewRecord } from '../../streams/event-log.ts';

export interface TestWindow {
  startMs: number;
  mean: number;
  revision?: number;
  coveredMs?: number;
  knownAtMs?: number;
}

const TOPIC_OF_WIDTH: Record<number, string> = { 300000: 'resampled.5m', 900000: 'resampled.15m', 3600000: 'resampled.60m' };

/** One event with windows of one point; values follow from the mean. */
export function windowsRecord(codec: Codec, siteId: string, pointId: string, windows: readonly TestWindow[], widthMs = 300_000): NewRecord {
  const knownAtMs = windows[0].knownAtMs ?? windows.at(-1)!.startMs + widthMs;
  const value: ResampledWindows = {
    siteId,
    knownAtMs,
    widthMs,
    series: [
      {
        pointId,
        hasEnergy: true,
        startMs: windows.map(({ startMs }, i) => (i === 0 ? startMs : startMs - windows[i - 1].startMs)),
        energyMilliWh: windows.map(({ mean }) => Math.round((mean * widthMs) / 3600)),
        mean: windows.map(({ mean }) => mean),
        min: windows.map(({ mean }) => mean - 1),
        max: windows.map(({ mean }) => mean + 1),
        last: windows.map(({ mean }) => mean),
        readingCount: windows.map(() => 5),
        coveredMs: windows.map(({ coveredMs }) => coveredMs ?? widthMs),
        measuredMs: windows.map(({ coveredMs }) => coveredMs ?? widthMs),
        quality: Uint8Array.from(windows, ({ coveredMs }) => (coveredMs === 0 ? 3 : 0)),
        flags: new Uint8Array(windows.length),
        revision: windows.map(({ revision }) => revision ?? 0),
        reason: Uint8Array.from(windows, ({ revision }) => (revision ? 1 : 0)),
      },
    ],
  };
  return {
    topic: TOPIC_OF_WIDTH[widthMs],
    key: siteId,
    value: codec.encode('ResampledWindows', value),
    headers: { source: 'resampler', number: -1, id: 'x', type: 'ResampledWindows', knownAtMs },
  };
}
