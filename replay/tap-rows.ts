/** Events as rows: one a reading, a window or a step of a forecast, each with its place in the log. */
import { type Codec, CodecError } from '../schemas/codec.ts';
import type { ForecastIssued, ReadingsDelivery, ResampledWindows } from '../schemas/types.ts';
import { CLOUD_EVENT_HEADERS, toCloudEvent } from '../streams/cloud-events.ts';
import type { LogRecord } from '../streams/event-log.ts';
import { idOf } from '../streams/record-ids.ts';
import { findTopic } from '../streams/topics.ts';

export type Cell = string | number | boolean | null;
export type Row = Record<string, Cell>;

/** How the events of a topic become rows. Times are ISO 8601 in UTC; other columns keep the schema's names and units. */
export interface RowForm {
  columns: readonly string[];
  rowsOf(record: LogRecord): Row[];
}

const QUALITIES = ['measured', 'estimated', 'substituted', 'missing'];
const REASONS = ['first', 'late', 'corrected', 'reloaded'];
const FLAGS = ['stuck', 'outlier', 'negative'];
const UNITS: Record<string, string> = { WATT: 'W', MILLIWATT_HOUR: 'mWh', DEGREE_CELSIUS: 'degC', CODE: 'code' };
/** Of an event that cannot be read: why, and its first bytes. */
const PROBLEM = 'problem';
const PLACE = ['knownAt', 'appended', 'partition', 'offset', 'id'];
const PROBLEM_BYTES_SHOWN = 64;

interface Unfolded {
  columns: readonly string[];
  unfold(value: never): Row[];
}

const UNFOLDED: Record<string, Unfolded> = {
  ReadingsDelivery: { columns: ['site', 'point', 'start', 'value', 'unit', 'quality', 'device'], unfold: readings },
  ResampledWindows: {
    columns: [
      ...['site', 'point', 'start', 'widthMs', 'energyMilliWh', 'mean', 'min', 'max', 'last', 'readingCount', 'coveredMs', 'measuredMs'],
      ...['quality', 'flags', 'revision', 'reason'],
    ],
    unfold: windows,
  },
  ForecastIssued: {
    columns: ['site', 'point', 'start', 'widthMs', 'q10W', 'q50W', 'q90W', 'residualCount', 'model', 'method'],
    unfold: forecasts,
  },
};

/** The form of a topic's rows; `schemaText` is the current schema of its events. With headers: those of CloudEvents too. */
export function rowForm(codec: Codec, topicName: string, schemaText: string, withHeaders = false): RowForm {
  const { schema } = findTopic(topicName)!;
  const { columns, unfold } = UNFOLDED[schema] ?? flat(schemaText);
  const rowsOf = (record: LogRecord): Row[] => {
    const place: Row = withHeaders ? { ...placeOf(record), ...toCloudEvent(record.headers) } : placeOf(record);
    try {
      return unfold(codec.decodeAs(schema, record.value) as never).map((row) => ({ ...row, ...place }));
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      const blank = Object.fromEntries(columns.map((column) => [column, null]));
      const bytes = Buffer.from(record.value.subarray(0, PROBLEM_BYTES_SHOWN)).toString('hex');
      return [{ ...blank, ...place, [PROBLEM]: `${error.message} The ${record.value.length} bytes begin with ${bytes}.` }];
    }
  };
  return { columns: [...columns, ...PLACE, ...(withHeaders ? CLOUD_EVENT_HEADERS : []), PROBLEM], rowsOf };
}

function placeOf(record: LogRecord): Row {
  const { partition, offset, appendedMs, headers } = record;
  return {
    knownAt: iso(headers.knownAtMs),
    appended: iso(appendedMs),
    partition,
    offset,
    id: idOf(record),
  };
}

