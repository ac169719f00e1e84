/** What must be reached, in one table, copied from the issues. `ratio` of a benchmark is held against `target`. */
export interface Target {
  name: string;
  group: 'spine' | 'kafka' | 'chain';
  /** null: what is measured is told, and nothing is demanded. */
  target: number | null;
  /** Whether the ratio must be at least or at most the target. */
  bound: 'least' | 'most';
  /** What the ratio is. */
  what: string;
}

export function isReached({ target, bound }: Target, ratio: number): boolean {
  return target === null || (bound === 'least' ? ratio >= target : ratio <= target);
}

export function targetText({ target, bound }: Target): string {
  return target === null ? '–' : `${bound === 'least' ? '≥' : '≤'} ${shown(target)}`;
}

export function shown(value: number): string {
  return String(Number(value.toPrecision(3)));
}

// biome-ignore format: a table is read by its columns
export const TARGETS: readonly Target[] = [
  { name: 'resample-single', group: 'spine', target: 0.5, bound: 'least', what: 'Readings per CPU second, decoded and resampled to 5, 15 and 60 min with every rule on, one reading a delivery, 1,000 points; against bare avsc decoding of the 29-byte single-reading record' },
  { name: 'resample-batched', group: 'spine', target: 1.0, bound: 'least', what: 'The same with 60 readings a delivery' },
  { name: 'resample-100k-points', group: 'spine', target: 1 / 3, bound: 'least', what: 'Readings per CPU second at 100,000 points against the own rate at 1,000' },
  { name: 'resample-memory-1k', group: 'spine', target: 60, bound: 'most', what: 'Peak MB above that of decoding alone, 1,000 points, at the stated hot hours' },
  { name: 'resample-memory-100k', group: 'spine', target: 700, bound: 'most', what: 'Peak MB above that of decoding alone, 100,000 points, at the stated hot hours' },
  { name: 'file-to-rows-wall', group: 'spine', target: 1.0, bound: 'most', what: 'Wall time from file to queryable rows (1 M one-minute readings of 100 points), against COPY of the raw rows and one SQL aggregation a width into keyed tables' },
  { name: 'file-to-rows-cpu', group: 'spine', target: 2.0, bound: 'most', what: 'CPU time of all processes, same work' },
  { name: 'log-append-1k', group: 'spine', target: 0.8, bound: 'least', what: 'Events per second appended with headers, 1,000 a batch, against the same SQL without our code' },
  { name: 'log-append-10k', group: 'spine', target: 0.8, bound: 'least', what: 'The same at 10,000 a batch' },
  { name: 'log-read-1k', group: 'spine', target: 0.8, bound: 'least', what: 'Events per second read back with headers, batches of 1,000, against the same SQL without our code' },
  { name: 'log-read-10k', group: 'spine', target: 0.8, bound: 'least', what: 'The same at 10,000 a batch' },
  { name: 'kill-100k-points', group: 'spine', target: 5, bound: 'most', what: 'Seconds from SIGKILL at 100,000 points to the first new output committed' },
  { name: 'rebuild', group: 'spine', target: 0.6, bound: 'least', what: 'Rows per second of a projection rebuilt, against COPY of the same rows with the same indexes' },
  { name: 'kafka-exactly-once', group: 'kafka', target: 1.2, bound: 'least', what: 'Readings per client CPU second from Kafka to windows of 5, 15 and 60 min in Kafka, exactly once with durable state, one reading a delivery, 1,000 points; against Kafka Streams (exactly_once_v2, RocksDB, changelog), tuned' },
  { name: 'kafka-exactly-once-batched', group: 'kafka', target: 1.2, bound: 'least', what: 'The same with 60 readings a delivery' },
  { name: 'kafka-two-members', group: 'kafka', target: 0.8, bound: 'least', what: 'Readings per client CPU second of two processes that share the tasks over Kafka, against one that runs them all' },
  { name: 'kafka-kill-100k-points', group: 'kafka', target: 20, bound: 'most', what: 'Seconds from SIGKILL of one of two members at 100,000 points to the first new output of one of its tasks, committed; the session time-out of 10 s is in it' },
  { name: 'kafka-end-to-end', group: 'kafka', target: null, bound: 'least', what: 'Readings per second from append to queryable rows of 5, 15 and 60 min in TimescaleDB, one reading a delivery, appending, tasks and projector in processes of their own, with the broker and the database on the same machine' },
  { name: 'kafka-end-to-end-batched', group: 'kafka', target: null, bound: 'least', what: 'The same with 60 readings a delivery' },
  { name: 'kafka-compression', group: 'kafka', target: null, bound: 'most', what: 'Bytes of record batches under zstd against none, one reading a delivery; beside it the CPU time of writing and reading a record under each' },
  { name: 'kafka-compression-batched', group: 'kafka', target: null, bound: 'most', what: 'The same with 60 readings a delivery' },
  { name: 'upsert-hypertable', group: 'kafka', target: 0.8, bound: 'least', what: 'Rows per second of 5-minute windows from the log into a hypertable of TimescaleDB, a fiftieth of them revised, with history and positions; against the bare statement that upserts the same rows, from memory' },
];
