/** Windows of several hours revised at once, while the latest is not closed, are those that all readings give from scratch. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Readings } from '../../../processors/resampler/hot-readings.ts';
import { resampler } from '../../../processors/resampler/resampler.ts';
import { hasEnergy, reachMs, registerChange } from '../../../processors/resampler/segments.ts';
import type { PointDeclared } from '../../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MAX_INTERVAL_MILLI_WH, MAX_REGISTER_GAP_MS, MINUTE_MS } from '../../../streams/limits.ts';
import type { Processor } from '../../../streams/processor.ts';
import { codecOfCurrentSchemas, type Emitted, pointOf, type Reading, SiteRig } from '../harness/site-rig.ts';

const SEED = 20260114;
const FIVE = 5 * MINUTE_MS;
const WIDTHS = [FIVE, 15 * MINUTE_MS, HOUR_MS];
const T0 = Date.UTC(2026, 0, 14, 9);
const codec = codecOfCurrentSchemas();

/** Readings as plain arrays; devices by their place among those that have come. */
class PlainReadings implements Readings {
  private readonly all: readonly Reading[];
  private readonly devices: readonly (string | null)[];

  constructor(all: readonly Reading[]) {
    this.all = all;
    this.devices = [...new Set(all.map(({ deviceId = null }) => deviceId))];
  }
  get count(): number {
    return this.all.length;
  }
  startMs(i: number): number {
    return this.all[i].startMs;
  }
  value(i: number): number {
    return this.all[i].value;
  }
  quality(i: number): number {
    return this.all[i].quality ?? 0;
  }
  device(i: number): number {
    return this.devices.indexOf(this.all[i].deviceId ?? null);
  }
}

/** A stretch of time with one value (W, °C, code) or energy (mWh); `energy` from a to b is told as a cumulative curve. */
interface Segment {
  fromMs: number;
  toMs: number;
  value: number;
  quality: number;
  energy: ((fromMs: number, toMs: number) => number) | null;
}

function segmentsOf(point: PointDeclared, all: readonly Reading[]): Segment[] {
  const readings = new PlainReadings(all);
  const ofEnergy = (fromMs: number, toMs: number, energy: number, quality: number): Segment => {
    const until = (timeMs: number) => (timeMs === toMs ? energy : Math.round((energy * (timeMs - fromMs)) / (toMs - fromMs)));
    return { fromMs, toMs, value: (energy * 3_600) / (toMs - fromMs), quality, energy: (a, b) => until(b) - until(a) };
  };
  return all.flatMap(({ startMs, value, quality = 0 }, i): Segment[] => {
    const nextMs = all[i + 1]?.startMs ?? Number.POSITIVE_INFINITY;
    if (point.kind !== 'REGISTER') {
      if (quality === 3) return [];
      if (point.kind === 'INTERVAL_ENERGY') return [ofEnergy(startMs, startMs + point.intervalMs, value, quality)];
      return [{ fromMs: startMs, toMs: Math.min(nextMs, startMs + reachMs(point)), value, quality, energy: null }];
    }
    if (i + 1 === all.length) return [];
    const { kind, energyMilliWh } = registerChange(readings, i + 1, point);
    const spread = kind === 'RESET' || nextMs - startMs > 2 * Math.max(point.intervalMs, FIVE);
    const worst = Math.max(quality, all[i + 1].quality ?? 0, spread ? 1 : 0);
    return kind === 'SWAP' || kind === 'GAP' || worst === 3 ? [] : [ofEnergy(startMs, nextMs, energyMilliWh, worst)];
  });
}

type Values = Omit<Emitted, 'pointId' | 'widthMs' | 'flags' | 'revision' | 'reason' | 'mean'> & { weighted: number };

