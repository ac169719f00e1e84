/** How the readings of a point lie in memory: bytes of one width, ascending by start; and readings taken out of them. */
import {
  BASE_MS,
  BYTES_AT,
  CAPACITY,
  CELLS,
  COUNT,
  LAST_START_MS,
  MARKS,
  NARROW_BYTES,
  type PointColumns,
  readingBytes,
  WIDE_BYTES,
  WIDE as WIDE_READINGS,
} from './point-columns.ts';

export const OFFSET_LIMIT = 0xffff_ffff;
/** Where in the bytes of a reading its value and its mark stand, after the start: wide and narrow. */
export const WIDE = { stride: WIDE_BYTES, valueAt: 4, markAt: 12 };
export const NARROW = { stride: NARROW_BYTES, valueAt: 2, markAt: 6 };
export const NARROW_UNIT_MS = 1_000;
export const NARROW_SPAN = 0xffff;
export const NARROW_SPAN_MS = NARROW_SPAN * NARROW_UNIT_MS;

/** Readings by their index. */
export interface Readings {
  readonly count: number;
  startMs(i: number): number;
  value(i: number): number;
  quality(i: number): number;
  device(i: number): number;
}

/** Some readings in plain arrays, to be gone through at full speed. Begun with a double, so that they hold numbers in place. */
export class UnpackedReadings implements Readings {
  count = 0;
  readonly starts: number[] = [0.5];
  readonly values: number[] = [0.5];
  readonly marks: number[] = [0];

  startMs(i: number): number {
    return this.starts[i];
  }

  value(i: number): number {
    return this.values[i];
  }

  quality(i: number): number {
    return this.marks[i] & 3;
  }

  device(i: number): number {
    return this.marks[i] >> 2;
  }
}

/** Where the readings of a point lie, to be read one after the other. */
export interface ReadingCursor {
  bytes: DataView;
  at: number;
  wide: boolean;
  baseMs: number;
  unitMs: number;
  stride: number;
}

export function offsetAt(bytes: DataView, at: number, wide: boolean): number {
  return wide ? bytes.getUint32(at, true) : bytes.getUint16(at, true);
}

export function startAt(bytes: DataView, at: number, wide: boolean, baseMs: number, unitMs: number): number {
  return wide ? baseMs + bytes.getUint32(at, true) * unitMs : baseMs + bytes.getUint16(at, true) * NARROW_UNIT_MS;
}

export function valueAt(bytes: DataView, at: number, wide: boolean): number {
  return wide ? bytes.getFloat64(at + WIDE.valueAt, true) : bytes.getFloat32(at + NARROW.valueAt, true);
}

export function markAt(bytes: DataView, at: number, wide: boolean): number {
  return bytes.getUint8(wide ? at + WIDE.markAt : at + NARROW.markAt);
}

/**
 * Puts a reading down that is later than all others, where there is room and it fits beside them (in whole
 * milliseconds); else false.
 */
export function appendInPlace({ cells, bytes }: PointColumns, index: number, startMs: number, value: number, mark: number): boolean {
  const at = index * CELLS;
  const count = cells[at + COUNT];
  if (count === 0 || count === cells[at + CAPACITY]) return false;
  const offsetMs = startMs - cells[at + BASE_MS];
  if (offsetMs < 0) return false;
  if ((cells[at + MARKS] & WIDE_READINGS) === 0) {
    // Whole seconds by whole numbers: a remainder of doubles is a call of its own.
    const seconds = offsetMs / NARROW_UNIT_MS;
    const offset = seconds | 0;
    if (offset !== seconds || offset > NARROW_SPAN || Math.fround(value) !== value) return false;
    const to = cells[at + BYTES_AT] + count * NARROW.stride;
    bytes.setUint16(to, offset, true);
    bytes.setFloat32(to + NARROW.valueAt, value, true);
    bytes.setUint8(to + NARROW.markAt, mark);
  } else {
    if (offsetMs > OFFSET_LIMIT) return false;
    const to = cells[at + BYTES_AT] + count * WIDE.stride;
    bytes.setUint32(to, offsetMs, true);
    bytes.setFloat64(to + WIDE.valueAt, value, true);
    bytes.setUint8(to + WIDE.markAt, mark);
  }
  cells[at + COUNT] = count + 1;
  cells[at + LAST_START_MS] = startMs;
  return true;
}

/** Where the last of the readings in memory lies, of which there are some. */
function lastPlace(cells: readonly number[], at: number): number {
  return cells[at + BYTES_AT] + (cells[at + COUNT] - 1) * readingBytes(cells[at + MARKS]);
}

export function lastValue({ cells, bytes }: PointColumns, index: number): number {
  const at = index * CELLS;
  return valueAt(bytes, lastPlace(cells, at), (cells[at + MARKS] & WIDE_READINGS) !== 0);
}

export function lastMark({ cells, bytes }: PointColumns, index: number): number {
  const at = index * CELLS;
  return markAt(bytes, lastPlace(cells, at), (cells[at + MARKS] & WIDE_READINGS) !== 0);
}
