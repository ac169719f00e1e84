/**
 * From readings to windows, a pure function for every kind of point: each reading (or pair of register readings) gives
 * a segment of time with a value or an energy, and segments are laid over the five-minute grid.
 */
import type { PointKind } from '../../schemas/types.ts';
import { MAX_INTERVAL_MILLI_WH, MAX_REGISTER_GAP_MS } from '../../streams/limits.ts';
import type { HotReadings, Readings } from './hot-readings.ts';
import { ReadingRun } from './reading-run.ts';
import { energyOf, QUALITY_ESTIMATED, QUALITY_MEASURED, QUALITY_MISSING, STEP_MS, type WindowScratch } from './window-scratch.ts';

/** What of a point's declaration decides how its readings are understood. */
export interface PointRules {
  kind: PointKind;
  intervalMs: number;
  maxHoldMs: number;
  deliveryDelayMs: number;
  registerModulusMilliWh: number | null;
  registerJitterMilliWh: number;
}

/** So many readings before a register reading decide whether a small fall is jitter. */
export const JITTER_LOOKBACK = 4;
/** Part of a register's range that passing its modulus may explain: between neighbours, and across a gap. */
const ROLLOVER_SHARE = 1 / 10;
const ROLLOVER_SHARE_OF_GAP = 1 / 2;

export function isEnergyKind(kind: PointKind): boolean {
  return kind === 'INTERVAL_ENERGY' || kind === 'REGISTER';
}

export function hasEnergy(kind: PointKind): boolean {
  return isEnergyKind(kind) || kind === 'MEAN_POWER' || kind === 'INSTANT_POWER';
}

/** Reused for every stretch: filled and read within one call. */
const run = new ReadingRun();

/** Fills the scratch with the windows of [fromMs, toMs), both on the five-minute grid. */
export function computeWindows(readings: HotReadings, rules: PointRules, fromMs: number, toMs: number, out: WindowScratch): void {
  const { kind, intervalMs } = rules;
  out.begin(fromMs, toMs);
  if (isEnergyKind(kind)) {
    out.empty();
    if (kind === 'REGISTER') layRegister(readings, rules, out);
    else layIntervals(readings, intervalMs, out);
    out.finishEnergy();
  } else layValues(readings, reachMs(rules), hasEnergy(kind), out);
}

/** A value holds until the next reading starts, at most `holdMs`. One window after the other, so that its sums stay at hand. */
function layValues(readings: HotReadings, holdMs: number, isPower: boolean, out: WindowScratch): void {
  const { fromMs, steps } = out;
  readings.unpack(Math.max(0, readings.firstAtOrAfter(fromMs) - 1), out.toMs, run);
  const { starts, values, marks, count } = run;
  let i = 0;
  let startMs = count > 0 ? starts[0] : Number.POSITIVE_INFINITY;
  // The value at hand, and over what time it still holds.
  let value = 0;
  let quality = 0;
  let sinceMs = 0;
  let untilMs = 0;
  for (let step = 0, edgeMs = fromMs + STEP_MS; step < steps; step++, edgeMs += STEP_MS) {
    let weighted = 0;
    let coveredMs = 0;
    let measuredMs = 0;
    let min = Number.POSITIVE_INFINITY;
    let max = Number.NEGATIVE_INFINITY;
    let last = 0;
    let readingCount = 0;
    let worst = 0;
    for (;;) {
      let endMs = untilMs;
      if (endMs > edgeMs) endMs = edgeMs;
      if (endMs > sinceMs) {
        const durationMs = endMs - sinceMs;
        weighted += value * durationMs;
        coveredMs += durationMs;
        if (quality === QUALITY_MEASURED) measuredMs += durationMs;
        else if (quality > worst) worst = quality;
        if (value < min) min = value;
        if (value > max) max = value;
        last = value;
        sinceMs = endMs;
      }
      if (untilMs > edgeMs || startMs >= edgeMs) break;
      if (startMs >= fromMs) readingCount++;
      value = values[i];
      quality = marks[i] & 3;
      const nextMs = ++i < count ? starts[i] : Number.POSITIVE_INFINITY;
      sinceMs = startMs;
      if (sinceMs < fromMs) sinceMs = fromMs;
      untilMs = startMs + holdMs;
      if (untilMs > nextMs) untilMs = nextMs;
      if (quality === QUALITY_MISSING) untilMs = sinceMs;
      startMs = nextMs;
    }
    const energyMilliWh = isPower ? energyOf(weighted) : 0;
    if (coveredMs === 0) worst = QUALITY_MISSING;
    out.put(step, energyMilliWh, weighted, coveredMs, measuredMs, min, max, last, readingCount, worst);
  }
}

