/**
 * A what-if replay: facts of a source log, in the order in which they became known, into the log of a namespace of its
 * own, whose pipeline then works on them as on live ones. Facts keep their source, number and bytes, so that ids of
 * derived events agree with those of any other replay of the same facts. The source is only read; what is appended
 * there after the replay began is not part of it. A replay has no actuators, whatever the source had.
 */
import type { Codec } from '../schemas/codec.ts';
import type { EventLog, LogRecord, NewRecord } from '../streams/event-log.ts';
import { PacedAppender } from './replay-append.ts';
import { type FactRange, type KnownOrder, knownOrder, type OrderedFact } from './replay-order.ts';

export interface ReplayOptions {
  source: EventLog;
  target: EventLog;
  /** Of both, where they may have different registries; else bytes are copied with their schema ids. */
  codecs?: { source: Codec; target: Codec };
  range: FactRange;
  /** Event time per wall time; Infinity: as fast as it goes. */
  speed: number;
  signal?: AbortSignal;
  /** Once the source has been looked through. */
  onPlanned?: (plan: Pick<KnownOrder, 'facts' | 'firstMs' | 'lastMs'>) => void;
  onProgress?: (progress: ReplayProgress) => void;
}

export interface ReplayProgress {
  /** Facts taken from the source, ticks included. */
  facts: number;
  appended: number;
  /** Facts that the target had from a replay that was interrupted. */
  redelivered: number;
  knownAtMs: number;
}

/** Copies the facts of a range. Called again after an interruption, it goes on where the target ends. */
export async function replayFacts(options: ReplayOptions): Promise<ReplayProgress> {
  const { source, target, range, speed, signal, codecs } = options;
  const order = await knownOrder(source, range);
  options.onPlanned?.(order);
  const progress: ReplayProgress = { facts: 0, appended: 0, redelivered: 0, knownAtMs: Number.NEGATIVE_INFINITY };
  const appender = new PacedAppender({
    log: target,
    speed,
    signal,
    onAppended() {
      progress.appended = appender.appended;
      progress.redelivered = appender.redelivered;
      options.onProgress?.(progress);
    },
  });
  for await (const facts of order.read()) {
    for (const fact of facts) {
      // Declarations of before the range take no time: the pace begins with the range.
      await appender.keepPace(Math.max(fact.orderMs, range.fromMs));
      if (signal?.aborted) return progress;
      await appender.push(copyOf(fact, codecs));
      progress.facts++;
      progress.knownAtMs = fact.orderMs;
    }
  }
  await appender.flush();
  return progress;
}

/** The same event. Its header says its place in time, by which a task merges topics; its body says when it became known. */
function copyOf({ record, orderMs }: OrderedFact, codecs: ReplayOptions['codecs']): NewRecord {
  const { topic, key, partition, value: bytes, headers }: LogRecord = record;
  // What the source could not read either is copied as it is: it is rejected there as here.
  const value = codecs?.source.knowsFrame(bytes) ? codecs.source.reframed(bytes, codecs.target) : bytes;
  return { topic, key, partition, value, headers: { ...headers, knownAtMs: orderMs } };
}
