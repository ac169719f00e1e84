import type { PointDeclared } from '../../schemas/types.ts';
import type { StateReader, StateWriter } from '../../streams/state-bytes.ts';
import { HotReadings } from './hot-readings.ts';
import { TrailingSummary } from './trailing-summary.ts';

export const REASON_FIRST = 0;
export const REASON_LATE = 1;
export const REASON_CORRECTED = 2;
export const REASON_RELOADED = 3;

/** A UTC day older than the hot state that late readings have touched. */
export interface PendingDay {
  firstLateMs: number;
  lastLateMs: number;
  /** A request has been emitted and its reload has not come yet. */
  requested: boolean;
}

/** Everything the resampler remembers of one point. */
export class PointState {
  declared: PointDeclared;
  readonly hot = new HotReadings();
  readonly summary = new TrailingSummary();
  /** Windows of every width that end at or before this are emitted; -Infinity before the first reading. */
  closedToMs = Number.NEGATIVE_INFINITY;
  /** Start of the first reading: windows before it have never been emitted. */
  openedFromMs = Number.POSITIVE_INFINITY;
  /** Revision of windows that were revised, by start + index of the width (starts are multiples of five minutes). */
  revisions: Map<number, number> | null = null;
  /** Five-minute windows to revise at the next tick, with the reason. */
  dirty: Map<number, number> | null = null;
  pending: Map<number, PendingDay> | null = null;
  devices: (string | null)[] = [];
  doubles = 0;
  touched = true;

  constructor(declared: PointDeclared) {
    this.declared = declared;
  }

  /** Index of a device; the oldest gives way after 63 swaps. */
  deviceIndex(deviceId: string | null): number {
    const known = this.devices.indexOf(deviceId);
    if (known >= 0) return known;
    if (this.devices.length < 64) return this.devices.push(deviceId) - 1;
    this.devices[0] = deviceId;
    return 0;
  }

  encodeChanges(out: StateWriter, everything: boolean): void {
    out.double(this.closedToMs);
    out.double(this.openedFromMs);
    out.count(this.doubles);
    encodeMap(out, this.revisions, (value) => out.count(value));
    encodeMap(out, this.dirty, (value) => out.count(value));
    encodeMap(out, this.pending, (day) => {
      out.long(day.firstLateMs);
      out.long(day.lastLateMs);
      out.count(day.requested ? 1 : 0);
    });
    out.count(this.devices.length);
    for (const device of this.devices) out.text(device ?? '');
    this.hot.encodeChanges(out, everything);
    const withSummary = everything || this.summary.changed;
    out.count(withSummary ? 1 : 0);
    if (withSummary) this.summary.encode(out);
  }

  applyChanges(changes: StateReader): void {
    this.closedToMs = changes.double();
    this.openedFromMs = changes.double();
    this.doubles = changes.count();
    this.revisions = decodeMap(changes, () => changes.count());
    this.dirty = decodeMap(changes, () => changes.count());
    this.pending = decodeMap(changes, () => ({
      firstLateMs: changes.long(),
      lastLateMs: changes.long(),
      requested: changes.count() === 1,
    }));
    this.devices = Array.from({ length: changes.count() }, () => changes.text() || null);
    this.hot.applyChanges(changes);
    if (changes.count() === 1) this.summary.decode(changes);
  }

  markCommitted(): void {
    this.hot.markCommitted();
    this.summary.changed = false;
    this.touched = false;
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