function layIntervals(readings: HotReadings, intervalMs: number, out: WindowScratch): void {
  readings.unpack(readings.firstAtOrAfter(out.fromMs - intervalMs), out.toMs, run);
  const { starts, values, marks, count } = run;
  for (let i = 0; i < count; i++) {
    const startMs = starts[i];
    if (startMs >= out.toMs) return;
    out.count(startMs);
    const quality = marks[i] & 3;
    if (quality !== QUALITY_MISSING) out.addEnergy(startMs, startMs + intervalMs, values[i], quality);
  }
}

function layRegister(readings: HotReadings, rules: PointRules, out: WindowScratch): void {
  const first = Math.max(0, readings.firstAtOrAfter(out.fromMs) - 1);
  // With those before that its jitter is told by.
  const from = Math.max(0, first - JITTER_LOOKBACK);
  readings.unpack(from, out.toMs, run);
  const { starts, values, marks, count } = run;
  const longestMs = Math.min(spacingOf(rules), MAX_REGISTER_GAP_MS);
  // So many steps in a row that did not fall: as many as are looked back upon, and nothing is steadied.
  let ascending = 0;
  for (let i = 0; i < count; i++) {
    const startMs = starts[i];
    if (startMs >= out.toMs) return;
    if (i >= first - from) out.count(startMs);
    if (i + 1 >= count) return;
    const endMs = starts[i + 1];
    const rise = values[i + 1] - values[i];
    const plain = rise >= 0 && rise <= MAX_INTERVAL_MILLI_WH && marks[i] >> 2 === marks[i + 1] >> 2 && endMs - startMs <= longestMs;
    if (i >= first - from) {
      const measured = ((marks[i] | marks[i + 1]) & 3) === QUALITY_MEASURED;
      if (plain && measured && ascending >= JITTER_LOOKBACK) out.addEnergy(startMs, endMs, rise, QUALITY_MEASURED);
      else layChange(i, startMs, endMs, rules, out);
    }
    ascending = plain ? ascending + 1 : 0;
  }
}

/** A pair of register readings that has to be looked at more closely. */
function layChange(i: number, startMs: number, endMs: number, rules: PointRules, out: WindowScratch): void {
  const change = registerChange(run, i + 1, rules);
  if (change.kind === 'SWAP' || change.kind === 'GAP') return;
  const spread = isGap(startMs, endMs, rules) || change.kind === 'RESET';
  const quality = Math.max(run.quality(i), run.quality(i + 1), spread ? QUALITY_ESTIMATED : 0);
  if (quality < QUALITY_MISSING) out.addEnergy(startMs, endMs, change.energyMilliWh, quality);
}

export interface RegisterChange {
  kind: 'NORMAL' | 'JITTER' | 'ROLLOVER' | 'RESET' | 'SWAP' | 'GAP';
  /** Energy from reading i − 1 to reading i. */
  energyMilliWh: number;
}

/**
 * What happened between register readings i − 1 and i. Another device: a swap, the energy is not known. A fall within
 * the jitter: the difference, so that the sum stays that of the register. A fall that the modulus explains with a small
 * part of its range: a rollover. Any other fall: a reset, counted from zero. Across more than 31 days the energy is told
 * (notice), not spread.
 */
export function registerChange(readings: Readings, i: number, rules: PointRules): RegisterChange {
  if (readings.device(i) !== readings.device(i - 1)) return { kind: 'SWAP', energyMilliWh: 0 };
  const before = steadied(readings, i - 1, rules.registerJitterMilliWh);
  const after = steadied(readings, i, rules.registerJitterMilliWh);
  const gap = readings.startMs(i) - readings.startMs(i - 1) > MAX_REGISTER_GAP_MS;
  const rise = after - before;
  // No meter counts so much between two readings: another meter, or a reading that went wrong.
  if (rise > MAX_INTERVAL_MILLI_WH) return { kind: 'SWAP', energyMilliWh: 0 };
  if (rise >= 0) return { kind: gap ? 'GAP' : readings.value(i) < readings.value(i - 1) ? 'JITTER' : 'NORMAL', energyMilliWh: rise };
  if (-rise <= rules.registerJitterMilliWh) return { kind: 'JITTER', energyMilliWh: rise };
  const modulus = rules.registerModulusMilliWh;
  const share = isGap(readings.startMs(i - 1), readings.startMs(i), rules) ? ROLLOVER_SHARE_OF_GAP : ROLLOVER_SHARE;
  if (modulus !== null && rise + modulus >= 0 && rise + modulus < modulus * share)
    return { kind: gap ? 'GAP' : 'ROLLOVER', energyMilliWh: rise + modulus };
  if (after > MAX_INTERVAL_MILLI_WH) return { kind: 'SWAP', energyMilliWh: 0 };
  return { kind: gap ? 'GAP' : 'RESET', energyMilliWh: Math.max(0, after) };
}

