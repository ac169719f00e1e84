/** Appends records in batches, no earlier than event time allows at a given speed: feeders and replays rest on it. */
import { setTimeout as pause } from 'node:timers/promises';
import type { EventLog, NewRecord } from '../streams/event-log.ts';
import { FEED_BATCH_BYTES, FEED_BATCH_RECORDS } from '../streams/limits.ts';

export interface PacedAppenderOptions {
  log: EventLog;
  /** Event time per wall time; Infinity: as fast as it goes. */
  speed: number;
  /** Ends waiting at once. */
  signal?: AbortSignal;
  /** After every batch. */
  onAppended?: () => void;
}

export class PacedAppender {
  appended = 0;
  /** Records that the log had already. */
  redelivered = 0;
  private readonly options: PacedAppenderOptions;
  private batch: NewRecord[] = [];
  private batchBytes = 0;
  private readonly startedMs = performance.now();
  private firstMs = Number.NaN;

  constructor(options: PacedAppenderOptions) {
    this.options = options;
  }

  /** Appends what is due, then waits until the wall clock has come as far as event time since the first call. */
  async keepPace(eventTimeMs: number): Promise<void> {
    const { speed, signal } = this.options;
    if (!Number.isFinite(speed)) return;
    if (Number.isNaN(this.firstMs)) this.firstMs = eventTimeMs;
    const waitMs = this.startedMs + (eventTimeMs - this.firstMs) / speed - performance.now();
    if (waitMs <= 1) return;
    await this.flush();
    await pause(waitMs, undefined, { signal }).catch(() => {});
  }

  async push(record: NewRecord): Promise<void> {
    this.batch.push(record);
    this.batchBytes += record.value.length;
    if (this.batch.length >= FEED_BATCH_RECORDS || this.batchBytes >= FEED_BATCH_BYTES) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.batch.length === 0) return;
    const { appended, redelivered } = await this.options.log.append(this.batch);
    this.appended += appended;
    this.redelivered += redelivered;
    this.batch = [];
    this.batchBytes = 0;
    this.options.onAppended?.();
  }
}
