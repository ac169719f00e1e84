/** The mapping file: what the columns of a CSV file mean. See presets/ for examples. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Type, { type Static } from 'typebox';
import type { PointKind } from '../../schemas/types.ts';
import { IflexError } from '../../streams/errors.ts';
import { HOT_MS, MAX_FUTURE_MS } from '../../streams/limits.ts';
import { utcOffsetMs } from '../../streams/time.ts';
import { readDeclaredFile, told } from '../instance/declared-file.ts';
import { CARRIERS, POINT_KINDS } from '../instance/pilot-file.ts';
import { SPAN_PATTERN, spanMs } from '../instance/quantities.ts';
import { fixedOffsetMs, type StampParser, stampParser } from './stamps.ts';
import { type Conversion, conversionOf, UNITS } from './units.ts';

const PRESETS_FOLDER = join(dirname(fileURLToPath(import.meta.url)), 'presets');
const QUALITIES = { measured: 0, estimated: 1, substituted: 2, missing: 3 } as const;

const closed = { additionalProperties: false };
const Span = Type.String({ pattern: SPAN_PATTERN, description: 'a span like 30 s, 15 min or 1 h' });
/** A column by its name in the header, or by its number from 1 where there is no header. */
const Column = Type.Union([Type.String({ minLength: 1 }), Type.Integer({ minimum: 1, maximum: 10_000 })], {
  description: 'the name of a column, or its number from 1',
});
const nameOf = <Names extends object>(names: Names) => Type.Enum(Object.keys(names) as (keyof Names & string)[]);

const ValueColumn = Type.Object(
  {
    /** What `meters` give its points by. */
    name: Type.String({ minLength: 1, maxLength: 80 }),
    column: Column,
    kind: nameOf(POINT_KINDS),
    carrier: nameOf(CARRIERS),
    interval: Span,
    unit: Type.Enum([...UNITS]),
    /** Where the file counts export (generation) positive, values are turned. */
    positive: Type.Optional(Type.Enum(['import', 'export'])),
    calorificKWhPerM3: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 100 })),
  },
  closed,
);

const Meter = Type.Object(
  { site: Type.String({ minLength: 1 }), points: Type.Record(Type.String(), Type.String({ minLength: 1 })) },
  closed,
);

const fields = {
  delimiter: Type.Optional(Type.String({ minLength: 1, maxLength: 1 })),
  header: Type.Optional(Type.Boolean()),
  decimal: Type.Optional(Type.Enum(['.', ','])),
  stamp: Type.Object(
    {
      column: Column,
      format: Type.String({ description: 'iso, epoch-s, epoch-ms, or a pattern like DD.MM.YYYY HH:mm' }),
      /** IANA name, or a fixed offset like +01:00; UTC by default. */
      zone: Type.Optional(Type.String()),
      marks: Type.Enum(['start', 'end']),
    },
    closed,
  ),
  knownAt: Type.Union([Type.Object({ after: Span }, closed), Type.Object({ column: Column }, closed), Type.Literal('import')], {
    description: '{ after: a span like 30 s, 15 min or 1 h }, { column: a column }, or import',
  }),
  /** Readings of one site that became known within such a span come in one delivery, at its end. */
  delivery: Type.Optional(Span),
  tick: Type.Optional(Span),
  topic: Type.Optional(Type.Enum(['meter.readings', 'sensor.readings'])),
  values: Type.Array(ValueColumn, { minItems: 1, maxItems: 500 }),
  meter: Type.Optional(Type.Object({ column: Column }, closed)),
  meters: Type.Optional(Type.Record(Type.String(), Meter)),
  /** The column of the meter's serial number, and the secret that its pseudonyms are made with. */
  device: Type.Optional(Type.Object({ column: Column, key: Type.Optional(Type.String({ minLength: 16, maxLength: 200 })) }, closed)),
  quality: Type.Optional(Type.Object({ column: Column, codes: Type.Record(Type.String(), nameOf(QUALITIES)) }, closed)),
  blank: Type.Optional(Type.Object({ texts: Type.Array(Type.String()), means: Type.Enum(['none', 'missing', 'rejected']) }, closed)),
  /** Columns of a file of stamps (first and last, both included) whose readings are left out. */
  omit: Type.Optional(Type.Object({ first: Column, last: Column }, closed)),
};
const MappingFile = Type.Object(fields, closed);
type MappingFile = Static<typeof MappingFile>;
/** A mapping that begins with a preset and changes or adds fields of it. */
const ExtendingFile = Type.Partial(Type.Object({ extends: Type.String(), ...fields }, closed), closed);