/** A window of five minutes: whatever is within it, added up in the order of time. */
function fiveMinutes(point: PointDeclared, segments: readonly Segment[], all: readonly Reading[], startMs: number): Values {
  const endMs = startMs + FIVE;
  const within = segments.filter(({ fromMs, toMs }) => fromMs < endMs && toMs > startMs);
  const parts = within.map(({ fromMs, toMs, ...rest }) => ({ ...rest, a: Math.max(fromMs, startMs), b: Math.min(toMs, endMs) }));
  const sum = (of: (part: (typeof parts)[number]) => number) => parts.reduce((total, part) => total + of(part), 0);
  const weighted = sum(({ value, a, b }) => value * (b - a));
  const energyMilliWh = sum(({ energy, a, b }) => energy?.(a, b) ?? 0);
  const given = all.filter((reading) => reading.startMs >= startMs && reading.startMs < endMs);
  const numbers = parts.map(({ value }) => value);
  return {
    startMs,
    energyMilliWh: segments.some(({ energy }) => energy !== null)
      ? energyMilliWh
      : hasEnergy(point.kind)
        ? Math.round(weighted / 3_600)
        : 0,
    weighted,
    min: Math.min(...numbers),
    max: Math.max(...numbers),
    last: numbers.at(-1) ?? 0,
    readingCount: given.length,
    coveredMs: sum(({ a, b }) => b - a),
    measuredMs: sum(({ a, b, quality }) => (quality === 0 ? b - a : 0)),
    quality: Math.max(0, ...parts.map(({ quality }) => quality)),
  };
}

/** A window of any width, as it is emitted. */
function windowOf(fives: (startMs: number) => Values, startMs: number, widthMs: number): Omit<Values, 'weighted'> & { mean: number } {
  const parts = Array.from({ length: widthMs / FIVE }, (_, i) => fives(startMs + i * FIVE));
  const covered = parts.filter(({ coveredMs }) => coveredMs > 0);
  const sum = (of: (part: Values) => number) => parts.reduce((total, part) => total + of(part), 0);
  const coveredMs = sum((part) => part.coveredMs);
  return {
    startMs,
    energyMilliWh: sum((part) => part.energyMilliWh),
    mean: coveredMs > 0 ? sum(({ weighted }) => weighted) / coveredMs : 0,
    min: coveredMs > 0 ? Math.min(...covered.map(({ min }) => min)) : 0,
    max: coveredMs > 0 ? Math.max(...covered.map(({ max }) => max)) : 0,
    last: covered.at(-1)?.last ?? 0,
    readingCount: sum((part) => part.readingCount),
    coveredMs,
    measuredMs: sum((part) => part.measuredMs),
    quality: coveredMs > 0 ? Math.max(...covered.map(({ quality }) => quality)) : 3,
  };
}

function assertFromScratch(rig: SiteRig, point: PointDeclared, delivered: ReadonlyMap<number, Reading>): number {
  const all = [...delivered.values()].sort((a, b) => a.startMs - b.startMs);
  const segments = segmentsOf(point, all);
  const known = new Map<number, Values>();
  const fives = (startMs: number) => {
    const values = known.get(startMs) ?? fiveMinutes(point, segments, all, startMs);
    known.set(startMs, values);
    return values;
  };
  let compared = 0;
  for (const widthMs of WIDTHS)
    for (const [startMs, window] of rig.current('p', widthMs)) {
      const { pointId: _p, widthMs: _w, flags: _f, revision: _r, reason: _e, ...values } = window;
      assert.deepEqual(values, windowOf(fives, startMs, widthMs), `${widthMs} ms at ${new Date(startMs).toISOString()}`);
      compared++;
    }
  return compared;
}

/** Each window at most once a tick and in order, its revisions numbered. Returns how many hours one tick revised at most. */
function assertTold(emitted: readonly Emitted[], ticks: readonly number[]): number {
  const next = new Map<string, number>();
  let most = 0;
  for (const [i, from] of ticks.entries()) {
    const hours = new Set<number>();
    for (const widthMs of WIDTHS) {
      const told = emitted.slice(from, ticks[i + 1]).filter((window) => window.widthMs === widthMs);
      // First those that are revised, then those that are new.
      const starts = told.map(({ startMs, revision }) => startMs + (revision === 0 ? DAY_MS : 0));
      assert.deepEqual(
        starts,
        [...new Set(starts)].sort((a, b) => a - b),
      );
      for (const { startMs, revision } of told) {
        assert.equal(revision, next.get(`${widthMs} ${startMs}`) ?? 0);
        next.set(`${widthMs} ${startMs}`, revision + 1);
        if (revision > 0) hours.add(Math.floor(startMs / HOUR_MS));
      }
    }
    most = Math.max(most, hours.size);
  }
  return most;
}