function isGap(startMs: number, endMs: number, rules: PointRules): boolean {
  return endMs - startMs > spacingOf(rules);
}

/** Readings of a register that lie further apart have a gap between them. */
function spacingOf({ intervalMs }: PointRules): number {
  return 2 * Math.max(intervalMs, STEP_MS);
}

/** The register's value with jitter taken out: the highest of the last few readings that lies within the jitter above. */
function steadied(readings: Readings, i: number, jitterMilliWh: number): number {
  const value = readings.value(i);
  if (jitterMilliWh === 0) return value;
  let highest = value;
  for (let j = i - 1; j >= Math.max(0, i - JITTER_LOOKBACK); j--) {
    const earlier = readings.value(j);
    if (readings.device(j) !== readings.device(i) || Math.abs(earlier - value) > jitterMilliWh) break;
    if (earlier > highest) highest = earlier;
  }
  return highest;
}

/** Time that a change of reading i can bear on: from … to (ms), to be revised where it was emitted before. */
export function affectedFromMs(readings: HotReadings, i: number, rules: PointRules): number {
  return rules.kind === 'REGISTER' && i > 0 ? readings.startMs(i - 1) : readings.startMs(i);
}

export function affectedToMs(readings: HotReadings, i: number, rules: PointRules): number {
  const startMs = readings.startMs(i);
  // At least its own window, where it counts.
  if (rules.kind === 'REGISTER') return Math.max(startMs + 1, readings.startMs(Math.min(readings.count - 1, i + 1 + lookback(rules))));
  const endMs = startMs + reachMs(rules);
  // A source interval has its whole length, a value ends with the next one.
  if (rules.kind === 'INTERVAL_ENERGY' || i + 1 >= readings.count) return endMs;
  return Math.min(endMs, Math.max(startMs + 1, readings.startMs(i + 1)));
}

function lookback(rules: PointRules): number {
  return rules.registerJitterMilliWh > 0 ? JITTER_LOOKBACK : 0;
}

/** How long after its start a reading says something, where no other one follows. */
export function reachMs(rules: PointRules): number {
  if (rules.kind === 'REGISTER') return 0;
  return rules.kind === 'MEAN_POWER' || rules.kind === 'INTERVAL_ENERGY' ? rules.intervalMs : rules.maxHoldMs;
}

/**
 * How long after a moment the readings that tell about it may come: what is agreed, and for intervals and registers the
 * spacing, as they are known at their end only.
 */
export function waitMs(rules: PointRules): number {
  const { kind, intervalMs, deliveryDelayMs } = rules;
  return deliveryDelayMs + (kind === 'MEAN_POWER' || isEnergyKind(kind) ? intervalMs : 0);
}

/**
 * Whether a reading that starts before the hot range bears on windows of it: it is the value that holds there, reaches
 * into it, or is among the register readings before it that are looked back upon.
 */
export function bearsOnHot(readings: HotReadings, startMs: number, hotMs: number, rules: PointRules): boolean {
  const between = readings.firstAtOrAfter(hotMs) - readings.firstAtOrAfter(startMs + 1);
  if (rules.kind === 'REGISTER') return between <= lookback(rules);
  if (startMs + reachMs(rules) <= hotMs) return false;
  return rules.kind === 'INTERVAL_ENERGY' || between === 0;
}

/** Time up to which the readings say all there is to say: later ones can only add beyond it. */
export function coveredThroughMs(readings: HotReadings, rules: PointRules): number {
  const lastMs = readings.lastStartMs;
  return rules.kind === 'MEAN_POWER' || rules.kind === 'INTERVAL_ENERGY' ? lastMs + rules.intervalMs : lastMs;
}