/** A column of values, ready to convert. */
export interface ValueRule {
  name: string;
  column: string | number;
  kind: PointKind;
  intervalMs: number;
  /** Turned (export counted positive) or not. */
  sign: 1 | -1;
  conversion: Conversion;
  /** Stamp minus start of the reading (ms): the interval where stamps mark its end. */
  stampShiftMs: number;
  file: MappingFile['values'][number];
}

export interface Mapping {
  /** Its file, or the name of the preset. */
  origin: string;
  delimiter: string;
  header: boolean;
  decimal: '.' | ',';
  stampColumn: string | number;
  parseStamp: StampParser;
  /** IANA name, or offset in ms. */
  zone: string | number;
  knownAt: { afterMs: number } | { column: string | number } | 'import';
  deliveryMs: number;
  tickMs: number;
  topic: 'meter.readings' | 'sensor.readings';
  values: ValueRule[];
  meterColumn: string | number | undefined;
  meters: Map<string, { site: string; points: Record<string, string> }>;
  device: { column: string | number; key: string } | undefined;
  qualityColumn: string | number | undefined;
  qualityOf: Map<string, number>;
  blankTexts: ReadonlySet<string>;
  blankMeans: 'none' | 'missing' | 'rejected';
  omit: { first: string | number; last: string | number } | undefined;
  /** What decides the readings beside the file itself, without `meters`: part of the source of deliveries. */
  identity: string;
}

export function presetNames(): string[] {
  return readdirSync(PRESETS_FOLDER)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.slice(0, -5));
}

/** Whether a mapping is a preset itself, not a file that extends one. */
export function isPreset(origin: string): boolean {
  return !existsSync(origin) && presetPath(origin) !== undefined;
}

/** Reads a mapping file, or the preset of that name. Throws CONFIG_INVALID with every problem found. */
export function readMapping(pathOrPreset: string): Mapping {
  const path = existsSync(pathOrPreset) ? pathOrPreset : presetPath(pathOrPreset);
  if (path === undefined)
    throw new IflexError(
      'CONFIG_INVALID',
      `${pathOrPreset} is neither a mapping file nor a preset (${presetNames().join(', ')}). ` +
        'What a mapping file holds stands in replay/import/README.md.',
    );
  const own = readDeclaredFile(path, ExtendingFile);
  const { extends: preset, ...changes } = own;
  if (preset === undefined) return mappingOf(pathOrPreset, readDeclaredFile(path, MappingFile));
  const extended = presetPath(preset);
  if (extended === undefined)
    throw new IflexError('CONFIG_INVALID', `${path}: extends ${preset}, which is no preset. There are: ${presetNames().join(', ')}.`);
  return mappingOf(pathOrPreset, { ...readDeclaredFile(extended, MappingFile), ...changes });
}

function presetPath(name: string): string | undefined {
  const path = join(PRESETS_FOLDER, `${name}.yaml`);
  return /^[\w-]+$/.test(name) && existsSync(path) ? path : undefined;
}

