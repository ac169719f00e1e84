/**
 * Records of one site with a point of every kind over nine days: late, doubled, corrected, future and unknown readings,
 * gaps, a reset, a swap, jitter, a stuck and a negative meter, an outlier, and declarations that change in between.
 */
import { TOPOLOGY } from '../../../processors/topology.ts';
import type { LogRecord } from '../../../streams/event-log.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../streams/limits.ts';
import { pointOf, type Reading, SiteRig } from './site-rig.ts';

const DAYS = 9;
const QUARTER_MS = 15 * MINUTE_MS;
const FROM_MS = Date.UTC(2026, 2, 24);
const DELIVERY_MS = HOUR_MS;

/** Numbers in [0, 1), the same for the same seed (Lehmer, multiplier 48271). */
function seeded(seed: number): () => number {
  let state = seed * 7919 + 1;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

const POINTS = [
  pointOf('grid', 'MEAN_POWER', { forecast: true, mayExport: false }),
  pointOf('pump', 'INSTANT_POWER', { maxHoldMs: HOUR_MS }),
  pointOf('heat', 'INTERVAL_ENERGY', { deliveryDelayMs: 2 * HOUR_MS, forecast: true }),
  pointOf('register', 'REGISTER', { registerModulusMilliWh: 40_000_000, registerJitterMilliWh: 2_000 }),
  pointOf('indoor', 'TEMPERATURE'),
  pointOf('mode', 'STATE', { maxHoldMs: 6 * HOUR_MS }),
] as const;

interface Due {
  pointId: string;
  readings: Reading[];
  atMs: number;
}

function readValue(pointId: string, startMs: number, random: () => number): number {
  const hour = (startMs % DAY_MS) / HOUR_MS;
  const day = Math.floor((startMs - FROM_MS) / DAY_MS);
  const load = Math.round(400 + 300 * Math.sin((hour * Math.PI) / 12) + 100 * random());
  if (pointId === 'grid') return day === 8 && hour === 10 ? 60_000 : hour === 13 ? -50 : load;
  if (pointId === 'pump') return day >= 3 && day < 5 ? 55 : load;
  if (pointId === 'indoor') return 20 + 2 * Math.sin(hour / 4);
  if (pointId === 'mode') return Math.floor(hour / 6);
  return load * 250;
}

/** Ascends, falls to zero once (reset), goes on with another meter (swap), passes its modulus, and jitters. */
function registerAt(slot: number, energyMilliWh: number): Pick<Reading, 'value' | 'deviceId'> {
  const swapped = slot >= 500;
  const counted = energyMilliWh - (slot >= 300 && !swapped ? 7_000_000 : 0);
  const value = Math.max(0, Math.round(counted)) % 40_000_000;
  return { value: slot % 17 === 5 ? Math.max(0, value - 1_500) : value, deviceId: swapped ? 'meter-2' : 'meter-1' };
}

function deliveries(random: () => number): Due[] {
  const due: Due[] = [];
  let energyMilliWh = 0;
  for (const { pointId } of POINTS) {
    for (let fromMs = FROM_MS; fromMs < FROM_MS + DAYS * DAY_MS; fromMs += DELIVERY_MS) {
      const readings: Reading[] = [];
      for (let startMs = fromMs; startMs < fromMs + DELIVERY_MS; startMs += QUARTER_MS) {
        energyMilliWh += 60_000;
        const value = readValue(pointId, startMs, random);
        if (random() < 0.02 && pointId !== 'pump') continue;
        const slot = (startMs - FROM_MS) / QUARTER_MS;
        const quality = random() < 0.03 ? 1 + Math.floor(random() * 3) : 0;
        readings.push(pointId === 'register' ? { startMs, ...registerAt(slot, energyMilliWh % 60_000_000) } : { startMs, value, quality });
      }
      const lateMs = random() < 0.03 ? 30 * HOUR_MS : random() < 0.06 ? 90 * MINUTE_MS : MINUTE_MS;
      const atMs = fromMs + DELIVERY_MS + lateMs;
      due.push({ pointId, readings, atMs });
      if (random() < 0.05) due.push({ pointId, readings, atMs: atMs + 2 * HOUR_MS });
      if (random() < 0.04) due.push({ pointId, readings: readings.map((r) => ({ ...r, value: r.value + 1 })), atMs: atMs + 3 * HOUR_MS });
      if (random() < 0.01) due.push({ pointId, readings: [{ startMs: Date.UTC(2038, 0, 19), value: 1 }], atMs });
      if (random() < 0.01) due.push({ pointId: 'nobody', readings, atMs });
    }
  }
  return due.sort((a, b) => a.atMs - b.atMs);
}

export function realisticSite(siteId: string, seed: number): LogRecord[] {
  const random = seeded(seed);
  const rig = new SiteRig({ processors: TOPOLOGY, points: POINTS, siteId });
  let tickMs = FROM_MS;
  let changes = 0;
  const declarations = [
    // The heat meter goes and comes back, another one comes for good; from now on all may export and come later.
    POINTS.filter(({ pointId }) => pointId !== 'heat'),
    [pointOf('second', 'INSTANT_POWER'), ...POINTS.map((point) => ({ ...point, mayExport: true, deliveryDelayMs: 7 * HOUR_MS }))],
  ];
  for (const { pointId, readings, atMs } of deliveries(random)) {
    while (tickMs + QUARTER_MS <= atMs) rig.tick((tickMs += QUARTER_MS));
    if (changes < declarations.length && atMs > FROM_MS + (5 + changes) * DAY_MS) rig.declare(declarations[changes++], atMs);
    if (readings.length > 0) rig.deliver(pointId, readings, atMs);
  }
  rig.tickThrough(tickMs + QUARTER_MS, tickMs + 10 * HOUR_MS, QUARTER_MS);
  return rig.records;
}
