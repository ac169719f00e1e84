/**
 * Tells that something was appended, by a fetch of all partitions that the broker answers once one of them has grown; and
 * has looked after what holds a partition back for longer than any transaction may, as else nobody may ask for its end.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { TopicPartition } from './event-log.ts';
import type { FetchedPartition } from './kafka-protocol.ts';
import { type KafkaReader, placeOf, STALLED_AFTER_MS } from './kafka-reader.ts';

/** Longest wait of one fetch. */
const FETCH_WAIT_MS = 500;
const AFTER_FAILURE_MS = 500;
/** The watch goes on for so long after the last one who waited, so that it knows the ends when the next one comes. */
const LINGER_MS = 5_000;

/** Since when partitions have stood still before their ends. */
export class Standstill {
  private readonly since = new Map<string, { at: number; ms: number }>();

  /** Takes in what was seen of partitions now; whether one has stood for too long, which is told again as much later. */
  note(seen: readonly Pick<FetchedPartition, 'topic' | 'partition' | 'lastStableOffset' | 'highWatermark'>[], nowMs: number): boolean {
    let isTooLong = false;
    for (const each of seen) {
      const [place, at] = [placeOf(each), each.lastStableOffset];
      const known = this.since.get(place);
      if (at >= each.highWatermark) this.since.delete(place);
      else if (known?.at !== at) this.since.set(place, { at, ms: nowMs });
      else if (nowMs - known.ms > STALLED_AFTER_MS) {
        isTooLong = true;
        known.ms = nowMs;
      }
    }
    return isTooLong;
  }
}

export class KafkaWatch {
  private readonly reader: KafkaReader;
  private readonly relieve: (() => Promise<unknown>) | undefined;
  private readonly standstill = new Standstill();
  private readonly places: readonly TopicPartition[];
  private readonly waiting = new Set<() => void>();
  private watching: Promise<void> | undefined;
  private closed = false;
  private latestWaitMs = 0;

  /** `relieve` looks after what holds partitions back; it never rejects. */
  constructor(reader: KafkaReader, places: readonly TopicPartition[], relieve?: () => Promise<unknown>) {
    this.reader = reader;
    this.places = places;
    this.relieve = relieve;
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
    const fetched = await this.reader.fetch(asked, { use: 'watch', maxWaitMs: FETCH_WAIT_MS });
    for (const each of fetched) found.set(placeOf(each), each.lastStableOffset);
    if (this.relieve && this.standstill.note(fetched, performance.now())) await this.relieve();
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
