import type { StateReader, StateWriter } from '../../streams/state-bytes.ts';

/** How often windows of the hot range were revised: ascending by window, as most are looked for near the end. */
export class Revisions {
  private readonly windows: number[] = [];
  private readonly revisions: number[] = [];

  /** Number of the next revision of a window (its start + the index of its width, starts being multiples of five minutes). */
  next(window: number): number {
    const { windows, revisions } = this;
    let at = windows.length;
    while (at > 0 && windows[at - 1] > window) at--;
    if (at > 0 && windows[at - 1] === window) return ++revisions[at - 1];
    windows.push(window);
    revisions.push(1);
    if (at < windows.length - 1) {
      windows.copyWithin(at + 1, at, windows.length - 1);
      revisions.copyWithin(at + 1, at, revisions.length - 1);
      windows[at] = window;
      revisions[at] = 1;
    }
    return 1;
  }

  /** Forgets windows that start before the time; whether there were any. */
  dropBefore(timeMs: number): boolean {
    const { windows, revisions } = this;
    let drop = 0;
    while (drop < windows.length && windows[drop] < timeMs) drop++;
    if (drop === 0) return false;
    windows.splice(0, drop);
    revisions.splice(0, drop);
    return true;
  }

  encode(out: StateWriter): void {
    out.count(this.windows.length);
    for (let i = 0; i < this.windows.length; i++) {
      out.long(this.windows[i]);
      out.count(this.revisions[i]);
    }
  }

  decode(from: StateReader): void {
    const count = from.count();
    this.windows.length = this.revisions.length = 0;
    for (let i = 0; i < count; i++) {
      this.windows.push(from.long());
      this.revisions.push(from.count());
    }
  }
}