/** The mapping that a file means; `path` appears in errors. */
export function mappingOf(path: string, file: MappingFile): Mapping {
  const problems: string[] = [];
  const problem = (text: string) => problems.push(`${path}: ${text}`);
  const parseStamp = stampParser(file.stamp.format);
  if (!parseStamp)
    problem(`stamp.format "${file.stamp.format}" must be iso, epoch-s, epoch-ms, or hold YYYY, MM, DD and what else there is.`);
  const deliveryMs = spanMs(file.delivery ?? '1 h');
  const tickMs = spanMs(file.tick ?? '5 min');
  if (deliveryMs < 1 || deliveryMs > HOT_MS) problem('delivery must be between 1 ms and 4 h; later readings would be revisions.');
  // A reading may come just before the tick of its time, and may not be further than this from the tick before.
  if (tickMs < 1000 || tickMs > MAX_FUTURE_MS) problem('tick must be between 1 s and 10 min.');
  if (file.header === false) checkColumnNumbers(file, problem);
  const names = new Set<string>();
  for (const { name } of file.values) {
    if (names.has(name)) problem(`values has the name ${name} twice.`);
    names.add(name);
  }
  for (const [meter, { points }] of Object.entries(file.meters ?? {}))
    for (const name of Object.keys(points)) if (!names.has(name)) problem(`meters.${meter}.points names ${name}, which is not a value.`);
  if (file.device && file.device.key === undefined)
    problem(
      'device has no key, so that serial numbers could be guessed from the log. Add one of your own, such as this new one, and ' +
        `keep it, as with another every meter seems to be swapped: key: "${randomBytes(16).toString('hex')}"`,
    );
  if (!file.meter && Object.keys(file.meters ?? {}).length > 1) problem('meters has several, but no meter.column says which a row is of.');
  const mapping: Mapping = {
    origin: path,
    delimiter: file.delimiter ?? ',',
    header: file.header ?? true,
    decimal: file.decimal ?? '.',
    stampColumn: file.stamp.column,
    parseStamp: parseStamp!,
    zone: zoneOf(file.stamp.zone ?? 'UTC', problem),
    knownAt: typeof file.knownAt === 'string' || 'column' in file.knownAt ? file.knownAt : { afterMs: spanMs(file.knownAt.after) },
    deliveryMs,
    tickMs,
    topic: file.topic ?? 'meter.readings',
    values: file.values.map((value) => valueRule(value, file.stamp.marks, problem)),
    meterColumn: file.meter?.column,
    meters: new Map(Object.entries(file.meters ?? {})),
    device: file.device && { column: file.device.column, key: file.device.key ?? '' },
    qualityColumn: file.quality?.column,
    qualityOf: new Map(Object.entries(file.quality?.codes ?? {}).map(([code, quality]) => [code, QUALITIES[quality]])),
    blankTexts: new Set(file.blank?.texts ?? ['']),
    blankMeans: file.blank?.means ?? 'none',
    omit: file.omit,
    identity: JSON.stringify({ ...file, meters: undefined, tick: undefined }),
  };
  if (problems.length > 0) throw new IflexError('CONFIG_INVALID', told(problems));
  return mapping;
}

function checkColumnNumbers(file: MappingFile, problem: (text: string) => void): void {
  const columns = [
    file.stamp.column,
    file.meter?.column,
    file.device?.column,
    file.quality?.column,
    ...file.values.map(({ column }) => column),
  ];
  for (const column of columns) if (typeof column === 'string') problem(`without a header, columns are numbers from 1, not "${column}".`);
}

function zoneOf(text: string, problem: (text: string) => void): string | number {
  const fixed = fixedOffsetMs(text);
  if (fixed !== undefined) return fixed;
  try {
    utcOffsetMs(text, 0);
  } catch {
    problem(`stamp.zone ${text} is neither an IANA name like Europe/Helsinki nor an offset like +02:00.`);
  }
  return text;
}

function valueRule(value: MappingFile['values'][number], marks: 'start' | 'end', problem: (text: string) => void): ValueRule {
  const kind = POINT_KINDS[value.kind];
  const conversion = conversionOf(value.unit, kind, value.calorificKWhPerM3);
  if (!conversion) {
    const volume = value.unit === 'm3' || value.unit === 'm³' ? ' Volumes need calorificKWhPerM3.' : '';
    problem(`values.${value.name}: the unit ${value.unit} does not fit the kind ${value.kind}.${volume}`);
  }
  const intervalMs = spanMs(value.interval);
  const hasInterval = kind === 'MEAN_POWER' || kind === 'INTERVAL_ENERGY';
  return {
    name: value.name,
    column: value.column,
    kind,
    intervalMs,
    sign: value.positive === 'export' ? -1 : 1,
    conversion: conversion!,
    stampShiftMs: marks === 'end' && hasInterval ? intervalMs : 0,
    file: value,
  };
}
