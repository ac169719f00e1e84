/** Every bound of the pipeline, by name. Changing one changes behaviour: say why in the commit. */

export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

/** Partitions of every topic; immutable, changing it is a replay into a new namespace. */
export const PARTITION_COUNT = 12;
/** Largest value of one event in bytes (framed), as Kafka's default limit with room for headers. */
export const MAX_EVENT_BYTES = 900_000;
/** Characters of an event's key, and of its source: both are read and indexed with each event. */
export const MAX_NAME_CHARS = 500;
/** A delivery of readings is cut here, so that one event stays a small unit of work. */
export const MAX_DELIVERY_BYTES = 64 * 1024;
export const MAX_READINGS_PER_DELIVERY = 4_000;
/** Of a rejected event so many first bytes are kept, and the SHA-256 of all of them. */
export const REJECTED_BYTES_KEPT = 4_096;
/** One row of the PostgreSQL log, or one batch on Kafka, holds at most so many records / bytes. */
export const MAX_BATCH_RECORDS = 10_000;
export const MAX_BATCH_BYTES = 4 * 1024 * 1024;
/** A transaction on Kafka that is not ended within this is ended by the broker; so long may a writer that froze hold others up. */
export const TRANSACTION_TIMEOUT_MS = 15_000;
/** A process that shares the tasks and is not heard of for this long is taken for dead, where no other time is set. */
export const MEMBER_SESSION_MS = 10_000;
/** So often it says that it is there, and hears whether tasks move. */
export const MEMBER_HEARTBEAT_MS = 500;
/** A task that another process took is taken again after this, ever later up to the longest, if it is still ours then. */
export const TASK_RETAKE_MS = 2_000;
export const MAX_TASK_RETAKE_MS = 60_000;
/** So often a process that waits for a lock of the namespace looks whether it is free. */
export const STANDBY_LOOK_MS = 500;
/** A task's step reads at most so many records / bytes, which bounds memory and reprocessing after a crash. */
export const MAX_STEP_RECORDS = 10_000;
export const MAX_STEP_BYTES = 4 * 1024 * 1024;
/** A step ends once its outputs reach so many bytes. */
export const MAX_STEP_OUTPUT_BYTES = 16 * 1024 * 1024;
/** Importers and replays append so many records / bytes in one transaction. */
export const FEED_BATCH_RECORDS = 5_000;
export const FEED_BATCH_BYTES = 2 * 1024 * 1024;
/** A what-if replay sorts so many records / bytes at a time (or the facts of one hour, where those are more). */
export const REPLAY_SLICE_RECORDS = 200_000;
export const REPLAY_SLICE_BYTES = 32 * 1024 * 1024;
/** Span between two ticks of the clock adapter. */
export const CLOCK_TICK_MS = 60_000;
/** Ticks of the clock adapter that lie further ahead of the clock than this tell that it is, or was, wrong. */
export const MAX_CLOCK_LEAD_MS = 5 * MINUTE_MS;
/** A step of the clock adapter that is longer is told: the system stood still so long, or its clock is wrong. */
export const MAX_QUIET_CLOCK_STEP_MS = 24 * HOUR_MS;
/** Span of wall time between two passes of upkeep (compaction, retention) of a running pipeline. */
export const MAINTENANCE_INTERVAL_MS = 10 * MINUTE_MS;
/** Least days of rows that an operator may keep in a table: a chunk of it holds up to 90. */
export const MIN_ROWS_KEPT_DAYS = 91;
/** Attempts of a step before the task stops with an error. */
export const MAX_STEP_ATTEMPTS = 8;
/** Steps of one process that are under way at a time: one is computed while another commits. No more are redone after a crash. */
export const MAX_STEPS_UNDER_WAY = 2;
/** A lost connection is tried again for so long: the recovery of a crashed server takes minutes at worst. */
export const RECONNECT_WITHIN_MS = 15 * MINUTE_MS;
/** One answer of a schema registry takes no longer; one that does not answer is tried again for so long (a restart takes seconds). */
export const REGISTRY_ANSWER_WITHIN_MS = 10_000;
export const REGISTRY_WITHIN_MS = 30_000;
/** Versions of one subject of a schema registry that are looked at. */
export const MAX_SUBJECT_VERSIONS = 1_000;
/** Readings stamped later than the latest tick plus this are rejected (a meter clock in 2038). */
export const MAX_FUTURE_MS = 10 * MINUTE_MS;
/**
 * The ticks of a clock that was down may lag so far behind the time at which a delivery became known; beyond it that time
 * is not believed.
 */
