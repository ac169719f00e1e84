/** The closed list of error codes. README.md lists each with its cure; a test compares both directions. */
export const ERROR_CODES = {
  CONFIG_INVALID: 'A configuration file or option is wrong; nothing was started.',
  DATABASE_UNREACHABLE: 'PostgreSQL cannot be reached.',
  PIPELINE_ALREADY_RUNNING: 'Another pipeline runs on this namespace.',
  TOPIC_UNKNOWN: 'The topic is not in the table of topics.',
  EVENT_TOO_LARGE: 'The event is larger than the limit.',
  EVENT_UNDECODABLE: 'The bytes are not a framed event of a known schema.',
  EVENT_INVALID: 'The event decodes, but breaks a rule of its schema (range, order, sizes).',
  SCHEMA_MISMATCH: 'A schema id means another schema than the one recorded.',
  SCHEMA_INCOMPATIBLE: 'A change of schema is not FULL_TRANSITIVE.',
  TASK_FENCED: 'Another process took this task over.',
  SITE_UNKNOWN: 'A reading came for a site that is not declared.',
  POINT_UNKNOWN: 'A reading came for a point that its site does not declare.',
  UNIT_UNKNOWN: 'The unit is not known, or does not fit the kind of point.',
  UNIT_MISMATCH: 'The event carries another unit than the point declares.',
  READING_IN_FUTURE: 'The reading is stamped later than the clock allows.',
  READING_OUT_OF_RANGE: 'The value or time is outside of what can be represented.',
  READING_BUFFER_FULL: 'More readings than the hot state of a point can hold.',
  PROCESSOR_FAILED: 'A processor threw on this event; it was set aside.',
  LINE_UNREADABLE: 'A line of an imported file does not parse.',
  TIME_UNREADABLE: 'A time stamp does not parse, or does not exist in its zone.',
  VALUE_UNREADABLE: 'A value is not a finite number.',
  UNAUTHENTICATED: 'The request carries no valid token.',
  FORBIDDEN: 'The token does not allow this.',
  NOT_FOUND: 'There is no such thing.',
  REQUEST_INVALID: 'The request breaks the rules of the API.',
  REQUEST_TOO_LARGE: 'The address or the body of the request is larger than the limit.',
  METHOD_NOT_ALLOWED: 'The resource does not know this method.',
  NOT_ACCEPTABLE: 'The resource has none of the media types that the request accepts.',
  CURSOR_INVALID: 'The cursor is malformed, or belongs to another request.',
  SPAN_TOO_LONG: 'The span between from and to is longer than one request may ask for.',
  QUERY_TOO_SLOW: 'The database needed longer than one request may take.',
  OVERLOADED: 'More requests are under way than can be served.',
  NOT_READY: 'The pipeline is not there yet, or lags too far behind.',
  INTERNAL: 'Something failed on our side.',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** An error with a documented code. `details` are for the log and the `rejected` topic, never secrets. */
export class IflexError extends Error {
  readonly code: ErrorCode;
  readonly details: Record<string, unknown>;
  constructor(code: ErrorCode, message: string, details: Record<string, unknown> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'IflexError';
    this.code = code;
    this.details = details;
  }
}
