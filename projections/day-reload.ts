/**
 * The reload adapter: answers each `revisions.requested` with one `day.reloaded` fact that holds the raw readings of the
 * point and day, read back from the log, and the windows emitted so far. Requests are answered in order, one by one, and
 * numbered by their offset, so that an answer is appended once whatever crashes.
 */
import type { Codec } from '../schemas/codec.ts';
import { CodecError } from '../schemas/codec.ts';
import type { DayReloaded, ReadingsDelivery, RevisionRequested } from '../schemas/types.ts';
import type { EventLog, LogRecord } from '../streams/event-log.ts';
import { DAY_MS, MAX_FUTURE_MS, MAX_REGISTER_GAP_MS, MAX_STEP_BYTES, PARTITION_COUNT } from '../streams/limits.ts';
import { isCaughtUp } from './project.ts';
import { SERIES_TABLES } from './series.ts';
import type { Build, ProjectionStore } from './store.ts';

const WIDTH_MS = { '5m': 300_000, '15m': 900_000, '60m': 3_600_000 } as const;
const IDLE_WAIT_MS = 500;
const READ = { maxRecords: 1_000, maxBytes: MAX_STEP_BYTES };

export interface ReloadOptions {
  log: EventLog;
  codec: Codec;
  store: ProjectionStore;
  sites: Build;
  series: Build;
  dayIndex: Build;
  signal: AbortSignal;
}

/** Runs until the signal. Reloads wait for the projections to have all that was emitted before the request. */
export async function reloadDays(options: ReloadOptions): Promise<void> {
  const { log, signal } = options;
  const answered = await log.endOffsets('day.reloaded');
  while (!signal.aborted) {
    let found = false;
    for (let partition = 0; partition < PARTITION_COUNT && !signal.aborted; partition++) {
      const { records } = await log.read({ topic: 'revisions.requested', partition }, answered[partition], {
        maxRecords: 100,
        maxBytes: MAX_STEP_BYTES,
      });
      for (const record of records) {
        if (signal.aborted) return;
        await answer(options, record);
        answered[partition] = record.offset + 1;
        found = true;
      }
    }
    if (!found) await log.waitForAppend(IDLE_WAIT_MS, signal);
  }
}

async function answer(options: ReloadOptions, record: LogRecord): Promise<void> {
  const { log, codec, store, signal } = options;
  for (const build of [options.sites, options.series, options.dayIndex]) {
    while (!(await isCaughtUp(log, build))) {
      if (signal.aborted) return;
      await log.waitForAppend(20, signal);
    }
  }
  const request = codec.decodeAs('RevisionRequested', record.value) as RevisionRequested;
  const raw = await rawReadings(options, request, record.partition);
  const value: DayReloaded = {
    siteId: request.siteId,
    pointId: request.pointId,
    knownAtMs: request.knownAtMs,
    dayStartMs: request.dayStartMs,
    ...raw,
    previous: await previousWindows(store, request),
  };
  await log.append([
    {
      topic: 'day.reloaded',
      key: record.key,
      partition: record.partition,
      value: codec.encode('DayReloaded', value),
      headers: {
        source: 'reload',
        number: record.offset,
        type: 'DayReloaded',
        knownAtMs: request.knownAtMs,
        causes: `${record.headers.id} revisions.requested/${record.partition}:${record.offset}-${record.offset}`,
      },
    },
  ]);
}

interface Reading {
  startMs: number;
  value: number;
  quality: number;
  deviceId: string | null;
}

/** Readings of the day and the nearest ones on both sides (a register's, within the longest gap that is spread). */
async function rawReadings({ log, codec, store }: ReloadOptions, request: RevisionRequested, partition: number) {
  // The task waits for this answer. What it has not read yet reaches it afterwards, and must not decide the answer:
  // how far the log is ahead of the task depends on the speed of whoever appends.
  const positions = await log.taskPositions(partition);
  const day = request.dayStartMs / DAY_MS;
  const { rows: kinds } = await store.pool.query('SELECT kind FROM point WHERE site_id = $1 AND point_id = $2', [
    request.siteId,
    request.pointId,
  ]);
  const isRegister = kinds[0]?.kind === 'REGISTER';
  const reach = isRegister ? Math.ceil(MAX_REGISTER_GAP_MS / DAY_MS) + 1 : 1;
  const { rows } = await store.pool.query(
    'SELECT topic, first_offset, last_offset FROM day_index WHERE site_id = $1 AND utc_day BETWEEN $2 AND $3 ORDER BY topic, first_offset',
    [request.siteId, day - reach, day + reach],
  );
  const found = new Map<number, Reading>();
  for (const { topic, first, end: indexedEnd } of mergedRanges(rows)) {
    const end = Math.min(indexedEnd, positions[topic] ?? 0);
    for (let offset = first; offset < end; ) {
      const { records, nextOffset } = await log.read({ topic, partition }, offset, READ);
      for (const record of records) if (record.offset < end && record.key === request.siteId) collect(codec, record, request, reach, found);
      if (nextOffset === offset) break;
      offset = nextOffset;
    }
  }
  return columnsOf(
    nearest(
      [...found.values()].sort((a, b) => a.startMs - b.startMs),
      request.dayStartMs,
      isRegister,
    ),
  );
}

