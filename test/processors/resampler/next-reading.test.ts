/** What is taken on the short way (takeNextReading) leaves the state, outputs and rejections that the long way alone leaves. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { takeNextReading, takeReadings } from '../../../processors/resampler/intake.ts';
import { PointState } from '../../../processors/resampler/point-state.ts';
import { resampler, type SiteState } from '../../../processors/resampler/resampler.ts';
import type { PointDeclared, PointReadings, ReadingsDelivery } from '../../../schemas/types.ts';
import { DAY_MS, HOUR_MS, MAX_INTERVAL_MILLI_WH, MAX_POWER_W, MAX_VALUE, MINUTE_MS } from '../../../streams/limits.ts';
import type { Emit, Processor, ProcessorEvent, Reject } from '../../../streams/processor.ts';
import { valueLimitOf } from '../../../streams/reading-columns.ts';
import { StateReader, StateWriter } from '../../../streams/state-bytes.ts';
import { codecOfCurrentSchemas, pointOf, SiteRig, seriesOf } from '../harness/site-rig.ts';

const SEED = 20260114;
const codec = codecOfCurrentSchemas();
const T0 = Date.UTC(2026, 0, 14, 20, 31);
const HALF = MAX_INTERVAL_MILLI_WH / 2;
const every = { intervalMs: MINUTE_MS, maxHoldMs: 5 * MINUTE_MS };

const POINTS: PointDeclared[] = [
  pointOf('power', 'MEAN_POWER', every),
  pointOf('sample', 'INSTANT_POWER', every),
  pointOf('energy', 'INTERVAL_ENERGY', every),
  pointOf('register', 'REGISTER', every),
  pointOf('jittery', 'REGISTER', { ...every, registerJitterMilliWh: 30 }),
  pointOf('rolling', 'REGISTER', { ...every, registerModulusMilliWh: 10_000, registerJitterMilliWh: 5 }),
  pointOf('warmth', 'TEMPERATURE', every),
  pointOf('valve', 'STATE', { ...every, deliveryDelayMs: 20 * MINUTE_MS }),
];
const isEnergy = ({ kind }: PointDeclared) => kind === 'REGISTER' || kind === 'INTERVAL_ENERGY';

/** The resampler without the short way. */
const longWay: Processor<SiteState> = {
  ...resampler,
  onEvent(site, event, emit, reject) {
    if (event.topic !== 'meter.readings' || !site.declared) return resampler.onEvent(site, event, emit, reject);
    for (const series of (event.value as ReadingsDelivery).series) {
      const { pointId } = series;
      const point = site.points.get(pointId);
      if (point !== undefined && !point.removed) takeReadings(site, point, series, event, emit, reject);
      else reject('POINT_UNKNOWN', `The site does not declare the point ${pointId}.`, { pointId, readingCount: series.startMs.length });
    }
  },
};

/** The resampler, which tells what it took on the short way: what is refused there is tried once more by itself. */
function told(taken: (pointId: string) => void): Processor<SiteState> {
  const onEvent = (site: SiteState, event: ProcessorEvent, emit: Emit, reject: Reject) => {
    if (event.topic !== 'meter.readings' || !site.declared) return resampler.onEvent(site, event, emit, reject);
    const delivery = event.value as ReadingsDelivery;
    for (const series of delivery.series) {
      const point = site.points.get(series.pointId);
      if (point !== undefined && !point.removed && takeNextReading(point, series, event.streamTimeMs)) taken(series.pointId);
      else resampler.onEvent(site, { ...event, value: { ...delivery, series: [series] } }, emit, reject);
    }
  };
  return { ...resampler, onEvent };
}

/** Three sites that are given the same: the short way where it goes, the same told, and the long way only; and one fed by changes. */
class Ways {
  readonly short = new SiteRig({ processors: [resampler as Processor], points: POINTS, codec });
  readonly told: SiteRig;
  readonly long = new SiteRig({ processors: [longWay as Processor], points: POINTS, codec });
  readonly fed = new SiteRig({ processors: [resampler as Processor], points: POINTS, codec });
  readonly taken = new Map<string, number>();
  nowMs = T0;
  /** Latest value of each point, so that registers go on. */
  readonly values = new Map<string, number>();
  private readonly ways: SiteRig[];

