import { MAX_HOT_READINGS } from '../../streams/limits.ts';
import type { StateReader, StateWriter } from '../../streams/state-bytes.ts';
import type { ReadingRun } from './reading-run.ts';

/** What became of a reading on its way into the hot state. */
export type Insertion = 'appended' | 'inserted' | 'same' | 'conflict' | 'full';

/** Readings by their index. */
export interface Readings {
  readonly count: number;
  startMs(i: number): number;
  value(i: number): number;
  quality(i: number): number;
  device(i: number): number;
}

/** Readings as a delivery has them: differences of starts, values, and one quality for each or for all. */
export interface ReadingColumns {
  readonly startMs: readonly number[];
  readonly values: readonly number[];
  readonly quality: Uint8Array;
}

/** What a reading must keep to be the next one of a run; rises are those from the reading before. */
export interface RunBounds {
  earliestMs: number;
  latestMs: number;
  /** Largest value, of either sign. */
  limit: number;
  lowestRise: number;
  highestRise: number;
}

const OFFSET_LIMIT = 0xffff_ffff;
/** Bytes of a reading, and where in them its value and its mark stand, after the start: wide and narrow. */
const WIDE = { stride: 13, valueAt: 4, markAt: 12 };
const NARROW = { stride: 7, valueAt: 2, markAt: 6 };
const NARROW_UNIT_MS = 1_000;
const NARROW_SPAN = 0xffff;
const NARROW_SPAN_MS = NARROW_SPAN * NARROW_UNIT_MS;
const NO_BYTES = new ArrayBuffer(0);

/**
 * The readings of one point that are still in memory, ascending by start, one per start. One run of bytes, as the next
 * reading of a point is rarely near in memory to the one before: it should touch one place, not three. Most points take
 * 7 bytes a reading: seconds after the base, a value that a float of 32 bits holds exactly, and a mark. At the first
 * reading that does not fit, all take 13: 32 bits of time and a double. A mark holds the quality (two low bits) and the
 * index of the device (six high bits).
 */
export class HotReadings implements Readings {
  count = 0;
  /** Start of the last reading; -Infinity where there is none. */
  lastStartMs = Number.NEGATIVE_INFINITY;
  /** What the last conflicting insertion replaced. */
  replacedValue = 0;
  private readonly limit: number;
  private readonly unitMs: number;
  private baseMs = 0;
  private wide = false;
  private bytes = new DataView(NO_BYTES);
  private capacity = 0;
  /** First index that differs from the last committed state, and how many were dropped in front since then. */
  private changedFrom = 0;
  private droppedSince = 0;

  /** `limit`: most readings it holds. `unitMs`: all starts are a multiple of it; they must lie within 2^32 of it. */
  constructor(limit = MAX_HOT_READINGS, unitMs = 1) {
    this.limit = limit;
    this.unitMs = unitMs;
  }

  startMs(i: number): number {
    return this.wide
      ? this.baseMs + this.bytes.getUint32(i * WIDE.stride, true) * this.unitMs
      : this.baseMs + this.bytes.getUint16(i * NARROW.stride, true) * NARROW_UNIT_MS;
  }

  value(i: number): number {
    return this.wide
      ? this.bytes.getFloat64(i * WIDE.stride + WIDE.valueAt, true)
      : this.bytes.getFloat32(i * NARROW.stride + NARROW.valueAt, true);
  }

  mark(i: number): number {
    return this.bytes.getUint8(this.wide ? i * WIDE.stride + WIDE.markAt : i * NARROW.stride + NARROW.markAt);
  }

  quality(i: number): number {
    return this.mark(i) & 3;
  }

  device(i: number): number {
    return this.mark(i) >> 2;
  }

  private get stride(): number {
    return this.wide ? WIDE.stride : NARROW.stride;
  }

  /** Whether any reading in memory came from the device of this index. */
  hasDevice(device: number): boolean {
    for (let i = 0; i < this.count; i++) if (this.device(i) === device) return true;
    return false;
  }

