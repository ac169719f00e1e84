/** Facts of some small sites, seeded: gaps, late and doubled readings, corrections, some older than the hot state. */
import type { Fact } from '../../replay/facts.ts';
import type { PointDeclared, PointReadings, ReadingsDelivery, SiteDeclared } from '../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';

export interface ScenarioOptions {
  seed: number;
  sites: number;
  days: number;
}

export const SCENARIO_FROM_MS = Date.UTC(2026, 2, 1);
const SPACING_MS = 5 * MINUTE_MS;
const DELIVERY_MS = 30 * MINUTE_MS;
const PER_DELIVERY = DELIVERY_MS / SPACING_MS;

/** Marsaglia's xorshift32 as a source of numbers in [0, 1): the same in every process. */
export function seededRandom(seed: number): () => number {
  let state = (seed ^ 0x9e3779b9) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

const KINDS = [
  { kind: 'MEAN_POWER', unit: 'WATT' },
  { kind: 'INTERVAL_ENERGY', unit: 'MILLIWATT_HOUR' },
  { kind: 'REGISTER', unit: 'MILLIWATT_HOUR' },
] as const;

function declared(site: number, point: number): PointDeclared {
  return {
    pointId: `point-${site}-${point}`,
    name: `meter-${point}`,
    kind: KINDS[point].kind,
    carrier: 'ELECTRICITY',
    intervalMs: SPACING_MS,
    maxHoldMs: SPACING_MS,
    deliveryDelayMs: 0,
    registerModulusMilliWh: null,
    registerJitterMilliWh: 0,
    mayExport: false,
    forecast: point === 0,
  };
}

function declaration(site: number): SiteDeclared {
  return {
    siteId: `site-${site}`,
    knownAtMs: SCENARIO_FROM_MS,
    pilotId: 'crash',
    timeZone: 'Europe/Copenhagen',
    kind: 'HOME',
    origin: 'SIMULATED',
    personalData: null,
    points: KINDS.map((_, point) => declared(site, point)),
  };
}

/** Whole watts, so that an interval's energy is whole too. */
function powerW(site: number, point: number, startMs: number): number {
  const hour = (startMs % DAY_MS) / HOUR_MS;
  return 120 * Math.round(4 + 3 * Math.sin((hour / 12) * Math.PI) + ((startMs / SPACING_MS + site * 7 + point) % 5));
}

function series(site: number, point: number, fromMs: number, registers: number[], factor: number): PointReadings {
  const { unit } = KINDS[point];
  const starts = Array.from({ length: PER_DELIVERY }, (_, i) => fromMs + i * SPACING_MS);
  const energy = starts.map((startMs) => factor * powerW(site, point, startMs) * (SPACING_MS / 3_600));
  const registered = energy.map((milliWh) => (registers[site] += milliWh));
  return {
    pointId: `point-${site}-${point}`,
    unit,
    deviceId: null,
    startMs: starts.map((startMs, i) => (i === 0 ? startMs : SPACING_MS)),
    value: unit === 'WATT' ? starts.map((startMs) => factor * powerW(site, point, startMs)) : [],
    energyMilliWh: unit === 'WATT' ? [] : KINDS[point].kind === 'REGISTER' ? registered : energy,
    quality: Uint8Array.of(0),
  };
}

/** All facts, ascending by knownAtMs, then topic; numbers ascend within a source and key. */
export function scenarioFacts({ seed, sites, days }: ScenarioOptions): Fact[] {
  const random = seededRandom(seed);
  const registers = new Array<number>(sites).fill(0);
  const deliveries: { site: number; knownAtMs: number; value: ReadingsDelivery }[] = [];
  const deliver = (site: number, knownAtMs: number, columns: PointReadings[]) =>
    deliveries.push({ site, knownAtMs, value: { siteId: `site-${site}`, knownAtMs, series: columns } });
  for (let fromMs = SCENARIO_FROM_MS; fromMs < SCENARIO_FROM_MS + days * DAY_MS; fromMs += DELIVERY_MS)
    for (let site = 0; site < sites; site++) {
      const columns = KINDS.map((_, point) => series(site, point, fromMs, registers, 1));
      const inTimeMs = fromMs + DELIVERY_MS + site * 1_000;
      const draw = random();
      if (draw < 0.02) continue; // never comes
      if (draw < 0.04) deliver(site, inTimeMs + 2 * HOUR_MS, columns);
      else if (draw < 0.05) deliver(site, inTimeMs + 9 * HOUR_MS, columns);
      else deliver(site, inTimeMs, columns);
      if (draw > 0.97) deliver(site, inTimeMs + HOUR_MS, columns);
      else if (draw > 0.95) deliver(site, inTimeMs + 90 * MINUTE_MS, [series(site, 0, fromMs, registers, 2)]);
      else if (draw > 0.94) deliver(site, inTimeMs + 11 * HOUR_MS, [series(site, 0, fromMs, registers, 3)]);
    }
  deliveries.sort((a, b) => a.knownAtMs - b.knownAtMs || a.site - b.site);
  const facts: Fact[] = Array.from({ length: sites }, (_, site) => ({
    topic: 'sites',
    schema: 'SiteDeclared',
    key: `site-${site}`,
    value: declaration(site),
    source: 'scenario',
    number: site,
  }));
  deliveries.forEach(({ value }, i) => {
    facts.push({ topic: 'meter.readings', schema: 'ReadingsDelivery', key: value.siteId, value, source: 'scenario', number: sites + i });
  });
  return facts;
}