  constructor() {
    this.told = new SiteRig({
      processors: [told((pointId) => this.taken.set(pointId, (this.taken.get(pointId) ?? 0) + 1)) as Processor],
      points: POINTS,
      codec,
    });
    this.ways = [this.short, this.told, this.long];
    this.commit(true);
  }

  all(give: (rig: SiteRig) => void): void {
    for (const rig of this.ways) give(rig);
  }

  /** Nobody looks at readings before a commit, as looking moves them. */
  commit(everything: boolean): void {
    const [delta, ...others] = this.ways.map(({ drive }) => drive.encodeState(everything));
    for (const other of others) assert.ok(delta.equals(other), 'the changes');
    this.all(({ drive }) => drive.markCommitted());
    this.fed.drive.applyState(delta);
  }

  end(): void {
    this.commit(false);
    const [state, ...others] = [...this.ways, this.fed].map(({ drive }) => drive.encodeState(true));
    for (const other of others) assert.ok(state.equals(other), 'the state');
    for (const what of ['emitted', 'notices', 'rejected', 'requests'] as const)
      for (const rig of [this.told, this.long]) assert.deepEqual(rig[what], this.short[what], what);
  }
}

/** One reading out of the ordinary, or one that just is not. */
interface Odd {
  do: 'odd';
  point: number;
  /** Of the readings' time: after the latest tick, or the point's last reading. */
  afterMs: number;
  base: 'tick' | 'last' | 'minute';
  /** The value is this much more than the last one, or just this. */
  value: number;
  more: boolean;
  quality: number[];
  device: string | null;
  form: keyof typeof FORMS;
}

/** What may be the matter with the columns of a series of one reading. */
const FORMS = {
  usual: () => {},
  'other unit': (series) => Object.assign(series, { unit: series.unit === 'WATT' ? 'CODE' : 'WATT' }),
  'other column': (series) => Object.assign(series, { value: series.energyMilliWh, energyMilliWh: series.value.map(Math.trunc) }),
  'both columns': (series) => {
    const [value] = [...series.value, ...series.energyMilliWh];
    Object.assign(series, { value: [value], energyMilliWh: [Math.trunc(value)] });
  },
  'no values': (series) => Object.assign(series, { value: [], energyMilliWh: [] }),
  'no starts': (series) => Object.assign(series, { startMs: [] }),
  'nothing at all': (series) => Object.assign(series, { value: [], energyMilliWh: [], startMs: [], quality: new Uint8Array() }),
  'two starts': (series) => series.startMs.push(1_000),
  'two values': (series) => valuesOf(series).push(1),
  'two readings': (series) => {
    series.startMs.push(1_000);
    valuesOf(series).push(valuesOf(series)[0] + 1);
  },
  'unknown point': (series) => Object.assign(series, { pointId: 'nobody' }),
} satisfies Record<string, (series: PointReadings) => unknown>;

const valuesOf = (series: PointReadings) => (series.unit === 'MILLIWATT_HOUR' ? series.energyMilliWh : series.value);
type Operation =
  | Odd
  | { do: 'minutes'; count: number; order: 'asDeclared' | 'backwards' | 'missing'; together: boolean; device: string | null }
  | { do: 'devices'; point: number; count: number }
  | { do: 'declare'; without: number }
  | { do: 'tick'; afterMs: number }
  | { do: 'commit'; everything: boolean };

const lastMs = new Map<string, number>();