  /** Index of the first reading that starts at or after the time. */
  firstAtOrAfter(timeMs: number): number {
    let high = this.count;
    if (this.lastStartMs < timeMs) return high;
    // Mostly one of the last, so it is looked for from the end, in ever longer leaps.
    let leap = 8;
    let low = high - leap;
    while (low > 0 && this.startMs(low) >= timeMs) {
      high = low;
      leap *= 4;
      low -= leap;
    }
    if (low < 0) low = 0;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.startMs(middle) < timeMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Copies the readings from the index on, up to and with the first that starts at or after the time. */
  unpack(from: number, throughMs: number, into: ReadingRun): void {
    const { count, baseMs, bytes } = this;
    const { starts, values, marks } = into;
    let copied = 0;
    if (this.wide) {
      for (let i = from; i < count && (copied === 0 || starts[copied - 1] < throughMs); i++, copied++) {
        starts[copied] = this.startMs(i);
        values[copied] = this.value(i);
        marks[copied] = this.mark(i);
      }
    } else {
      let startMs = Number.NEGATIVE_INFINITY;
      for (let at = from * NARROW.stride, end = count * NARROW.stride; at < end && startMs < throughMs; at += NARROW.stride) {
        startMs = baseMs + bytes.getUint16(at, true) * NARROW_UNIT_MS;
        starts[copied] = startMs;
        values[copied] = bytes.getFloat32(at + NARROW.valueAt, true);
        marks[copied++] = bytes.getUint8(at + NARROW.markAt);
      }
    }
    into.count = copied;
  }

  /** A later delivery of the same start counts; `same` and `conflict` tell whether it said the same. */
  insert(startMs: number, value: number, mark: number): Insertion {
    if (startMs > this.lastStartMs) return this.append(startMs, value, mark) ? 'appended' : 'full';
    const at = this.firstAtOrAfter(startMs);
    if (this.startMs(at) === startMs) {
      if (this.value(at) === value && this.mark(at) === mark) return 'same';
      this.replacedValue = this.value(at);
      if (!this.fits(startMs, value)) this.fit(startMs, value);
      this.put(at, startMs, value, mark);
      if (at < this.changedFrom) this.changedFrom = at;
      return 'conflict';
    }
    if (this.lastStartMs - startMs > OFFSET_LIMIT * this.unitMs || !this.makeRoom(startMs, value)) return 'full';
    const { stride } = this;
    this.all().copyWithin((at + 1) * stride, at * stride, this.count * stride);
    this.put(at, startMs, value, mark);
    this.count++;
    if (at < this.changedFrom) this.changedFrom = at;
    return 'inserted';
  }

  /** Takes a reading that is later than all others; false where there is no room. */
  append(startMs: number, value: number, mark: number): boolean {
    const i = this.count;
    if (!this.wide && i > 0 && i < this.capacity) {
      const seconds = (startMs - this.baseMs) / NARROW_UNIT_MS;
      const offset = seconds | 0;
      if (offset === seconds && offset <= NARROW_SPAN && offset >= 0 && Math.fround(value) === value) {
        const { bytes } = this;
        const at = i * NARROW.stride;
        bytes.setUint16(at, offset, true);
        bytes.setFloat32(at + NARROW.valueAt, value, true);
        bytes.setUint8(at + NARROW.markAt, mark);
        this.count = i + 1;
        this.lastStartMs = startMs;
        return true;
      }
    }
    return this.appendAny(startMs, value, mark);
  }

  /**
   * Takes readings from the i-th on while each is later than all others, within the bounds, and fits as memory stands;
   * gives the index of the first that does not. `startMs` are differences, the first one to `previousMs`.
   */
  appendRun(
    { startMs: steps, values, quality }: ReadingColumns,
    from: number,
    previousMs: number,
    device: number,
    bounds: RunBounds,
  ): number {
    const { count: held, capacity, bytes, baseMs } = this;
    if (this.wide || held === 0) return from;
    const { earliestMs, latestMs, limit, lowestRise, highestRise } = bounds;
    const to = Math.min(values.length, from + capacity - held);
    const each = quality.length > 1 ? 1 : 0;
    let lastMs = this.lastStartMs;
    let lastValue = this.value(held - 1);
    let startMs = previousMs;
    let i = from;
    for (let at = held * NARROW.stride; i < to; i++, at += NARROW.stride) {
      startMs += steps[i];
      const value = values[i];
      if (!(startMs > lastMs && startMs >= earliestMs && startMs <= latestMs)) break;
      if (!(value <= limit && value >= -limit && value - lastValue >= lowestRise && value - lastValue <= highestRise)) break;
      const seconds = (startMs - baseMs) / NARROW_UNIT_MS;
      const offset = seconds | 0;
      if (!(offset === seconds && offset <= NARROW_SPAN && offset >= 0 && Math.fround(value) === value)) break;
      bytes.setUint16(at, offset, true);
      bytes.setFloat32(at + NARROW.valueAt, value, true);
      bytes.setUint8(at + NARROW.markAt, device | quality[i * each]);
      lastMs = startMs;
      lastValue = value;
    }
    this.count = held + i - from;
    this.lastStartMs = lastMs;
    return i;
  }

  private appendAny(startMs: number, value: number, mark: number): boolean {
    const i = this.count;
    if ((i === 0 || i === this.capacity || !this.fits(startMs, value)) && !this.makeRoom(startMs, value)) return false;
    this.put(this.count++, startMs, value, mark);
    this.lastStartMs = startMs;
    return true;
  }

  /** Whether a reading can be put down with the base and the width as they are. */
  private fits(startMs: number, value: number): boolean {
    const offsetMs = startMs - this.baseMs;
    if (offsetMs < 0) return false;
    if (this.wide) return offsetMs <= OFFSET_LIMIT * this.unitMs;
    // Whole seconds by whole numbers: a remainder of doubles is a call of its own.
    const offset = (offsetMs / NARROW_UNIT_MS) | 0;
    return offset <= NARROW_SPAN && offset * NARROW_UNIT_MS === offsetMs && Math.fround(value) === value;
  }

  private put(at: number, startMs: number, value: number, mark: number): void {
    const { bytes } = this;
    if (this.wide) {
      bytes.setUint32(at * WIDE.stride, (startMs - this.baseMs) / this.unitMs, true);
      bytes.setFloat64(at * WIDE.stride + WIDE.valueAt, value, true);
      bytes.setUint8(at * WIDE.stride + WIDE.markAt, mark);
    } else {
      bytes.setUint16(at * NARROW.stride, (startMs - this.baseMs) / NARROW_UNIT_MS, true);
      bytes.setFloat32(at * NARROW.stride + NARROW.valueAt, value, true);
      bytes.setUint8(at * NARROW.stride + NARROW.markAt, mark);
    }
  }

  private makeRoom(startMs: number, value: number): boolean {
    if (this.count === 0) this.baseMs = startMs;
    if (!this.fits(startMs, value)) this.fit(startMs, value);
    if (this.count < this.capacity) return true;
    if (this.count >= this.limit) return false;
    this.grow(Math.min(this.limit, Math.max(8, Math.ceil(this.count * 1.125))));
    return true;
  }

  /** Moves the base, or widens all readings, so that this one fits. */
  private fit(startMs: number, value: number): void {
    const oldestMs = this.count > 0 ? Math.min(startMs, this.startMs(0)) : startMs;
    const newestMs = Math.max(startMs, this.lastStartMs);
    if (!this.wide) {
      const spaced = (startMs - this.baseMs) % NARROW_UNIT_MS === 0;
      if (spaced && newestMs - oldestMs <= NARROW_SPAN_MS && Math.fround(value) === value) return this.rebase(oldestMs, newestMs);
      this.widen();
    }
    if (!this.fits(startMs, value)) this.rebase(oldestMs, newestMs);
  }

  private widen(): void {
    const { count } = this;
    const narrow = this.bytes;
    this.bytes = new DataView(new ArrayBuffer(this.capacity * WIDE.stride));
    this.wide = true;
    for (let i = 0; i < count; i++) {
      const at = i * NARROW.stride;
      const startMs = this.baseMs + narrow.getUint16(at, true) * NARROW_UNIT_MS;
      this.put(i, startMs, narrow.getFloat32(at + NARROW.valueAt, true), narrow.getUint8(at + NARROW.markAt));
    }
  }

  /** Moves the base so that all starts fit 32 bits; readings more than 2^32 units (49 days) before the newest are let go. */
  private rebase(baseMs: number, newestMs: number): void {
    if (!this.wide) return this.rebaseNarrow(baseMs);
    const spanMs = OFFSET_LIMIT * this.unitMs;
    if (baseMs === this.baseMs && newestMs - baseMs <= spanMs) return;
    if (newestMs - baseMs > spanMs) {
      this.dropBefore(this.firstAtOrAfter(newestMs - spanMs));
      return this.rebase(this.count > 0 ? Math.min(newestMs, this.startMs(0)) : newestMs, newestMs);
    }
    const { bytes } = this;
    const shift = (this.baseMs - baseMs) / this.unitMs;
    for (let at = 0; at < this.count * WIDE.stride; at += WIDE.stride) bytes.setUint32(at, bytes.getUint32(at, true) + shift, true);
    this.baseMs = baseMs;
  }

  private rebaseNarrow(baseMs: number): void {
    const { bytes } = this;
    const shift = (this.baseMs - baseMs) / NARROW_UNIT_MS;
    this.baseMs = baseMs;
    if (shift === 0) return;
    for (let at = 0; at < this.count * NARROW.stride; at += NARROW.stride) bytes.setUint16(at, bytes.getUint16(at, true) + shift, true);
  }

  private all(): Uint8Array {
    return new Uint8Array(this.bytes.buffer);
  }

  private grow(capacity: number): void {
    const larger = new Uint8Array(capacity * this.stride);
    larger.set(this.all().subarray(0, this.count * this.stride));
    this.bytes = new DataView(larger.buffer);
    this.capacity = capacity;
  }

  /** Drops the first `drop` readings. */
  dropBefore(drop: number): void {
    if (drop <= 0) return;
    this.all().copyWithin(0, drop * this.stride, this.count * this.stride);
    this.count -= drop;
    if (this.count === 0) this.lastStartMs = Number.NEGATIVE_INFINITY;
    this.droppedSince += drop;
    this.changedFrom = Math.max(0, this.changedFrom - drop);
  }

  markCommitted(): void {
    this.changedFrom = this.count;
    this.droppedSince = 0;
  }

  encodeChanges(out: StateWriter, everything: boolean): void {
    const from = everything ? 0 : Math.min(this.changedFrom, this.count);
    out.count(everything ? OFFSET_LIMIT : this.droppedSince);
    out.count(from);
    out.long(this.count > 0 ? this.startMs(0) : 0);
    this.rebase(this.count > 0 ? this.startMs(0) : this.baseMs, this.count > 0 ? this.lastStartMs : this.baseMs);
    out.count(this.wide ? 1 : 0);
    out.array(this.all(), from * this.stride, this.count * this.stride);
  }

  /** Takes over the width of the changes; only what holds nothing becomes narrow again. */
  private takeWidth(wide: boolean): void {
    if (this.wide === wide) return;
    if (wide) return this.widen();
    this.wide = false;
    this.capacity = 0;
    this.bytes = new DataView(NO_BYTES);
  }

  applyChanges(changes: StateReader): void {
    this.dropBefore(Math.min(changes.count(), this.count));
    const from = changes.count();
    const baseMs = changes.long();
    this.count = from;
    if (from > 0) this.rebase(baseMs, this.startMs(from - 1));
    this.baseMs = baseMs;
    this.takeWidth(changes.count() === 1);
    const { stride } = this;
    const length = changes.arrayInto((bytes) => {
      if (from + bytes / stride > this.capacity) this.grow(from + bytes / stride);
      return { into: this.all(), at: from * stride };
    });
    const count = length / stride;
    this.count = from + count;
    this.lastStartMs = this.count > 0 ? this.startMs(this.count - 1) : Number.NEGATIVE_INFINITY;
  }
}