export const MAX_CLOCK_LAG_MS = 7 * DAY_MS;
/** Readings of so many hours before the latest tick stay in memory; older ones revise by reload of their day. */
export const HOT_MS = 4 * HOUR_MS;
/** A window closes this long after its end, so that ordinary transport delay does not revise. */
export const GRACE_MS = 2 * MINUTE_MS;
/** Largest power of a point (1 GW), and largest energy of one interval or between two readings of a register (1.1 GWh). */
export const MAX_POWER_W = 1e9;
export const MAX_INTERVAL_MILLI_WH = 2 ** 40;
/** Largest register reading, temperature or state code: so far doubles hold every milliwatt-hour. */
export const MAX_VALUE = 2 ** 50;
/** Energy over a register gap longer than this is not spread over windows (a notice says how much it was). */
export const MAX_REGISTER_GAP_MS = 31 * DAY_MS;
/** A silent point goes on closing (missing) windows for this long, then waits for its next reading. */
export const MAX_SILENCE_MS = 7 * DAY_MS;
/** A late day is reloaded once no further late reading of it came for this long of stream time … */
export const RELOAD_QUIET_MS = 15 * MINUTE_MS;
/** … or at the latest after this. */
export const RELOAD_MAX_WAIT_MS = 6 * HOUR_MS;
/** Late days remembered per point; further ones are rejected with their readings until some are reloaded. */
export const MAX_PENDING_DAYS = 800;
/** Raw readings per point in hot state: one a second for the six hours that pass before the oldest are let go, with room. */
export const MAX_HOT_READINGS = 24_576;
/** Longest agreed delay of a point (ms): what the hot state may have to reach back for. */
export const MAX_POINT_SPAN_MS = 31 * DAY_MS;
/** Longest spacing and hold of a point (ms), in whole days: declarations carry both as 32-bit milliseconds. */
export const MAX_POINT_INTERVAL_MS = 24 * DAY_MS;
/** Readings in memory reach back no further from the newest one: their times are 32-bit milliseconds. */
export const MAX_HOT_SPAN_MS = 49 * DAY_MS;
/** Ticks of an import may lie so far ahead of the clock: they close the windows that wait for deliveries which are late by agreement. */
export const MAX_IMPORT_LEAD_MS = MAX_POINT_SPAN_MS + DAY_MS;
/** A clock that stood still makes up for so much of the time since its latest tick: after it, no window of a silent point is due. */
export const CLOCK_CATCH_UP_MS = 2 * MAX_POINT_SPAN_MS + MAX_SILENCE_MS + DAY_MS;
/** Points of a site. */
export const MAX_POINTS_PER_SITE = 500;
/** Different points that a site has in all its time, as those that were removed have windows in the log. */
export const MAX_POINTS_EVER = 5_000;
/** Rows an API page holds at most. */
export const MAX_PAGE_ROWS = 10_000;
/** Rows of an API page where the request does not say. */
export const DEFAULT_PAGE_ROWS = 1_000;
/** Windows that the span of one request may cover, at the widths that it is answered from. */
export const MAX_SPAN_WINDOWS = 250_000;
/** A statement of the API that takes longer is cancelled. */
export const API_STATEMENT_TIMEOUT_MS = 10_000;
/** Requests under way in one server; further ones are refused at once, so that no queue grows. */
export const MAX_REQUESTS_UNDER_WAY = 256;
/** Length of a request's address, with its query. */
export const MAX_URL_BYTES = 4_096;
/** A server is not ready where the oldest event that is not processed waits longer than this. */
export const MAX_READY_LAG_MS = 5 * MINUTE_MS;
/** Length of an access token, sites or pilots in one, and how long one may last. */
export const MAX_TOKEN_BYTES = 8_192;
export const MAX_TOKEN_SCOPE = 100;
export const MAX_TOKEN_SPAN_MS = 400 * DAY_MS;
/** A full snapshot is written once the deltas since the last one exceed its size, but not below this. */
export const MIN_SNAPSHOT_DELTA_BYTES = 4 * 1024 * 1024;
/** Daily snapshots are kept for so many days, monthly ones for ever. */
export const DAILY_SNAPSHOTS_KEPT = 35;
/** A line of an imported file is rejected above this many bytes (hash and first bytes are kept). */
export const MAX_LINE_BYTES = 64 * 1024;
/** Files imported together; each is open and merged by time with the others. */
export const MAX_IMPORT_FILES = 1_000;
/** Readings of one file that wait for the end of their delivery. */
export const MAX_WAITING_READINGS = 200_000;
/** Spans of 256 expected readings in which an import looks for doubles and gaps; older ones are counted and let go (80 MB). */
export const MAX_COVERAGE_SPANS = 20_000;
