/** Shapes of requests and answers: what is validated, serialised and documented. */
import { type Static, type TProperties, type TSchema, Type } from 'typebox';
import type { NoticeKind } from '../schemas/types.ts';
import { ERROR_CODES, type ErrorCode } from '../streams/errors.ts';
import { DEFAULT_PAGE_ROWS, MAX_NAME_CHARS, MAX_PAGE_ROWS, MAX_URL_BYTES } from '../streams/limits.ts';

export const Name = (description: string) => Type.String({ minLength: 1, maxLength: MAX_NAME_CHARS, description });
export const Nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

export const SiteParams = Type.Object({ siteId: Name('Id of the site') });
export const PointParams = Type.Object({ siteId: Name('Id of the site'), pointId: Name('Id of the point') });

const time = (description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: 40, description, examples: ['2026-03-29T00:00:00+02:00', '2026-03-29'] }));

/** Query parameters that several routes share. */
export const parameters = {
  from: time('Start (inclusive): RFC 3339, or a date, which is the start of that local day.'),
  to: time('End (exclusive), as `from`.'),
  asOf: time('What was known at this time: later revisions and issues are left out.'),
  tz: Type.Optional(
    Type.String({ maxLength: 60, description: 'IANA name of the zone of days and rendered times; else the zone of the site.' }),
  ),
  unit: Type.Optional(
    Type.String({
      maxLength: 20,
      description: 'W or kW; Wh, kWh or MWh; degC or degF. Two of them with a comma: "kW,Wh".',
      examples: ['kW', 'kW,Wh'],
    }),
  ),
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MAX_PAGE_ROWS, default: DEFAULT_PAGE_ROWS, description: 'Rows of a page at most.' }),
  ),
  cursor: Type.Optional(
    Type.String({ minLength: 1, maxLength: MAX_URL_BYTES, description: 'nextCursor of the page before, with the same other parameters.' }),
  ),
  format: Type.Optional(Type.Enum(['json', 'csv'], { description: 'Goes before the Accept header.' })),
};

/** Unknown parameters are refused, as a misspelt filter would otherwise show too much. */
export const Query = <P extends TProperties>(properties: P) => Type.Object(properties, { additionalProperties: false });

export const CODES = Object.keys(ERROR_CODES) as ErrorCode[];

