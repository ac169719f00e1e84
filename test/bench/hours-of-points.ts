/** Many points at one minute, hour by hour, as their meters would deliver them: enough to fill the hot state and to go on from there. */
import type { Codec } from '../../schemas/codec.ts';
import type { PointReadings, SiteDeclared } from '../../schemas/types.ts';
import type { EventLog, NewRecord } from '../../streams/event-log.ts';
import { FEED_BATCH_BYTES, HOUR_MS, MINUTE_MS, PARTITION_COUNT } from '../../streams/limits.ts';

const FROM_MS = Date.UTC(2026, 2, 2, 6);
export const POINTS_PER_SITE = 50;
/** Hours until the hot state is full (its four hours, and the one that is let go at once), and those that come after. */
export const HOURS_BEFORE = 6;
export const HOURS_AFTER = 2;
const TICK_MS = 5 * MINUTE_MS;
const DELIVERY_MS = 3 * TICK_MS;

export function declaration(codec: Codec, site: number): NewRecord {
  const value: SiteDeclared = {
    siteId: `site-${site}`,
    knownAtMs: FROM_MS,
    pilotId: 'bench',
    timeZone: 'UTC',
    kind: 'HOME',
    origin: 'SIMULATED',
    personalData: null,
    points: Array.from({ length: POINTS_PER_SITE }, (_, point) => ({
      pointId: `point-${site}-${point}`,
      name: 'meter',
      kind: 'MEAN_POWER',
      carrier: 'ELECTRICITY',
      intervalMs: MINUTE_MS,
      maxHoldMs: MINUTE_MS,
      deliveryDelayMs: 0,
      registerModulusMilliWh: null,
      registerJitterMilliWh: 0,
      mayExport: false,
      forecast: false,
    })),
  };
  return {
    topic: 'sites',
    key: value.siteId,
    value: codec.encode('SiteDeclared', value),
    headers: { source: 'bench', number: site, type: 'SiteDeclared', knownAtMs: FROM_MS },
  };
}

/** Hours of readings from the first one on, one delivery a site and quarter of an hour, and ticks at every five minutes. */
export async function appendHours(log: EventLog, codec: Codec, sites: number, fromHour: number, toHour: number): Promise<void> {
  for (let fromMs = FROM_MS + fromHour * HOUR_MS; fromMs < FROM_MS + toHour * HOUR_MS; fromMs += DELIVERY_MS) {
    const knownAtMs = fromMs + DELIVERY_MS;
    const quarter = (fromMs - FROM_MS) / DELIVERY_MS;
    // Stream time goes on meanwhile; else the last readings of the quarter would seem to be of the future.
    let batch: NewRecord[] = [...ticks(codec, fromMs + TICK_MS), ...ticks(codec, fromMs + 2 * TICK_MS)];
    let bytes = 0;
    for (let site = 0; site < sites; site++) {
      const siteId = `site-${site}`;
      const series = Array.from({ length: POINTS_PER_SITE }, (_, point) => readings(site, point, fromMs));
      const value = codec.encode('ReadingsDelivery', { siteId, knownAtMs, series });
      const headers = { source: 'bench', number: quarter * sites + site, type: 'ReadingsDelivery', knownAtMs };
      batch.push({ topic: 'meter.readings', key: siteId, value, headers });
      bytes += value.length;
      if (bytes < FEED_BATCH_BYTES) continue;
      await log.append(batch);
      batch = [];
      bytes = 0;
    }
    await log.append([...batch, ...ticks(codec, knownAtMs)]);
  }
}

function ticks(codec: Codec, knownAtMs: number): NewRecord[] {
  const value = codec.encode('Tick', { knownAtMs });
  return Array.from({ length: PARTITION_COUNT }, (_, partition) => {
    const headers = { source: 'bench', number: knownAtMs / TICK_MS, type: 'Tick', knownAtMs };
    return { topic: 'ticks', key: String(partition), partition, value, headers };
  });
}

function readings(site: number, point: number, fromMs: number): PointReadings {
  const count = DELIVERY_MS / MINUTE_MS;
  return {
    pointId: `point-${site}-${point}`,
    unit: 'WATT',
    deviceId: null,
    startMs: Array.from({ length: count }, (_, i) => (i === 0 ? fromMs : MINUTE_MS)),
    value: Array.from({ length: count }, (_, i) => 500 + ((site * 31 + point * 7 + i * 13 + fromMs / MINUTE_MS) % 997)),
    energyMilliWh: [],
    quality: Uint8Array.of(0),
  };
}