function odd(ways: Ways, { point, afterMs, base, value, more, quality, device, form }: Odd): void {
  const declared = POINTS[point];
  const { pointId } = declared;
  const fromMs =
    base === 'last' ? (lastMs.get(pointId) ?? ways.nowMs) : base === 'tick' ? ways.nowMs : Math.floor(ways.nowMs / 300_000) * 300_000;
  const startMs = Math.max(0, fromMs + afterMs);
  const given = more ? (ways.values.get(pointId) ?? 0) + value : value;
  const series: PointReadings = { ...seriesOf(declared, [{ startMs, value: given, deviceId: device }]), quality: Uint8Array.from(quality) };
  FORMS[form](series);
  ways.all((rig) => rig.deliverSeries([series], ways.nowMs));
  if (form !== 'usual') return;
  lastMs.set(pointId, Math.max(startMs, lastMs.get(pointId) ?? 0));
  ways.values.set(pointId, given);
}

function usual(ways: Ways, declared: PointDeclared, device: string | null): PointReadings {
  const { pointId, kind } = declared;
  const startMs = ways.nowMs - MINUTE_MS;
  const value = kind === 'REGISTER' ? (ways.values.get(pointId) ?? 1_000) + 7 : Math.floor(ways.nowMs / MINUTE_MS) % 100;
  ways.values.set(pointId, value);
  lastMs.set(pointId, startMs);
  return seriesOf(declared, [{ startMs, value, deviceId: device }]);
}

function minutes(ways: Ways, { count, order, together, device }: Operation & { do: 'minutes' }): void {
  for (let minute = 0; minute < count; minute++) {
    ways.nowMs += MINUTE_MS;
    let points = [...POINTS];
    if (order === 'backwards') points.reverse();
    if (order === 'missing') points = points.filter((_, i) => (i + minute) % 3 !== 0);
    const series = points.map((declared) => usual(ways, declared, device));
    ways.all((rig) => {
      if (together) rig.deliverSeries(series, ways.nowMs);
      else for (const each of series) rig.deliverSeries([each], ways.nowMs);
      rig.tick(ways.nowMs);
    });
  }
}

/** Each reading from another device, so that indices run out and earlier devices give way. */
function devices(ways: Ways, { point, count }: Operation & { do: 'devices' }): void {
  for (let i = 0; i < count; i++) {
    ways.nowMs += MINUTE_MS;
    // Twice in a row, so that the second one comes from the device of the last delivery.
    for (const afterMs of [0, 30_000])
      odd(ways, { ...usualOdd, point, base: 'tick', afterMs: afterMs - MINUTE_MS, device: `device-${i % 70}` });
    ways.all((rig) => rig.tick(ways.nowMs));
  }
}

const usualOdd: Odd = { do: 'odd', point: 0, afterMs: 0, base: 'tick', value: 1, more: true, quality: [0], device: null, form: 'usual' };

function play(ways: Ways, operation: Operation): void {
  if (operation.do === 'odd') odd(ways, operation);
  else if (operation.do === 'minutes') minutes(ways, operation);
  else if (operation.do === 'devices') devices(ways, operation);
  else if (operation.do === 'commit') ways.commit(operation.everything);
  else if (operation.do === 'declare')
    ways.all((rig) =>
      rig.declare(
        POINTS.filter((_, i) => i !== operation.without),
        ways.nowMs,
      ),
    );
  else {
    ways.nowMs += operation.afterMs;
    ways.all((rig) => rig.tick(ways.nowMs));
  }
}

