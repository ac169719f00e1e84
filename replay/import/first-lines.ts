/** Tells a mapping that does not fit a file by the first lines of it, before anything of them is appended. */
import { IflexError } from '../../streams/errors.ts';
import type { Mapping } from './mapping-file.ts';
import type { Problem, Row } from './rows.ts';

/** By so many first lines a mapping is judged. */
export const FIRST_LINES = 1_000;
/** Fewer lines may all be bad by chance. */
const MIN_LINES = 20;
/** Where fewer than one of so many lines can be read, the mapping is the wrong one. */
const LINES_A_READABLE = 20;

/** Counts what the first lines of a file gave. Lines of meters that the mapping leaves out say nothing, nor do blanks. */
export class FirstLines {
  private readonly path: string;
  private readonly mapping: Mapping;
  private lines = 0;
  private judged = 0;
  private readable = 0;
  private readonly codes = new Map<Problem['code'], { times: number; lineNumber: number; problem: Problem }>();

  constructor(path: string, mapping: Mapping) {
    this.path = path;
    this.mapping = mapping;
  }

  /** Whether the mapping was found to fit, so that facts may go out. */
  get areOver(): boolean {
    return this.lines >= FIRST_LINES;
  }

  /** Throws CONFIG_INVALID at the last of the first lines where nearly none of them could be read. */
  take(lineNumber: number, { readings, problems }: Row): void {
    if (this.areOver) return;
    this.lines++;
    const problem = problems.find(({ code }) => code !== 'SITE_UNKNOWN');
    if (readings.length > 0) this.readable++;
    if (readings.length > 0 || problem !== undefined) this.judged++;
    if (readings.length === 0 && problem !== undefined) {
      const same = this.codes.get(problem.code);
      if (same) same.times++;
      else this.codes.set(problem.code, { times: 1, lineNumber, problem });
    }
    if (this.areOver) this.judge();
  }

  /** Throws CONFIG_INVALID where nearly none of the lines could be read: at the end of a shorter file. */
  judge(): void {
    if (this.judged < MIN_LINES || this.readable * LINES_A_READABLE >= this.judged) return;
    const [{ lineNumber, problem }] = [...this.codes.values()].sort((a, b) => b.times - a.times);
    const count = this.readable === 0 ? 'None' : `Only ${this.readable}`;
    throw new IflexError(
      'CONFIG_INVALID',
      `${count} of the first ${this.judged} lines of ${this.path} can be read with this mapping. ` +
        `Line ${lineNumber}: ${problem.reason} ${likelyCause(problem.code, this.mapping)}`,
    );
  }
}

/** What to look at in a mapping that does not fit. */
export function likelyCause(code: Problem['code'] | undefined, { decimal, delimiter }: Mapping): string {
  switch (code) {
    case 'VALUE_UNREADABLE':
      return `Look at \`decimal\`, which is ${JSON.stringify(decimal)}, and at the \`column\` of the values, \`blank\` and \`quality\`.`;
    case 'TIME_UNREADABLE':
      return 'Look at `stamp.column` and `stamp.format`, and at the column of `knownAt` if it names one.';
    case 'READING_IN_FUTURE':
      return 'Look at `knownAt` and `stamp.format`: by them the lines became known later than now.';
    case 'READING_OUT_OF_RANGE':
      return 'Look at `stamp.format`: is it `epoch-s` or `epoch-ms`?';
    case 'LINE_UNREADABLE':
      return `Look at \`delimiter\`, which is ${JSON.stringify(delimiter)}.`;
    default:
      return 'Is it the mapping for this file?';
  }
}
