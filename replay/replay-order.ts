/**
 * The facts of a log in the order in which they became known, whatever order they were appended in: that of
 * streams/merge-order.ts, then by partition, source and number. Two logs that hold the same facts give the same order.
 *
 * A log is mostly, but not always in that order (an old file imported after a new one, a back-fill), and is larger than
 * memory. So a first pass notes of each stretch of a partition (a zone) between which times its facts became known; a
 * second one reads, time slice by time slice, only the zones that reach into the slice.
 *
 *   zone a  [------]            slice 1 reads a, b, c; slice 2 reads b, c; slice 3 reads b, d
 *   zone b     [------------]
 *   zone c        [----]
 *   zone d               [------]
 *           | 1   | 2    | 3    |
 */
import type { EventLog, LogRecord, ReadOptions, TopicPartition } from '../streams/event-log.ts';
import { HOUR_MS, MAX_BATCH_RECORDS, REPLAY_SLICE_BYTES, REPLAY_SLICE_RECORDS } from '../streams/limits.ts';
import { compareMerge } from '../streams/merge-order.ts';
import { TOPICS } from '../streams/topics.ts';

/** Facts that a replay copies. Reloaded days are left out: they answer requests of tasks, and are made anew. */
export const REPLAYED_TOPICS: readonly string[] = TOPICS.filter(
  ({ kind, draft, name }) => kind === 'fact' && !draft && name !== 'day.reloaded',
).map(({ name }) => name);

/** What sites and pilots are is needed from whenever it was declared on, also by a replay that begins later. */
const DECLARATIONS: readonly string[] = ['sites', 'configuration'];

export interface FactRange {
  /** Known at or after (UTC epoch ms); declarations of before come too. */
  fromMs: number;
  /** Known before (exclusive). */
  toMs: number;
}

export interface OrderedFact {
  record: LogRecord;
  /**
   * Its place in time: when it became known, or later where its source had delivered something later before, as the
   * deliveries of a source keep their order.
   */
  orderMs: number;
}

export interface KnownOrder {
  /** Facts in the range, and the span they cover (NaN where there are none). */
  facts: number;
  firstMs: number;
  lastMs: number;
  /** In pieces; values are copies. */
  read(): AsyncGenerator<OrderedFact[]>;
}

interface Zone {
  at: TopicPartition;
  offset: number;
  endOffset: number;
  minMs: number;
  maxMs: number;
  /** Latest time up to here of the sources whose deliveries fall back in time within this zone. */
  floors: Map<string, number>;
}

interface Slice {
  fromMs: number;
  toMs: number;
}

/** What is held in memory: facts sorted at a time, and how a partition is cut into zones. */
export interface OrderBounds {
  sliceRecords: number;
  sliceBytes: number;
  zone: ReadOptions;
}

const BOUNDS: OrderBounds = {
  sliceRecords: REPLAY_SLICE_RECORDS,
  sliceBytes: REPLAY_SLICE_BYTES,
  zone: { maxRecords: MAX_BATCH_RECORDS, maxBytes: 512 * 1024 },
};

/** Looks through all facts that the log holds now; what is appended later is not part of the order. */
export async function knownOrder(log: EventLog, range: FactRange, bounds = BOUNDS): Promise<KnownOrder> {
  const survey = new Survey(range, bounds);
  for (const topic of REPLAYED_TOPICS) {
    const ends = await log.endOffsets(topic);
    for (let partition = 0; partition < ends.length; partition++) await survey.add(log, { topic, partition }, ends[partition]);
  }
  const { zones, facts, firstMs, lastMs } = survey;
  return { facts, firstMs, lastMs, read: () => readSlices(log, zones, survey.slices(), range, bounds) };
}

class Survey {
  readonly zones: Zone[] = [];
  facts = 0;
  firstMs = Number.NaN;
  lastMs = Number.NaN;
  private readonly range: FactRange;
  private readonly bounds: OrderBounds;
  private readonly hours = new Map<number, { records: number; bytes: number }>();

  constructor(range: FactRange, bounds: OrderBounds) {
    this.range = range;
    this.bounds = bounds;
  }

  async add(log: EventLog, at: TopicPartition, endOffset: number): Promise<void> {
    const latest = new Map<string, number>();
    for (let offset = 0; offset < endOffset; ) {
      const { records, nextOffset } = await log.read(at, offset, this.bounds.zone);
      if (nextOffset === offset) return;
      const zone: Zone = { at, offset, endOffset: Math.min(nextOffset, endOffset), minMs: Infinity, maxMs: -Infinity, floors: new Map() };
      this.noteFloors(zone, records, latest);
      for (const fact of ordered(zone, records)) this.note(zone, fact);
      if (zone.minMs <= zone.maxMs) this.zones.push(zone);
      offset = nextOffset;
    }
  }