function mergedRanges(
  rows: { topic: string; first_offset: number; last_offset: number }[],
): { topic: string; first: number; end: number }[] {
  const merged: { topic: string; first: number; end: number }[] = [];
  for (const row of rows) {
    const last = merged.at(-1);
    if (last && last.topic === row.topic && row.first_offset <= last.end) last.end = Math.max(last.end, row.last_offset + 1);
    else merged.push({ topic: row.topic, first: row.first_offset, end: row.last_offset + 1 });
  }
  return merged;
}

/** Later deliveries of the same start count, as in the hot state; what was rejected there is left out here too. */
function collect(codec: Codec, record: LogRecord, request: RevisionRequested, reachDays: number, found: Map<number, Reading>): void {
  const delivery = decoded(codec, record);
  const fromMs = request.dayStartMs - reachDays * DAY_MS;
  const toMs = request.dayStartMs + (reachDays + 1) * DAY_MS;
  for (const series of delivery?.series ?? []) {
    if (series.pointId !== request.pointId) continue;
    const values = series.unit === 'MILLIWATT_HOUR' ? series.energyMilliWh : series.value;
    if (values.length !== series.startMs.length) continue;
    let startMs = 0;
    for (let i = 0; i < values.length; i++) {
      startMs += series.startMs[i];
      if (startMs < fromMs || startMs >= toMs || startMs > record.headers.knownAtMs + MAX_FUTURE_MS) continue;
      found.set(startMs, {
        startMs,
        value: values[i],
        quality: series.quality[series.quality.length === 1 ? 0 : i],
        deviceId: series.deviceId,
      });
    }
  }
}

function decoded(codec: Codec, record: LogRecord): ReadingsDelivery | undefined {
  try {
    return codec.decodeAs('ReadingsDelivery', record.value) as ReadingsDelivery;
  } catch (error) {
    if (error instanceof CodecError) return undefined;
    throw error;
  }
}

/** Readings that can bear on the day: those in it, and some neighbours. */
function nearest(readings: Reading[], dayStartMs: number, isRegister: boolean): Reading[] {
  const inside = readings.findIndex(({ startMs }) => startMs >= dayStartMs);
  const after = readings.findIndex(({ startMs }) => startMs >= dayStartMs + DAY_MS);
  const from = Math.max(0, (inside < 0 ? readings.length : inside) - (isRegister ? 6 : 1));
  const farther = readings.slice(from, after < 0 ? readings.length : after + (isRegister ? 6 : 1));
  // Source intervals that begin the day before reach into it; keep all of the hours before as well.
  return isRegister
    ? farther
    : readings.filter(
        (reading) => farther.includes(reading) || (reading.startMs < dayStartMs && reading.startMs >= dayStartMs - 3_600_000),
      );
}

function columnsOf(readings: Reading[]) {
  const devices: (string | null)[] = [];
  const deviceIndex = readings.map(({ deviceId }) => {
    const at = devices.indexOf(deviceId);
    return at >= 0 ? at : Math.min(63, devices.push(deviceId) - 1);
  });
  return {
    startMs: readings.map(({ startMs }, i) => (i === 0 ? startMs : startMs - readings[i - 1].startMs)),
    value: readings.map(({ value }) => value),
    quality: Uint8Array.from(readings.map(({ quality }) => quality)),
    deviceIndex: Uint8Array.from(deviceIndex),
    devices,
  };
}

async function previousWindows(store: ProjectionStore, request: RevisionRequested): Promise<DayReloaded['previous']> {
  const previous: DayReloaded['previous'] = [];
  for (const [width, table] of Object.entries(SERIES_TABLES)) {
    const { rows } = await store.pool.query(
      `SELECT (extract(epoch FROM start_at) * 1000)::bigint AS start_ms, coalesce(energy_mwh, 0) AS energy, mean, min, max, last, reading_count, covered_ms, measured_ms, quality, revision
       FROM ${table} WHERE point_ref = (SELECT point_ref FROM point_ref WHERE site_id = $1 AND point_id = $2) AND start_at >= to_timestamp($3 / 1000.0) AND start_at < to_timestamp($4 / 1000.0) ORDER BY start_at`,
      [request.siteId, request.pointId, request.dayStartMs, request.dayStartMs + DAY_MS],
    );
    previous.push({
      widthMs: WIDTH_MS[width as keyof typeof WIDTH_MS],
      startMs: rows.map((row, i) => (i === 0 ? row.start_ms : row.start_ms - rows[i - 1].start_ms)),
      revision: rows.map((row) => row.revision),
      digest: rows.map((row) =>
        [row.energy, row.mean, row.min, row.max, row.last, row.reading_count, row.covered_ms, row.measured_ms, row.quality].join(' '),
      ),
    });
  }
  return previous;
}
