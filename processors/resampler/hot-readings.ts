import { MAX_HOT_READINGS } from '../../streams/limits.ts';
import type { StateReader, StateWriter } from '../../streams/state-bytes.ts';
import {
  BASE_MS,
  BYTES_AT,
  CAPACITY,
  CELLS,
  CHANGED_FROM,
  COUNT,
  LAST_START_MS,
  MARKS,
  PointColumns,
  WIDE as WIDE_READINGS,
} from './point-columns.ts';
import {
  appendSettled,
  markAt,
  NARROW,
  NARROW_SPAN,
  NARROW_SPAN_MS,
  NARROW_UNIT_MS,
  OFFSET_LIMIT,
  offsetAt,
  type ReadingCursor,
  type Readings,
  startAt,
  type UnpackedReadings,
  valueAt,
  WIDE,
} from './reading-bytes.ts';

/** What became of a reading on its way into the hot state. */
export type Insertion = 'appended' | 'inserted' | 'same' | 'conflict' | 'full';

/**
 * The readings of one point that are still in memory, ascending by start, one per start. One run of bytes, as the next
 * reading of a point is rarely near in memory to the one before: it should touch one place, not three. Most points take
 * 7 bytes a reading: seconds after the base, a value that a float of 32 bits holds exactly, and a mark. At the first
 * reading that does not fit, all take 13: 32 bits of time and a double. A mark holds the quality (two low bits) and the
 * index of the device (six high bits).
 */
export class HotReadings implements Readings {
  /** What the last conflicting insertion replaced. */
  replacedValue = 0;
  private readonly limit: number;
  private readonly unitMs: number;
  private readonly columns: PointColumns;
  private readonly index: number;
  /** How many there will be at most, as declared: room grows by halves up to that, and by eighths beyond. */
  expected = 0;
  /** How many were dropped in front since the last committed state. */
  private droppedSince = 0;

  /**
   * `limit`: most readings it holds. `unitMs`: all starts are a multiple of it; they must lie within 2^32 of it. `columns`
   * and `index`: where the point's row is.
   */
  constructor(limit = MAX_HOT_READINGS, unitMs = 1, columns = new PointColumns(), index = columns.add()) {
    this.limit = limit;
    this.unitMs = unitMs;
    this.columns = columns;
    this.index = index;
  }

  get count(): number {
    return this.columns.cells[this.index * CELLS + COUNT];
  }

  private set count(count: number) {
    this.columns.cells[this.index * CELLS + COUNT] = count;
  }

  /** Start of the last reading; -Infinity where there is none. */
  get lastStartMs(): number {
    return this.columns.cells[this.index * CELLS + LAST_START_MS];
  }

  private set lastStartMs(startMs: number) {
    this.columns.cells[this.index * CELLS + LAST_START_MS] = startMs;
  }

  private get baseMs(): number {
    return this.columns.cells[this.index * CELLS + BASE_MS];
  }

  private set baseMs(baseMs: number) {
    this.columns.cells[this.index * CELLS + BASE_MS] = baseMs;
  }

  private get capacity(): number {
    return this.columns.cells[this.index * CELLS + CAPACITY];
  }

  private set capacity(capacity: number) {
    this.columns.cells[this.index * CELLS + CAPACITY] = capacity;
  }

  /** First index that differs from the last committed state. */
  private get changedFrom(): number {
    return this.columns.cells[this.index * CELLS + CHANGED_FROM];
  }

  private set changedFrom(changedFrom: number) {
    this.columns.cells[this.index * CELLS + CHANGED_FROM] = changedFrom;
  }

  private get wide(): boolean {
    return (this.columns.cells[this.index * CELLS + MARKS] & WIDE_READINGS) !== 0;
  }

  private set wide(wide: boolean) {
    const { cells } = this.columns;
    const at = this.index * CELLS + MARKS;
    cells[at] = wide ? cells[at] | WIDE_READINGS : cells[at] & ~WIDE_READINGS;
  }

  private get bytes(): DataView {
    return this.columns.bytes;
  }

  /** Where the bytes of reading i begin. */
  private placeOf(i: number): number {
    this.columns.settle(this.index);
    return this.columns.cells[this.index * CELLS + BYTES_AT] + i * this.stride;
  }

  private get stride(): number {
    return this.wide ? WIDE.stride : NARROW.stride;
  }

  startMs(i: number): number {
    return startAt(this.bytes, this.placeOf(i), this.wide, this.baseMs, this.unitMs);
  }

  value(i: number): number {
    return valueAt(this.bytes, this.placeOf(i), this.wide);
  }

  mark(i: number): number {
    return markAt(this.bytes, this.placeOf(i), this.wide);
  }

  quality(i: number): number {
    return this.mark(i) & 3;
  }

  device(i: number): number {
    return this.mark(i) >> 2;
  }

  /** Where the readings lie. */
  cursor(): ReadingCursor {
    const { bytes, wide, baseMs, unitMs, stride } = this;
    return { bytes, at: this.placeOf(0), wide, baseMs, unitMs, stride };
  }

  /** Whether any reading in memory came from the device of this index. */
  hasDevice(device: number): boolean {
    for (let i = 0; i < this.count; i++) if (this.device(i) === device) return true;
    return false;
  }

