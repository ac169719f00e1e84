/** Meters and sensors: what each of them says of a course that is known minute by minute, and what was true. */
import type { PointDeclared } from '../../schemas/types.ts';
import { MINUTE_MS } from '../../streams/limits.ts';

/** Truth is told in windows of five minutes. */
export const TRUTH_STEP_MS = 5 * MINUTE_MS;
const MILLI_WH_PER_WATT_MINUTE = 1000 / 60;

/** What is true of one point. */
export interface PointTruth {
  siteId: string;
  pointId: string;
  /** Energy of each five-minute window from the start on, not rounded (mWh); null for temperatures and states. */
  energyMilliWh: Float64Array | null;
  /** Mean temperature of each five-minute window (°C); null for others. */
  meanCelsius: Float64Array | null;
  /** Faultless readings determine the energy of windows of this width … */
  widthMs: number;
  /** … to within so much, by the resolution of the meter. */
  toleranceMilliWh: number;
}

/** A meter with all that it would say if nothing ever went wrong. */
export interface Meter {
  declared: PointDeclared;
  topic: 'meter.readings' | 'sensor.readings';
  startMs: number[];
  value: number[];
  /** Pseudonym of the device behind each reading. */
  deviceId: (string | null)[];
  truth: PointTruth;
}

/** What is the same for all meters of a site. */
export interface Metering {
  siteId: string;
  startMs: number;
  minutes: number;
  deliveryEveryMs: number;
  pointId: (name: string) => string;
}

export interface MeterOptions {
  name: string;
  intervalMs: number;
  carrier?: PointDeclared['carrier'];
  mayExport?: boolean;
  forecast?: boolean;
}

const MEAN_POWER_RESOLUTION_W = 1;
const STEPS_PER_DEGREE = 10;
export const TEMPERATURE_RESOLUTION_CELSIUS = 1 / STEPS_PER_DEGREE;

/** Mean power of each minute, in whole watts. */
export function meanPowerMeter(metering: Metering, options: Omit<MeterOptions, 'intervalMs'>, powerW: Float64Array): Meter {
  const meter = emptyMeter(metering, { ...options, intervalMs: MINUTE_MS }, 'MEAN_POWER', truthOfPower(metering, options.name, powerW));
  for (let i = 0; i < powerW.length; i++) push(meter, metering.startMs + i * MINUTE_MS, rounded(powerW[i]));
  meter.truth.toleranceMilliWh = (MEAN_POWER_RESOLUTION_W / 2) * (TRUTH_STEP_MS / MINUTE_MS) * MILLI_WH_PER_WATT_MINUTE + 1;
  return meter;
}

/** Power whenever it changes, and again after an interval without a change. `changes` begins at the start. */
export function instantPowerMeter(
  metering: Metering,
  options: MeterOptions,
  changes: readonly { startMs: number; powerW: number }[],
  powerW: Float64Array,
): Meter {
  const meter = emptyMeter(metering, options, 'INSTANT_POWER', truthOfPower(metering, options.name, powerW));
  pushChanges(
    meter,
    metering,
    options.intervalMs,
    changes.map(({ startMs, powerW: value }) => ({ startMs, value })),
  );
  return meter;
}

/** A code whenever it changes, and again after an interval without a change. */
export function stateMeter(metering: Metering, options: MeterOptions, changes: readonly { startMs: number; state: number }[]): Meter {
  const meter = emptyMeter(metering, { ...options, carrier: 'NONE' }, 'STATE', truthOf(metering, options.name));
  pushChanges(
    meter,
    metering,
    options.intervalMs,
    changes.map(({ startMs, state }) => ({ startMs, value: state })),
  );
  return meter;
}

/** Energy of each interval, in steps of the resolution; the remainder is carried over, so that sums stay true. */
export function intervalEnergyMeter(metering: Metering, options: MeterOptions, powerW: Float64Array, resolutionMilliWh: number): Meter {
  const meter = emptyMeter(metering, options, 'INTERVAL_ENERGY', truthOfPower(metering, options.name, powerW));
  const every = options.intervalMs / MINUTE_MS;
  const counted = counter(powerW, every, resolutionMilliWh);
  for (let i = 1; i < counted.length; i++) push(meter, metering.startMs + (i - 1) * options.intervalMs, counted[i] - counted[i - 1]);
  meter.truth.widthMs = Math.max(TRUTH_STEP_MS, options.intervalMs);
  meter.truth.toleranceMilliWh = resolutionMilliWh + 1;
  return meter;
}

