/** Simulated facts through the whole topology, without a log: what comes out is what was true, as far as faults left it knowable. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { TOPOLOGY } from '../../processors/topology.ts';
import type { Fact } from '../../replay/facts.ts';
import type { FaultKind, FaultTruth } from '../../replay/simulate/faults.ts';
import { type PointTruth, TEMPERATURE_RESOLUTION_CELSIUS } from '../../replay/simulate/meters.ts';
import { inOrderOfKnowledge, PARIS, type SimulatedSite, simulateSites } from '../../replay/simulate/simulate.ts';
import { Codec } from '../../schemas/codec.ts';
import { currentSchemas } from '../../schemas/files.ts';
import type { DataNotice, DayReloaded, ReadingsDelivery, Rejected, ResampledWindows, RevisionRequested } from '../../schemas/types.ts';
import { Drive } from '../../streams/drive.ts';
import { DAY_MS, HOUR_MS, MAX_FUTURE_MS, MINUTE_MS } from '../../streams/limits.ts';

const START_MS = Date.UTC(2007, 0, 10);
const DAYS = 12;
const TICK_MS = 5 * MINUTE_MS;

interface Reading {
  startMs: number;
  value: number;
  quality: number;
  deviceId: string | null;
}

interface Window {
  energyMilliWh: number;
  mean: number;
  coveredMs: number;
  quality: number;
  revision: number;
  reason: number;
  digest: string;
}

/** A drive with the latest windows, notices and rejected events that came out of it; answers reloads from what it was given. */
class World {
  readonly windows = new Map<string, Map<number, Window>>();
  readonly notices: DataNotice[] = [];
  readonly rejected: Rejected[] = [];
  readonly firstEmittedMs = new Map<string, number>();
  reloads = 0;
  private readonly readings = new Map<string, Map<number, Reading>>();
  private readonly codec = new Codec(currentSchemas().values());
  private readonly drive: Drive;
  private offset = 0;

  constructor() {
    let id = 0;
    for (const schema of currentSchemas().values()) this.codec.register({ id: ++id, schema });
    this.drive = new Drive({ processors: TOPOLOGY, codec: this.codec });
  }

  take(topic: string, schema: string, key: string, value: { knownAtMs: number }): void {
    const headers = { source: 'test', number: this.offset, type: schema, knownAtMs: value.knownAtMs };
    if (schema === 'ReadingsDelivery') this.remember(value as ReadingsDelivery);
    this.drive.take({
      topic,
      key,
      partition: 0,
      offset: this.offset++,
      appendedMs: value.knownAtMs,
      value: this.codec.encode(schema, value),
      headers,
    });
    const { outputs } = this.drive;
    this.drive.markCommitted();
    for (const output of outputs) this.sort(output.topic, this.codec.decode(output.value).value);
  }

  private sort(topic: string, value: unknown): void {
    if (topic.startsWith('resampled.')) this.keep(value as ResampledWindows);
    else if (topic === 'notices') this.notices.push(value as DataNotice);
    else if (topic === 'rejected') this.rejected.push(value as Rejected);
    else if (topic === 'revisions.requested') this.reload(value as RevisionRequested);
  }

  private keep({ widthMs, series }: ResampledWindows): void {
    for (const point of series) {
      const name = `${point.pointId} ${widthMs}`;
      const windows = this.windows.get(name) ?? new Map<number, Window>();
      this.windows.set(name, windows);
      let startMs = 0;
      for (let i = 0; i < point.startMs.length; i++) {
        startMs += point.startMs[i];
        const known = windows.get(startMs);
        assert.equal(point.revision[i], known ? known.revision + 1 : 0, `revision of ${name} at ${new Date(startMs).toISOString()}`);
        const of = (column: number[]) => column[i];
        const { energyMilliWh, mean, min, max, last, readingCount, coveredMs, measuredMs, revision } = point;
        const values = [energyMilliWh, mean, min, max, last, readingCount, coveredMs, measuredMs].map(of);
        windows.set(startMs, {
          energyMilliWh: of(energyMilliWh),
          mean: of(mean),
          coveredMs: of(coveredMs),
          quality: point.quality[i],
          revision: of(revision),
          reason: point.reason[i],
          digest: [...values, point.quality[i]].join(' '),
        });
      }
    }
  }

  private remember({ knownAtMs, series }: ReadingsDelivery): void {
    for (const { pointId, unit, deviceId, startMs, value, energyMilliWh } of series) {
      const known = this.readings.get(pointId) ?? new Map<number, Reading>();
      this.readings.set(pointId, known);
      const values = unit === 'MILLIWATT_HOUR' ? energyMilliWh : value;
      let ms = 0;
      startMs.forEach((difference, i) => {
        ms += difference;
        if (ms <= knownAtMs + MAX_FUTURE_MS) known.set(ms, { startMs: ms, value: values[i], quality: 0, deviceId });
      });
    }
  }

