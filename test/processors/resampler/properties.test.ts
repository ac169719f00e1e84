/** What holds for whatever readings come, in whatever order: checked on random deliveries to one point of each kind. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { resampler } from '../../../processors/resampler/resampler.ts';
import type { PointDeclared } from '../../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../streams/limits.ts';
import type { Processor } from '../../../streams/processor.ts';
import { type Emitted, pointOf, SiteRig } from '../harness/site-rig.ts';

const SEED = 20260114;
const FIVE = 5 * MINUTE_MS;
const WIDTHS = [FIVE, 15 * MINUTE_MS, HOUR_MS];
const T0 = Date.UTC(2026, 0, 14);
/** Readings lie in these hours, so that those that come latest are days older than the hot state. */
const SPAN_MS = 30 * HOUR_MS;

interface Arrival {
  startMs: number;
  value: number;
  quality: number;
  deviceId: string | null;
  arrivesMs: number;
}

const KINDS = ['MEAN_POWER', 'INSTANT_POWER', 'INTERVAL_ENERGY', 'REGISTER', 'TEMPERATURE', 'STATE'] as const;

const pointArbitrary: fc.Arbitrary<PointDeclared> = fc
  .record({
    kind: fc.constantFrom(...KINDS),
    intervalMs: fc.constantFrom(MINUTE_MS, 7 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS),
    deliveryDelayMs: fc.constantFrom(0, 10 * MINUTE_MS, 6 * HOUR_MS),
    registerJitterMilliWh: fc.constantFrom(0, 30),
  })
  .map(({ kind, ...more }) => pointOf('p', kind, { ...more, maxHoldMs: 2 * more.intervalMs }));

const DELAYS_MS = [MINUTE_MS, 3 * MINUTE_MS, 20 * MINUTE_MS, 2 * HOUR_MS, 5 * HOUR_MS, 26 * HOUR_MS, 90 * HOUR_MS];

/** Readings on a grid of the point's spacing, with some off it; registers ascend, so that later values are larger. */
function arrivalsOf(point: PointDeclared, delaysMs: readonly number[], devices: readonly (string | null)[]): fc.Arbitrary<Arrival[]> {
  const slots = Math.floor(SPAN_MS / point.intervalMs);
  return fc.array(
    fc
      .record({
        slot: fc.integer({ min: 0, max: slots - 1 }),
        offGridMs: fc.constantFrom(0, 0, 0, 61_007),
        value: fc.integer({ min: -500, max: 5000 }),
        quality: fc.constantFrom(0, 0, 0, 0, 1, 2, 3),
        delayMs: fc.constantFrom(...delaysMs),
        device: fc.nat({ max: devices.length - 1 }),
      })
      .map(({ slot, offGridMs, value, quality, delayMs, device }) => {
        const startMs = T0 + slot * point.intervalMs + offGridMs;
        return {
          startMs,
          value: point.kind === 'REGISTER' ? slot * 1000 + Math.floor(offGridMs / 1000) + (Math.abs(value) % 40) : value,
          quality: point.kind === 'REGISTER' ? 0 : quality,
          deviceId: devices[device],
          arrivesMs: startMs + delayMs,
        };
      }),
    { maxLength: 40 },
  );
}

const scenario = (devices: readonly (string | null)[] = [null], delaysMs: readonly number[] = DELAYS_MS) =>
  pointArbitrary.chain((point) => fc.record({ point: fc.constant(point), arrivals: arrivalsOf(point, delaysMs, devices) }));

/** Delivers in the order of arrival between ticks, then ticks until all is closed and every reload is answered. */
function play(point: PointDeclared, arrivals: readonly Arrival[], tickEveryMs = FIVE): SiteRig {
  const rig = new SiteRig({ processors: [resampler as Processor], points: [point] });
  let tickMs = T0;
  rig.tick(tickMs);
  for (const arrival of [...arrivals].sort((a, b) => a.arrivesMs - b.arrivesMs)) {
    while (tickMs + tickEveryMs <= arrival.arrivesMs) rig.tick((tickMs += tickEveryMs));
    rig.deliver('p', [arrival], arrival.arrivesMs);
  }
  const endMs = Math.max(tickMs, T0 + SPAN_MS) + 16 * HOUR_MS;
  while (tickMs < endMs) rig.tick((tickMs += 10 * MINUTE_MS));
  return rig;
}

const check = <T>(arbitrary: fc.Arbitrary<T>, holds: (value: T) => void, numRuns = 40) =>
  fc.assert(fc.property(arbitrary, holds), { seed: SEED, numRuns });

/** What a window says, without when and why it was said. */
function values({ flags: _f, revision: _r, reason: _e, ...rest }: Emitted) {
  return rest;
}

function told(rig: SiteRig, widthMs: number) {
  return [...rig.current('p', widthMs).values()].filter((w) => w.coveredMs > 0 || w.readingCount > 0).map(values);
}