/** A register that counts energy from `beginMilliWh` on, read every interval and at the end. */
export function registerMeter(
  metering: Metering,
  options: MeterOptions & { modulusMilliWh?: number; beginMilliWh: number },
  powerW: Float64Array,
  resolutionMilliWh: number,
): Meter {
  const meter = emptyMeter(metering, options, 'REGISTER', truthOfPower(metering, options.name, powerW));
  meter.declared.registerModulusMilliWh = options.modulusMilliWh ?? null;
  meter.truth.widthMs = Math.max(TRUTH_STEP_MS, options.intervalMs);
  meter.truth.toleranceMilliWh = resolutionMilliWh + 1;
  const counted = counter(powerW, options.intervalMs / MINUTE_MS, resolutionMilliWh);
  for (let i = 0; i < counted.length; i++) push(meter, metering.startMs + i * options.intervalMs, options.beginMilliWh + counted[i]);
  return meter;
}

/** The mean of each interval, to a tenth of a degree. */
export function temperatureSensor(metering: Metering, options: MeterOptions, celsius: Float64Array): Meter {
  const truth = truthOf(metering, options.name);
  truth.meanCelsius = inSteps(celsius, metering.minutes).map((sum) => sum / (TRUTH_STEP_MS / MINUTE_MS));
  truth.widthMs = Math.max(TRUTH_STEP_MS, options.intervalMs);
  const meter = emptyMeter(metering, { ...options, carrier: 'NONE' }, 'TEMPERATURE', truth);
  meter.topic = 'sensor.readings';
  const every = options.intervalMs / MINUTE_MS;
  for (let i = 0; i < metering.minutes; i += every) {
    const mean = celsius.subarray(i, i + every).reduce((sum, value) => sum + value, 0) / every;
    push(meter, metering.startMs + i * MINUTE_MS, rounded(mean * STEPS_PER_DEGREE) / STEPS_PER_DEGREE);
  }
  return meter;
}

/** Changes of a power that is constant within each minute. */
export function changesOf(powerW: Float64Array, startMs: number): { startMs: number; powerW: number }[] {
  const changes: { startMs: number; powerW: number }[] = [];
  for (let i = 0; i < powerW.length; i++)
    if (i === 0 || powerW[i] !== powerW[i - 1]) changes.push({ startMs: startMs + i * MINUTE_MS, powerW: powerW[i] });
  return changes;
}

function emptyMeter(metering: Metering, options: MeterOptions, kind: PointDeclared['kind'], truth: PointTruth): Meter {
  const { name, intervalMs, carrier = 'ELECTRICITY', mayExport = false, forecast = false } = options;
  const declared: PointDeclared = {
    pointId: truth.pointId,
    name,
    kind,
    carrier,
    intervalMs,
    maxHoldMs: 2 * intervalMs,
    // A delivery tells of the time since the one before it: nobody should call that time a gap while it is on its way.
    deliveryDelayMs: metering.deliveryEveryMs + MINUTE_MS,
    registerModulusMilliWh: null,
    registerJitterMilliWh: 0,
    mayExport,
    forecast,
  };
  return { declared, topic: 'meter.readings', startMs: [], value: [], deviceId: [], truth };
}

function push(meter: Meter, startMs: number, value: number): void {
  meter.startMs.push(startMs);
  meter.value.push(value);
  meter.deviceId.push(null);
}

function pushChanges(meter: Meter, metering: Metering, heartbeatMs: number, changes: readonly { startMs: number; value: number }[]): void {
  const endMs = metering.startMs + metering.minutes * MINUTE_MS;
  changes.forEach(({ startMs, value }, i) => {
    const untilMs = changes[i + 1]?.startMs ?? endMs + 1;
    for (let ms = startMs; ms < untilMs; ms += heartbeatMs) push(meter, ms, value);
  });
}

/** Readings of a counter at the begin of every so many minutes and at the end: whole steps of the resolution. */
function counter(powerW: Float64Array, everyMinutes: number, resolutionMilliWh: number): number[] {
  const readings = [0];
  let sum = 0;
  for (let i = 0; i < powerW.length; i++) {
    sum += powerW[i] * MILLI_WH_PER_WATT_MINUTE;
    if ((i + 1) % everyMinutes === 0) readings.push(rounded(sum / resolutionMilliWh) * resolutionMilliWh);
  }
  return readings;
}

/** Never a negative zero. */
function rounded(value: number): number {
  return Math.round(value) + 0;
}

function truthOf(metering: Metering, name: string): PointTruth {
  return {
    siteId: metering.siteId,
    pointId: metering.pointId(name),
    energyMilliWh: null,
    meanCelsius: null,
    widthMs: TRUTH_STEP_MS,
    toleranceMilliWh: 1,
  };
}

function truthOfPower(metering: Metering, name: string, powerW: Float64Array): PointTruth {
  const energyMilliWh = inSteps(powerW, metering.minutes).map((sum) => sum * MILLI_WH_PER_WATT_MINUTE);
  return { ...truthOf(metering, name), energyMilliWh };
}

/** Sums of the minutes of each five-minute window. */
function inSteps(perMinute: Float64Array, minutes: number): Float64Array {
  const each = TRUTH_STEP_MS / MINUTE_MS;
  const sums = new Float64Array(minutes / each);
  for (let i = 0; i < minutes; i++) sums[Math.floor(i / each)] += perMinute[i];
  return sums;
}