  /** As the reload adapter does from the log: readings of the day and its neighbours, and the windows so far. */
  private reload({ siteId, pointId, dayStartMs, knownAtMs }: RevisionRequested): void {
    this.reloads++;
    const readings = [...this.readings.get(pointId)!.values()]
      .filter(({ startMs }) => startMs >= dayStartMs - 2 * HOUR_MS && startMs < dayStartMs + DAY_MS + 2 * HOUR_MS)
      .sort((a, b) => a.startMs - b.startMs);
    const devices = [...new Set(readings.map(({ deviceId }) => deviceId))];
    const differences = (starts: number[]) => starts.map((ms, i) => (i === 0 ? ms : ms - starts[i - 1]));
    const previous = [5, 15, 60].map((minutes) => {
      const windows = [...(this.windows.get(`${pointId} ${minutes * MINUTE_MS}`) ?? [])]
        .filter(([startMs]) => startMs >= dayStartMs && startMs < dayStartMs + DAY_MS)
        .sort(([a], [b]) => a - b);
      return {
        widthMs: minutes * MINUTE_MS,
        startMs: differences(windows.map(([startMs]) => startMs)),
        revision: windows.map(([, { revision }]) => revision),
        flags: new Uint8Array(windows.length),
        digest: windows.map(([, { digest }]) => digest),
      };
    });
    const day: DayReloaded = {
      siteId,
      pointId,
      knownAtMs,
      dayStartMs,
      startMs: differences(readings.map(({ startMs }) => startMs)),
      value: readings.map(({ value }) => value),
      quality: Uint8Array.from(readings, ({ quality }) => quality),
      deviceIndex: Uint8Array.from(readings, ({ deviceId }) => devices.indexOf(deviceId)),
      devices,
      previous,
      ...{ fromMs: null, toMs: null, setAsideCount: 0, late: new Uint8Array(), replaced: [] },
    };
    this.take('day.reloaded', 'DayReloaded', siteId, day);
  }
}

function run(sites: readonly SimulatedSite[]): World {
  const world = new World();
  const facts: Fact[] = inOrderOfKnowledge(sites.flatMap(({ deliveries }) => deliveries));
  for (const { declaration } of sites) world.take('sites', 'SiteDeclared', declaration.siteId, declaration);
  let tickMs = START_MS;
  const tick = () => world.take('ticks', 'Tick', '0', { knownAtMs: (tickMs += TICK_MS) });
  for (const { topic, schema, key, value } of facts) {
    while (tickMs + TICK_MS < value.knownAtMs) tick();
    world.take(topic, schema, key, value);
  }
  while (tickMs < facts.at(-1)!.value.knownAtMs + 2 * HOUR_MS) tick();
  return world;
}

const options = { seed: 'truth', pilotId: 'pilot', startMs: START_MS, days: DAYS, homes: 2, buildings: 1, place: PARIS };

/** Windows of a point that do not tell the truth, at the narrowest width that its meter can tell and at an hour. */
function wrongWindows(world: World, truth: PointTruth, lost: readonly FaultTruth[]): string[] {
  const wrong: string[] = [];
  for (const widthMs of new Set([truth.widthMs, HOUR_MS])) {
    const windows = world.windows.get(`${truth.pointId} ${widthMs}`)!;
    for (let startMs = START_MS; startMs < START_MS + DAYS * DAY_MS; startMs += widthMs) {
      if (lost.some(({ pointId, fromMs, toMs }) => pointId === truth.pointId && fromMs < startMs + widthMs && toMs > startMs)) continue;
      const window = windows.get(startMs);
      const from = (startMs - START_MS) / (5 * MINUTE_MS);
      const to = from + widthMs / (5 * MINUTE_MS);
      const sum = (column: Float64Array) => column.subarray(from, to).reduce((total, value) => total + value, 0);
      const steps = truth.energyMilliWh && truth.toleranceMilliWh < 100 ? to - from : 1;
      const off = !window
        ? Number.NaN
        : truth.energyMilliWh
          ? Math.abs(window.energyMilliWh - sum(truth.energyMilliWh)) / (steps * truth.toleranceMilliWh)
          : truth.meanCelsius
            ? Math.abs(window.mean - sum(truth.meanCelsius) / (to - from)) / (TEMPERATURE_RESOLUTION_CELSIUS / 2 + 1e-9)
            : 0;
      if (!(off <= 1) || window!.coveredMs !== widthMs)
        wrong.push(`${truth.pointId} ${widthMs / MINUTE_MS} min at ${new Date(startMs).toISOString()}: ${off}, ${JSON.stringify(window)}`);
    }
  }
  return wrong;
}

const total = (faults: readonly FaultTruth[], ...kinds: FaultKind[]) =>
  faults.filter(({ kind }) => kinds.includes(kind)).reduce((sum, { readingCount }) => sum + readingCount, 0);

