/** Tells that something was appended, by a fetch of all partitions that the broker answers once one of them has grown. */
import { setTimeout as pause } from 'node:timers/promises';
import type { TopicPartition } from './event-log.ts';
import { type KafkaReader, placeOf } from './kafka-reader.ts';

/** Longest wait of one fetch. */
const FETCH_WAIT_MS = 500;
const AFTER_FAILURE_MS = 500;
/** The watch goes on for so long after the last one who waited, so that it knows the ends when the next one comes. */
const LINGER_MS = 5_000;

export class KafkaWatch {
  private readonly reader: KafkaReader;
  private readonly places: readonly TopicPartition[];
  private readonly waiting = new Set<() => void>();
  private watching: Promise<void> | undefined;
  private closed = false;
  private latestWaitMs = 0;

  constructor(reader: KafkaReader, places: readonly TopicPartition[]) {
    this.reader = reader;
    this.places = places;
  }

  async wait(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted || this.closed) return;
    this.latestWaitMs = performance.now();
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        this.waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal?.addEventListener('abort', done, { once: true });
      this.waiting.add(done);
      this.watching ??= this.watch().finally(() => {
        this.watching = undefined;
      });
    });
  }

  /** Those who came before the watch knew the ends are told at once: something may have been appended just then. */
  private async watch(): Promise<void> {
    let ends: number[] | undefined;
    while (!this.closed && (this.waiting.size > 0 || performance.now() - this.latestWaitMs < LINGER_MS)) {
      try {
        const now: number[] = ends === undefined ? await this.reader.ends(this.places) : await this.endsAfter(ends);
        if (ends === undefined || now.some((end, i) => end > ends![i])) this.tell();
        ends = now;
      } catch {
        // Those who wait look by themselves, and find what is wrong.
        ends = undefined;
        await pause(AFTER_FAILURE_MS);
        this.tell();
      }
    }
  }

  /** Ends as they are once one of them has moved, or after a while. */
  private async endsAfter(ends: readonly number[]): Promise<number[]> {
    const asked = this.places.map((place, i) => ({ ...place, offset: ends[i], maxBytes: 1 }));
    const found = new Map<string, number>();
    for (const each of await this.reader.fetch(asked, { use: 'watch', maxWaitMs: FETCH_WAIT_MS }))
      found.set(placeOf(each), each.lastStableOffset);
    return this.places.map((place, i) => found.get(placeOf(place)) ?? ends[i]);
  }

  private tell(): void {
    for (const done of [...this.waiting]) done();
  }

  async close(): Promise<void> {
    this.closed = true;
    this.tell();
    await this.watching;
  }
}
