/**
 * One run of the resampling benchmarks in a process of its own: node resample-run.ts '<RunOptions as JSON>' prints
 * what it measured as JSON. CPU time counts while readings are taken in, not while they are generated or checked.
 */
import { strict as assert } from 'node:assert';
import avro from 'avsc';
import { resampler } from '../../processors/resampler/resampler.ts';
import type { Codec } from '../../schemas/codec.ts';
import type { DataNotice, ReadingsDelivery, ResampledWindows } from '../../schemas/types.ts';
import { Drive, type DriveOptions } from '../../streams/drive.ts';
import { type LogRecord, SharingRecord } from '../../streams/event-log.ts';
import { HOUR_MS, MAX_STEP_RECORDS, MINUTE_MS } from '../../streams/limits.ts';
import type { Processor } from '../../streams/processor.ts';
import { numberedCodec } from './numbered-codec.ts';
import { GENERATOR_FROM_MS, pointIdOf, ReadingsGenerator, SINGLE_READING_SCHEMA } from './readings-generator.ts';

export interface RunOptions {
  /**
   * `resample`: decoding and the resampler, whose outputs are values; `publish`: also what makes records for the log of
   * them (encoding, hashing); `decode`: our codec alone; `peer`: avsc alone on single readings.
   */
  work: 'resample' | 'publish' | 'decode' | 'peer';
  points: number;
  pointsPerSite: number;
  readingsPerDelivery: 1 | 60;
  /** Minutes of event time; whole hours. */
  minutes: number;
  /** Whether to hold what came out against the generator's truth (which takes memory). */
  check: boolean;
}

export interface RunResult {
  readings: number;
  cpuSeconds: number;
  readingsPerCpuSecond: number;
  peakMegabytes: number;
  /** Five-minute windows emitted, revisions included. */
  windows: number;
}

const SETTLE_MINUTES = 140;
/** About so many deliveries are generated, then taken in: near in memory to both sides, as what a task has just read. */
const STRETCH_RECORDS = 1_000;
const MAX_STRETCH_MINUTES = 120;

/** The drive as tasks run it, except that what is emitted is handed over as a value and not made into a record. */
class ValuesDrive extends Drive {
  private readonly onValue: (topic: string, value: unknown) => void;

  constructor(options: DriveOptions, onValue: (topic: string, value: unknown) => void) {
    super(options);
    this.onValue = onValue;
  }

  protected override publish(_trigger: LogRecord, _key: string, _processor: string, topic: string, value: unknown): void {
    this.onValue(topic, value);
  }
}

class Stopwatch {
  microseconds = 0;
  private started: NodeJS.CpuUsage | undefined;
  start(): void {
    this.started = process.cpuUsage();
  }
  stop(): void {
    const { user, system } = process.cpuUsage(this.started);
    this.microseconds += user + system;
  }
}

/** Adds up what was emitted: energy of each point at each width (latest revisions), readings counted, doubles told. */
class Sums {
  private readonly windows = new Map<string, number>();
  readonly energyMilliWh = [5, 15, 60].map(() => new Map<string, number>());
  counted = 0;
  doubles = 0;
  rejected = 0;
  private readonly endMs: number;

  constructor(endMs: number) {
    this.endMs = endMs;
  }

  add(topic: string, value: unknown): void {
    if (topic === 'rejected') this.rejected++;
    if (topic === 'notices' && (value as DataNotice).kind === 'DOUBLE') this.doubles += (value as DataNotice).count;
    if (!topic.startsWith('resampled.')) return;
    const { widthMs, series } = value as ResampledWindows;
    const width = [5, 15, 60].indexOf(widthMs / MINUTE_MS);
    for (const { pointId, startMs, energyMilliWh, readingCount, revision } of series) {
      let sum = 0;
      let atMs = 0;
      for (let i = 0; i < startMs.length; i++) {
        atMs += startMs[i];
        if (atMs >= this.endMs) continue;
        const window = `${width} ${pointId} ${atMs}`;
        const before = revision[i] > 0 ? this.windows.get(window)! : 0;
        // Late ones are at most two hours late, so older windows need not be remembered.
        this.windows.set(window, energyMilliWh[i]);
        sum += energyMilliWh[i] - before;
        if (width !== 0) continue;
        const count = revision[i] > 0 ? this.windows.get(`${window} n`)! : 0;
        this.windows.set(`${window} n`, readingCount[i]);
        this.counted += readingCount[i] - count;
      }
      this.energyMilliWh[width].set(pointId, (this.energyMilliWh[width].get(pointId) ?? 0) + sum);
    }
  }

