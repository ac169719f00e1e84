/**
 * Headers as others know them: the Kafka protocol binding of CloudEvents 1.0.2 in binary mode, where the value is the
 * event's data as it is, and each attribute is a header `ce_NAME` with a text; only the data's media type is
 * `content-type`. What CloudEvents has no attribute for goes as extensions, whose names are small letters and digits.
 * Trace context keeps the name of its own standard, as tracing tools look for it.
 *
 *   ours                 theirs
 *   source               ce_source, a URI reference: percent-encoded but for "/"
 *   id, else source#number   ce_id
 *   type                 ce_type
 *   knownAtMs            ce_time, RFC 3339; ce_knownatms for a year that RFC 3339 cannot write
 *   number               ce_deliverynumber, where there is one
 *   causes, run          ce_causes, ce_run
 *   traceparent          traceparent
 */
import { IflexError } from './errors.ts';
import type { RecordHeaders } from './event-log.ts';
import { idOf } from './record-ids.ts';

/** All header names that events can have, in the order in which they are shown. */
export const CLOUD_EVENT_HEADERS = [
  'ce_specversion',
  'ce_id',
  'ce_source',
  'ce_type',
  'ce_time',
  'ce_knownatms',
  'ce_deliverynumber',
  'ce_causes',
  'ce_run',
  'content-type',
  'traceparent',
] as const;

export type CloudEventHeaders = Partial<Record<(typeof CLOUD_EVENT_HEADERS)[number], string>>;

const SPEC_VERSION = '1.0';
/** The example of the binding calls Avro so; that the body is framed with its schema's id is a matter of the topic. */
const CONTENT_TYPE = 'application/avro';

export function toCloudEvent(headers: RecordHeaders): CloudEventHeaders {
  const { source, number, type, knownAtMs, causes, run, traceparent } = headers;
  return {
    ce_specversion: SPEC_VERSION,
    ce_id: idOf({ headers }),
    ce_source: encodeURIComponent(source).replaceAll('%2F', '/'),
    ce_type: type,
    ...timeOf(knownAtMs),
    ...(number >= 0 && { ce_deliverynumber: String(number) }),
    ...(causes !== undefined && { ce_causes: causes }),
    ...(run !== undefined && { ce_run: run }),
    'content-type': CONTENT_TYPE,
    ...(traceparent !== undefined && { traceparent }),
  };
}

function timeOf(knownAtMs: number): CloudEventHeaders {
  const text = new Date(knownAtMs).toISOString();
  return /^\d{4}-/.test(text) ? { ce_time: text } : { ce_knownatms: String(knownAtMs) };
}

/** Throws EVENT_INVALID where an attribute that must be there is missing or makes no sense. */
export function fromCloudEvent(headers: CloudEventHeaders): RecordHeaders {
  const { ce_specversion: version, ce_id: id, ce_type: type, ce_causes: causes, ce_run: run, traceparent } = headers;
  if (version !== SPEC_VERSION) throw invalid(`the specversion ${version}, not ${SPEC_VERSION}`);
  if (!id || !type) throw invalid('no id or no type');
  const source = sourceOf(headers);
  const number = numberOf(headers);
  return {
    source,
    number,
    ...(id !== `${source}#${number}` && { id }),
    type,
    knownAtMs: knownAtOf(headers),
    ...(causes !== undefined && { causes }),
    ...(run !== undefined && { run }),
    ...(traceparent !== undefined && { traceparent }),
  };
}

function sourceOf({ ce_source: source }: CloudEventHeaders): string {
  if (!source) throw invalid('no source');
  try {
    return decodeURIComponent(source);
  } catch {
    throw invalid(`the source ${source}, which is no URI reference`);
  }
}

function numberOf({ ce_deliverynumber: text = '-1' }: CloudEventHeaders): number {
  if (!/^(\d{1,16}|-1)$/.test(text)) throw invalid(`the delivery number ${text}`);
  return Number(text);
}

/** Whole milliseconds, as the log keeps them. */
function knownAtOf({ ce_time: time = '', ce_knownatms: text }: CloudEventHeaders): number {
  const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i.test(time);
  const knownAtMs = text !== undefined ? Number(text) : isTime ? Date.parse(time) : Number.NaN;
  if (!Number.isSafeInteger(knownAtMs)) throw invalid(`neither a time of RFC 3339 (${time}) nor ce_knownatms`);
  return knownAtMs;
}

function invalid(what: string): IflexError {
  return new IflexError('EVENT_INVALID', `The headers of a CloudEvent have ${what}.`);
}
