/** One line of a file as its readings, or as what is wrong with it: pure, apart from the stamps of each meter so far. */
import { createHmac } from 'node:crypto';
import { parse } from 'csv-parse/sync';
import { IflexError } from '../../streams/errors.ts';
import type { Line } from './lines.ts';
import type { Mapping, ValueRule } from './mapping-file.ts';
import { PassChooser } from './passes.ts';
import { instantsOf } from './stamps.ts';
import { converted } from './units.ts';

/** Columns of a file by position, once its header is known. */
export interface Columns {
  count: number;
  stamp: number;
  meter: number;
  device: number;
  quality: number;
  knownAt: number;
  values: number[];
}

export interface Reading {
  siteId: string;
  pointId: string;
  /** Pseudonym of the device that measured; null where the file does not tell devices apart. */
  deviceId: string | null;
  rule: ValueRule;
  startMs: number;
  /** Canonical unit, import positive. */
  value: number;
  quality: number;
}

export interface Problem {
  code:
    | 'LINE_UNREADABLE'
    | 'TIME_UNREADABLE'
    | 'VALUE_UNREADABLE'
    | 'SITE_UNKNOWN'
    | 'READING_IN_FUTURE'
    | 'READING_OUT_OF_RANGE'
    | 'READING_SUPERSEDED';
  reason: string;
  siteId: string | null;
  pointId: string | null;
  startMs: number | null;
  /** Readings that the line would have had. */
  readingCount: number;
}

/** What one line says. `knownAtMs` is of the row; NaN where nothing of it can be used. */
export interface Row {
  readings: Reading[];
  problems: Problem[];
  blank: number;
  omitted: number;
  knownAtMs: number;
}

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$/;