  forget(): void {
    if (this.windows.size < 4_000_000) return;
    let drop = 2_000_000;
    for (const window of this.windows.keys()) if (drop-- > 0) this.windows.delete(window);
  }
}

function run(options: RunOptions): RunResult {
  const { codec, idOf } = numberedCodec();
  const { work, points, minutes, check } = options;
  const generator = new ReadingsGenerator({
    seed: 20_260_302,
    ...options,
    deliverySchemaId: idOf('ReadingsDelivery'),
    tickSchemaId: idOf('Tick'),
    form: work === 'peer' ? 'singles' : 'deliveries',
  });
  const sums = new Sums(GENERATOR_FROM_MS + minutes * MINUTE_MS);
  let windows = 0;
  const drive = driveFor(work, codec, (topic, value) => {
    if (check) sums.add(topic, value);
    else if (topic === 'resampled.5m') for (const { startMs } of (value as ResampledWindows).series) windows += startMs.length;
  });
  if (work === 'resample' || work === 'publish') for (const site of generator.sites()) drive.take(declarationOf(codec, site));
  const watch = new Stopwatch();
  const peer = avro.Type.forSchema(JSON.parse(SINGLE_READING_SCHEMA));
  let valueSum = 0;
  const take: Record<RunOptions['work'], (records: LogRecord[]) => void> = {
    peer: (records) => {
      for (const { value } of records) valueSum += (peer.decode(value as Buffer, 5) as { value: { value: number } }).value.value;
    },
    decode: (records) => {
      for (const record of records)
        if (record.topic === 'meter.readings')
          for (const series of (codec.refillAs('ReadingsDelivery', record.value, SharingRecord.memoryOf(record)) as ReadingsDelivery)
            .series)
            valueSum += series.value.length;
    },
    resample: (records) => {
      takeAll(drive, records);
      drive.markCommitted();
    },
    publish: (records) => {
      takeAll(drive, records);
      drive.markCommitted();
    },
  };
  const takeSteps = (records: LogRecord[]) => {
    for (let from = 0; from < records.length; from += MAX_STEP_RECORDS) {
      const step = records.slice(from, from + MAX_STEP_RECORDS);
      watch.start();
      take[work](step);
      watch.stop();
    }
  };
  for (let minute = 0; minute < minutes; ) {
    const records: LogRecord[] = [];
    for (let i = 0; i < MAX_STRETCH_MINUTES && minute < minutes && records.length < STRETCH_RECORDS; i++, minute++)
      for (const record of generator.next()) records.push(record);
    takeSteps(records);
    sums.forget();
  }
  const { delivered } = generator;
  const cpuSeconds = watch.microseconds / 1e6;
  if (check) {
    for (let i = 0; i < SETTLE_MINUTES; i++) takeSteps(generator.next(true));
    if (work === 'resample') compare(generator, sums, points);
    if (work === 'peer') assert.equal(valueSum, generator.valueSum);
  }
  const peakMegabytes = process.resourceUsage().maxRSS / 1024;
  return { readings: delivered, cpuSeconds, readingsPerCpuSecond: delivered / cpuSeconds, peakMegabytes, windows };
}

function takeAll(drive: Drive, records: readonly LogRecord[]): void {
  for (const record of records) drive.take(record);
}

function driveFor(work: RunOptions['work'], codec: Codec, onValue: (topic: string, value: unknown) => void): Drive {
  const options = { processors: [resampler as Processor], codec };
  return work === 'publish' ? new Drive(options) : new ValuesDrive(options, onValue);
}

function declarationOf(codec: Codec, site: { siteId: string; knownAtMs: number }): LogRecord {
  return {
    topic: 'sites',
    key: site.siteId,
    partition: 0,
    offset: 0,
    appendedMs: 0,
    value: codec.encode('SiteDeclared', site),
    headers: { source: 'sites', number: 0, type: 'SiteDeclared', knownAtMs: site.knownAtMs },
  };
}

/** Every reading in a window or a counted double, and the energy of every point as the generator added it up. */
function compare(generator: ReadingsGenerator, sums: Sums, points: number): void {
  assert.equal(sums.rejected, 0);
  assert.equal(sums.doubles, generator.doubled);
  assert.equal(sums.counted + sums.doubles, generator.delivered);
  for (const energyMilliWh of sums.energyMilliWh)
    for (let point = 0; point < points; point++)
      assert.equal(energyMilliWh.get(pointIdOf(point)), generator.energyMilliWh[point], pointIdOf(point));
}

if (process.argv[2] !== undefined) {
  const options = JSON.parse(process.argv[2]) as RunOptions;
  assert.equal((options.minutes * MINUTE_MS) % HOUR_MS, 0);
  console.log(JSON.stringify(run(options)));
}
