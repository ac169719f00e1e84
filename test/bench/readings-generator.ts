/**
 * Seeded stream of one-minute readings of many points, minute by minute in the order in which they become known: 2 %
 * late by up to an hour, 0.5 % doubled, registers that are reset and whose meters are swapped. It keeps the truth, by
 * plain sums of its own, that what comes out of a pipeline is held against. Bytes are written straight into a buffer,
 * as encoding them one by one would cost more than the work that is measured.
 */
import type { PointDeclared, SiteDeclared } from '../../schemas/types.ts';
import { type LogRecord, SharingRecord } from '../../streams/event-log.ts';
import { HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';

export interface GeneratorOptions {
  seed: number;
  points: number;
  pointsPerSite: number;
  /** 1: each reading alone; 60: an hour of a point at once. */
  readingsPerDelivery: 1 | 60;
  /** Registry ids of the schemas that frames carry. */
  deliverySchemaId: number;
  tickSchemaId: number;
  /** `deliveries` of the pipeline, or `singles`: framed records of 29 bytes (meter, time, value) for the peer. */
  form: 'deliveries' | 'singles';
}

export const GENERATOR_FROM_MS = Date.UTC(2026, 2, 2);
const LATE_SHARE = 0.02;
const DOUBLED_SHARE = 0.005;
const MAX_DELAY_MINUTES = 60;
/** Ring of minutes, longer than any delay: deliveries of 60 readings begin an hour later. */
const RING = 256;
/** Records lie one after the other in memory of this size, as they do in what is read from a log or a socket. */
const CHUNK_BYTES = 256 * 1024;
const RESET_EVERY_MINUTES = 1_440;
const SWAP_EVERY_MINUTES = 4_320;

/** Of ten points: seven mean powers, and one each of these. */
const KINDS = ['INSTANT_POWER', 'INTERVAL_ENERGY', 'REGISTER'] as const;
export type GeneratedKind = 'MEAN_POWER' | (typeof KINDS)[number];
export const kindOf = (point: number): GeneratedKind => KINDS[point % 10] ?? 'MEAN_POWER';

/** The record of the peer: 5 bytes of frame, 10 of meter, 6 of time, 8 of value. */
export const SINGLE_READING_SCHEMA = JSON.stringify({
  type: 'record',
  name: 'SingleReading',
  fields: [
    { name: 'meter', type: 'string' },
    { name: 'startMs', type: 'long' },
    { name: 'value', type: 'double' },
  ],
});

const pseudonym = (prefix: string, number: number) => {
  const scattered = (BigInt(number + 1) * 0x9e3779b97f4a7c15n) & 0xffffffffffffffffn;
  return `${prefix}-${scattered.toString(16).padStart(16, '0')}`;
};
export const pointIdOf = (point: number) => pseudonym('point', point);
export const siteIdOf = (site: number) => pseudonym('site', site);

interface Pending {
  point: Uint32Array;
  minute: Uint32Array;
  value: Float64Array;
  device: Uint8Array;
  count: number;
}

export class ReadingsGenerator {
  /** Readings that were handed out, doubles included, and how many of them were doubles. */
  delivered = 0;
  doubled = 0;
  /** Sum of the values of all readings handed out, in their order. */
  valueSum = 0;
  /** Energy that the readings of each point tell (mWh), up to its last reading. */
  readonly energyMilliWh: Float64Array;
  minute = 0;
  private readonly options: GeneratorOptions;
  private readonly windowSum: Float64Array;
  private readonly register: Float64Array;
  private readonly device: Uint8Array;
  private readonly ring: Pending[];
  private readonly prefixes: Buffer[];
  private readonly siteIds: string[];
  private state: number;
  private bytes: Buffer = Buffer.allocUnsafe(0);
  private view: DataView = new DataView(new ArrayBuffer(0));
  private memory: DataView = this.view;
  private at = 0;
  private offset = 0;
  private records: LogRecord[] = [];

  constructor(options: GeneratorOptions) {
    this.options = options;
    const { points, pointsPerSite, seed } = options;
    this.state = seed || 1;
    this.energyMilliWh = new Float64Array(points);
    this.windowSum = new Float64Array(points);
    this.register = new Float64Array(points).map((_, point) => 1_000_000 + point);
    this.device = new Uint8Array(points);
    this.ring = Array.from({ length: RING }, () => pendingOf(16));
    this.siteIds = Array.from({ length: Math.ceil(points / pointsPerSite) }, (_, site) => siteIdOf(site));
    this.prefixes = Array.from({ length: points }, (_, point) => this.prefixOf(point));
  }

  /** Declarations of all sites, to be encoded by the caller. */
  *sites(): Generator<SiteDeclared> {
    const { points, pointsPerSite, readingsPerDelivery } = this.options;
    for (let site = 0; site < this.siteIds.length; site++) {
      const declared: PointDeclared[] = [];
      for (let point = site * pointsPerSite; point < Math.min(points, (site + 1) * pointsPerSite); point++)
        declared.push({
          pointId: pointIdOf(point),
          name: 'meter',
          kind: kindOf(point),
          carrier: 'ELECTRICITY',
          intervalMs: MINUTE_MS,
          maxHoldMs: 2 * MINUTE_MS,
          deliveryDelayMs: readingsPerDelivery === 1 ? 0 : HOUR_MS + MINUTE_MS,
          registerModulusMilliWh: 1_000_000_000_000,
          registerJitterMilliWh: 100,
          mayExport: false,
          forecast: false,
        });
      yield {
        siteId: this.siteIds[site],
        knownAtMs: GENERATOR_FROM_MS,
        pilotId: 'bench',
        timeZone: 'Europe/Athens',
        kind: 'APARTMENT_BUILDING',
        origin: 'SIMULATED',
        personalData: null,
        points: declared,
      };
    }
  }

  /** Records of the next minute, its tick last. `silent`: only what is still on its way. */
  next(silent = false): LogRecord[] {
    const { points, readingsPerDelivery } = this.options;
    this.records = [];
    const { minute } = this;
    if (!silent) for (let point = 0; point < points; point++) this.read(point, minute);
    const due = this.ring[minute % RING];
    if (readingsPerDelivery === 1) for (let i = 0; i < due.count; i++) this.deliver(due, i, i + 1);
    else this.deliverTogether(due);
    due.count = 0;
    this.minute++;
    if (this.options.form === 'deliveries') this.tick();
    return this.records;
  }

  /** Xorshift32 (Marsaglia 2003). */
  private random(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x >>> 0;
    return this.state / 4_294_967_296;
  }

  /** What the meter reads in this minute, what that means, and when it will be delivered. */
  private read(point: number, minute: number): void {
    const kind = kindOf(point);
    const level = 200 + ((point * 31 + minute * 7) % 900) + Math.floor(this.random() * 50);
    let value = level;
    if (kind === 'INTERVAL_ENERGY') this.energyMilliWh[point] += value;
    else if (kind === 'REGISTER') value = this.readRegister(point, minute, level);
    else {
      this.windowSum[point] += value;
      if (minute % 5 === 4) {
        this.energyMilliWh[point] += Math.round((this.windowSum[point] * 1000) / 60);
        this.windowSum[point] = 0;
      }
    }
    const hourly = this.options.readingsPerDelivery === 60;
    // Hourly deliveries are spread over the hour; each takes with it what was left out of the one before.
    const regular = hourly ? 60 - ((((minute - point) % 60) + 60) % 60) : 0;
    const chance = this.random();
    const late = chance < LATE_SHARE ? (hourly ? 60 : 1 + Math.floor(this.random() * (MAX_DELAY_MINUTES - 1))) : 0;
    this.schedule(point, minute, value, minute + regular + late);
    if (chance <= 1 - DOUBLED_SHARE) return;
    this.schedule(point, minute, value, minute + regular + (hourly ? 60 : 1 + Math.floor(this.random() * 10)));
    this.doubled++;
  }

  /** Ascends; once a day it begins again at zero (and counts from there), every third day another meter takes over. */
  private readRegister(point: number, minute: number, level: number): number {
    const age = minute + point * 37;
    if (age % SWAP_EVERY_MINUTES === 17 && minute > 0) {
      this.device[point] ^= 1;
      this.register[point] = 500_000 + level;
    } else if (age % RESET_EVERY_MINUTES === 3 && minute > 0) {
      this.register[point] = level;
      this.energyMilliWh[point] += level;
    } else {
      this.register[point] += level;
      if (minute > 0) this.energyMilliWh[point] += level;
    }
    return this.register[point];
  }

  private schedule(point: number, minute: number, value: number, atMinute: number): void {
    const slot = atMinute % RING;
    let pending = this.ring[slot];
    if (pending.count === pending.point.length) this.ring[slot] = pending = grown(pending);
    const i = pending.count++;
    pending.point[i] = point;
    pending.minute[i] = minute;
    pending.value[i] = value;
    pending.device[i] = this.device[point];
  }

  /** Puts what is due of one point together, the regular hour and what came late or twice. */
  private deliverTogether(due: Pending): void {
    const order = Array.from({ length: due.count }, (_, i) => i).sort(
      (a, b) => due.point[a] - due.point[b] || due.device[a] - due.device[b] || a - b,
    );
    const sorted = pendingOf(Math.max(16, due.count));
    for (const i of order) {
      sorted.point[sorted.count] = due.point[i];
      sorted.minute[sorted.count] = due.minute[i];
      sorted.value[sorted.count] = due.value[i];
      sorted.device[sorted.count++] = due.device[i];
    }
    for (let from = 0; from < sorted.count; ) {
      let to = from + 1;
      while (to < sorted.count && sorted.point[to] === sorted.point[from] && sorted.device[to] === sorted.device[from]) to++;
      this.deliver(sorted, from, to);
      from = to;
    }
  }

  private deliver(due: Pending, from: number, to: number): void {
    const point = due.point[from];
    for (let i = from; i < to; i++) this.valueSum += due.value[i];
    this.delivered += to - from;
    if (this.options.form === 'singles') for (let i = from; i < to; i++) this.writeSingle(point, due.minute[i], due.value[i]);
    else this.writeDelivery(point, due, from, to);
  }

  private writeSingle(point: number, minute: number, value: number): void {
    const start = this.open();
    this.at += this.prefixes[point].copy(this.bytes, this.at);
    this.long(GENERATOR_FROM_MS + minute * MINUTE_MS);
    this.double(value);
    this.push('meter.readings', this.siteIds[0], start, 'SingleReading');
  }

  private writeDelivery(point: number, due: Pending, from: number, to: number): void {
    const kind = kindOf(point);
    const energy = kind === 'INTERVAL_ENERGY' || kind === 'REGISTER';
    const siteId = this.siteIds[Math.floor(point / this.options.pointsPerSite)];
    const count = to - from;
    const start = this.open();
    this.frame(this.options.deliverySchemaId);
    this.text(siteId);
    this.long(this.knownAtMs);
    this.long(1);
    this.at += this.prefixes[point].copy(this.bytes, this.at);
    if (kind === 'REGISTER') {
      this.long(1);
      this.text(due.device[from] === 0 ? 'device-a' : 'device-b');
    } else this.long(0);
    this.long(count);
    for (let i = from; i < to; i++)
      this.long(i === from ? GENERATOR_FROM_MS + due.minute[i] * MINUTE_MS : (due.minute[i] - due.minute[i - 1]) * MINUTE_MS);
    this.long(0);
    if (!energy) {
      this.long(count);
      for (let i = from; i < to; i++) this.double(due.value[i]);
    }
    this.long(0);
    if (energy) {
      this.long(count);
      for (let i = from; i < to; i++) this.long(due.value[i]);
    }
    this.long(0);
    // One quality for all readings: measured; then the end of the series.
    this.long(1);
    this.long(0);
    this.long(0);
    this.push('meter.readings', siteId, start, 'ReadingsDelivery');
  }

  private get knownAtMs(): number {
    return GENERATOR_FROM_MS + (this.minute + 1) * MINUTE_MS;
  }

  private tick(): void {
    const start = this.open();
    this.frame(this.options.tickSchemaId);
    this.long(GENERATOR_FROM_MS + this.minute * MINUTE_MS);
    this.push('ticks', '0', start, 'Tick');
  }

  /** Bytes of a record that do not change from one reading of a point to the next. */
  private prefixOf(point: number): Buffer {
    this.bytes = Buffer.alloc(64);
    this.at = 0;
    if (this.options.form === 'singles') {
      this.frame(1);
      this.text(`m${String(point).padStart(8, '0')}`);
    } else {
      const kind = kindOf(point);
      this.text(pointIdOf(point));
      this.long(kind === 'INTERVAL_ENERGY' || kind === 'REGISTER' ? 2 : 1);
    }
    return Buffer.from(this.bytes.subarray(0, this.at));
  }

  private push(topic: string, key: string, start: number, type: string): void {
    const knownAtMs = topic === 'ticks' ? GENERATOR_FROM_MS + this.minute * MINUTE_MS : this.knownAtMs;
    const headers = { source: topic, number: this.offset, type, knownAtMs };
    const value = this.bytes.subarray(start, this.at);
    this.records.push(new SharingRecord({ topic, partition: 0, appendedMs: 0 }, this.offset, key, headers, value, this.memory));
    this.offset++;
  }

  private open(): number {
    if (this.bytes.length - this.at < 8_192) {
      this.bytes = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
      this.memory = new DataView(this.bytes.buffer);
      this.at = 0;
    }
    return this.at;
  }

  private frame(schemaId: number): void {
    this.bytes[this.at] = 0;
    this.bytes.writeUInt32BE(schemaId, this.at + 1);
    this.at += 5;
  }

  private text(value: string): void {
    this.long(value.length);
    this.at += this.bytes.write(value, this.at, 'latin1');
  }

  private double(value: number): void {
    this.view.setFloat64(this.at, value, true);
    this.at += 8;
  }

  private long(value: number): void {
    let rest = value >= 0 ? value * 2 : -value * 2 - 1;
    while (rest > 0x7f) {
      this.bytes[this.at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.bytes[this.at++] = rest;
  }
}

function pendingOf(capacity: number): Pending {
  return {
    point: new Uint32Array(capacity),
    minute: new Uint32Array(capacity),
    value: new Float64Array(capacity),
    device: new Uint8Array(capacity),
    count: 0,
  };
}

function grown(pending: Pending): Pending {
  const larger = pendingOf(Math.ceil(pending.point.length * 1.5));
  larger.point.set(pending.point);
  larger.minute.set(pending.minute);
  larger.value.set(pending.value);
  larger.device.set(pending.device);
  larger.count = pending.count;
  return larger;
}
