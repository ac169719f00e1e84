import type { Readings } from './hot-readings.ts';

/**
 * Readings of a stretch of time, copied out of where they lie packed, so that windows are laid from plain columns. It is
 * filled anew for each stretch; columns hold more than `count` from earlier ones.
 */
export class ReadingRun implements Readings {
  count = 0;
  /** Begun with a double, so that a column holds its numbers in place. */
  readonly starts: number[] = [0.5];
  readonly values: number[] = [0.5];
  /** Quality in the two low bits, device above. */
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
