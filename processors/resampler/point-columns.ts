/**
 * What nearly every reading touches of its point, side by side for all points of a site: one line of memory a point. The
 * points of a site are read one after the other, minute after minute; kept in objects of their own, what a reading needs
 * would lie in a dozen places, and fetching those costs more than all else that is done with it.
 */
import type { PointKind, PointReadings } from '../../schemas/types.ts';
import { unitOf, valueLimitOf } from '../../streams/reading-columns.ts';
import type { PointState } from './point-state.ts';

/** Numbers of a row, in this order. */
export const CELLS = 8;
/** Start of the last reading in memory. */
export const LAST_START_MS = 0;
export const CLOSED_TO_MS = 1;
/** Of the readings in memory: what their starts are counted from, where their bytes begin, how many there are, how many have room. */
export const BASE_MS = 2;
export const BYTES_AT = 3;
export const COUNT = 4;
export const CAPACITY = 5;
/** First reading in memory that differs from the last committed state. */
export const CHANGED_FROM = 6;
export const MARKS = 7;

/** Bits of the marks: something changed since the last commit; more than readings put down; something came since the last closing. */
export const TOUCHED = 1;
export const TOUCHED_DEEPLY = 2;
export const NEWS = 4;
/** Readings in memory are wide. */
export const WIDE = 8;
export const REMOVED = 16;
/** It has windows. */
export const OPEN = 32;
/** Two bytes of their own: the kind, and the index of the device of the last delivery. */
const KIND_SHIFT = 8;
export const KIND_BITS = 0xff << KIND_SHIFT;
export const DEVICE_SHIFT = 16;
export const DEVICE_BITS = 0xff << DEVICE_SHIFT;
/** How many of the readings are still among the recent ones. */
const RECENT_SHIFT = 24;
const RECENT_BITS = 0xf << RECENT_SHIFT;
export const ONE_RECENT = 1 << RECENT_SHIFT;
export const MAX_RECENT = 8;

const KINDS: readonly PointKind[] = ['UNKNOWN', 'MEAN_POWER', 'INSTANT_POWER', 'INTERVAL_ENERGY', 'REGISTER', 'TEMPERATURE', 'STATE'];
const UNITS: readonly PointReadings['unit'][] = KINDS.map(unitOf);
const VALUE_LIMITS: readonly number[] = KINDS.map(valueLimitOf);
export const REGISTER = KINDS.indexOf('REGISTER');
export const INTERVAL_ENERGY = KINDS.indexOf('INTERVAL_ENERGY');

export function kindOfMarks(marks: number): number {
  return (marks >> KIND_SHIFT) & 0xff;
}

export function marksOfKind(kind: PointKind): number {
  // A point whose declaration is still to come has none.
  return Math.max(0, KINDS.indexOf(kind)) << KIND_SHIFT;
}

/** The one unit and the largest magnitude of readings of a kind, by its number. */
export function unitOfKind(kind: number): PointReadings['unit'] {
  return UNITS[kind];
}

export function valueLimitOfKind(kind: number): number {
  return VALUE_LIMITS[kind];
}

/** Bytes of a reading in memory: narrow and wide. */
export const NARROW_BYTES = 7;
export const WIDE_BYTES = 13;
/** Room that new bytes leave for growth. */
const SPARE = 1 / 8;

const RECENT_BYTES = MAX_RECENT * WIDE_BYTES;

export function recentOfMarks(marks: number): number {
  return (marks & RECENT_BITS) >> RECENT_SHIFT;
}

export function readingBytes(marks: number): number {
  return (marks & WIDE) === 0 ? NARROW_BYTES : WIDE_BYTES;
}

/** Stand for no device, and for what is not known yet: halves of surrogate pairs, which no text that is read can hold. */
export const NO_DEVICE = '\ud800';
export const UNKNOWN_TEXT = '\udfff';

export class PointColumns {
  /** Doubles in a plain array, which are nearer at hand to the engine than those of a typed one. */
  readonly cells: number[] = [];
  /** The bytes of all readings in memory, a stretch for each point. */
  bytes = new DataView(new ArrayBuffer(0));
  private bytesUsed = 0;
  /**
   * The same of the last few readings of each point, near those of its neighbours; they move to the others once somebody
   * looks, which is once a window and not once a reading.
   */
  recent = new DataView(new ArrayBuffer(0));
  /** Each point's id, as the last delivery had it: mostly the next one has that very string. */
  readonly texts: string[] = [];
  /** The device of each point's last delivery. */
  readonly deviceTexts: string[] = [];
  readonly points: (PointState | undefined)[] = [];
  /** The row that the next reading is expected to be of. */
  expected = 0;
  private readonly free: number[] = [];