  /** Index of the first reading that starts at or after the time. */
  firstAtOrAfter(timeMs: number): number {
    this.columns.settle(this.index);
    const { cells, bytes } = this.columns;
    const row = this.index * CELLS;
    let high = cells[row + COUNT];
    if (cells[row + LAST_START_MS] < timeMs) return high;
    const wide = (cells[row + MARKS] & WIDE_READINGS) !== 0;
    const stride = wide ? WIDE.stride : NARROW.stride;
    const unitMs = wide ? this.unitMs : NARROW_UNIT_MS;
    const from = cells[row + BYTES_AT];
    const offset = (timeMs - cells[row + BASE_MS]) / unitMs;
    // Mostly one of the last, so it is looked for from the end, in ever longer leaps.
    let leap = 8;
    let low = high - leap;
    while (low > 0 && offsetAt(bytes, from + low * stride, wide) >= offset) {
      high = low;
      leap *= 4;
      low -= leap;
    }
    if (low < 0) low = 0;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (offsetAt(bytes, from + middle * stride, wide) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Unpacks the readings from index `from` on up to the first that starts at or after the time, that one included. */
  unpackUntil(from: number, toMs: number, into: UnpackedReadings): void {
    const { bytes, wide, baseMs, unitMs, stride, count } = this;
    const { starts, values, marks } = into;
    let at = this.placeOf(from);
    let unpacked = 0;
    for (let i = from; i < count; i++, at += stride) {
      const startMs = startAt(bytes, at, wide, baseMs, unitMs);
      starts[unpacked] = startMs;
      values[unpacked] = valueAt(bytes, at, wide);
      marks[unpacked++] = markAt(bytes, at, wide);
      if (startMs >= toMs) break;
    }
    into.count = unpacked;
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
    this.columns.allBytes().copyWithin(this.placeOf(at + 1), this.placeOf(at), this.placeOf(this.count));
    this.put(at, startMs, value, mark);
    this.count++;
    if (at < this.changedFrom) this.changedFrom = at;
    return 'inserted';
  }

  /** Takes a reading that is later than all others; false where there is no room. */
  append(startMs: number, value: number, mark: number): boolean {
    return (this.unitMs === 1 && appendSettled(this.columns, this.index, startMs, value, mark)) || this.appendAny(startMs, value, mark);
  }

  private appendAny(startMs: number, value: number, mark: number): boolean {
    this.columns.settle(this.index);
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

  private put(i: number, startMs: number, value: number, mark: number): void {
    const { bytes } = this;
    const at = this.placeOf(i);
    if (this.wide) {
      bytes.setUint32(at, (startMs - this.baseMs) / this.unitMs, true);
      bytes.setFloat64(at + WIDE.valueAt, value, true);
      bytes.setUint8(at + WIDE.markAt, mark);
    } else {
      bytes.setUint16(at, (startMs - this.baseMs) / NARROW_UNIT_MS, true);
      bytes.setFloat32(at + NARROW.valueAt, value, true);
      bytes.setUint8(at + NARROW.markAt, mark);
    }
  }

  private makeRoom(startMs: number, value: number): boolean {
    if (this.count === 0) this.baseMs = startMs;
    if (!this.fits(startMs, value)) this.fit(startMs, value);
    if (this.count < this.capacity) return true;
    if (this.count >= this.limit) return false;
    const capacity = Math.max(8, Math.ceil(this.count * 1.125), Math.min(this.expected, Math.ceil(this.count * 1.5)));
    this.columns.makeRoom(this.index, Math.min(this.limit, capacity));
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
    const { count, capacity, baseMs, unitMs } = this;
    const narrow = Uint8Array.prototype.slice.call(this.columns.allBytes(), this.placeOf(0), this.placeOf(count));
    const from = new DataView(narrow.buffer);
    // Nothing is moved: it is put down anew.
    this.count = this.capacity = 0;
    this.wide = true;
    this.columns.makeRoom(this.index, capacity);
    for (let i = 0; i < count; i++) {
      const at = i * NARROW.stride;
      this.put(i, startAt(from, at, false, baseMs, unitMs), valueAt(from, at, false), markAt(from, at, false));
    }
    this.count = count;
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
    const end = this.placeOf(this.count);
    for (let at = this.placeOf(0); at < end; at += WIDE.stride) bytes.setUint32(at, bytes.getUint32(at, true) + shift, true);
    this.baseMs = baseMs;
  }

  private rebaseNarrow(baseMs: number): void {
    const { bytes } = this;
    const shift = (this.baseMs - baseMs) / NARROW_UNIT_MS;
    this.baseMs = baseMs;
    if (shift === 0) return;
    const end = this.placeOf(this.count);
    for (let at = this.placeOf(0); at < end; at += NARROW.stride) bytes.setUint16(at, bytes.getUint16(at, true) + shift, true);
  }

  /** Drops the first `drop` readings. */
  dropBefore(drop: number): void {
    if (drop <= 0) return;
    this.columns.allBytes().copyWithin(this.placeOf(0), this.placeOf(drop), this.placeOf(this.count));
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
    out.array(this.columns.allBytes(), this.placeOf(from), this.placeOf(this.count));
  }

  /** Takes over the width of the changes; only what holds nothing becomes narrow again. */
  private takeWidth(wide: boolean): void {
    if (this.wide === wide) return;
    if (wide) return this.widen();
    this.capacity = 0;
    this.wide = false;
  }

  applyChanges(changes: StateReader): void {
    this.columns.settle(this.index);
    this.dropBefore(Math.min(changes.count(), this.count));
    const from = changes.count();
    const baseMs = changes.long();
    this.count = from;
    if (from > 0) this.rebase(baseMs, this.startMs(from - 1));
    this.baseMs = baseMs;
    this.takeWidth(changes.count() === 1);
    const { stride } = this;
    const length = changes.arrayInto((bytes) => {
      if (from + bytes / stride > this.capacity) this.columns.makeRoom(this.index, from + bytes / stride);
      return { into: this.columns.allBytes(), at: this.placeOf(from) };
    });
    const count = length / stride;
    this.count = from + count;
    this.lastStartMs = this.count > 0 ? this.startMs(this.count - 1) : Number.NEGATIVE_INFINITY;
  }
}
