/** How the readings of a point lie in memory: bytes of one width, ascending by start; and readings taken out of them. */
import {
  BASE_MS,
  BYTES_AT,
  CAPACITY,
  CELLS,
  COUNT,
  LAST_START_MS,
  MARKS,
  MAX_RECENT,
  NARROW_BYTES,
  ONE_RECENT,
  type PointColumns,
  readingBytes,
  recentOfMarks,
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
 * Puts a reading down among the recent ones that is later than all others, where there is room and it fits beside them
 * (in whole milliseconds); else false.
 */
export function appendRecent(columns: PointColumns, index: number, startMs: number, value: number, mark: number): boolean {
  const { cells } = columns;
  const at = index * CELLS;
  const offset = offsetBeside(cells, at, startMs, value);
  if (offset < 0) return false;
  if (recentOfMarks(cells[at + MARKS]) === MAX_RECENT) columns.settle(index);
  const marks = cells[at + MARKS];
  putAt(columns.recent, columns.recentPlace(index, recentOfMarks(marks)), (marks & WIDE_READINGS) !== 0, offset, value, mark);
  cells[at + COUNT]++;
  cells[at + LAST_START_MS] = startMs;
  cells[at + MARKS] = marks + ONE_RECENT;
  return true;
}

/** The same, not among the recent ones: where several of a point come together. */
export function appendSettled(columns: PointColumns, index: number, startMs: number, value: number, mark: number): boolean {
  const { cells } = columns;
  const at = index * CELLS;
  const offset = offsetBeside(cells, at, startMs, value);
  if (offset < 0) return false;
  if (recentOfMarks(cells[at + MARKS]) > 0) columns.settle(index);
  const isWide = (cells[at + MARKS] & WIDE_READINGS) !== 0;
  putAt(columns.bytes, cells[at + BYTES_AT] + cells[at + COUNT]++ * (isWide ? WIDE_BYTES : NARROW_BYTES), isWide, offset, value, mark);
  cells[at + LAST_START_MS] = startMs;
  return true;
}

/** What is put down for the start of a reading, where there is room and it fits beside those that are there; else -1. */
function offsetBeside(cells: readonly number[], at: number, startMs: number, value: number): number {
  const count = cells[at + COUNT];
  if (count === 0 || count === cells[at + CAPACITY]) return -1;
  const offsetMs = startMs - cells[at + BASE_MS];
  if ((cells[at + MARKS] & WIDE_READINGS) !== 0) return offsetMs <= OFFSET_LIMIT ? offsetMs : -1;
  // Whole seconds by whole numbers: a remainder of doubles is a call of its own.
  const seconds = offsetMs / NARROW_UNIT_MS;
  const offset = seconds | 0;
  return offset === seconds && offset <= NARROW_SPAN && Math.fround(value) === value ? offset : -1;
}

function putAt(bytes: DataView, at: number, wide: boolean, offset: number, value: number, mark: number): void {
  if (wide) {
    bytes.setUint32(at, offset, true);
    bytes.setFloat64(at + WIDE.valueAt, value, true);
    bytes.setUint8(at + WIDE.markAt, mark);
  } else {
    bytes.setUint16(at, offset, true);
    bytes.setFloat32(at + NARROW.valueAt, value, true);
    bytes.setUint8(at + NARROW.markAt, mark);
  }
}

/** Value and mark of the last of the readings in memory, of which there are some. */
export function lastValue(columns: PointColumns, index: number): number {
  const { cells, recent, bytes } = columns;
  const at = index * CELLS;
  const marks = cells[at + MARKS];
  const among = recentOfMarks(marks);
  const isWide = (marks & WIDE_READINGS) !== 0;
  return among > 0 ? valueAt(recent, columns.recentPlace(index, among - 1), isWide) : valueAt(bytes, lastPlace(cells, at), isWide);
}

export function lastMark(columns: PointColumns, index: number): number {
  const { cells, recent, bytes } = columns;
  const at = index * CELLS;
  const marks = cells[at + MARKS];
  const among = recentOfMarks(marks);
  const isWide = (marks & WIDE_READINGS) !== 0;
  return among > 0 ? markAt(recent, columns.recentPlace(index, among - 1), isWide) : markAt(bytes, lastPlace(cells, at), isWide);
}

function lastPlace(cells: readonly number[], at: number): number {
  return cells[at + BYTES_AT] + (cells[at + COUNT] - 1) * readingBytes(cells[at + MARKS]);
}
