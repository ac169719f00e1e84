/**
 * Reads partitions at any offset, only what is committed, and tells where they end. Kafka counts the ends of transactions
 * as offsets too, so offsets have holes, and a read may have to go on to find a record.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { FetchIsolationLevels, listOffsetsV9 } from '@platformatic/kafka';
import { IflexError } from './errors.ts';
import type { LogRecord, ReadOptions, ReadResult, TopicPartition } from './event-log.ts';
import { BrokerError, type KafkaCluster } from './kafka-cluster.ts';
import { type FetchedPartition, type FetchPartition, fetchApi } from './kafka-protocol.ts';
import { type BatchHead, decodeRecordBatches, readBatchHeads } from './kafka-records.ts';
import { MAX_BATCH_BYTES, MAX_STEP_BYTES, TRANSACTION_TIMEOUT_MS } from './limits.ts';

export interface ReadRequest {
  at: TopicPartition;
  offset: number;
}

const LATEST = -1n;
const EARLIEST = -2n;
const OFFSET_OUT_OF_RANGE = 1;
/** Of one answer; a partition that has no room in it is asked for again. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
/** What a batch needs beside its values, so that a bound on values is mostly met by one answer. */
const HEAD_ROOM_BYTES = 64 * 1024;
const LONGEST_PAUSE_MS = 50;
const ANSWER_WITHIN_MS = 60_000;
/** For longer than the broker lets a transaction be open, with as much again for its own upkeep. */
export const STALLED_AFTER_MS = 3 * TRANSACTION_TIMEOUT_MS;

/** A result, and of which transaction its records are: those from `from` on, up to the next one's. */
export interface TracedResult extends ReadResult {
  transactions: { from: number; transaction: string }[];
}

interface Reading extends ReadRequest {
  result: TracedResult;
  bytes: number;
  done: boolean;
}

/** Waits for the transactions of others to end. */
class Waiting {
  private sinceMs = performance.now();
  private hasLooked = false;
  private readonly relieve: (() => Promise<boolean>) | undefined;

  constructor(relieve?: () => Promise<boolean>) {
    this.relieve = relieve;
  }

  /**
   * To be called before each further look. Throws KAFKA_STALLED where the wait has lasted longer than Kafka lets a
   * transaction be open, and nothing that hung could be ended.
   */
  async goOn(places: readonly TopicPartition[]): Promise<void> {
    if (performance.now() - this.sinceMs <= STALLED_AFTER_MS) return;
    if (this.hasLooked || !this.relieve) throw stalled(places);
    this.hasLooked = true;
    if (!(await this.relieve())) return;
    this.hasLooked = false;
    this.sinceMs = performance.now();
  }
}

export class KafkaReader {
  private readonly cluster: KafkaCluster;
  private readonly relieve: (() => Promise<boolean>) | undefined;

  /** `relieve` ends what hangs, where it may, and returns whether it ended anything. */
  constructor(cluster: KafkaCluster, relieve?: () => Promise<boolean>) {
    this.cluster = cluster;
    this.relieve = relieve;
  }

  /** One fetch of each partition; waits up to `maxWaitMs` where none has anything. */
  async fetch(partitions: readonly FetchPartition[], { use = 'read', maxWaitMs = 0, committed = true } = {}): Promise<FetchedPartition[]> {
    const topics = new Set(partitions.map(({ topic }) => topic));
    return this.cluster.untilDone(
      async () => {
        const byLeader = await this.cluster.byLeader(partitions);
        const answers = [...byLeader].map(([node, of]) => {
          const request = { maxWaitMs, minBytes: 1, maxBytes: MAX_ANSWER_BYTES, committed, partitions: of };
          return this.cluster.sendToNode(use, node, fetchApi, request);
        });
        const fetched = (await Promise.all(answers)).flat();
        for (const { errorCode, topic, partition } of fetched)
          if (errorCode !== 0 && errorCode !== OFFSET_OUT_OF_RANGE) throw new BrokerError(errorCode, `a read of ${topic}/${partition}`);
        return fetched;
      },
      { topics, withinMs: ANSWER_WITHIN_MS },
    );
  }