describe('any readings, in any order', () => {
  it('end in a window, a counted double or a rejection: none is lost, none counts twice', () => {
    check(
      fc.record({
        scenario: scenario([null, 'a']),
        future: fc.array(fc.integer({ min: 11, max: 1_000_000 }), { maxLength: 3 }),
        again: fc.boolean(),
      }),
      ({ scenario: { point, arrivals }, future, again }) => {
        const early = future.map((minutes) => ({
          ...{ value: 7, quality: 0, deviceId: null, arrivesMs: T0 + HOUR_MS },
          startMs: T0 + HOUR_MS + minutes * MINUTE_MS,
        }));
        const doubled = again ? arrivals.map((a) => ({ ...a, arrivesMs: a.arrivesMs + HOUR_MS })) : [];
        const delivered = [...arrivals, ...early, ...doubled];
        const rig = play(point, delivered);
        const counted = [...rig.current('p', FIVE).values()].reduce((sum, { readingCount }) => sum + readingCount, 0);
        const doubles = rig.notices.filter(({ kind }) => kind === 'DOUBLE').reduce((sum, { count }) => sum + count, 0);
        const rejected = rig.rejected.reduce((sum, { readingCount }) => sum + readingCount, 0);
        assert.equal(rejected, early.length);
        const distinct = new Set([...arrivals, ...doubled].map(({ startMs }) => startMs)).size;
        assert.equal(counted, distinct);
        assert.equal(counted + doubles + rejected, delivered.length);
      },
    );
  });

  it('number the revisions of every window 0, 1, 2 …', () => {
    check(scenario([null, 'a']), ({ point, arrivals }) => {
      const next = new Map<string, number>();
      for (const { widthMs, startMs, revision } of play(point, arrivals).emitted) {
        const window = `${widthMs} ${startMs}`;
        assert.equal(revision, next.get(window) ?? 0, window);
        next.set(window, revision + 1);
      }
    });
  });

  it('make every wider window the sum of its five-minute windows', () => {
    check(scenario([null, 'a']), ({ point, arrivals }) => {
      const rig = play(point, arrivals);
      const fives = rig.current('p', FIVE);
      for (const widthMs of WIDTHS.slice(1)) {
        for (const wide of rig.current('p', widthMs).values()) {
          const parts = Array.from({ length: widthMs / FIVE }, (_, i) => fives.get(wide.startMs + i * FIVE)).filter(
            (part) => part !== undefined,
          );
          const covered = parts.filter(({ coveredMs }) => coveredMs > 0);
          const sum = (of: (part: Emitted) => number) => parts.reduce((total, part) => total + of(part), 0);
          assert.equal(
            wide.energyMilliWh,
            sum((part) => part.energyMilliWh),
          );
          assert.equal(
            wide.readingCount,
            sum((part) => part.readingCount),
          );
          assert.equal(
            wide.coveredMs,
            sum((part) => part.coveredMs),
          );
          assert.equal(
            wide.measuredMs,
            sum((part) => part.measuredMs),
          );
          if (covered.length === 0) continue;
          assert.equal(wide.min, Math.min(...covered.map(({ min }) => min)));
          assert.equal(wide.max, Math.max(...covered.map(({ max }) => max)));
          assert.equal(wide.last, covered.at(-1)!.last);
          const mean = covered.reduce((total, part) => total + part.mean * part.coveredMs, 0) / wide.coveredMs;
          assert.ok(Math.abs(mean - wide.mean) <= 1e-9 * Math.max(1, Math.abs(mean)));
        }
      }
    });
  });

  it('give the same windows as in order, as long as each reading comes once', () => {
    check(
      scenario(),
      ({ point, arrivals }) => {
        const once = [...new Map(arrivals.map((arrival) => [arrival.startMs, arrival])).values()];
        const inOrder = play(
          point,
          once.map((arrival) => ({ ...arrival, arrivesMs: arrival.startMs + MINUTE_MS })),
        );
        const asTheyCome = play(point, once);
        for (const widthMs of WIDTHS) assert.deepEqual(told(asTheyCome, widthMs), told(inOrder, widthMs), `${widthMs}`);
      },
      100,
    );
  });

  it('give the same windows at any spacing of ticks', () => {
    check(scenario(), ({ point, arrivals }) => {
      const often = play(point, arrivals, MINUTE_MS);
      const seldom = play(point, arrivals, 9 * MINUTE_MS);
      for (const widthMs of WIDTHS) assert.deepEqual(told(often, widthMs), told(seldom, widthMs), `${widthMs}`);
    });
  });
});

describe('energy', () => {
  const once = (arrivals: Arrival[]) => [...new Map(arrivals.map((arrival) => [arrival.startMs, arrival])).values()];
  const days = (rig: SiteRig, widthMs: number) => {
    const sums = new Map<number, number>();
    for (const [startMs, { energyMilliWh }] of rig.current('p', widthMs)) {
      const day = Math.floor(startMs / DAY_MS);
      sums.set(day, (sums.get(day) ?? 0) + energyMilliWh);
    }
    return [...sums].filter(([, sum]) => sum !== 0);
  };

  it('of source intervals is conserved to the milliwatt-hour, at every width', () => {
    check(scenario(), ({ point, arrivals }) => {
      const intervals = once(arrivals);
      const rig = play({ ...point, kind: 'INTERVAL_ENERGY' }, intervals);
      const all = intervals.reduce((sum, { value, quality }) => sum + (quality === 3 ? 0 : Math.round(value)), 0);
      for (const widthMs of WIDTHS) assert.equal(rig.energyMilliWh('p', widthMs), all, `${widthMs}`);
      for (const widthMs of WIDTHS.slice(1)) assert.deepEqual(days(rig, widthMs), days(rig, FIVE));
    });
  });

  it('of a register is the difference of its last and first reading, across gaps and lateness', () => {
    const registers = scenario().filter(({ point, arrivals }) => point.kind === 'REGISTER' && arrivals.length > 1);
    check(registers, ({ point, arrivals }) => {
      const readings = once(arrivals).sort((a, b) => a.startMs - b.startMs);
      let highest = 0;
      for (const reading of readings) reading.value = highest = Math.max(highest, Math.round(reading.value));
      const rig = play(point, readings);
      for (const widthMs of WIDTHS) assert.equal(rig.energyMilliWh('p', widthMs), highest - readings[0].value, `${widthMs}`);
    });
  });
});
