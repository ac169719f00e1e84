/** One file as facts: its readings in deliveries of one site, its bad lines as `rejected`, in the order they became known. */
import { hash } from 'node:crypto';
import { basename } from 'node:path';
import type { PointReadings, ReadingsDelivery, Rejected, SiteDeclared } from '../../schemas/types.ts';
import { IflexError } from '../../streams/errors.ts';
import {
  DAY_MS,
  MAX_DELIVERY_BYTES,
  MAX_FUTURE_MS,
  MAX_READINGS_PER_DELIVERY,
  MAX_WAITING_READINGS,
  REJECTED_BYTES_KEPT,
} from '../../streams/limits.ts';
import type { Fact } from '../facts.ts';
import type { Coverage } from './coverage.ts';
import { type Content, type Line, linesOf } from './lines.ts';
import type { Mapping } from './mapping-file.ts';
import { columnsOf, fieldsOf, type Omitted, type Problem, type Reading, type Row, RowReader } from './rows.ts';

/** A mapping that reads none of so many first lines is the wrong one. */
const MAX_PROBLEMS_FIRST = 1_000;
/** A line whose stamp runs ahead of most of so many lines after it does not move time: one wrong year would close every window. */
const LINES_AHEAD = 16;
/** A step of time up to this is taken as it comes: lines that are a little out of order are no mistake. */
const MAX_SURE_STEP_MS = DAY_MS;
/** Where the file ends sooner, time moves on by no more than this. */
const MAX_LAST_STEP_MS = 31 * DAY_MS;
/** Room for the problems of one line in the numbers of `rejected`: one a value column, and one of the line. */
const PROBLEMS_PER_LINE = 512;
/** Upper bounds of what a reading (time step, value, quality) and a series (names, counts) take in a delivery. */
const READING_BYTES = 15;
const SERIES_BYTES = 60;

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

/** Facts of a file, ascending by knownAtMs; the same file and mapping give the same sources and numbers each time. */
export async function* factsOf(file: FileSource, context: FileContext): AsyncGenerator<Fact[]> {
  const { mapping, counts } = context;
  const writer = new FactWriter(file, context);
  let reader: RowReader | undefined;
  for await (const lines of linesOf(file.path, file)) {
    for (const line of lines) {
      counts.bytes += line.oversized?.byteLength ?? line.bytes.length + 1;
      if (reader === undefined) {
        const fields = line.oversized ? undefined : fieldsOf(line.bytes.toString('utf8'), mapping.delimiter);
        if (!fields) throw new IflexError('CONFIG_INVALID', `${file.path} begins with a line that is not CSV. Is it the right file?`);
        reader = new RowReader(mapping, columnsOf(file.path, mapping, fields), context.omitted, context.importedAtMs);
        if (mapping.header) continue;
      }
      if (line.bytes.length === 0) counts.blankLines++;
      else writer.take(line, reader);
    }
    if (writer.facts.length > 0) yield writer.takeFacts();
  }
  writer.finish();
  if (writer.readingCount === 0) counts.emptyFiles.push(file.path);
  if (writer.facts.length > 0) yield writer.takeFacts();
}

interface ReadLine {
  line: Line;
  row: Row;
}

/** The row with its readings set aside, as its stamp lies in the future of the lines around it. */
function aheadOfItsTime(row: Row): Row {
  const problems = row.readings.map(({ siteId, pointId, startMs }): Problem => {
    const reason = 'The stamp lies in the future of the lines around it.';
    return { code: 'READING_IN_FUTURE', reason, siteId, pointId, startMs, readingCount: 1 };
  });
  return { ...row, readings: [], problems: [...row.problems, ...problems] };
}

class FactWriter {
  facts: Fact[] = [];
  readingCount = 0;
  private readonly file: FileSource;
  private readonly context: FileContext;
  private readonly sites = new Map<string, SiteWriter>();
  private waiting = 0;
  /** When what is being gathered becomes known; NaN before the first readable line. */
  private knownAtMs = Number.NaN;
  /** Lines read ahead of those that are being written. */
  private readonly ahead: ReadLine[] = [];
  /** Lines before the first one that says when they became known. */
  private first: ReadLine[] = [];

  constructor(file: FileSource, context: FileContext) {
    this.file = file;
    this.context = context;
  }

  takeFacts(): Fact[] {
    const { facts } = this;
    this.facts = [];
    return facts;
  }

  take(line: Line, reader: RowReader): void {
    this.context.counts.lines++;
    this.ahead.push({ line, row: reader.read(line) });
    if (this.ahead.length > LINES_AHEAD) this.write(this.ahead.shift()!);
  }

  private write(read: ReadLine): void {
    const { knownAtMs } = read.row;
    if (!Number.isNaN(knownAtMs)) {
      const endMs = this.deliveryEndMs(knownAtMs);
      if (!(endMs <= this.knownAtMs)) {
        if (this.maySetTime(knownAtMs)) this.advance(endMs);
        else if (!(knownAtMs <= this.knownAtMs + MAX_FUTURE_MS)) read = { line: read.line, row: aheadOfItsTime(read.row) };
      }
    }
    if (!Number.isNaN(this.knownAtMs)) return this.place(read);
    this.first.push(read);
    if (this.first.length > MAX_PROBLEMS_FIRST) throw this.unreadable();
  }

