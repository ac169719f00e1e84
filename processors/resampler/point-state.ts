import type { PointDeclared, PointReadings } from '../../schemas/types.ts';
import { unitOf, valueLimitOf } from '../../streams/reading-columns.ts';
import type { StateReader, StateWriter } from '../../streams/state-bytes.ts';
import { HotReadings } from './hot-readings.ts';
import { Revisions } from './revisions.ts';
import { isEnergyKind } from './segments.ts';
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
  readonly hot = new HotReadings();
  readonly summary = new TrailingSummary();
  /** Written with the next changes. */
  declaredChanged = true;
  /** The site's latest declaration has left it out: it takes no more readings and goes once it is quiet. */
  removed = false;
  /** Windows of every width that end at or before this are emitted; -Infinity before the first reading. */
  closedToMs = Number.NEGATIVE_INFINITY;
  /** Hot windows before this have never been emitted: start of the first reading, or of the first one after a silence. */
  openedFromMs = Number.POSITIVE_INFINITY;
  /** Readings and revisions before this may have been let go under an earlier declaration: nothing before it is hot again. */
  completeFromMs = Number.NEGATIVE_INFINITY;
  readonly revisions = new Revisions();
  /** Five-minute windows to revise at the next tick, with the reason. */
  dirty: Map<number, number> | null = null;
  pending: Map<number, PendingDay> | null = null;
  devices: (string | null)[] = [];
  latestDeviceId: string | null | undefined;
  latestDevice = 0;
  /** Its id as the last delivery had it, undefined once the point is gone; and the point that came after it last time. */
  text: string | undefined;
  follower: PointState | undefined;
  doubles = 0;
  touched = true;
  /** Something came since the last closing; without news, the next closing has nothing to do before `dueMinute` (epoch). */
  news = true;
  dueMinute = 0;

  /** What follows from the kind, at hand for every reading. */
  unit: PointReadings['unit'] = 'UNKNOWN';
  isEnergy = false;
  valueLimit = 0;
  isRegister = false;

  constructor(declared: PointDeclared) {
    this.declared = declared;
    this.adopt(declared);
  }

  private adopt(declared: PointDeclared): void {
    this.declared = declared;
    this.isEnergy = isEnergyKind(declared.kind);
    this.isRegister = declared.kind === 'REGISTER';
    this.unit = unitOf(declared.kind);
    this.valueLimit = valueLimitOf(declared.kind);
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
    if (this.latestDeviceId === deviceId) return this.latestDevice;
    this.latestDeviceId = deviceId;
    return (this.latestDevice = this.indexOfDevice(deviceId));
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
    this.latestDeviceId = undefined;
    this.hot.applyChanges(changes);
    if (changes.count() === 1) this.summary.decode(changes);
    // What was applied is what the log has: the next changes begin after it.
    this.markCommitted();
  }

  markCommitted(): void {
    this.hot.markCommitted();
    this.summary.changed = false;
    this.touched = this.declaredChanged = false;
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
export function removePoint({ points }: { points: Map<string, PointState> }, pointId: string): void {
  const point = points.get(pointId);
  if (point) point.text = undefined;
  points.delete(pointId);
}