export const ProblemShape = Type.Object(
  {
    type: Type.String({ description: 'Address of the documentation of the code' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    instance: Type.String(),
    code: Type.Enum(CODES),
    requestId: Type.String(),
    errors: Type.Optional(Type.Array(Type.Object({ in: Type.String(), detail: Type.String() }))),
  },
  { description: 'RFC 9457' },
);

const problem = { description: 'A problem, with a documented code', content: { 'application/problem+json': { schema: ProblemShape } } };

/** Answers of a route: the good one in JSON, and what can go wrong. */
export const answers = <S extends TSchema>(schema: S) => ({
  200: { description: 'Found', content: { 'application/json': { schema } } },
  '4xx': problem,
  '5xx': problem,
});

/** A page of rows, in JSON or CSV. */
export const pageAnswers = (about: TProperties, row: TSchema) => ({
  200: {
    description: 'Rows',
    content: {
      'application/json': { schema: Type.Object({ ...about, rows: Type.Array(row), nextCursor: Nullable(Type.String()) }) },
      'text/csv': { schema: Type.String({ description: 'The rows, one a line, with a header; the next page is in the Link header.' }) },
    },
  },
  304: { description: 'As the entity tag of If-None-Match says', type: 'null' },
  '4xx': problem,
  '5xx': problem,
});

export const columnsOf = (row: { properties: TProperties }): string[] => Object.keys(row.properties);

export const QUALITIES = ['measured', 'estimated', 'substituted', 'missing'] as const;
const REASONS = ['first', 'late', 'corrected', 'reloaded'] as const;
const FLAGS = ['stuck', 'outlier', 'negative'] as const;

/** As a table, so that the compiler sees when one is missing. */
const KINDS_OF_NOTICE: Record<NoticeKind, true> = {
  UNKNOWN: true,
  DOUBLE: true,
  CONFLICT: true,
  REGISTER_RESET: true,
  REGISTER_ROLLOVER: true,
  METER_SWAP: true,
  REGISTER_GAP: true,
  STUCK: true,
  OUTLIER: true,
  NEGATIVE: true,
};
/** Filters by these refuse what is misspelt, which would otherwise look as if nothing had happened. */
export const NOTICE_KINDS = Object.keys(KINDS_OF_NOTICE) as NoticeKind[];

export const qualityName = (code: number): string => QUALITIES[code] ?? 'missing';
export const reasonName = (code: number): string => REASONS[code] ?? 'first';
/** Names of the bits that are set. */
export const flagNames = (bits: number): string[] => FLAGS.filter((_, bit) => bits & (1 << bit));

const at = (description: string) => Type.String({ description });

export const SiteRowShape = Type.Object({
  siteId: Type.String(),
  pilotId: Type.String(),
  timeZone: Type.String(),
  kind: Type.String(),
  origin: Type.String({ description: 'MEASURED or SIMULATED' }),
  knownAt: at('When the declaration became known'),
});

export const PointRowShape = Type.Object({
  pointId: Type.String(),
  siteId: Type.String(),
  name: Type.String(),
  kind: Type.String(),
  carrier: Type.String(),
  intervalMs: Type.Integer(),
  forecast: Type.Boolean({ description: 'Whether forecasts are made for it' }),
});

export const LatestRowShape = Type.Object({
  pointId: Type.String(),
  start: at('Start of the five minutes'),
  unit: Type.String(),
  last: Type.Number(),
  mean: Type.Number(),
  quality: Type.Enum([...QUALITIES]),
  knownAt: at('When it became known'),
});

export const WindowRowShape = Type.Object({
  start: at('Start of the window'),
  end: at('End (exclusive)'),
  mean: Nullable(Type.Number({ description: 'Weighted by time over the covered part; null where nothing is known' })),
  min: Nullable(Type.Number()),
  max: Nullable(Type.Number()),
  last: Nullable(Type.Number()),
  energy: Nullable(Type.Number({ description: 'Import positive' })),
  completeness: Type.Number({ description: 'Covered part of the window, 0 to 1' }),
  measured: Type.Number({ description: 'Part covered by measured readings, 0 to 1' }),
  readingCount: Type.Integer(),
  quality: Type.Enum([...QUALITIES], { description: 'Worst of what went in' }),
  flags: Type.Array(Type.Enum([...FLAGS])),
  revision: Type.Integer(),
  reason: Type.Enum([...REASONS], { description: 'Why this revision was made' }),
  knownAt: at('When this revision became known'),
});

export const ForecastRowShape = Type.Object({
  start: at('Start of the slot'),
  end: at('End (exclusive)'),
  issuedAt: at('Belief time'),
  q10: Type.Number(),
  q50: Type.Number(),
  q90: Type.Number(),
  residualCount: Type.Integer({ description: 'Own residuals that the quantiles rest on; 0: no spread known yet' }),
  method: Type.String(),
  model: Type.String(),
});

const place = { partition: Type.Integer(), offset: Type.Integer({ description: 'Place in the topic' }) };

export const RejectedRowShape = Type.Object({
  ...place,
  knownAt: at('When it became known'),
  siteId: Nullable(Type.String()),
  pointId: Nullable(Type.String()),
  start: Nullable(at('Event time that it concerns')),
  code: Type.String(),
  reason: Type.String(),
  source: Type.String({ description: 'Where it came from' }),
  readingCount: Type.Integer({ description: 'Readings set aside by this event' }),
  byteLength: Type.Integer(),
  sha256: Type.String(),
});

export const NoticeRowShape = Type.Object({
  ...place,
  knownAt: at('When it became known'),
  siteId: Type.String(),
  pointId: Type.String(),
  start: at('Event time that it concerns'),
  kind: Type.String(),
  value: Nullable(Type.Number()),
  otherValue: Nullable(Type.Number()),
  count: Type.Integer(),
});

export const RunRowShape = Type.Object({
  runId: Type.String({ description: 'As the headers of derived events name it' }),
  namespace: Type.String(),
  mode: Type.Enum(['live', 'what-if'], { description: 'Whether the namespace is that of a what-if replay' }),
  note: Nullable(Type.String({ description: 'What made the namespace, where that was noted' })),
  codeVersion: Type.String(),
  configurationHash: Type.String({ description: 'Of the limits that decide about results' }),
  processors: Type.Array(Type.String({ description: 'name@version' })),
  seed: Nullable(Type.Integer({ description: 'Of what it draws at random; null: it draws nothing' })),
  started: at('When its first task began, by the clock of the log'),
  lastStarted: at('When its latest task began'),
  knownAt: at('Stream time when its first task began'),
  tasks: Type.Integer({ description: 'Tasks that began under it' }),
});

export type WindowAnswer = Static<typeof WindowRowShape>;
export type ForecastAnswer = Static<typeof ForecastRowShape>;