  get count(): number {
    return this.points.length;
  }

  /** Index of a row that is as that of a point without readings. */
  add(point?: PointState): number {
    const index = this.free.pop() ?? this.count;
    // Begun with a double, so that the array holds its numbers in place.
    while (this.cells.length < (index + 1) * CELLS) this.cells.push(0.5);
    this.points[index] = point;
    this.texts[index] = this.deviceTexts[index] = UNKNOWN_TEXT;
    if ((index + 1) * RECENT_BYTES > this.recent.byteLength) {
      const larger = new Uint8Array((index + 1 + (index >> 2)) * RECENT_BYTES);
      larger.set(new Uint8Array(this.recent.buffer));
      this.recent = new DataView(larger.buffer);
    }
    const at = index * CELLS;
    this.cells.fill(0, at, at + CELLS);
    this.cells[at + LAST_START_MS] = this.cells[at + CLOSED_TO_MS] = Number.NEGATIVE_INFINITY;
    return index;
  }

  /** Gives the row of a point that is gone to the next one. */
  release(index: number): void {
    this.points[index] = undefined;
    this.texts[index] = this.deviceTexts[index] = UNKNOWN_TEXT;
    this.cells.fill(0, index * CELLS, (index + 1) * CELLS);
    this.cells[index * CELLS + MARKS] = REMOVED;
    this.free.push(index);
  }

  /** Where the bytes of a recent reading lie. */
  recentPlace(index: number, i: number): number {
    return index * RECENT_BYTES + i * readingBytes(this.cells[index * CELLS + MARKS]);
  }

  /** Moves a point's recent readings to the others, which have room for them. */
  settle(index: number): void {
    const { cells, recent, bytes } = this;
    const at = index * CELLS;
    const marks = cells[at + MARKS];
    const count = recentOfMarks(marks);
    if (count === 0) return;
    const size = readingBytes(marks);
    let from = index * RECENT_BYTES;
    let to = cells[at + BYTES_AT] + (cells[at + COUNT] - count) * size;
    const end = from + count * size;
    for (; from + 4 <= end; from += 4, to += 4) bytes.setUint32(to, recent.getUint32(from, true), true);
    for (; from < end; from++, to++) bytes.setUint8(to, recent.getUint8(from));
    cells[at + MARKS] = marks & ~RECENT_BITS;
  }

  /** Gives a point room for so many readings, and moves those that it has there. */
  makeRoom(index: number, capacity: number): void {
    const at = index * CELLS;
    const size = readingBytes(this.cells[at + MARKS]);
    if (this.bytesUsed + capacity * size > this.bytes.byteLength) this.compact(capacity * size);
    const { cells } = this;
    const from = cells[at + BYTES_AT];
    this.allBytes().copyWithin(this.bytesUsed, from, from + cells[at + COUNT] * size);
    cells[at + BYTES_AT] = this.bytesUsed;
    cells[at + CAPACITY] = capacity;
    this.bytesUsed += capacity * size;
  }

  allBytes(): Uint8Array {
    return new Uint8Array(this.bytes.buffer);
  }

  /** Moves all readings together into new bytes, with room for so many more. */
  private compact(more: number): void {
    const { cells, count } = this;
    let used = 0;
    for (let at = 0; at < count * CELLS; at += CELLS) used += cells[at + CAPACITY] * readingBytes(cells[at + MARKS]);
    const from = this.allBytes();
    const to = new Uint8Array(Math.ceil((used + more) * (1 + SPARE)));
    this.bytesUsed = 0;
    for (let at = 0; at < count * CELLS; at += CELLS) {
      const size = readingBytes(cells[at + MARKS]);
      const begin = cells[at + BYTES_AT];
      to.set(from.subarray(begin, begin + cells[at + COUNT] * size), this.bytesUsed);
      cells[at + BYTES_AT] = this.bytesUsed;
      this.bytesUsed += cells[at + CAPACITY] * size;
    }
    this.bytes = new DataView(to.buffer);
  }

  /** What is in memory now is what the log has. */
  markCommitted(): void {
    const { cells, count } = this;
    for (let index = 0, at = 0; index < count; index++, at += CELLS) {
      const marks = cells[at + MARKS];
      if ((marks & TOUCHED) === 0) continue;
      if ((marks & TOUCHED_DEEPLY) !== 0) this.points[index]?.markCommitted();
      else {
        cells[at + CHANGED_FROM] = cells[at + COUNT];
        cells[at + MARKS] = marks & ~TOUCHED;
      }
    }
  }
}