/** Fields of a line. Lines without quotes, which is nearly all of them, need no more than a split. */
export function fieldsOf(text: string, delimiter: string): string[] | undefined {
  if (!text.includes('"')) return text.split(delimiter);
  try {
    const rows = parse(text, { delimiter, relax_column_count: true }) as string[][];
    return rows.length === 1 ? rows[0] : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Positions of the mapped columns; `fields` is the header, or any line where there is none. Throws CONFIG_INVALID for one
 * that is missing.
 */
export function columnsOf(path: string, mapping: Mapping, fields: readonly string[]): Columns {
  const names = fields.map((name) => name.trim());
  const find = (column: string | number | undefined): number => {
    if (column === undefined) return -1;
    const at = typeof column === 'number' ? column - 1 : names.indexOf(column);
    if (at >= 0 && at < names.length) return at;
    const there = mapping.header ? `its header has: ${legible(names.join(mapping.delimiter))}` : `its first line has ${names.length}`;
    const cure = otherDelimiter(mapping.delimiter, fields) ?? 'Is it the mapping for this file?';
    throw new IflexError('CONFIG_INVALID', `${path} has no column ${column}; ${there}. ${cure}`);
  };
  const { knownAt } = mapping;
  return {
    count: fields.length,
    stamp: find(mapping.stampColumn),
    meter: find(mapping.meterColumn),
    device: find(mapping.device?.column),
    quality: find(mapping.qualityColumn),
    knownAt: typeof knownAt === 'object' && 'column' in knownAt ? find(knownAt.column) : -1,
    values: mapping.values.map(({ column }) => find(column)),
  };
}

/** What to write where the fields seem to be set apart by another character. */
function otherDelimiter(delimiter: string, fields: readonly string[]): string | undefined {
  const line = fields.join(delimiter);
  const [most, times] = [';', '\t', ',', '|'].map((one) => [one, line.split(one).length] as const).sort((a, b) => b[1] - a[1])[0];
  if (most === delimiter || times <= Math.max(1, fields.length)) return undefined;
  const decimal = most === ';' ? ', and `decimal: ","` where numbers have a comma' : '';
  return `Its fields seem to be set apart by another character: write \`delimiter: ${JSON.stringify(most)}\` into the mapping${decimal}.`;
}

/** Characters of a file that are shown in an error. */
const MAX_SHOWN_CHARACTERS = 200;

/** A beginning of any text, fit for a terminal. */
function legible(text: string): string {
  const start = text.length > MAX_SHOWN_CHARACTERS ? `${text.slice(0, MAX_SHOWN_CHARACTERS)} …` : text;
  return start.replace(/[\p{Cc}\p{Cf}\uFFFD]/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Readings travel with milliseconds since 1970; an earlier stamp is a mistake. */
const EARLIEST_MS = 0;

/** Spans of stamps to leave out, as sorted, disjoint [first, last] pairs in a row; both ends included (ms). */
export type Omitted = readonly number[];

export function isOmitted(omitted: Omitted, instantMs: number): boolean {
  let low = 0;
  let high = omitted.length / 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (omitted[2 * middle + 1] < instantMs) low = middle + 1;
    else high = middle;
  }
  return 2 * low < omitted.length && omitted[2 * low] <= instantMs;
}

export class RowReader {
  private readonly mapping: Mapping;
  private readonly columns: Columns;
  private readonly omitted: Omitted;
  private readonly importedAtMs: number;
  /** Where each meter has got to: decides between the two passes of an hour. */
  private readonly passes = new Map<string, PassChooser>();
  /** Device of the latest line of each meter. */
  /** The stamp read last, as many meters often have one after the other: it begins with one that is none. */
  private lastStamp = '';
  private lastInstants: readonly number[] = [];
  private readonly lastDevice = new Map<string, { serial: string; deviceId: string }>();
  /** Values that any meter has: what a line is taken to hold where its meter is not known. */
  private readonly mappedCount: number;
  private readonly maxShiftMs: number;

  constructor(mapping: Mapping, columns: Columns, omitted: Omitted, importedAtMs: number) {
    this.mapping = mapping;
    this.columns = columns;
    this.omitted = omitted;
    this.importedAtMs = importedAtMs;
    const mapped = new Set([...mapping.meters.values()].flatMap(({ points }) => Object.keys(points)));
    this.maxShiftMs = Math.max(...mapping.values.map(({ stampShiftMs }) => stampShiftMs));
    this.mappedCount = mapping.values.filter(({ name }) => mapped.has(name)).length;
  }

  read(line: Line): Row {
    const { mapping, columns } = this;
    const row: Row = { readings: [], problems: [], blank: 0, omitted: 0, knownAtMs: Number.NaN };
    let meter: { site: string; points: Record<string, string> } | undefined;
    const fail = (code: Problem['code'], reason: string): Row => {
      const own = meter?.points;
      const readingCount = own ? mapping.values.filter(({ name }) => own[name] !== undefined).length : this.mappedCount;
      row.problems.push({ code, reason, siteId: meter?.site ?? null, pointId: null, startMs: null, readingCount });
      return row;
    };
    if (line.oversized) return fail('LINE_UNREADABLE', `The line has ${line.oversized.byteLength} bytes.`);
    const fields = fieldsOf(line.bytes.toString('utf8'), mapping.delimiter);
    if (!fields) return fail('LINE_UNREADABLE', 'The quotes of the line do not close.');
    if (fields.length !== columns.count) return fail('LINE_UNREADABLE', `The line has ${fields.length} fields, not ${columns.count}.`);
    const meterName = columns.meter < 0 ? '' : fields[columns.meter].trim();
    meter = columns.meter < 0 ? mapping.meters.values().next().value : mapping.meters.get(meterName);
    if (!meter) return fail('SITE_UNKNOWN', 'The mapping does not say which site the meter of the line belongs to.');
    const instantMs = this.instantOf(fields[columns.stamp].trim(), meterName);
    if (instantMs === undefined) return fail('TIME_UNREADABLE', 'The stamp does not parse, or does not exist in its zone.');
    if (instantMs < EARLIEST_MS + this.maxShiftMs) return fail('READING_OUT_OF_RANGE', 'The stamp lies before 1970.');
    const quality = columns.quality < 0 ? 0 : mapping.qualityOf.get(fields[columns.quality].trim());
    if (quality === undefined) return fail('VALUE_UNREADABLE', 'The mapping does not know the quality of the line.');
    const deviceId = columns.device < 0 ? null : this.deviceOf(fields[columns.device].trim(), meterName, meter.site);
    const isLeftOut = this.omitted.length > 0 && isOmitted(this.omitted, instantMs);
    for (let i = 0; i < mapping.values.length; i++) {
      const rule = mapping.values[i];
      const pointId = meter.points[rule.name];
      if (pointId === undefined) continue;
      if (isLeftOut) row.omitted++;
      else {
        const startMs = instantMs - rule.stampShiftMs;
        const reading = { siteId: meter.site, pointId, deviceId, rule, startMs, value: 0, quality };
        this.readValue(fields[columns.values[i]].trim(), reading, row);
      }
    }
    row.knownAtMs = this.knownAtOf(fields, instantMs);
    if (Number.isNaN(row.knownAtMs)) {
      row.readings = [];
      return fail('TIME_UNREADABLE', 'The stamp of when the line became known does not parse.');
    }
    return row;
  }

  /** Adds what the text of a field says to the row; `reading` is filled in, and is part of the row then. */
  private readValue(text: string, reading: Reading, row: Row): void {
    const { rule, siteId, pointId, startMs } = reading;
    const { blankTexts, blankMeans, decimal } = this.mapping;
    const isBlank = blankTexts.has(text);
    if (isBlank && blankMeans === 'none') {
      row.blank++;
      return;
    }
    if (isBlank && blankMeans === 'missing') {
      reading.quality = 3;
      row.readings.push(reading);
      return;
    }
    const plain = decimal === ',' ? text.replace(',', '.') : text;
    const value = NUMBER.test(plain) && !(decimal === ',' && text.includes('.')) ? converted(Number(plain), rule.conversion) : Number.NaN;
    if (Number.isFinite(value) && Math.abs(value) < 2 ** 52) {
      // Minus zero would not read back equal.
      reading.value = value === 0 ? 0 : rule.sign * value;
      row.readings.push(reading);
    } else
      row.problems.push({
        code: 'VALUE_UNREADABLE',
        reason: 'The value is not a finite number.',
        siteId,
        pointId,
        startMs,
        readingCount: 1,
      });
  }

  /**
   * A pseudonym that only who has the key of the mapping can make, another one at every site; the file says again which it
   * is by the same serial number, so that importing once more gives the same. An empty field is about the device before.
   */
  private deviceOf(serial: string, meter: string, siteId: string): string | null {
    const last = this.lastDevice.get(meter);
    if (serial === '') return last?.deviceId ?? null;
    if (last?.serial === serial) return last.deviceId;
    const digest = createHmac('sha256', this.mapping.device!.key)
      .update(JSON.stringify([siteId, serial]))
      .digest('hex');
    const deviceId = `device-${digest.slice(0, 16)}`;
    this.lastDevice.set(meter, { serial, deviceId });
    return deviceId;
  }

  private instantOf(text: string, meter: string): number | undefined {
    if (text !== this.lastStamp) {
      this.lastInstants = this.instantsOfStamp(text);
      this.lastStamp = text;
    }
    const instants = this.lastInstants;
    if (instants.length === 0) return undefined;
    let chooser = this.passes.get(meter);
    if (chooser === undefined) this.passes.set(meter, (chooser = new PassChooser()));
    return chooser.take(instants);
  }

  /** Instants that a stamp may mean; none where it does not parse. */
  private instantsOfStamp(text: string): readonly number[] {
    const stamp = this.mapping.parseStamp(text);
    if (!stamp) return [];
    return stamp.instantMs === undefined ? instantsOf(stamp.localMs, this.mapping.zone) : [stamp.instantMs];
  }

  /** When the row became known (ms): by rule after the end of its interval, by a column, or with the import. */
  private knownAtOf(fields: readonly string[], instantMs: number): number {
    const { knownAt, parseStamp, zone, values } = this.mapping;
    if (knownAt === 'import') return this.importedAtMs;
    if ('afterMs' in knownAt) return instantMs - values[0].stampShiftMs + knownAt.afterMs;
    const stamp = parseStamp(fields[this.columns.knownAt].trim());
    return stamp?.instantMs ?? (stamp ? (instantsOf(stamp.localMs, zone)[0] ?? Number.NaN) : Number.NaN);
  }
}
