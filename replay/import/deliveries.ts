/** One file as facts: its readings in deliveries of one site, its bad lines as `rejected`, in the order they became known. */
import { hash } from 'node:crypto';
import { basename } from 'node:path';
import type { Rejected, SiteDeclared } from '../../schemas/types.ts';
import { IflexError } from '../../streams/errors.ts';
import { DAY_MS, MAX_FUTURE_MS, MAX_WAITING_READINGS, REJECTED_BYTES_KEPT } from '../../streams/limits.ts';
import type { Fact } from '../facts.ts';
import type { Beliefs } from './beliefs.ts';
import type { Coverage } from './coverage.ts';
import { FIRST_LINES, FirstLines, likelyCause } from './first-lines.ts';
import { KnownDays } from './known-days.ts';
import { type Content, type Line, linesOf } from './lines.ts';
import type { Mapping } from './mapping-file.ts';
import { columnsOf, fieldsOf, type Omitted, type Problem, type Reading, type Row, RowReader } from './rows.ts';
import { SiteWriter } from './site-writer.ts';

/** A line that runs ahead of most of so many lines after it is held against the whole file: a wrong year would close every window. */
const LINES_AHEAD = 16;
/** A step of time up to this is taken as it comes: lines that are a little out of order are no mistake. */
const MAX_SURE_STEP_MS = DAY_MS;
/** Where the file ends sooner, a step up to this is taken as it comes. */
const MAX_LAST_STEP_MS = 31 * DAY_MS;
/** Where rows become known later than this by rule, it is looked at first whether that is later than now. */
const MAX_SURE_AFTER_MS = DAY_MS;
/** Room for the problems of one line in the numbers of `rejected`: one a value column, and one of the line. */
const PROBLEMS_PER_LINE = 512;
const SUPERSEDED = 'A line above it, of the same point and time, became known later.';

export interface ImportCounts {
  lines: number;
  blankLines: number;
  readings: number;
  blank: number;
  omitted: number;
  /** Readings set aside, by code. */
  rejected: Record<string, number>;
  /** Paths of files without any reading. */
  emptyFiles: string[];
  bytes: number;
}

export interface FileSource extends Content {
  path: string;
}

export interface FileContext {
  mapping: Mapping;
  sites: ReadonlyMap<string, SiteDeclared>;
  omitted: Omitted;
  importedAtMs: number;
  counts: ImportCounts;
  coverage: Coverage;
}

/**
 * Facts of a file, ascending by knownAtMs; the same file and mapping give the same sources and numbers each time.
 * Throws CONFIG_INVALID, before its first fact, where the mapping reads nearly none of its first lines.
 */
export async function* factsOf(file: FileSource, context: FileContext): AsyncGenerator<Fact[]> {
  const { mapping, counts } = context;
  const writer = new FactWriter(file, context);
  const { knownAt } = mapping;
  if (typeof knownAt === 'object' && 'afterMs' in knownAt && knownAt.afterMs > MAX_SURE_AFTER_MS) {
    const days = await knownDaysOf(file, context);
    if (days.future * 2 > days.lines) throw mostlyInFuture(file.path, days, mapping);
  }
  const writeAllBut = async (lineCount: number): Promise<void> => {
    if (writer.writeAllBut(lineCount)) return;
    writer.latestBelievedMs = (await knownDaysOf(file, context)).latestBelievedMs();
    writer.writeAllBut(lineCount);
  };
  for await (const { reads, byteLength, blankLines } of readLinesOf(file, context)) {
    counts.bytes += byteLength;
    counts.blankLines += blankLines;
    counts.lines += reads.length;
    writer.ahead.push(...reads);
    await writeAllBut(LINES_AHEAD);
    if (writer.facts.length > 0 && writer.firstLines.areOver) yield writer.takeFacts();
  }
  await writeAllBut(0);
  writer.finish();
  if (writer.readingCount === 0) counts.emptyFiles.push(file.path);
  if (writer.facts.length > 0) yield writer.takeFacts();
}

interface ReadLine {
  line: Line;
  row: Row;
}

/** So many lines are read before they are written. */
const LINES_A_PIECE = 256;

/** The lines of a file, piece by piece, each with what it says. */
async function* readLinesOf(file: FileSource, { mapping, omitted, importedAtMs }: FileContext) {
  let reader: RowReader | undefined;
  for await (const lines of linesOf(file.path, file)) {
    let piece = { reads: [] as ReadLine[], byteLength: 0, blankLines: 0 };
    for (const line of lines) {
      if (piece.reads.length === LINES_A_PIECE) {
        yield piece;
        piece = { reads: [], byteLength: 0, blankLines: 0 };
      }
      piece.byteLength += line.oversized?.byteLength ?? line.bytes.length + 1;
      if (reader === undefined) {
        const fields = line.oversized ? undefined : fieldsOf(line.bytes.toString('utf8'), mapping.delimiter);
        if (!fields) throw new IflexError('CONFIG_INVALID', `${file.path} begins with a line that is not CSV. Is it the right file?`);
        reader = new RowReader(mapping, columnsOf(file.path, mapping, fields), omitted, importedAtMs);
        if (mapping.header) continue;
      }
      if (line.bytes.length === 0) piece.blankLines++;
      else piece.reads.push({ line, row: reader.read(line) });
    }
    yield piece;
  }
}