const device = fc.constantFrom(null, null, '', 'a');
const point = fc.nat({ max: POINTS.length - 1 });
const times = [
  0,
  1,
  -1,
  1_000,
  MINUTE_MS,
  -MINUTE_MS,
  5 * MINUTE_MS,
  10 * MINUTE_MS,
  10 * MINUTE_MS + 1,
  -20 * MINUTE_MS,
  -HOUR_MS,
  -7 * HOUR_MS,
];
const values = [
  0,
  1,
  7,
  -3,
  -30,
  -31,
  -9_000,
  HALF,
  HALF + 1,
  2 * HALF,
  2 * HALF + 1,
  -2 * HALF - 1,
  MAX_POWER_W,
  MAX_POWER_W + 1,
  MAX_VALUE,
  0.5,
];
const oddArbitrary: fc.Arbitrary<Odd> = fc.record({
  do: fc.constant('odd' as const),
  point,
  afterMs: fc.constantFrom(...times),
  base: fc.constantFrom('tick' as const, 'last' as const, 'last' as const, 'minute' as const),
  value: fc.constantFrom(...values),
  more: fc.boolean(),
  quality: fc.constantFrom([0], [0], [0], [0], [1], [3], [4], [], [0, 1]),
  device,
  form: fc.oneof({ weight: 3, arbitrary: fc.constant('usual' as const) }, fc.constantFrom(...(Object.keys(FORMS) as Odd['form'][]))),
});
/** Energies are whole numbers on the wire, and only some values go with any kind. */
const fitting = oddArbitrary.map((given) => (isEnergy(POINTS[given.point]) ? { ...given, value: Math.trunc(given.value) } : given));
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 12, arbitrary: fitting },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('minutes' as const),
      count: fc.integer({ min: 1, max: 5 }),
      order: fc.constantFrom('asDeclared' as const, 'asDeclared' as const, 'backwards' as const, 'missing' as const),
      together: fc.boolean(),
      device,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('declare' as const), without: fc.integer({ min: 0, max: POINTS.length + 4 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('tick' as const), afterMs: fc.constantFrom(MINUTE_MS, 5 * MINUTE_MS, HOUR_MS, 5 * HOUR_MS) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('commit' as const), everything: fc.nat({ max: 3 }).map((n) => n === 0) }) },
);

function held(operations: fc.Arbitrary<Operation[]>, numRuns: number): Map<string, number> {
  const taken = new Map<string, number>();
  fc.assert(
    fc.property(operations, (given) => {
      const ways = new Ways();
      lastMs.clear();
      for (const each of given) play(ways, each);
      ways.end();
      for (const [pointId, count] of ways.taken) taken.set(pointId, (taken.get(pointId) ?? 0) + count);
    }),
    { seed: SEED, numRuns },
  );
  return taken;
}

