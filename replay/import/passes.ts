/** Which pass of an hour that comes twice a stamp is of, by the stamps of its meter before it. */
import { DAY_MS } from '../../streams/limits.ts';

/** Stamps that are further from each other have no bearing on each other: a wrong year does not say which pass it is. */
const NEAR_MS = 2 * DAY_MS;
/** So many steps in one direction outweigh as many lines that are out of order. */
const MAX_TREND_STEPS = 8;

/** Of one meter. The lines of a file may ascend or descend; a few may be out of order, or have a wrong year. */
export class PassChooser {
  private lastMs = Number.NaN;
  /** The furthest stamp in the direction of the file. */
  private furthestMs = Number.NaN;
  /** A stamp far from those before it; a second one near it shows that the file has moved there. */
  private strayMs = Number.NaN;
  /** Steps forward less steps back; negative where the file descends. */
  private trend = 0;

  /** The instant of the next stamp, out of one, or of the first and the second pass (UTC epoch ms). */
  take(instants: readonly number[]): number {
    const instantMs = instants.length > 1 ? this.choose(instants[0], instants[1]) : instants[0];
    this.moveTo(instantMs);
    return instantMs;
  }

  private choose(firstMs: number, secondMs: number): number {
    if (!isNear(firstMs, this.furthestMs)) return firstMs === this.strayMs ? secondMs : firstMs;
    if (this.trend < 0) return secondMs < this.furthestMs ? secondMs : firstMs;
    return firstMs <= this.furthestMs ? secondMs : firstMs;
  }

  private moveTo(instantMs: number): void {
    if (!isNear(instantMs, this.furthestMs)) {
      const isFirst = Number.isNaN(this.furthestMs);
      if (isFirst || isNear(instantMs, this.strayMs)) this.lastMs = this.furthestMs = instantMs;
      this.strayMs = instantMs;
      return;
    }
    const wasDescending = this.trend < 0;
    const step = Math.sign(instantMs - this.lastMs);
    this.trend = Math.max(-MAX_TREND_STEPS, Math.min(MAX_TREND_STEPS, this.trend + step));
    this.lastMs = instantMs;
    const isDescending = this.trend < 0;
    if (wasDescending !== isDescending) this.furthestMs = instantMs;
    else this.furthestMs = isDescending ? Math.min(this.furthestMs, instantMs) : Math.max(this.furthestMs, instantMs);
  }
}

function isNear(aMs: number, bMs: number): boolean {
  return Math.abs(aMs - bMs) <= NEAR_MS;
}