const points = fc
  .record({
    kind: fc.constantFrom(
      'MEAN_POWER' as const,
      'INSTANT_POWER' as const,
      'INTERVAL_ENERGY' as const,
      'REGISTER' as const,
      'TEMPERATURE' as const,
    ),
    intervalMs: fc.constantFrom(MINUTE_MS, 4 * MINUTE_MS, 15 * MINUTE_MS),
    deliveryDelayMs: fc.constantFrom(0, 20 * MINUTE_MS),
    registerJitterMilliWh: fc.constantFrom(0, 8),
  })
  .map(({ kind, ...more }) => pointOf('p', kind, { ...more, maxHoldMs: 3 * more.intervalMs }));

/** What comes between two ticks: the latest readings but for some, and others that are late by so many minutes. */
interface Stretch {
  minutes: number;
  missing: number;
  late: { agoMinutes: number; value: number; quality: number; off: boolean }[];
}
const stretches: fc.Arbitrary<Stretch[]> = fc.array(
  fc.record({
    minutes: fc.constantFrom(5, 5, 11, 35, 90),
    missing: fc.constantFrom(2, 3, 7, 100),
    late: fc.array(
      fc.record({
        agoMinutes: fc.integer({ min: 1, max: 200 }),
        value: fc.integer({ min: -20, max: 900 }),
        quality: fc.constantFrom(0, 0, 1, 3),
        off: fc.boolean(),
      }),
      { maxLength: 6 },
    ),
  }),
  { minLength: 2, maxLength: 12 },
);

describe('hours revised at once', () => {
  it('are what all readings give from scratch, after every closing', () => {
    let compared = 0;
    let several = 0;
    const property = fc.property(points, stretches, (point, given) => {
      const rig = new SiteRig({ processors: [resampler as Processor], points: [point], codec });
      const delivered = new Map<number, Reading>();
      const ticks = [0];
      const deliver = (reading: Reading, nowMs: number) => {
        rig.deliver('p', [reading], nowMs);
        delivered.set(reading.startMs, reading);
      };
      // A register with jitter stands nearly still, so that it falls by less than that time and again.
      const levelOf = (startMs: number, value: number) => {
        const minute = Math.floor((startMs - T0) / MINUTE_MS);
        if (point.kind !== 'REGISTER') return value;
        return point.registerJitterMilliWh > 0 ? 1_000 + Math.floor(minute / 7) * 3 + (Math.abs(value) % 8) : minute * 10 + (value % 30);
      };
      let nowMs = T0;
      let slotMs = T0;
      rig.tick(T0);
      for (const { minutes, missing, late } of given) {
        nowMs += minutes * MINUTE_MS;
        for (let i = 0; slotMs < nowMs; slotMs += point.intervalMs, i++)
          if (i % missing !== missing - 1) deliver({ startMs: slotMs, value: levelOf(slotMs, (i * 7) % 20) }, nowMs);
        for (const { agoMinutes, value, quality, off } of late) {
          const agoMs = Math.floor((nowMs - agoMinutes * MINUTE_MS) / point.intervalMs) * point.intervalMs;
          // Source intervals lie on their grid, or they would overlap.
          const startMs = agoMs + (off && point.kind !== 'INTERVAL_ENERGY' ? 7_001 : 0);
          if (startMs >= T0) deliver({ startMs, value: levelOf(startMs, value), quality }, nowMs);
        }
        ticks.push(rig.emitted.length);
        rig.tick(Math.ceil(nowMs / FIVE) * FIVE + 2 * MINUTE_MS);
        compared += assertFromScratch(rig, point, delivered);
      }
      assert.deepEqual(rig.requests, []);
      if (assertTold(rig.emitted, ticks) > 1) several++;
    });
    fc.assert(property, { seed: SEED, numRuns: 25 });
    assert.ok(compared > 3_000 && several > 10, `${compared} windows, ${several} times several hours`);
  });
});

