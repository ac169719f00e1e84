/** Facts on their way into a log, in the order in which they became known, with virtual ticks between them. */
import type { Codec } from '../schemas/codec.ts';
import type { EventTypes } from '../schemas/types.ts';
import type { EventLog } from '../streams/event-log.ts';
import { GRACE_MS, PARTITION_COUNT } from '../streams/limits.ts';
import { partitionOf } from '../streams/partitioner.ts';
import { PacedAppender } from './replay-append.ts';

/** A fact that is not encoded yet. */
export interface Fact<Schema extends keyof EventTypes = keyof EventTypes> {
  topic: string;
  schema: Schema;
  key: string;
  value: EventTypes[Schema];
  /** CloudEvents source; with `number` it makes a redelivery recognisable. */
  source: string;
  /** Ascending within a source and key. */
  number: number;
}

export interface FeedOptions {
  log: EventLog;
  codec: Codec;
  /** Ascending by knownAtMs, then topic. */
  facts: Iterable<Fact> | AsyncIterable<Fact>;
  /** Span of event time between two virtual ticks (ms). */
  tickMs: number;
  /** CloudEvents source of the ticks. */
  tickSource: string;
  /** Event time per wall time; Infinity: as fast as it goes. */
  speed: number;
  /** The last tick comes at least so long after the last fact, for points whose deliveries may be late by agreement (ms). */
  settleMs?: number;
  /** No tick is later than this (UTC epoch ms): what is open then closes with the clock of the log. Default: no bound. */
  notAfterMs?: number;
  /** Further ticks of partitions, ascending, after the last one of the feed (ms); asked for where the feed appended anything. */
  closing?: (lastTickMs: number) => readonly { partition: number; knownAtMs: number }[];
  signal?: AbortSignal;
  onProgress?: (progress: FeedProgress) => void;
}

export interface FeedProgress {
  facts: number;
  appended: number;
  /** Facts that the log had already. */
  redelivered: number;
  knownAtMs: number;
}

/**
 * Appends facts and, after all facts known by then, a tick for every partition that has had a fact. What has been
 * appended is at any time a beginning of one fixed order, so that a task takes the same order at any speed.
 */
export async function feed(options: FeedOptions): Promise<FeedProgress> {
  const feeder = new Feeder(options);
  for await (const fact of options.facts) {
    if (options.signal?.aborted) break;
    await feeder.take(fact);
  }
  await feeder.finish();
  return feeder.progress;
}

class Feeder {
  readonly progress: FeedProgress = { facts: 0, appended: 0, redelivered: 0, knownAtMs: Number.NEGATIVE_INFINITY };
  private readonly options: FeedOptions;
  private readonly appender: PacedAppender;
  private readonly partitions = new Set<number>();
  private nextTickMs = Number.NaN;

  constructor(options: FeedOptions) {
    this.options = options;
    const { log, speed, signal } = options;
    this.appender = new PacedAppender({ log, speed, signal, onAppended: () => this.report() });
  }

  private report(): void {
    this.progress.appended = this.appender.appended;
    this.progress.redelivered = this.appender.redelivered;
    this.options.onProgress?.(this.progress);
  }

  async take(fact: Fact): Promise<void> {
    const { codec, tickMs } = this.options;
    const { knownAtMs } = fact.value;
    if (Number.isNaN(this.nextTickMs)) this.nextTickMs = Math.floor(knownAtMs / tickMs) * tickMs + tickMs;
    while (this.nextTickMs < knownAtMs) await this.tick();
    await this.appender.keepPace(knownAtMs);
    await this.meet(partitionOf(fact.key, PARTITION_COUNT), knownAtMs);
    const value = codec.encode(fact.schema, fact.value);
    this.progress.facts++;
    this.progress.knownAtMs = Math.max(this.progress.knownAtMs, knownAtMs);
    const headers = { source: fact.source, number: fact.number, type: fact.schema, knownAtMs };
    await this.appender.push({ topic: fact.topic, key: fact.key, value, headers });
  }

  /**
   * Before the first fact of a partition comes the tick that is due by then: its stream time may still be that of an
   * earlier feed, by which the readings of this one would lie in the future.
   */
  private async meet(partition: number, knownAtMs: number): Promise<void> {
    if (this.partitions.has(partition)) return;
    this.partitions.add(partition);
    const { tickMs } = this.options;
    const dueMs = Math.ceil(knownAtMs / tickMs - 1) * tickMs;
    // Before 1970 ticks have no number.
    if (dueMs >= 0) await this.pushTick(partition, dueMs);
  }

  async finish(): Promise<void> {
    const { settleMs = 0, notAfterMs, signal } = this.options;
    await this.appender.flush();
    // The same facts at a later time have nothing to settle: ticks of since then would be all that they add.
    if (notAfterMs !== undefined && this.appender.appended === 0) return;
    const untilMs = this.progress.knownAtMs + GRACE_MS + settleMs;
    while (!signal?.aborted && this.nextTickMs - this.options.tickMs < untilMs) await this.tick();
    await this.appender.flush();
    if (signal?.aborted || this.appender.appended === 0) return;
    await this.close();
  }

  private async close(): Promise<void> {
    const { closing, tickMs, tickSource } = this.options;
    const ticks = closing?.(this.nextTickMs - tickMs) ?? [];
    for (const { partition, knownAtMs } of ticks) await this.pushTick(partition, knownAtMs, `${tickSource} closing`);
    await this.appender.flush();
  }

  private async tick(): Promise<void> {
    const knownAtMs = this.nextTickMs;
    await this.appender.keepPace(knownAtMs);
    for (const partition of this.partitions) await this.pushTick(partition, knownAtMs);
    this.nextTickMs += this.options.tickMs;
  }

  private async pushTick(partition: number, knownAtMs: number, source = this.options.tickSource): Promise<void> {
    const { codec, tickMs, notAfterMs = Number.POSITIVE_INFINITY } = this.options;
    if (knownAtMs > notAfterMs) return;
    const headers = { source, number: Math.round(knownAtMs / tickMs), type: 'Tick', knownAtMs };
    const value = codec.encode('Tick', { knownAtMs });
    await this.appender.push({ topic: 'ticks', key: String(partition), partition, value, headers });
  }
}
