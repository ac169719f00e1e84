/** One file as facts: its readings in deliveries of one site, its bad lines as `rejected`, in the order they became known. */
import { hash } from 'node:crypto';
import { basename } from 'node:path';
import type { PointReadings, ReadingsDelivery, Rejected, SiteDeclared } from '../../schemas/types.ts';
import { IflexError } from '../../streams/errors.ts';
import { MAX_DELIVERY_BYTES, MAX_READINGS_PER_DELIVERY, MAX_WAITING_READINGS, REJECTED_BYTES_KEPT } from '../../streams/limits.ts';
import type { Fact } from '../facts.ts';
import type { Coverage } from './coverage.ts';
import { type Line, linesOf } from './lines.ts';
import type { Mapping } from './mapping-file.ts';
import { columnsOf, fieldsOf, type Omitted, type Problem, type Reading, RowReader } from './rows.ts';

/** A mapping that reads none of so many first lines is the wrong one. */
const MAX_PROBLEMS_FIRST = 1_000;
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
  bytes: number;
}

export interface FileSource {
  path: string;
  /** Of the unpacked content. */
  sha256: string;
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
  for await (const lines of linesOf(file.path)) {
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
  if (writer.facts.length > 0) yield writer.takeFacts();
}

class FactWriter {
  facts: Fact[] = [];
  private readonly file: FileSource;
  private readonly context: FileContext;
  private readonly sites = new Map<string, SiteWriter>();
  private waiting = 0;
  /** When what is being gathered becomes known; NaN before the first readable line. */
  private knownAtMs = Number.NaN;
  /** Bad lines before the first readable one, which says when they became known. */
  private first: { line: Line; problems: Problem[] }[] = [];

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
    const { counts, coverage } = this.context;
    const row = reader.read(line);
    counts.lines++;
    counts.blank += row.blank;
    counts.omitted += row.omitted;
    if (!Number.isNaN(row.knownAtMs)) this.advance(row.knownAtMs);
    if (row.problems.length > 0) this.setAside(line, row.problems);
    for (const reading of row.readings) {
      counts.readings++;
      coverage.take(reading.siteId, reading.pointId, reading.rule.intervalMs, reading.startMs, reading.value);
      this.add(reading);
    }
  }

  /** A row was not known before the rows above it, whatever its stamp. */
  private advance(rowKnownAtMs: number): void {
    const { deliveryMs, knownAt } = this.context.mapping;
    const endMs = knownAt === 'import' ? rowKnownAtMs : Math.ceil(rowKnownAtMs / deliveryMs) * deliveryMs;
    if (endMs <= this.knownAtMs) return;
    this.flush();
    this.knownAtMs = endMs;
    const first = this.first;
    this.first = [];
    for (const { line, problems } of first) this.reject(line, problems);
  }

  private add(reading: Reading): void {
    let site = this.sites.get(reading.siteId);
    if (site === undefined) this.sites.set(reading.siteId, (site = this.openSite(reading.siteId)));
    if (!site.hasRoomFor(reading.pointId)) this.deliver(site);
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

  private setAside(line: Line, problems: Problem[]): void {
    const { rejected } = this.context.counts;
    for (const { code, readingCount } of problems) rejected[code] = (rejected[code] ?? 0) + readingCount;
    if (!Number.isNaN(this.knownAtMs)) return this.reject(line, problems);
    // The bytes of the line belong to a piece of the file that is reused by nobody, but is larger than the line.
    this.first.push({ line: { ...line, bytes: Buffer.from(line.bytes) }, problems });
    if (this.first.length > MAX_PROBLEMS_FIRST) throw this.unreadable();
  }

  private reject(line: Line, problems: readonly Problem[]): void {
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
    if (this.first.length > 0) throw this.unreadable();
  }

  private unreadable(): IflexError {
    const { line, problems } = this.first[0];
    return new IflexError(
      'CONFIG_INVALID',
      `No line of ${this.file.path} can be read with this mapping. Line ${line.number}: ${problems[0].reason} Is it the mapping for this file?`,
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

  hasRoomFor(pointId: string): boolean {
    const series = this.series.has(pointId) ? 0 : SERIES_BYTES + 2 * pointId.length;
    return this.count < MAX_READINGS_PER_DELIVERY && this.bytes + READING_BYTES + series + 200 <= MAX_DELIVERY_BYTES;
  }

  add(reading: Reading): void {
    let series = this.series.get(reading.pointId);
    if (series === undefined) {
      this.series.set(reading.pointId, (series = { readings: [] }));
      this.bytes += SERIES_BYTES + 2 * reading.pointId.length;
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

function columns(readings: readonly Reading[]): PointReadings {
  const { pointId, rule } = readings[0];
  const isEnergy = rule.conversion.unit === 'MILLIWATT_HOUR';
  const values = readings.map(({ value }) => value);
  const isAlike = readings.every(({ quality }) => quality === readings[0].quality);
  return {
    pointId,
    unit: rule.conversion.unit,
    deviceId: null,
    startMs: readings.map(({ startMs }, i) => (i === 0 ? startMs : startMs - readings[i - 1].startMs)),
    value: isEnergy ? [] : values,
    energyMilliWh: isEnergy ? values : [],
    quality: Uint8Array.from(isAlike ? [readings[0].quality] : readings.map(({ quality }) => quality)),
  };
}
