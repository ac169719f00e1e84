import type { PointDeclared, PointReadings } from '../../schemas/types.ts';
import type { StateReader, StateWriter } from '../../streams/state-bytes.ts';
import { HotReadings } from './hot-readings.ts';
import {
  CELLS,
  CLOSED_TO_MS,
  DEVICE_BITS,
  DEVICE_SHIFT,
  KIND_BITS,
  kindOfMarks,
  MARKS,
  marksOfKind,
  NEWS,
  NO_DEVICE,
  OPEN,
  type PointColumns,
  REMOVED,
  TOUCHED,
  TOUCHED_DEEPLY,
  UNKNOWN_TEXT,
  unitOfKind,
  valueLimitOfKind,
} from './point-columns.ts';
import { Revisions } from './revisions.ts';
import { isEnergyKind, memorySpanMs } from './segments.ts';
import { TrailingSummary } from './trailing-summary.ts';

export const REASON_FIRST = 0;
export const REASON_LATE = 1;
export const REASON_CORRECTED = 2;
export const REASON_RELOADED = 3;

/** A reading's mark has six bits for its device. */
const MAX_DEVICES = 64;

/** A UTC day older than the hot state that late readings have touched. */
export interface PendingDay {
  firstLateMs: number;
  lastLateMs: number;
  /** Late readings of the day since its last reload, to tell doubles from new ones. */
  lateCount: number;
  /** A request has been emitted and its reload has not come yet. */
  requested: boolean;
}

/** Everything the resampler remembers of one point. */
export class PointState {
  declared: PointDeclared;
  readonly columns: PointColumns;
  readonly index: number;
  readonly hot: HotReadings;
  readonly summary = new TrailingSummary();
  /** Written with the next changes. */
  declaredChanged = true;
  /** Readings and revisions before this may have been let go under an earlier declaration: nothing before it is hot again. */
  completeFromMs = Number.NEGATIVE_INFINITY;
  readonly revisions = new Revisions();
  /** Five-minute windows to revise at the next tick, with the reason. */
  dirty: Map<number, number> | null = null;
  pending: Map<number, PendingDay> | null = null;
  devices: (string | null)[] = [];
  doubles = 0;
  /** Hot windows before this have never been emitted: start of the first reading, or of the first one after a silence. */
  private openedFrom = Number.POSITIVE_INFINITY;
  /** Without news, the next closing has nothing to do before this (epoch minute). */
  dueMinute = 0;

  constructor(declared: PointDeclared, columns: PointColumns) {
    this.columns = columns;
    this.index = columns.add(this);
    this.hot = new HotReadings(undefined, undefined, columns, this.index);
    this.declared = declared;
    this.adopt(declared);
    this.touched = this.news = true;
  }

  /** Windows of every width that end at or before this are emitted; -Infinity before the first reading. */
  get closedToMs(): number {
    return this.columns.cells[this.index * CELLS + CLOSED_TO_MS];
  }

  set closedToMs(timeMs: number) {
    this.columns.cells[this.index * CELLS + CLOSED_TO_MS] = timeMs;
  }

  get openedFromMs(): number {
    return this.openedFrom;
  }

  set openedFromMs(timeMs: number) {
    this.openedFrom = timeMs;
    this.mark(OPEN, timeMs !== Number.POSITIVE_INFINITY);
  }

  /** Changed since the last commit. */
  get touched(): boolean {
    return this.marked(TOUCHED);
  }

  set touched(touched: boolean) {
    this.mark(TOUCHED | TOUCHED_DEEPLY, touched);
  }

  /** Something came since the last closing. */
  get news(): boolean {
    return this.marked(NEWS);
  }

  set news(news: boolean) {
    this.mark(NEWS, news);
  }

  /** The site's latest declaration has left it out: it takes no more readings and goes once it is quiet. */
  get removed(): boolean {
    return this.marked(REMOVED);
  }

  set removed(removed: boolean) {
    this.mark(REMOVED, removed);
  }

  private marked(bits: number): boolean {
    return (this.columns.cells[this.index * CELLS + MARKS] & bits) !== 0;
  }

  private mark(bits: number, set: boolean): void {
    const { cells } = this.columns;
    const at = this.index * CELLS + MARKS;
    cells[at] = set ? cells[at] | bits : cells[at] & ~bits;
  }

  private get kind(): number {
    return kindOfMarks(this.columns.cells[this.index * CELLS + MARKS]);
  }

  get unit(): PointReadings['unit'] {
    return unitOfKind(this.kind);
  }

  get valueLimit(): number {
    return valueLimitOfKind(this.kind);
  }

  get isEnergy(): boolean {
    return isEnergyKind(this.declared.kind);
  }