/** Reads the whole file once more: files in the order of time need none of it. */
async function knownDaysOf(file: FileSource, context: FileContext): Promise<KnownDays> {
  const days = new KnownDays(context.importedAtMs + MAX_FUTURE_MS);
  for await (const { reads } of readLinesOf(file, context)) for (const { row } of reads) days.take(row.knownAtMs);
  return days;
}

function mostlyInFuture(path: string, { future, lines }: KnownDays, mapping: Mapping): IflexError {
  const cause = likelyCause('READING_IN_FUTURE', mapping);
  return new IflexError('CONFIG_INVALID', `${future} of ${lines} lines of ${path} would be set aside as not yet known. ${cause}`);
}

/** The row with its readings set aside, as its stamp lies in the future of the lines around it. */
function aheadOfItsTime(row: Row): Row {
  const problems = row.readings.map(({ siteId, pointId, startMs }): Problem => {
    const reason = 'The stamp lies in the future of the import, or far beyond all others of the file.';
    return { code: 'READING_IN_FUTURE', reason, siteId, pointId, startMs, readingCount: 1 };
  });
  return { ...row, readings: [], problems: [...row.problems, ...problems] };
}

class FactWriter {
  facts: Fact[] = [];
  readingCount = 0;
  private readonly file: FileSource;
  private readonly context: FileContext;
  private readonly saysWhenKnown: boolean;
  private readonly sites = new Map<string, SiteWriter>();
  private waiting = 0;
  /** When what is being gathered becomes known; NaN before the first readable line. */
  private knownAtMs = Number.NaN;
  /** Lines read ahead of those that are being written. */
  readonly ahead: ReadLine[] = [];
  readonly firstLines: FirstLines;
  /** Up to when a line is believed wherever it stands; undefined until a line needs it. */
  latestBelievedMs: number | undefined;
  /** Lines before the first one that says when they became known. */
  private first: ReadLine[] = [];

  constructor(file: FileSource, context: FileContext) {
    this.file = file;
    this.context = context;
    this.firstLines = new FirstLines(file.path, context.mapping);
    const { knownAt } = context.mapping;
    this.saysWhenKnown = typeof knownAt === 'object' && 'column' in knownAt;
  }

  takeFacts(): Fact[] {
    const { facts } = this;
    this.facts = [];
    return facts;
  }

  /** Writes lines until so many are ahead; false where `latestBelievedMs` must be known to go on. */
  writeAllBut(lineCount: number): boolean {
    const end = this.ahead.length - lineCount;
    let at = 0;
    while (at < end && this.write(at)) at++;
    this.ahead.splice(0, at);
    return at >= end;
  }

  /** Writes one of the lines ahead; false as above. */
  private write(at: number): boolean {
    let read = this.ahead[at];
    const { knownAtMs } = read.row;
    if (!Number.isNaN(knownAtMs)) {
      const endMs = this.deliveryEndMs(knownAtMs);
      if (!(endMs <= this.knownAtMs)) {
        const mayMove = this.maySetTime(knownAtMs, at);
        if (mayMove === undefined) return false;
        if (mayMove) this.advance(endMs);
        else if (!(knownAtMs <= this.knownAtMs + MAX_FUTURE_MS)) read = { line: read.line, row: aheadOfItsTime(read.row) };
      }
    }
    this.firstLines.take(read.line.number, read.row);
    if (!Number.isNaN(this.knownAtMs)) this.place(read);
    else if (this.first.push(read) > FIRST_LINES) throw this.unreadable();
    return true;
  }

  private place({ line, row }: ReadLine): void {
    const { counts, coverage } = this.context;
    counts.blank += row.blank;
    counts.omitted += row.omitted;
    const problems = [...row.problems];
    for (const reading of row.readings) {
      const { siteId, pointId, rule, startMs, value } = reading;
      const belief = this.beliefIn(reading, row.knownAtMs);
      if (belief === 'superseded') {
        problems.push({ code: 'READING_SUPERSEDED', reason: SUPERSEDED, siteId, pointId, startMs, readingCount: 1 });
        continue;
      }
      counts.readings++;
      this.readingCount++;
      coverage.take(siteId, pointId, rule.intervalMs, startMs, value);
      if (belief === 'unknown') coverage.notCompared(pointId);
      this.add(reading);
    }
    if (problems.length > 0) this.reject(line, problems);
  }

