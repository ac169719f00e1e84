import { MAX_HOT_READINGS } from '../../streams/limits.ts';
import type { StateReader, StateWriter } from '../../streams/state-bytes.ts';

/** What became of a reading on its way into the hot state. */
export type Insertion = 'appended' | 'inserted' | 'same' | 'conflict' | 'full';

const OFFSET_LIMIT = 0xffff_ffff;
/** Bytes of a reading, and where in them its value and its mark stand. */
const STRIDE = 13;
const VALUE_AT = 4;
const MARK_AT = 12;
const NO_BYTES = new ArrayBuffer(0);

/**
 * The readings of one point that are still in memory, ascending by start, one per start. One run of bytes, 13 a reading
 * (start after the base, value, mark), as the next reading of a point is rarely near in memory to the one before: it
 * should touch one place, not three. A mark holds the quality (two low bits) and the index of the device (six high bits).
 */
export class HotReadings {
  count = 0;
  /** Start of the last reading; -Infinity where there is none. */
  lastStartMs = Number.NEGATIVE_INFINITY;
  /** What the last conflicting insertion replaced. */
  replacedValue = 0;
  private readonly limit: number;
  private readonly unitMs: number;
  private baseMs = 0;
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
    return this.baseMs + this.bytes.getUint32(i * STRIDE, true) * this.unitMs;
  }

  value(i: number): number {
    return this.bytes.getFloat64(i * STRIDE + VALUE_AT, true);
  }

  quality(i: number): number {
    return this.bytes.getUint8(i * STRIDE + MARK_AT) & 3;
  }

  device(i: number): number {
    return this.bytes.getUint8(i * STRIDE + MARK_AT) >> 2;
  }

  /** Whether any reading in memory came from the device of this index. */
  hasDevice(device: number): boolean {
    for (let i = 0; i < this.count; i++) if (this.device(i) === device) return true;
    return false;
  }

  /** Index of the first reading that starts at or after the time. */
  firstAtOrAfter(timeMs: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.startMs(middle) < timeMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** A later delivery of the same start counts; `same` and `conflict` tell whether it said the same. */
  insert(startMs: number, value: number, mark: number): Insertion {
    const { count } = this;
    if (startMs > this.lastStartMs) return this.append(startMs, value, mark) ? 'appended' : 'full';
    const at = this.firstAtOrAfter(startMs);
    if (this.startMs(at) === startMs) {
      if (this.value(at) === value && this.bytes.getUint8(at * STRIDE + MARK_AT) === mark) return 'same';
      this.replacedValue = this.value(at);
      this.put(at, startMs, value, mark);
      if (at < this.changedFrom) this.changedFrom = at;
      return 'conflict';
    }
    if (this.lastStartMs - startMs > OFFSET_LIMIT * this.unitMs || !this.makeRoom(startMs)) return 'full';
    this.all().copyWithin((at + 1) * STRIDE, at * STRIDE, count * STRIDE);
    this.put(at, startMs, value, mark);
    this.count++;
    if (at < this.changedFrom) this.changedFrom = at;
    return 'inserted';
  }

  /** Takes a reading that is later than all others; false where there is no room. */
  append(startMs: number, value: number, mark: number): boolean {
    const i = this.count;
    const offset = (startMs - this.baseMs) / this.unitMs;
    if ((i === 0 || i === this.capacity || offset > OFFSET_LIMIT) && !this.makeRoom(startMs)) return false;
    this.put(this.count++, startMs, value, mark);
    this.lastStartMs = startMs;
    return true;
  }

  private put(at: number, startMs: number, value: number, mark: number): void {
    const { bytes } = this;
    bytes.setUint32(at * STRIDE, (startMs - this.baseMs) / this.unitMs, true);
    bytes.setFloat64(at * STRIDE + VALUE_AT, value, true);
    bytes.setUint8(at * STRIDE + MARK_AT, mark);
  }

  private makeRoom(startMs: number): boolean {
    if (this.count === 0) this.baseMs = startMs;
    // The base stays where it is as long as offsets from it fit.
    if (startMs < this.baseMs || Math.max(startMs, this.lastStartMs) - this.baseMs > OFFSET_LIMIT * this.unitMs)
      this.rebase(this.count > 0 ? Math.min(startMs, this.startMs(0)) : startMs, Math.max(startMs, this.lastStartMs));
    if (this.count < this.capacity) return true;
    if (this.count >= this.limit) return false;
    this.grow(Math.min(this.limit, Math.max(8, Math.ceil(this.count * 1.125))));
    return true;
  }

  /** Moves the base so that all starts fit 32 bits; readings more than 2^32 units (49 days) before the newest are let go. */
  private rebase(baseMs: number, newestMs: number): void {
    const spanMs = OFFSET_LIMIT * this.unitMs;
    if (baseMs === this.baseMs && newestMs - baseMs <= spanMs) return;
    if (newestMs - baseMs > spanMs) {
      this.dropBefore(this.firstAtOrAfter(newestMs - spanMs));
      return this.rebase(this.count > 0 ? Math.min(newestMs, this.startMs(0)) : newestMs, newestMs);
    }
    const shift = (this.baseMs - baseMs) / this.unitMs;
    for (let at = 0; at < this.count * STRIDE; at += STRIDE) this.bytes.setUint32(at, this.bytes.getUint32(at, true) + shift, true);
    this.baseMs = baseMs;
  }

  private all(): Uint8Array {
    return new Uint8Array(this.bytes.buffer);
  }

  private grow(capacity: number): void {
    const larger = new Uint8Array(capacity * STRIDE);
    larger.set(this.all().subarray(0, this.count * STRIDE));
    this.bytes = new DataView(larger.buffer);
    this.capacity = capacity;
  }

  /** Drops the first `drop` readings. */
  dropBefore(drop: number): void {
    if (drop <= 0) return;
    this.all().copyWithin(0, drop * STRIDE, this.count * STRIDE);
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
    out.array(this.all(), from * STRIDE, this.count * STRIDE);
  }

  applyChanges(changes: StateReader): void {
    this.dropBefore(Math.min(changes.count(), this.count));
    const from = changes.count();
    const baseMs = changes.long();
    this.count = from;
    if (from > 0) this.rebase(baseMs, this.startMs(from - 1));
    this.baseMs = baseMs;
    const length = changes.arrayInto((bytes) => {
      if (from + bytes / STRIDE > this.capacity) this.grow(from + bytes / STRIDE);
      return { into: this.all(), at: from * STRIDE };
    });
    const count = length / STRIDE;
    this.count = from + count;
    this.lastStartMs = this.count > 0 ? this.startMs(this.count - 1) : Number.NEGATIVE_INFINITY;
  }
}