function readings({ siteId, series }: ReadingsDelivery): Row[] {
  return series.flatMap(({ pointId, unit, deviceId, startMs, value, energyMilliWh, quality }) => {
    const values = unit === 'MILLIWATT_HOUR' ? energyMilliWh : value;
    return absolute(startMs).map((start, i) => {
      const code = quality[quality.length === 1 ? 0 : i];
      return {
        site: siteId,
        point: pointId,
        start: iso(start),
        // Where the quality is "missing" the number is a place holder.
        value: code === 3 ? null : (values[i] ?? null),
        unit: UNITS[unit] ?? unit,
        quality: QUALITIES[code] ?? `code ${code}`,
        device: deviceId,
      };
    });
  });
}

function windows({ siteId, widthMs, series }: ResampledWindows): Row[] {
  return series.flatMap((points) =>
    absolute(points.startMs).map((start, i) => {
      const covered = points.coveredMs[i] > 0;
      return {
        site: siteId,
        point: points.pointId,
        start: iso(start),
        widthMs,
        energyMilliWh: points.hasEnergy && covered ? points.energyMilliWh[i] : null,
        mean: covered ? points.mean[i] : null,
        min: covered ? points.min[i] : null,
        max: covered ? points.max[i] : null,
        last: covered ? points.last[i] : null,
        readingCount: points.readingCount[i],
        coveredMs: points.coveredMs[i],
        measuredMs: points.measuredMs[i],
        quality: QUALITIES[points.quality[i]] ?? `code ${points.quality[i]}`,
        flags: FLAGS.filter((_, bit) => points.flags[i] & (1 << bit)).join(' '),
        revision: points.revision[i],
        reason: REASONS[points.reason[i]] ?? `code ${points.reason[i]}`,
      };
    }),
  );
}

function forecasts({ siteId, pointId, widthMs, model, method, startMs, ...columns }: ForecastIssued): Row[] {
  return absolute(startMs).map((start, i) => ({
    site: siteId,
    point: pointId,
    start: iso(start),
    widthMs,
    q10W: columns.q10W[i],
    q50W: columns.q50W[i],
    q90W: columns.q90W[i],
    residualCount: columns.residualCount[i],
    model,
    method,
  }));
}

/** Any other event is one row: its fields as columns, what is nested in them as JSON, bytes as hexadecimal digits. */
function flat(schemaText: string): Unfolded {
  const fields = (JSON.parse(schemaText) as { fields: { name: string }[] }).fields.map(({ name }) => name);
  // Fields that say again what the place says (knownAtMs, a run's partition) are left out.
  const shown = fields.map((name) => ({ name, column: columnOf(name) })).filter(({ column }) => !PLACE.includes(column));
  const unfold = (value: Record<string, unknown>): Row[] => [
    Object.fromEntries(shown.map(({ name, column }) => [column, column === name ? cellOf(value[name]) : timeCell(value[name])])),
  ];
  return { columns: shown.map(({ column }) => column), unfold: unfold as Unfolded['unfold'] };
}

/** Points in time lose the unit of their name, as they are shown as ISO 8601; spans keep it. */
function columnOf(field: string): string {
  const named: Record<string, string> = { siteId: 'site', pointId: 'point' };
  if (named[field]) return named[field];
  return /(^start|Start|At)Ms$/.test(field) ? field.slice(0, -'Ms'.length) : field;
}

function timeCell(value: unknown): Cell {
  return typeof value === 'number' ? iso(value) : cellOf(value);
}

function cellOf(value: unknown): Cell {
  if (value === null || value === undefined) return null;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (typeof value !== 'object') return value as Cell;
  return JSON.stringify(value, (_, inner) => (inner instanceof Uint8Array ? Buffer.from(inner).toString('hex') : inner));
}

/** Columns of times hold the first absolute and each further one as a difference. */
function absolute(differences: readonly number[]): number[] {
  let time = 0;
  return differences.map((difference) => (time += difference));
}

/** ISO 8601, or the number where no calendar reaches it. */
function iso(timeMs: number): string {
  const date = new Date(timeMs);
  return Number.isNaN(date.getTime()) ? String(timeMs) : date.toISOString();
}
