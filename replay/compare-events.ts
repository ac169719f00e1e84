/** What tells two events apart, for people: marks of events, and the places where their values differ. */
import type { Codec } from '../schemas/codec.ts';
import type { LogRecord, NewRecord } from '../streams/event-log.ts';
import { idOf } from '../streams/record-ids.ts';

/** An event as a person looks it up. */
export interface EventMark {
  id: string;
  key: string;
  offset: number;
  /** ISO 8601. */
  knownAt: string;
  /** Point, width and first start, as far as the event has them. */
  what: string;
  /** The trigger's id and the ranges of positions read. */
  causes: string;
}

export interface Difference {
  /** E.g. "series[0].energyMilliWh[3]". */
  path: string;
  left: string;
  right: string;
}

const MAX_DIFFERENCES = 5;
const MAX_SHOWN_LENGTH = 100;

export function markOf(codec: Codec, record: LogRecord): EventMark {
  const { headers, key, offset } = record;
  return {
    id: idOf(record),
    key,
    offset,
    knownAt: new Date(headers.knownAtMs).toISOString(),
    what: whatOf(codec.decode(record.value).value as Record<string, unknown>),
    causes: headers.causes ?? 'nothing that it names',
  };
}

/** Point and start of what the event is about: its own, or those of its first series. */
function whatOf(value: Record<string, unknown>): string {
  const series = Array.isArray(value.series) ? ((value.series[0] as Record<string, unknown>) ?? {}) : {};
  const start = [value.startMs, value.dayStartMs, series.startMs].flat().find((time) => typeof time === 'number') as number | undefined;
  const parts = [
    ['point', value.pointId ?? series.pointId],
    ['width', value.widthMs === undefined ? undefined : `${Number(value.widthMs) / 60_000} min`],
    ['from', start === undefined ? undefined : new Date(start).toISOString()],
    ['code', value.code],
    ['kind', value.kind],
  ];
  return parts
    .filter(([, what]) => what !== undefined && what !== null)
    .map(([name, what]) => `${name} ${what}`)
    .join(', ');
}

/** The first few places where two events differ: key, schema, values, and the id where nothing else does. */
export function differencesOf(leftCodec: Codec, left: NewRecord, rightCodec: Codec, right: NewRecord): Difference[] {
  const [a, b] = [leftCodec.decode(left.value), rightCodec.decode(right.value)];
  const found: Difference[] = [];
  compareValues(left.key, right.key, 'key', found);
  compareValues(a.name, b.name, 'schema', found);
  compareValues(a.value, b.value, '', found);
  if (found.length === 0) compareValues(left.headers.id, right.headers.id, 'id', found);
  return found;
}

/** The first few places where two values differ. */
export function differencesBetween(left: unknown, right: unknown): Difference[] {
  const found: Difference[] = [];
  compareValues(left, right, '', found);
  return found;
}

function compareValues(left: unknown, right: unknown, path: string, found: Difference[]): void {
  if (found.length >= MAX_DIFFERENCES || Object.is(left, right)) return;
  if (!isCompound(left) || !isCompound(right) || Array.isArray(left) !== Array.isArray(right)) {
    found.push({ path, left: shown(left), right: shown(right) });
    return;
  }
  const [a, b] = [Object.entries(left), new Map(Object.entries(right))];
  const inner = (name: string) =>
    Array.isArray(left) || left instanceof Uint8Array ? `${path}[${name}]` : path ? `${path}.${name}` : name;
  for (const [name, value] of a) {
    compareValues(value, b.get(name), inner(name), found);
    b.delete(name);
  }
  for (const [name, value] of b) compareValues(undefined, value, inner(name), found);
}

function isCompound(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value);
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}…` : text;
}