  /** Whole records up to the bounds of each request, from all of them as they stand now. */
  async readEach(requests: readonly ReadRequest[], { maxRecords, maxBytes }: ReadOptions): Promise<TracedResult[]> {
    const readings = requests.map(
      (request): Reading => ({ ...request, result: { records: [], nextOffset: request.offset, transactions: [] }, bytes: 0, done: false }),
    );
    for (;;) {
      // Of requests for the same partition one at a time, as an answer names only the partition.
      const asked = new Map<string, Reading>();
      for (const each of readings) {
        const place = placeOf(each.at);
        if (!each.done && !asked.has(place)) asked.set(place, each);
      }
      if (asked.size === 0) return readings.map(({ result }) => result);
      const partMax = Math.min(MAX_BATCH_BYTES, maxBytes + HEAD_ROOM_BYTES);
      const fetched = await this.fetch(
        [...asked.values()].map(({ at, result }) => ({ ...at, offset: result.nextOffset, maxBytes: partMax })),
      );
      let goesOn = false;
      for (const each of fetched) goesOn = (await this.take(asked.get(placeOf(each))!, each, { maxRecords, maxBytes })) || goesOn;
      if (goesOn) continue;
      // An answer holds a batch of one partition at least. So what is left in all of them up to their ends was compacted away.
      for (const each of fetched) {
        const reading = asked.get(placeOf(each))!;
        reading.result.nextOffset = each.lastStableOffset;
        reading.done = true;
      }
    }
  }

  /** False where the answer brought the reading no further. */
  private async take(reading: Reading, fetched: FetchedPartition, { maxRecords, maxBytes }: ReadOptions): Promise<boolean> {
    const { result } = reading;
    if (fetched.errorCode === OFFSET_OUT_OF_RANGE) {
      const [start] = await this.starts([reading.at]);
      if (result.nextOffset >= start) reading.done = true;
      else result.nextOffset = start;
      return true;
    }
    const before = result.records.length;
    const room = { maxRecords: maxRecords - before, maxBytes: Math.max(0, maxBytes - reading.bytes) };
    const note = (transaction: string) => result.transactions.push({ from: result.records.length, transaction });
    const nextOffset = decodeRecordBatches(fetched, { fromOffset: result.nextOffset, ...room }, result.records, note);
    for (let i = before; i < result.records.length; i++) reading.bytes += result.records[i].value.length;
    const moved = nextOffset > result.nextOffset;
    result.nextOffset = nextOffset;
    const full = result.records.length >= maxRecords || (reading.bytes >= maxBytes && result.records.length > 0);
    reading.done = full || nextOffset >= fetched.lastStableOffset;
    return moved || reading.done;
  }

  async read(at: TopicPartition, offset: number, options: ReadOptions): Promise<ReadResult> {
    return (await this.readEach([{ at, offset }], options))[0];
  }

  /**
   * All records of a partition from an offset to its end as it is now, in parts. Throws KAFKA_STALLED where an open
   * transaction before that end is not ended in time: what is behind it would be missing.
   */
  async *readToEnd(at: TopicPartition, from: number): AsyncGenerator<LogRecord[]> {
    const [endOffset] = await this.highWatermarks([at]);
    for (let offset = from; offset < endOffset; ) {
      const { records, nextOffset } = await this.read(at, offset, { maxRecords: Number.MAX_SAFE_INTEGER, maxBytes: MAX_STEP_BYTES });
      if (records.length > 0) yield records;
      if (nextOffset === offset) await this.untilDecided([{ ...at, endOffset }]);
      offset = nextOffset;
    }
  }

  /** The last record of a partition, found by going back from its end in ever longer steps. */
  async last(at: TopicPartition): Promise<LogRecord | undefined> {
    const [end] = await this.ends([at]);
    const [start] = await this.starts([at]);
    for (let back = 4; ; back *= 8) {
      const from = Math.max(start, end - back);
      let last: LogRecord | undefined;
      for (let offset = from; offset < end; ) {
        const { records, nextOffset } = await this.read(at, offset, { maxRecords: Number.MAX_SAFE_INTEGER, maxBytes: MAX_STEP_BYTES });
        last = records.at(-1) ?? last;
        if (nextOffset === offset) break;
        offset = nextOffset;
      }
      if (last || from === start) return last;
    }
  }