  private noteFloors(zone: Zone, records: readonly LogRecord[], latest: Map<string, number>): void {
    const before = new Map<string, number | undefined>();
    for (const { offset, headers } of records) {
      if (offset >= zone.endOffset) break;
      const { source, knownAtMs } = headers;
      const latestMs = latest.get(source);
      if (!before.has(source)) before.set(source, latestMs);
      if (latestMs === undefined || knownAtMs > latestMs) latest.set(source, knownAtMs);
      const floorMs = before.get(source);
      if (floorMs !== undefined && knownAtMs < floorMs) zone.floors.set(source, floorMs);
    }
  }

  private note(zone: Zone, { record, orderMs }: OrderedFact): void {
    if (!isWanted(record, orderMs, this.range)) return;
    zone.minMs = Math.min(zone.minMs, orderMs);
    zone.maxMs = Math.max(zone.maxMs, orderMs);
    this.facts++;
    if (!(this.firstMs <= orderMs)) this.firstMs = orderMs;
    if (!(this.lastMs >= orderMs)) this.lastMs = orderMs;
    const hour = Math.floor(orderMs / HOUR_MS);
    const sum = this.hours.get(hour);
    if (sum) {
      sum.records++;
      sum.bytes += record.value.length;
    } else this.hours.set(hour, { records: 1, bytes: record.value.length });
  }

  /** Spans of whole hours, each of as many facts as are held in memory at once. */
  slices(): Slice[] {
    const { sliceRecords, sliceBytes } = this.bounds;
    const slices: Slice[] = [];
    let records = 0;
    let bytes = 0;
    for (const [hour, sum] of [...this.hours].sort(([a], [b]) => a - b)) {
      const last = slices.at(-1);
      records += sum.records;
      bytes += sum.bytes;
      if (last && records <= sliceRecords && bytes <= sliceBytes) last.toMs = (hour + 1) * HOUR_MS;
      else {
        slices.push({ fromMs: hour * HOUR_MS, toMs: (hour + 1) * HOUR_MS });
        ({ records, bytes } = sum);
      }
    }
    return slices;
  }
}

function isWanted({ topic }: LogRecord, orderMs: number, { fromMs, toMs }: FactRange): boolean {
  return orderMs < toMs && (orderMs >= fromMs || DECLARATIONS.includes(topic));
}

/** Records of a zone with their place in time, in log order. */
function* ordered(zone: Zone, records: readonly LogRecord[]): Generator<OrderedFact> {
  const latest = new Map(zone.floors);
  for (const record of records) {
    if (record.offset >= zone.endOffset) return;
    const { source, knownAtMs } = record.headers;
    const orderMs = Math.max(knownAtMs, latest.get(source) ?? Number.NEGATIVE_INFINITY);
    latest.set(source, orderMs);
    yield { record, orderMs };
  }
}

async function* readSlices(
  log: EventLog,
  zones: readonly Zone[],
  slices: readonly Slice[],
  range: FactRange,
  bounds: OrderBounds,
): AsyncGenerator<OrderedFact[]> {
  for (const slice of slices) {
    const startMs = ({ minMs }: Zone) => Math.max(minMs, slice.fromMs);
    const reaching = zones.filter(({ minMs, maxMs }) => minMs < slice.toMs && maxMs >= slice.fromMs);
    reaching.sort((a, b) => compareStarts(startMs(a), a.at, startMs(b), b.at) || a.offset - b.offset);
    let pool: OrderedFact[] = [];
    for (let i = 0; i < reaching.length; i++) {
      const zone = reaching[i];
      const { records } = await log.read(zone.at, zone.offset, bounds.zone);
      for (const fact of ordered(zone, records)) {
        const { orderMs, record } = fact;
        if (orderMs < slice.fromMs || orderMs >= slice.toMs || !isWanted(record, orderMs, range)) continue;
        // A copy, as the value shares memory with a whole batch of which other slices need the rest.
        pool.push({ orderMs, record: { ...record, value: Buffer.from(record.value) } });
      }
      // What comes before all that further zones can hold is final.
      const next = reaching[i + 1];
      if (next && startMs(next) === startMs(zone)) continue;
      pool.sort(compareFacts);
      const finalCount = next ? firstAtOrAfter(pool, startMs(next)) : pool.length;
      if (finalCount === 0) continue;
      yield pool.slice(0, finalCount);
      pool = pool.slice(finalCount);
    }
  }
}

function firstAtOrAfter(facts: readonly OrderedFact[], timeMs: number): number {
  let low = 0;
  let high = facts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (facts[middle].orderMs < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The order of a what-if replay; of two facts of one place, source and number none exist. */
export function compareFacts(a: OrderedFact, b: OrderedFact): number {
  return compareStarts(a.orderMs, a.record, b.orderMs, b.record) || compareDeliveries(a.record, b.record);
}

function compareStarts(aMs: number, a: TopicPartition, bMs: number, b: TopicPartition): number {
  return compareMerge(aMs, a.topic, bMs, b.topic) || a.partition - b.partition;
}

function compareDeliveries(a: LogRecord, b: LogRecord): number {
  return compareTexts(a.headers.source, b.headers.source) || a.headers.number - b.headers.number || a.offset - b.offset;
}

function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
