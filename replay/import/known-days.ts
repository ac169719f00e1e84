/** When the lines of a file became known, by day: says up to when its stamps are to be believed, in whatever order they stand. */
import { DAY_MS } from '../../streams/limits.ts';

/** So many lines one after another of about the same time are no slip, however far from all others. */
const LINES_OF_A_STRETCH = 8;
/** Lines of about the same time are no further apart. */
const STRETCH_DAYS = 31;
/** A day that lies less far beyond the others is none of another year by mistake. */
const NEAR_DAYS = 92;
/** Of files with a line a year or a month: so many times the usual distance is near. */
const NEAR_GAPS = 4;

/** Holds a number for each day between 1970 and the import, and so is bounded. */
export class KnownDays {
  /** Lines that became known later than the import itself. */
  future = 0;
  lines = 0;
  private readonly latestMs: number;
  private readonly linesOfDay = new Map<number, number>();
  private lastDay = Number.NaN;
  private stretchLines = 0;
  private latestStretchDay = Number.NEGATIVE_INFINITY;

  /** `latestMs`: what is later is not believed in any case (UTC epoch ms). */
  constructor(latestMs: number) {
    this.latestMs = latestMs;
  }

  /** One line, in the order of the file; NaN where it does not say when it became known. */
  take(knownAtMs: number): void {
    if (Number.isNaN(knownAtMs)) return;
    this.lines++;
    if (knownAtMs > this.latestMs) {
      this.future++;
      return;
    }
    const day = Math.floor(knownAtMs / DAY_MS);
    this.linesOfDay.set(day, (this.linesOfDay.get(day) ?? 0) + 1);
    this.stretchLines = Math.abs(day - this.lastDay) <= STRETCH_DAYS ? this.stretchLines + 1 : 1;
    this.lastDay = day;
    if (this.stretchLines >= LINES_OF_A_STRETCH) this.latestStretchDay = Math.max(this.latestStretchDay, day);
  }

  /**
   * The end of the latest day to be believed (UTC epoch ms): of the middle line or of a stretch of lines, whichever is
   * later, and on over days that are not far beyond. What is later yet is a wrong year. NaN where there is no line.
   */
  latestBelievedMs(): number {
    const days = [...this.linesOfDay.keys()].sort((a, b) => a - b);
    if (days.length === 0) return Number.NaN;
    let at = 0;
    for (let below = this.linesOfDay.get(days[0])!; below * 2 < this.lines - this.future; below += this.linesOfDay.get(days[at])!) at++;
    while (days[at] < this.latestStretchDay) at++;
    const gaps = days
      .slice(1, at + 1)
      .map((day, i) => day - days[i])
      .sort((a, b) => a - b);
    const nearDays = Math.max(NEAR_DAYS, NEAR_GAPS * (gaps[gaps.length >> 1] ?? 0));
    while (at + 1 < days.length && days[at + 1] - days[at] <= nearDays) at++;
    return (days[at] + 1) * DAY_MS;
  }
}