describe('the next reading of a point, taken on the short way', () => {
  it('leaves what the long way leaves, whatever comes before, between and after', () => {
    const taken = held(fc.array(operation, { minLength: 5, maxLength: 40, size: 'max' }), 10);
    for (const { pointId } of POINTS) assert.ok(taken.get(pointId)! > 50, `${pointId}: ${taken.get(pointId)}`);
  });

  /** Each of these alone, of a reading that else would be the usual next one. */
  const deviations: [what: string, how: (declared: PointDeclared) => Partial<Odd>, silenceMs?: number][] = [
    ['nothing', () => ({})],
    ...Object.keys(FORMS).map((form): (typeof deviations)[number] => [form, () => ({ form: form as Odd['form'] })]),
    ...[[], [1], [3], [4], [0, 0]].map((quality): (typeof deviations)[number] => [`quality ${quality}`, () => ({ quality })]),
    ['another device', () => ({ device: 'b' })],
    ['a device without a name', () => ({ device: '' })],
    ['no device', () => ({ device: null })],
    ...[0, -1, 1].map((afterMs): (typeof deviations)[number] => [`${afterMs} ms after the last`, () => ({ afterMs })]),
    ...[10 * MINUTE_MS, 10 * MINUTE_MS + 1, 10 * MINUTE_MS + 1_000].map((afterMs): (typeof deviations)[number] => [
      `${afterMs} ms after the tick`,
      () => ({ base: 'tick', afterMs }),
    ]),
    ...[0, 1].flatMap((beyond) =>
      [1, -1].map((sign): (typeof deviations)[number] => [
        `${sign} times the limit and ${beyond} more`,
        ({ kind }) => ({ more: false, value: sign * (valueLimitOf(kind) + beyond) }),
      ]),
    ),
    ...[0, -1, -6, HALF, HALF + 1, 2 * HALF + 1].map((value): (typeof deviations)[number] => [`${value} more`, () => ({ value })]),
    ...[2 * MINUTE_MS, 9 * MINUTE_MS].map((afterMs): (typeof deviations)[number] => [
      `${afterMs} ms after the last, once that is closed`,
      () => ({ afterMs }),
      40 * MINUTE_MS,
    ]),
    ['in an open window, but the last one before is closed', () => ({ base: 'tick', afterMs: -MINUTE_MS }), 40 * MINUTE_MS],
  ];
  for (const [what, how, silenceMs = 0] of deviations)
    it(`leaves what the long way leaves: ${what}`, () => {
      const ways = new Ways();
      lastMs.clear();
      play(ways, { do: 'minutes', count: 3, order: 'asDeclared', together: true, device: 'a' });
      // Every other point has wide readings, beside which any value fits.
      for (let point = 0; point < POINTS.length; point += 2) play(ways, { ...usualOdd, point, base: 'last', afterMs: 15_001, device: 'a' });
      for (let point = 0; point < POINTS.length; point++) {
        if (silenceMs > 0) play(ways, { do: 'tick', afterMs: silenceMs });
        play(ways, { ...usualOdd, point, base: 'last', afterMs: 30_000, device: 'a', ...how(POINTS[point]) });
        play(ways, { do: 'minutes', count: 1, order: 'asDeclared', together: false, device: 'a' });
      }
      for (const count of [1, 1, 1, 7]) {
        play(ways, { do: 'commit', everything: false });
        play(ways, { do: 'minutes', count, order: 'asDeclared', together: true, device: 'a' });
      }
      ways.end();
      assert.ok(ways.taken.get('power')! > 2);
    });

  it('has its device also after more devices than a reading can tell', () => {
    for (let point = 0; point < POINTS.length; point += 3) {
      const ways = new Ways();
      lastMs.clear();
      play(ways, { do: 'minutes', count: 3, order: 'asDeclared', together: true, device: null });
      for (let again = 0; again < 3; again++) {
        play(ways, { do: 'devices', point, count: 75 });
        play(ways, { do: 'tick', afterMs: again * 3 * HOUR_MS });
        play(ways, { do: 'commit', everything: again === 1 });
      }
      ways.end();
      assert.ok(ways.taken.get(POINTS[point].pointId)! > 100);
    }
  });

  it('comes from the device that the changes name, whatever device came last before', () => {
    const pointOfDevices = (...devices: string[]) => {
      const state = new PointState(pointOf('p', 'REGISTER'));
      for (const device of devices) state.deviceIndex(device);
      return state;
    };
    const out = new StateWriter();
    pointOfDevices('a', 'b', 'c').encodeChanges(out, true);
    const fed = pointOfDevices('c');
    fed.applyChanges(new StateReader(out.finish()));
    assert.deepEqual([fed.deviceIndex('c'), fed.deviceIndex('c'), fed.deviceIndex('a'), fed.deviceIndex('d')], [2, 2, 0, 3]);
  });

  it('is one across a gap of days, and after a month', () => {
    for (const gapMs of [2 * DAY_MS, 31 * DAY_MS, 31 * DAY_MS + 1, 50 * DAY_MS]) {
      const ways = new Ways();
      lastMs.clear();
      play(ways, { do: 'minutes', count: 12, order: 'asDeclared', together: false, device: null });
      play(ways, { do: 'commit', everything: false });
      for (let point = 0; point < POINTS.length; point++) play(ways, { ...usualOdd, point, base: 'last', afterMs: 9 * MINUTE_MS });
      // The ticks come once the readings behind the gap are there.
      ways.nowMs += gapMs;
      for (let point = 0; point < POINTS.length; point++) play(ways, { ...usualOdd, point, base: 'last', afterMs: gapMs });
      play(ways, { do: 'minutes', count: 12, order: 'backwards', together: true, device: null });
      ways.end();
    }
  });
});