  /** In the log the later delivery counts, and a row is delivered after the rows above it: so one of an earlier belief is not. */
  private beliefIn({ pointId, startMs }: Reading, knownAtMs: number): ReturnType<Beliefs['take']> {
    if (!this.saysWhenKnown) return 'counts';
    const moved = this.deliveryEndMs(knownAtMs) < this.knownAtMs;
    return this.context.coverage.beliefs.take(this.file.sha256, pointId, startMs, knownAtMs, moved);
  }

  private deliveryEndMs(knownAtMs: number): number {
    const { deliveryMs, knownAt } = this.context.mapping;
    return knownAt === 'import' ? knownAtMs : Math.ceil(knownAtMs / deliveryMs) * deliveryMs;
  }

  /**
   * Whether a line may move time: not beyond the import itself. Where most of the lines after it are earlier, it may be
   * that the file is not in the order of time, or that this is a wrong year: then the whole file decides, undefined until
   * it was asked.
   */
  private maySetTime(knownAtMs: number, at: number): boolean | undefined {
    if (knownAtMs > this.context.importedAtMs + MAX_FUTURE_MS) return false;
    if (knownAtMs - this.knownAtMs <= MAX_SURE_STEP_MS) return true;
    let after = 0;
    let earlier = 0;
    for (const { row } of this.ahead.slice(at + 1, at + 1 + LINES_AHEAD)) {
      if (Number.isNaN(row.knownAtMs)) continue;
      after++;
      if (row.knownAtMs < knownAtMs) earlier++;
    }
    const isSure = after >= LINES_AHEAD / 2 || Number.isNaN(this.knownAtMs) || knownAtMs - this.knownAtMs <= MAX_LAST_STEP_MS;
    if (isSure && earlier * 2 <= after) return true;
    return this.latestBelievedMs === undefined ? undefined : knownAtMs < this.latestBelievedMs;
  }

  /** A row was not known before the rows above it, whatever its stamp. */
  private advance(endMs: number): void {
    this.flush();
    this.knownAtMs = endMs;
    const first = this.first;
    this.first = [];
    for (const read of first) this.place(read);
  }

  private add(reading: Reading): void {
    let site = this.sites.get(reading.siteId);
    if (site === undefined) this.sites.set(reading.siteId, (site = this.openSite(reading.siteId)));
    if (!site.hasRoomFor(reading)) this.deliver(site);
    site.add(reading);
    this.waiting++;
    if (this.waiting >= MAX_WAITING_READINGS) this.flush();
  }

  private openSite(siteId: string): SiteWriter {
    const { mapping, sites } = this.context;
    const declaredMs = sites.get(siteId)!.knownAtMs;
    if (this.knownAtMs < declaredMs)
      throw new IflexError(
        'CONFIG_INVALID',
        `The site ${siteId} is declared since ${new Date(declaredMs).toISOString()}, but ${this.file.path} has readings that ` +
          `became known at ${new Date(this.knownAtMs).toISOString()}. Set an earlier \`since\` in its file and declare it again.`,
      );
    const meters = [...mapping.meters].filter(([, meter]) => meter.site === siteId);
    return new SiteWriter(siteId, hash('sha256', JSON.stringify([this.file.sha256, mapping.identity, siteId, meters])));
  }

  private deliver(site: SiteWriter): void {
    this.waiting -= site.count;
    this.facts.push(site.take(this.context.mapping.topic, this.knownAtMs));
  }

  private flush(): void {
    for (const site of this.sites.values()) if (site.count > 0) this.deliver(site);
  }

  private reject(line: Line, problems: readonly Problem[]): void {
    const { rejected } = this.context.counts;
    for (const { code, readingCount } of problems) rejected[code] = (rejected[code] ?? 0) + readingCount;
    const source = `${hash('sha256', JSON.stringify([this.file.sha256, this.context.mapping.identity]))} rejected`;
    problems.forEach((problem, i) => {
      const { code, reason, siteId, pointId, startMs, readingCount } = problem;
      const value: Rejected = {
        siteId,
        knownAtMs: this.knownAtMs,
        code,
        reason,
        source: `${basename(this.file.path)}:${line.number}`,
        pointId,
        startMs,
        readingCount,
        startsMs: [],
        bytes: line.bytes.subarray(0, REJECTED_BYTES_KEPT),
        byteLength: line.oversized?.byteLength ?? line.bytes.length,
        sha256: line.oversized?.sha256 ?? hash('sha256', line.bytes),
      };
      const number = line.number * PROBLEMS_PER_LINE + i;
      this.facts.push({ topic: 'rejected', schema: 'Rejected', key: siteId ?? '', value, source, number });
    });
  }

  finish(): void {
    this.flush();
    this.firstLines.judge();
    if (this.first.length > 0) throw this.unreadable();
  }

  private unreadable(): IflexError {
    const { line, row } = this.first[0];
    const problem = row.problems[0];
    const reason = problem?.reason ?? 'Its stamp is later than now.';
    return new IflexError(
      'CONFIG_INVALID',
      `No line of ${this.file.path} can be read with this mapping. Line ${line.number}: ${reason} ` +
        likelyCause(problem?.code, this.context.mapping),
    );
  }
}
