/** What goes wrong on the way from a meter to us: seeded, one fault a day and site, and each told as it was made. */
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import type { Delivery } from './deliveries.ts';
import type { Meter } from './meters.ts';
import { pseudonym, type Random } from './random.ts';

/** All kinds, in the order in which sites get them; a short simulation gives different ones to different sites. */
export const FAULT_KINDS = [
  'gap',
  'late-minutes',
  'late-hours',
  'late-days',
  'doubled',
  'conflict',
  'register-reset',
  'register-rollover',
  'meter-swap',
  'clock-2038',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface FaultTruth {
  kind: FaultKind;
  siteId: string;
  /** Null: all points of a delivery. */
  pointId: string | null;
  /** Event time that it touches. */
  fromMs: number;
  toMs: number;
  /** Readings missing, late, doubled, wrong or misdated; 1 for what happens to a register. */
  readingCount: number;
  /** Whether what was true in that time can no longer be known from what arrived. */
  lost: boolean;
}

interface PlannedFault {
  kind: FaultKind;
  atMs: number;
}

/** Days at the begin and end stay free; what is late by days needs some more to arrive. */
const FREE_DAYS = 1;
const LATE_DAYS_ROOM = 4;

/** One fault a day, between 2 and 18 h UTC, in the order of time. `turn` lets sites begin with different kinds. */
export function planFaults(startMs: number, days: number, turn: number, random: Random): PlannedFault[] {
  const free = random.shuffled(Array.from({ length: Math.max(0, days - 2 * FREE_DAYS) }, (_, i) => i + FREE_DAYS));
  const planned: PlannedFault[] = [];
  for (let i = 0; i < FAULT_KINDS.length && free.length > 0; i++) {
    const kind = FAULT_KINDS[(i + 3 * turn) % FAULT_KINDS.length];
    const at = kind === 'late-days' ? free.findIndex((day) => day < days - LATE_DAYS_ROOM) : free.length - 1;
    if (at < 0) continue;
    const [day] = free.splice(at, 1);
    planned.push({ kind, atMs: startMs + day * DAY_MS + MINUTE_MS * random.integer(2 * 60, 18 * 60) });
  }
  return planned.sort((a, b) => a.atMs - b.atMs);
}

/** Faults of meters themselves: changes what they say, and tells what was done. Null: not a fault of a meter, or no meter for it. */
export function spoilMeter(meters: readonly Meter[], { kind, atMs }: PlannedFault, random: Random): FaultTruth | null {
  const registers = meters.filter(({ declared }) => declared.kind === 'REGISTER');
  const plain = registers.find(({ declared }) => declared.registerModulusMilliWh === null);
  const rolling = registers.find(({ declared }) => declared.registerModulusMilliWh !== null);
  if (kind === 'gap') return dropReadings(random.shuffled(meters.filter(isSteady))[0], atMs, random);
  if (kind === 'register-reset' && plain) return resetRegister(plain, atMs);
  if (kind === 'meter-swap' && plain) return swapMeter(plain, atMs, random);
  if (kind === 'register-rollover' && rolling) return rollOver(rolling, atMs);
  return null;
}

/** Kinds whose readings come at a fixed spacing, one or many to a delivery. */
function isSteady({ declared: { kind } }: Meter): boolean {
  return kind === 'MEAN_POWER' || kind === 'INTERVAL_ENERGY' || kind === 'REGISTER';
}

function faultOf(kind: FaultKind, { truth }: Meter, fromMs: number, toMs: number, readingCount: number, lost: boolean): FaultTruth {
  return { kind, siteId: truth.siteId, pointId: truth.pointId, fromMs, toMs, readingCount, lost };
}

function dropReadings(meter: Meter, atMs: number, random: Random): FaultTruth {
  const untilMs = atMs + MINUTE_MS * random.integer(60, 6 * 60);
  const first = meter.startMs.findIndex((startMs) => startMs >= atMs);
  const after = meter.startMs.findIndex((startMs) => startMs >= untilMs);
  // The energy between two readings of a register is known, but not how it was spread.
  const from = meter.declared.kind === 'REGISTER' ? first - 1 : first;
  const fault = faultOf('gap', meter, meter.startMs[from], meter.startMs[after], after - first, true);
  for (const column of [meter.startMs, meter.value, meter.deviceId]) column.splice(first, after - first);
  return fault;
}

/** The register falls to zero right after a reading, so that the next one tells all that has been counted since. */
function resetRegister(meter: Meter, atMs: number): FaultTruth {
  const first = meter.startMs.findIndex((startMs) => startMs >= atMs);
  const before = meter.value[first - 1];
  for (let i = first; i < meter.value.length; i++) meter.value[i] -= before;
  return faultOf('register-reset', meter, meter.startMs[first - 1], meter.startMs[first], 1, false);
}

/** The register stands at its last step before the time, and rolls over with the next energy. Null: there is none. */
function rollOver(meter: Meter, atMs: number): FaultTruth | null {
  const modulus = meter.declared.registerModulusMilliWh!;
  const last = meter.startMs.findIndex((startMs) => startMs >= atMs) - 1;
  const rolled = meter.value.findIndex((value, i) => i > last && value > meter.value[last]);
  if (rolled < 0) return null;
  const shift = modulus - meter.value[rolled];
  for (let i = 0; i < meter.value.length; i++) meter.value[i] = (meter.value[i] + shift + modulus) % modulus;
  return faultOf('register-rollover', meter, meter.startMs[rolled - 1], meter.startMs[rolled], 1, false);
}

/** Another device from a reading on; what was used between the last reading of the one and the first of the other is lost. */
function swapMeter(meter: Meter, atMs: number, random: Random): FaultTruth {
  const first = meter.startMs.findIndex((startMs) => startMs >= atMs);
  const shift = random.integer(1, 20) * 1_000_000 - meter.value[first];
  const deviceId = pseudonym('device', meter.truth.pointId, meter.startMs[first]);
  for (let i = first; i < meter.value.length; i++) {
    meter.value[i] += shift;
    meter.deviceId[i] = deviceId;
  }
  return faultOf('meter-swap', meter, meter.startMs[first - 1], meter.startMs[first], 1, true);
}

const LATE_MINUTES = { 'late-minutes': [20, 50], 'late-hours': [60, 170], 'late-days': [26 * 60, 60 * 60] } as const;
const LATE_SPAN_MS = 2 * HOUR_MS;

/** Faults on the way: changes, delays or repeats deliveries, and tells what was done. Null: not a fault of a delivery. */
export function spoilDeliveries(siteId: string, deliveries: Delivery[], { kind, atMs }: PlannedFault, random: Random): FaultTruth | null {
  const hit = deliveries.find(({ topic, periodMs }) => topic === 'meter.readings' && periodMs >= atMs)!;
  if (kind === 'late-minutes' || kind === 'late-hours' || kind === 'late-days') return delay(siteId, deliveries, kind, atMs, random);
  if (kind === 'doubled') return sendTwice(siteId, deliveries, hit, random);
  const at = hit.series.findIndex(({ meter: { declared } }) => declared.kind === 'MEAN_POWER' || declared.kind === 'INTERVAL_ENERGY');
  if (kind === 'conflict') return sendWrongFirst(deliveries, hit, at, random);
  if (kind === 'clock-2038') return misdate(hit, at);
  return null;
}

function delay(siteId: string, deliveries: Delivery[], kind: keyof typeof LATE_MINUTES, atMs: number, random: Random): FaultTruth {
  const [least, most] = LATE_MINUTES[kind];
  const lateMs = MINUTE_MS * random.integer(least, most);
  const late = deliveries.filter(({ periodMs }) => periodMs >= atMs && periodMs < atMs + LATE_SPAN_MS);
  for (const delivery of late) delivery.knownAtMs += lateMs;
  return { kind, siteId, pointId: null, ...spanOf(late.flatMap(({ series }) => series)), lost: false };
}

function sendTwice(siteId: string, deliveries: Delivery[], hit: Delivery, random: Random): FaultTruth {
  deliveries.push({ ...hit, knownAtMs: hit.knownAtMs + MINUTE_MS * random.integer(5, 45) });
  return { kind: 'doubled', siteId, pointId: null, ...spanOf(hit.series), lost: false };
}

/** The first delivery is wrong, and a later one puts it right. */
function sendWrongFirst(deliveries: Delivery[], hit: Delivery, at: number, random: Random): FaultTruth {
  const right = hit.series[at];
  hit.series = hit.series.with(at, { ...right, value: right.value.map((value) => 2 * value + 1_000) });
  deliveries.push({ ...hit, knownAtMs: hit.knownAtMs + MINUTE_MS * random.integer(20, 60), series: [right] });
  const { siteId, pointId } = right.meter.truth;
  return { kind: 'conflict', siteId, pointId, ...spanOf([right]), lost: false };
}

/** Where 32-bit seconds end. */
const CLOCK_2038_MS = (2 ** 31 - 1) * 1_000;

function misdate(hit: Delivery, at: number): FaultTruth {
  const right = hit.series[at];
  const span = spanOf([right]);
  hit.series = hit.series.with(at, { ...right, startMs: right.startMs.map((ms) => ms - span.fromMs + CLOCK_2038_MS) });
  const { siteId, pointId } = right.meter.truth;
  return { kind: 'clock-2038', siteId, pointId, ...span, lost: true };
}

function spanOf(series: Delivery['series']): { fromMs: number; toMs: number; readingCount: number } {
  return {
    fromMs: Math.min(...series.map(({ startMs }) => startMs[0])),
    toMs: Math.max(...series.map(({ startMs, meter }) => startMs.at(-1)! + meter.declared.intervalMs)),
    readingCount: series.reduce((sum, { startMs }) => sum + startMs.length, 0),
  };
}
