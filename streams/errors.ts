/** The closed list of error codes: what each means, and what to do about it. README.md shows the same; a test compares them. */
export const ERRORS = {
  CONFIG_INVALID: { meaning: 'A configuration file or option is wrong; nothing was started.', cure: 'Correct what the message names.' },
  DATABASE_UNREACHABLE: { meaning: 'PostgreSQL cannot be reached.', cure: 'Check `DATABASE_URL`, or the log file that the message names.' },
  KAFKA_UNREACHABLE: {
    meaning: 'Kafka cannot be reached, or cannot do what is asked now.',
    cure: 'Check `KAFKA_BROKERS` and that the brokers run.',
  },
  KAFKA_STALLED: {
    meaning: 'A transaction that nobody ends holds back what was appended after it.',
    cure: '`iflex kafka hanging` shows it and can end it.',
  },
  REGISTRY_UNREACHABLE: {
    meaning: 'The schema registry cannot be reached, or cannot do what is asked now.',
    cure: 'Check `SCHEMA_REGISTRY_URL` and that the registry runs.',
  },
  SERVICE_NOT_INSTALLABLE: {
    meaning: 'What a service needs is missing on this machine, or cannot be fetched.',
    cure: 'Install what the message names, or mend the network, then run the command again.',
  },
  SERVICE_NOT_STARTED: {
    meaning: 'A service did not become ready, or its port belongs to another program.',
    cure: 'Look at the log file that the message names, or set `IFLEX_SERVICES_PORT_SHIFT`.',
  },
  PIPELINE_ALREADY_RUNNING: { meaning: 'Another pipeline runs on this namespace.', cure: 'Stop it, or use another `--namespace`.' },
  TOPIC_UNKNOWN: { meaning: 'The topic is not in the table of topics.', cure: '`iflex topics` lists them.' },
  EVENT_TOO_LARGE: { meaning: 'The event is larger than the limit.', cure: 'Cut it into several deliveries.' },
  EVENT_UNDECODABLE: { meaning: 'The bytes are not a framed event of a known schema.', cure: "Check the producer's registry and framing." },
  EVENT_INVALID: {
    meaning: 'The event decodes, but breaks a rule of its schema (range, order, sizes).',
    cure: 'Correct the producer; the reason names the field.',
  },
  SCHEMA_MISMATCH: {
    meaning: 'A schema id means another schema than the one recorded.',
    cure: 'Restore the registry that belongs to the log.',
  },
  SCHEMA_INCOMPATIBLE: { meaning: 'A change of schema is not FULL_TRANSITIVE.', cure: '`schemas/README.md` says which changes are.' },
  TASK_FENCED: { meaning: 'Another process took this task over.', cure: 'Nothing: the other one goes on.' },
  SITE_UNKNOWN: { meaning: 'A reading came for a site that is not declared.', cure: 'Declare the site, then deliver again.' },
  POINT_UNKNOWN: { meaning: 'A reading came for a point that its site does not declare.', cure: 'Declare the point, then deliver again.' },
  UNIT_UNKNOWN: {
    meaning: 'The unit is not known, or does not fit the kind of point.',
    cure: "Use one that fits; the message or the mapping's documentation names those.",
  },
  UNIT_MISMATCH: { meaning: 'The event carries another unit than the point declares.', cure: 'Convert at the edge.' },
  READING_IN_FUTURE: { meaning: 'The reading is stamped later than the clock allows.', cure: "Correct the meter's clock." },
  READING_OUT_OF_RANGE: { meaning: 'The value or time is outside of what can be represented.', cure: 'Check the source.' },
  READING_SUPERSEDED: {
    meaning: 'A line above it in an imported file, of the same point and time, became known later.',
    cure: 'Nothing: the later belief counts.',
  },
  READING_BUFFER_FULL: {
    meaning: 'More readings than the hot state of a point, its waiting days or an hour of a reload can hold.',
    cure: 'Deliver again once the waiting days are reloaded.',
  },
  PROCESSOR_FAILED: { meaning: 'A processor threw on this event; it was set aside.', cure: "Report it with the event's bytes." },
  LINE_UNREADABLE: { meaning: 'A line of an imported file does not parse.', cure: 'Correct the line or the mapping.' },
  TIME_UNREADABLE: { meaning: 'A time stamp does not parse, or does not exist in its zone.', cure: "Check the mapping's zone." },
  VALUE_UNREADABLE: { meaning: 'A value is not a finite number.', cure: 'Check the column and the decimal sign.' },
  UNAUTHENTICATED: { meaning: 'The request carries no valid token.', cure: 'Make one with `iflex token new`.' },
  FORBIDDEN: { meaning: 'The token does not allow this.', cure: 'Ask for a role that does.' },
  NOT_FOUND: { meaning: 'There is no such thing.', cure: 'Check the id.' },
  REQUEST_INVALID: { meaning: 'The request breaks the rules of the API.', cure: 'The problem document names the parameter.' },
  REQUEST_TOO_LARGE: { meaning: 'The address or the body of the request is larger than the limit.', cure: 'Ask in parts.' },
  METHOD_NOT_ALLOWED: { meaning: 'The resource does not know this method.', cure: 'The `Allow` header names those that it knows.' },
  NOT_ACCEPTABLE: {
    meaning: 'The resource has none of the media types that the request accepts.',
    cure: 'Accept `application/json` or `text/csv`.',
  },
  CURSOR_INVALID: {
    meaning: 'The cursor is malformed, or belongs to another request.',
    cure: 'Follow `nextCursor` as given, with the same parameters.',
  },
  SPAN_TOO_LONG: {
    meaning: 'The span between `from` and `to` is longer than one request may ask for.',
    cure: 'Ask in parts, or for a coarser resolution.',
  },
  QUERY_TOO_SLOW: { meaning: 'The database needed longer than one request may take.', cure: 'Ask for a shorter span.' },
  OVERLOADED: { meaning: 'More requests are under way than can be served.', cure: 'Try again after the seconds of `Retry-After`.' },
  NOT_READY: {
    meaning: 'The pipeline is not there yet, lags too far behind, or a clock was wrong.',
    cure: 'Start the pipeline, or wait for it; with a wrong clock, do what the detail says.',
  },
  INTERNAL: { meaning: 'Something failed on our side.', cure: "Look at the server's log." },
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** What each code means. */
export const ERROR_CODES = Object.fromEntries(Object.entries(ERRORS).map(([code, { meaning }]) => [code, meaning])) as Record<
  ErrorCode,
  string
>;

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