  /** Of each place the batches from an offset up to its end as given, whether or not their transactions have ended. */
  async headsUpTo(requests: readonly (ReadRequest & { end: number })[]): Promise<BatchHead[][]> {
    const results: BatchHead[][] = requests.map(() => []);
    let left = requests.map((request, i) => ({ ...request, heads: results[i] })).filter(({ offset, end }) => offset < end);
    // Where no place goes on, though it is not at its end, what was left there was deleted or compacted meanwhile.
    for (let goesOn = true; goesOn && left.length > 0; ) {
      goesOn = false;
      const byPlace = new Map(left.map((each) => [placeOf(each.at), each]));
      const asked = left.map(({ at, offset }) => ({ ...at, offset, maxBytes: MAX_BATCH_BYTES }));
      for (const each of await this.fetch(asked, { committed: false })) {
        const request = byPlace.get(placeOf(each))!;
        if (each.errorCode === OFFSET_OUT_OF_RANGE) {
          const [start] = await this.starts([request.at]);
          request.offset = start > request.offset ? start : request.end;
          goesOn = true;
          continue;
        }
        const { heads, nextOffset } = readBatchHeads(each.bytes, request.offset);
        request.heads.push(...heads);
        if (nextOffset > request.offset) goesOn = true;
        request.offset = nextOffset;
      }
      left = left.filter(({ offset, end }) => offset < end);
    }
    return results;
  }

  /** Per partition the offset before which every transaction has ended: what a reader can see. */
  ends(places: readonly TopicPartition[]): Promise<number[]> {
    return this.offsets(places, LATEST, FetchIsolationLevels.READ_COMMITTED);
  }

  /**
   * Waits until what lies before the offsets is committed or aborted, and returns for how long (ms); throws KAFKA_STALLED
   * where that is not in time.
   */
  async untilDecided(places: readonly (TopicPartition & { endOffset: number })[]): Promise<number> {
    const started = performance.now();
    const waiting = new Waiting(this.relieve);
    for (let left = places, pauseMs = 1; left.length > 0; pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * pauseMs)) {
      const ends = await this.ends(left);
      left = left.filter(({ endOffset }, i) => ends[i] < endOffset);
      if (left.length === 0) return performance.now() - started;
      await waiting.goOn(left);
      await pause(pauseMs);
    }
    return 0;
  }

  highWatermarks(places: readonly TopicPartition[]): Promise<number[]> {
    return this.offsets(places, LATEST, FetchIsolationLevels.READ_UNCOMMITTED);
  }

  starts(places: readonly TopicPartition[]): Promise<number[]> {
    return this.offsets(places, EARLIEST, FetchIsolationLevels.READ_UNCOMMITTED);
  }

  /** Per partition the first offset that was appended at or after the time; -1 where there is none. */
  atTime(places: readonly TopicPartition[], appendedMs: number, { committed = true } = {}): Promise<number[]> {
    const isolation = committed ? FetchIsolationLevels.READ_COMMITTED : FetchIsolationLevels.READ_UNCOMMITTED;
    return this.offsets(places, BigInt(Math.max(0, Math.ceil(appendedMs))), isolation);
  }

  private async offsets(places: readonly TopicPartition[], timestamp: bigint, isolation: number): Promise<number[]> {
    const found = new Map<string, number>();
    await this.cluster.untilDone(
      async () => {
        const byLeader = await this.cluster.byLeader(places);
        const asked = [...byLeader].map(async ([node, of]) => {
          const topics = of.map(({ topic, partition }) => ({
            name: topic,
            partitions: [{ partitionIndex: partition, currentLeaderEpoch: -1, timestamp }],
          }));
          const answer = await this.cluster.sendToNode('read', node, listOffsetsV9.api, -1, isolation, topics);
          for (const { name, partitions } of answer.topics)
            for (const { partitionIndex, offset } of partitions)
              found.set(placeOf({ topic: name, partition: partitionIndex }), Number(offset));
        });
        await Promise.all(asked);
      },
      { topics: places.map(({ topic }) => topic), withinMs: ANSWER_WITHIN_MS },
    );
    return places.map((place) => found.get(placeOf(place))!);
  }
}

export function placeOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

function stalled(places: readonly TopicPartition[]): IflexError {
  return new IflexError(
    'KAFKA_STALLED',
    `A transaction in ${places.map(placeOf).join(', ')} has been open for longer than Kafka lets one. \`iflex kafka hanging\` shows it and can end it.`,
  );
}