describe('a register read one by one', () => {
  const NOTICE: Partial<Record<string, string>> = { ROLLOVER: 'REGISTER_ROLLOVER', RESET: 'REGISTER_RESET', SWAP: 'METER_SWAP' };

  /** Kinds and starts of what is told of readings in order. */
  function toldOf(point: PointDeclared, all: readonly Reading[]): string[] {
    const readings = new PlainReadings(all);
    return all.flatMap(({ startMs }, i) => {
      if (i === 0) return [];
      const gap = startMs - all[i - 1].startMs > MAX_REGISTER_GAP_MS ? [`REGISTER_GAP ${startMs}`] : [];
      const notice = NOTICE[registerChange(readings, i, point).kind];
      return notice === undefined ? gap : [...gap, `${notice} ${startMs}`];
    });
  }

  function assertNotices(point: PointDeclared, all: readonly Reading[]): number {
    const rig = new SiteRig({ processors: [resampler as Processor], points: [point], codec, reloads: false });
    for (const reading of all) {
      rig.tick(reading.startMs);
      rig.deliver('p', [reading], reading.startMs);
    }
    const told = rig.notices.filter(({ kind }) => kind.startsWith('REGISTER') || kind === 'METER_SWAP');
    assert.deepEqual(
      told.map(({ kind, startMs }) => `${kind} ${startMs}`),
      toldOf(point, all),
    );
    return told.length;
  }

  it('tells of every reset, rollover, swap and gap, and of nothing else', () => {
    let told = 0;
    const steps = fc.record({
      gapMs: fc.oneof(
        { weight: 9, arbitrary: fc.constant(MINUTE_MS) },
        fc.constantFrom(20 * MINUTE_MS, HOUR_MS, MAX_REGISTER_GAP_MS, MAX_REGISTER_GAP_MS + 1),
      ),
      rise: fc.oneof(
        { weight: 4, arbitrary: fc.integer({ min: 0, max: 20 }) },
        fc.constantFrom(-1, -8, -9, -950, -9_900, MAX_INTERVAL_MILLI_WH / 2, MAX_INTERVAL_MILLI_WH, MAX_INTERVAL_MILLI_WH + 9),
      ),
      device: fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, fc.constantFrom('', 'a')),
    });
    const property = fc.property(
      fc.constantFrom(0, 31 * DAY_MS),
      fc.constantFrom(0, 8),
      fc.constantFrom(null, 10_000),
      fc.array(steps, { maxLength: 40, size: 'max' }),
      (deliveryDelayMs, registerJitterMilliWh, registerModulusMilliWh, given) => {
        const point = pointOf('p', 'REGISTER', { deliveryDelayMs, registerJitterMilliWh, registerModulusMilliWh });
        const all: Reading[] = [{ startMs: T0, value: 9_990, deviceId: null }];
        for (const { gapMs, rise, device } of given) {
          const { startMs, value } = all.at(-1)!;
          all.push({ startMs: startMs + gapMs, value: Math.max(0, value + rise), deviceId: device });
        }
        told += assertNotices(point, all);
      },
    );
    fc.assert(property, { seed: SEED, numRuns: 30 });
    assert.ok(told > 100, `${told}`);
  });

  it('tells of a swap where the device changes, and nowhere else, however many devices there were', () => {
    const point = pointOf('p', 'REGISTER', { intervalMs: MINUTE_MS });
    // More than memory holds at a time would have the same number.
    const all = Array.from({ length: 3 * 150 }, (_, i) => ({
      startMs: T0 + i * 10 * MINUTE_MS,
      value: 1_000 + i,
      deviceId: `device-${Math.floor(i / 3) % 140}`,
    }));
    assert.equal(assertNotices(point, all), 149);
  });
});
