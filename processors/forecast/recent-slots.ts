import type { StateReader, StateWriter } from '../../streams/state-bytes.ts';

export const SLOT_MS = 15 * 60_000;
export const SLOTS_PER_DAY = 96;
/** Sixteen days: a week before every residual of the week before every slot of tomorrow. */
export const SLOTS_KEPT = 16 * SLOTS_PER_DAY;

/** Mean power (W) of the last sixteen days at fifteen minutes; NaN where nothing is known. Slots are numbered from 1970. */
export class RecentSlots {
  private values: Float32Array = new Float32Array(0);
  newest = -1;
  private changed: number[] = [];

  set(slot: number, meanW: number): void {
    if (this.values.length === 0) this.values = new Float32Array(SLOTS_KEPT).fill(Number.NaN);
    if (slot <= this.newest - SLOTS_KEPT) return;
    if (this.newest >= 0 && slot > this.newest) {
      const from = Math.max(this.newest + 1, slot - SLOTS_KEPT + 1);
      for (let gone = from; gone < slot; gone++) this.values[gone % SLOTS_KEPT] = Number.NaN;
    }
    if (slot > this.newest) this.newest = slot;
    this.values[slot % SLOTS_KEPT] = meanW;
    this.changed.push(slot);
  }

  /** NaN where the slot is unknown, not yet there, or gone. */
  get(slot: number): number {
    return slot > this.newest || slot <= this.newest - SLOTS_KEPT || slot < 0 ? Number.NaN : this.values[slot % SLOTS_KEPT];
  }

  get touched(): boolean {
    return this.changed.length > 0;
  }

  encodeChanges(out: StateWriter, everything: boolean): void {
    const slots = everything ? this.known() : this.changed;
    out.count(slots.length);
    for (const slot of slots) out.count(slot);
    out.array(Float32Array.from(slots, (slot) => this.get(slot)));
  }

  private known(): number[] {
    const slots: number[] = [];
    for (let slot = Math.max(0, this.newest - SLOTS_KEPT + 1); slot <= this.newest; slot++)
      if (!Number.isNaN(this.get(slot)) || slot === this.newest) slots.push(slot);
    return slots;
  }

  applyChanges(changes: StateReader): void {
    const slots = Array.from({ length: changes.count() }, () => changes.count());
    const values = new Float32Array(slots.length);
    changes.arrayInto(() => ({ into: values, at: 0 }));
    for (let i = 0; i < slots.length; i++) this.set(slots[i], values[i]);
    this.markCommitted();
  }

  markCommitted(): void {
    if (this.changed.length > 0) this.changed = [];
  }
}