describe('a simulation without faults', () => {
  it('is resampled to what was true, with no revision, notice of a register or double, and nothing rejected', () => {
    const sites = [...simulateSites({ ...options, faults: false })];
    const world = run(sites);
    assert.deepEqual(
      sites.flatMap(({ truth }) => truth.flatMap((one) => wrongWindows(world, one, []))),
      [],
    );
    assert.equal(world.rejected.length, 0);
    assert.deepEqual(
      [...new Set(world.notices.map(({ kind }) => kind))].filter((kind) => kind !== 'STUCK' && kind !== 'OUTLIER'),
      [],
    );
    for (const windows of world.windows.values()) for (const { revision } of windows.values()) assert.equal(revision, 0);
  });
});

describe('a simulation with faults', () => {
  let sites: SimulatedSite[];
  let faults: FaultTruth[];
  let world: World;
  before(() => {
    sites = [...simulateSites({ ...options, faults: true })];
    faults = sites.flatMap((site) => site.faults);
    world = run(sites);
  });

  it('is resampled to what was true wherever that can still be known', () => {
    const lost = faults.filter((fault) => fault.lost);
    assert.deepEqual(
      sites.flatMap(({ truth }) => truth.flatMap((one) => wrongWindows(world, one, lost))),
      [],
    );
  });

  it('tells of every double, conflict, reset, rollover and swap, as often as there were', () => {
    const told = (kind: string) => world.notices.filter((notice) => notice.kind === kind).reduce((sum, { count }) => sum + count, 0);
    assert.equal(told('DOUBLE'), total(faults, 'doubled', 'conflict'));
    assert.equal(told('CONFLICT'), total(faults, 'conflict'));
    assert.equal(told('REGISTER_RESET'), total(faults, 'register-reset'));
    assert.equal(told('REGISTER_ROLLOVER'), total(faults, 'register-rollover'));
    assert.equal(told('METER_SWAP'), total(faults, 'meter-swap'));
    assert.equal(told('REGISTER_GAP'), 0);
    for (const [kind, notice] of [
      ['register-reset', 'REGISTER_RESET'],
      ['meter-swap', 'METER_SWAP'],
    ] as const)
      assert.deepEqual(
        world.notices
          .filter((one) => one.kind === notice)
          .map(({ pointId, startMs }) => `${pointId} ${startMs}`)
          .sort(),
        faults
          .filter((one) => one.kind === kind)
          .map(({ pointId, toMs }) => `${pointId} ${toMs}`)
          .sort(),
      );
  });

  it('rejects the readings of a clock in 2038, and nothing else', () => {
    assert.deepEqual([...new Set(world.rejected.map(({ code }) => code))], ['READING_IN_FUTURE']);
    assert.equal(
      world.rejected.reduce((sum, { readingCount }) => sum + readingCount, 0),
      total(faults, 'clock-2038'),
    );
  });

  it('leaves windows of gaps uncovered, but for registers, which bridge them as estimated', () => {
    for (const { pointId, fromMs, toMs } of faults.filter(({ kind }) => kind === 'gap')) {
      const site = sites.find(({ declaration }) => declaration.points.some((point) => point.pointId === pointId))!;
      const { kind } = site.declaration.points.find((point) => point.pointId === pointId)!;
      const inside = [...world.windows.get(`${pointId} ${5 * MINUTE_MS}`)!].filter(
        ([startMs]) => startMs >= fromMs && startMs + 5 * MINUTE_MS <= toMs,
      );
      assert.ok(inside.length >= 10);
      for (const [, { coveredMs, quality }] of inside) {
        assert.equal(coveredMs > 0, kind === 'REGISTER');
        assert.equal(quality, kind === 'REGISTER' ? 1 : 3);
      }
    }
  });

  it('revises what was late, from hot readings or by reload of the day', () => {
    const reasonsIn = (kind: FaultKind) =>
      new Set(
        faults
          .filter((fault) => fault.kind === kind)
          .flatMap(({ siteId, fromMs, toMs }) =>
            sites
              .find(({ declaration }) => declaration.siteId === siteId)!
              .declaration.points.flatMap(({ pointId }) =>
                [...world.windows.get(`${pointId} ${5 * MINUTE_MS}`)!]
                  .filter(([startMs]) => startMs >= fromMs && startMs < toMs - HOUR_MS / 4)
                  .map(([, { reason }]) => reason),
              ),
          ),
      );
    assert.ok(reasonsIn('late-hours').has(1));
    assert.ok(reasonsIn('late-days').has(3));
    assert.ok(world.reloads >= 3);
  });

  it('is the same again', () => {
    const again = run([...simulateSites({ ...options, faults: true })]);
    assert.deepEqual(again.windows, world.windows);
    assert.deepEqual(again.notices, world.notices);
  });
});