  private place({ line, row }: ReadLine): void {
    const { counts, coverage } = this.context;
    counts.blank += row.blank;
    counts.omitted += row.omitted;
    if (row.problems.length > 0) this.reject(line, row.problems);
    for (const reading of row.readings) {
      counts.readings++;
      this.readingCount++;
      coverage.take(reading.siteId, reading.pointId, reading.rule.intervalMs, reading.startMs, reading.value);
      this.add(reading);
    }
  }

  private deliveryEndMs(knownAtMs: number): number {
    const { deliveryMs, knownAt } = this.context.mapping;
    return knownAt === 'import' ? knownAtMs : Math.ceil(knownAtMs / deliveryMs) * deliveryMs;
  }

  /** Whether a line may move time: not beyond the import itself, nor where most of the lines after it say that it is earlier. */
  private maySetTime(knownAtMs: number): boolean {
    if (knownAtMs > this.context.importedAtMs + MAX_FUTURE_MS) return false;
    if (knownAtMs - this.knownAtMs <= MAX_SURE_STEP_MS) return true;
    let after = 0;
    let earlier = 0;
    for (const { row } of this.ahead) {
      if (Number.isNaN(row.knownAtMs)) continue;
      after++;
      if (row.knownAtMs < knownAtMs) earlier++;
    }
    if (after > 0 && earlier * 2 > after) return false;
    return after >= LINES_AHEAD / 2 || Number.isNaN(this.knownAtMs) || knownAtMs - this.knownAtMs <= MAX_LAST_STEP_MS;
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
        `The site ${siteId} is declared since ${new Date(declaredMs).toISOString()}, but ${this.file.path} has readings that became known at ${new Date(this.knownAtMs).toISOString()}. Set an earlier \`since\` in its file and declare it again.`,
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
    for (let read = this.ahead.shift(); read !== undefined; read = this.ahead.shift()) this.write(read);
    this.flush();
    if (this.first.length > 0) throw this.unreadable();
  }

  private unreadable(): IflexError {
    const { line, row } = this.first[0];
    const reason = row.problems[0]?.reason ?? 'Its stamp is later than now.';
    return new IflexError(
      'CONFIG_INVALID',
      `No line of ${this.file.path} can be read with this mapping. Line ${line.number}: ${reason} Is it the mapping for this file?`,
    );
  }
}

/** Gathers the readings of one site for its next delivery. */
class SiteWriter {
  count = 0;
  private readonly siteId: string;
  private readonly source: string;
  private number = 0;
  private bytes = 0;
  private readonly series = new Map<string, { readings: Reading[] }>();

  constructor(siteId: string, source: string) {
    this.siteId = siteId;
    this.source = source;
  }

  hasRoomFor(reading: Reading): boolean {
    const series = this.series.has(seriesOf(reading)) ? 0 : seriesBytes(reading);
    return this.count < MAX_READINGS_PER_DELIVERY && this.bytes + READING_BYTES + series + 200 <= MAX_DELIVERY_BYTES;
  }

  add(reading: Reading): void {
    const name = seriesOf(reading);
    let series = this.series.get(name);
    if (series === undefined) {
      this.series.set(name, (series = { readings: [] }));
      this.bytes += seriesBytes(reading);
    }
    series.readings.push(reading);
    this.bytes += READING_BYTES;
    this.count++;
  }

  take(topic: string, knownAtMs: number): Fact<'ReadingsDelivery'> {
    const series = [...this.series.values()].map(({ readings }) => columns(readings));
    const value: ReadingsDelivery = { siteId: this.siteId, knownAtMs, series };
    this.series.clear();
    this.count = this.bytes = 0;
    return { topic, schema: 'ReadingsDelivery', key: this.siteId, value, source: this.source, number: this.number++ };
  }
}

/** A series of a delivery is of one point and one device. */
function seriesOf({ pointId, deviceId }: Reading): string {
  return deviceId === null ? pointId : `${pointId} ${deviceId}`;
}

function seriesBytes({ pointId, deviceId }: Reading): number {
  return SERIES_BYTES + 2 * (pointId.length + (deviceId?.length ?? 0));
}

function columns(readings: readonly Reading[]): PointReadings {
  const { pointId, deviceId, rule } = readings[0];
  const isEnergy = rule.conversion.unit === 'MILLIWATT_HOUR';
  const values = readings.map(({ value }) => value);
  const isAlike = readings.every(({ quality }) => quality === readings[0].quality);
  return {
    pointId,
    unit: rule.conversion.unit,
    deviceId,
    startMs: readings.map(({ startMs }, i) => (i === 0 ? startMs : startMs - readings[i - 1].startMs)),
    value: isEnergy ? [] : values,
    energyMilliWh: isEnergy ? values : [],
    quality: Uint8Array.from(isAlike ? [readings[0].quality] : readings.map(({ quality }) => quality)),
  };
}