  private adopt(declared: PointDeclared): void {
    this.declared = declared;
    // A point whose declaration is still to come has no spacing yet.
    this.hot.expected = Math.ceil(memorySpanMs(declared) / declared.intervalMs) || 0;
    const { cells } = this.columns;
    const at = this.index * CELLS + MARKS;
    cells[at] = (cells[at] & ~KIND_BITS) | marksOfKind(declared.kind);
  }

  /** Takes over other rules; `hotMs` is where the hot range began under those that it had until now. */
  declare(declared: PointDeclared, hotMs: number): void {
    this.completeFromMs = Math.max(this.completeFromMs, hotMs);
    this.adopt(declared);
    this.declaredChanged = this.touched = this.news = true;
    this.removed = false;
  }

  /** Index of a device; after 63 swaps that of one gives way from which no reading is in memory. */
  deviceIndex(deviceId: string | null): number {
    const { deviceTexts, cells } = this.columns;
    const text = deviceId ?? NO_DEVICE;
    const at = this.index * CELLS + MARKS;
    if (deviceTexts[this.index] === text) return (cells[at] & DEVICE_BITS) >> DEVICE_SHIFT;
    deviceTexts[this.index] = text;
    const device = this.indexOfDevice(deviceId);
    cells[at] = (cells[at] & ~DEVICE_BITS) | (device << DEVICE_SHIFT);
    return device;
  }

  private indexOfDevice(deviceId: string | null): number {
    const known = this.devices.indexOf(deviceId);
    if (known >= 0) return known;
    if (this.devices.length < MAX_DEVICES) return this.devices.push(deviceId) - 1;
    let free = 0;
    while (free < MAX_DEVICES - 1 && this.hot.hasDevice(free)) free++;
    this.devices[free] = deviceId;
    return free;
  }

  encodeChanges(out: StateWriter, everything: boolean): void {
    const withDeclared = everything || this.declaredChanged;
    out.count((withDeclared ? 1 : 0) + (this.removed ? 2 : 0));
    if (withDeclared) out.text(JSON.stringify(this.declared));
    out.double(this.closedToMs);
    out.double(this.openedFromMs);
    out.double(this.completeFromMs);
    out.count(this.doubles);
    this.revisions.encode(out);
    encodeMap(out, this.dirty, (value) => out.count(value));
    encodeMap(out, this.pending, (day) => {
      out.long(day.firstLateMs);
      out.long(day.lastLateMs);
      out.count(day.lateCount);
      out.count(day.requested ? 1 : 0);
    });
    out.count(this.devices.length);
    for (const device of this.devices) out.text(device === null ? '' : `=${device}`);
    this.hot.encodeChanges(out, everything);
    const withSummary = everything || this.summary.changed;
    out.count(withSummary ? 1 : 0);
    if (withSummary) this.summary.encode(out);
  }

  applyChanges(changes: StateReader): void {
    this.news = true;
    const form = changes.count();
    this.removed = form >= 2;
    if (form % 2 === 1) this.adopt(JSON.parse(changes.text()) as PointDeclared);
    this.closedToMs = changes.double();
    this.openedFromMs = changes.double();
    this.completeFromMs = changes.double();
    this.doubles = changes.count();
    this.revisions.decode(changes);
    this.dirty = decodeMap(changes, () => changes.count());
    this.pending = decodeMap(changes, () => ({
      firstLateMs: changes.long(),
      lastLateMs: changes.long(),
      lateCount: changes.count(),
      requested: changes.count() === 1,
    }));
    this.devices = Array.from({ length: changes.count() }, () => changes.text()).map((text) => (text === '' ? null : text.slice(1)));
    this.columns.deviceTexts[this.index] = UNKNOWN_TEXT;
    this.hot.applyChanges(changes);
    if (changes.count() === 1) this.summary.decode(changes);
    // What was applied is what the log has: the next changes begin after it.
    this.markCommitted();
  }

  markCommitted(): void {
    this.hot.markCommitted();
    this.summary.changed = false;
    this.touched = false;
    this.declaredChanged = false;
  }
}

function encodeMap<V>(out: StateWriter, map: Map<number, V> | null, encode: (value: V) => void): void {
  out.count(map?.size ?? 0);
  for (const [key, value] of map ?? []) {
    out.long(key);
    encode(value);
  }
}

function decodeMap<V>(from: StateReader, decode: () => V): Map<number, V> | null {
  const count = from.count();
  if (count === 0) return null;
  const map = new Map<number, V>();
  for (let i = 0; i < count; i++) map.set(from.long(), decode());
  return map;
}

/** Lets a point of a site go, so that nothing finds it any more. */
export function removePoint({ points, columns }: { points: Map<string, PointState>; columns: PointColumns }, pointId: string): void {
  const point = points.get(pointId);
  if (point) columns.release(point.index);
  points.delete(pointId);
}
