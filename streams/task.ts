/**
 * One task: partition p of all fact topics, run through the topology over a log. Inputs are merged by the time they
 * became known (ticks last); the order taken is journalled with each step. See run.ts for many tasks together.
 */
import type { Codec } from '../schemas/codec.ts';
import { Drive, PoisonedError } from './drive.ts';
import { IflexError } from './errors.ts';
import type { EventLog, LogRecord, NewRecord, Positions, StepJournalEntry, TaskHandle } from './event-log.ts';
import { latestRecord } from './latest-record.ts';
import {
  DAY_MS,
  MAX_STEP_ATTEMPTS,
  MAX_STEP_BYTES,
  MAX_STEP_OUTPUT_BYTES,
  MAX_STEP_RECORDS,
  MIN_SNAPSHOT_DELTA_BYTES,
  PARTITION_COUNT,
} from './limits.ts';
import { compareMerge } from './merge-order.ts';
import type { Processor } from './processor.ts';
import { ANSWERS, endsAnswer, nextRequest, REQUESTS } from './reload-answers.ts';
import { isConnectionLost, Patience } from './retry.ts';

export interface TaskOptions {
  log: EventLog;
  codec: Codec;
  processors: readonly Processor[];
  partition: number;
  /** "resampler@1 forecaster@1 <configuration hash> state@3": a snapshot under another label is not used. */
  label: string;
  /** Id of this run, which outputs carry, and its `RunStarted` event, which goes out with the first step under this id. */
  run?: { id: string; announce: (partition: number, streamTimeMs: number) => NewRecord };
  signal?: AbortSignal;
}

interface Input {
  topic: string;
  buffer: LogRecord[];
  at: number;
  /** Where the next look at the log begins: after the buffer, and after holes that follow it. */
  fetchOffset: number;
}

/** What a task has done in this process. */
export interface TaskProgress {
  /** Steps that were computed, and those of them that were committed. */
  begun: number;
  committed: number;
  /** Records of committed steps. */
  records: number;
  /** Keys whose events are undone one by one, as a processor threw; and what it said last. */
  suspects: number;
  lastFailure: string | null;
}

/** What a further attempt cannot cure. */
const FINAL: ReadonlySet<string> = new Set(['TASK_FENCED', 'CONFIG_INVALID']);

export class Task {
  readonly partition: number;
  readonly progress: TaskProgress = { begun: 0, committed: 0, records: 0, suspects: 0, lastFailure: null };
  private readonly options: TaskOptions;
  private readonly suspects = new Set<string>();
  private handle!: TaskHandle;
  private drive!: Drive;
  private inputs: Input[] = [];
  private positions: Positions = {};
  private journal: StepJournalEntry[] = [];
  private stepRecords = 0;
  private stepBytes = 0;
  private deltaBytes = 0;
  private snapshotBytes = 0;
  private snapshotDay = 0;
  private announced = false;
  /** Whether memory is what the log has; if not, it is restored before the next step. */
  private restored = false;
  /**
   * Reloads asked for and not yet answered: nothing else is read until they are, so that the order is the same in every
   * run. The task's position in the requests is after the one whose answer it took last.
   */
  private awaitedReloads = 0;

  constructor(options: TaskOptions) {
    this.options = options;
    this.partition = options.partition;
  }

  /** Fences the former owner and restores memory: snapshot, then deltas. */
  async open(): Promise<void> {
    const { log, processors, codec, partition, run, label } = this.options;
    this.handle = await log.takeTask(partition);
    const { state } = this.handle;
    if (state.label !== null && state.label !== label)
      throw new IflexError(
        'CONFIG_INVALID',
        `The state of task ${partition} belongs to other processors or settings (${state.label}, now ${label}). ` +
          'Replay into a new namespace, or run the code that wrote it.',
      );
    this.drive = new Drive({ processors, codec, run: run?.id }, this.suspects);
    if (state.snapshot) this.drive.applyState(state.snapshot);
    for (const delta of state.deltas) this.drive.applyState(delta);
    this.deltaBytes = state.deltas.reduce((sum, delta) => sum + delta.length, 0);
    this.snapshotBytes = state.snapshot?.length ?? 0;
    this.snapshotDay = this.dayOfSnapshot();
    this.positions = { ...state.positions };
    this.inputs = this.drive.inputs.map((topic) => ({ topic, buffer: [], at: 0, fetchOffset: this.positions[topic] ?? 0 }));
    this.resetStep();
    const [requested, announced] = await Promise.all([this.countRequests(), this.lastRun()]);
    this.awaitedReloads = requested;
    this.announced = announced === run?.id;
    this.restored = true;
  }

  /** Requests that no answer was taken for. They are counted, as a difference of offsets counts holes too. */
  private async countRequests(): Promise<number> {
    const at = { topic: REQUESTS, partition: this.partition };
    let count = 0;
    for (let offset = this.positions[REQUESTS] ?? 0; ; ) {
      const { records, nextOffset } = await this.options.log.read(at, offset, { maxRecords: MAX_STEP_RECORDS, maxBytes: MAX_STEP_BYTES });
      if (nextOffset === offset) return count;
      count += records.length;
      offset = nextOffset;
    }
  }

  /** Id of the run that was announced last, so that a restart of the same run is not another one. */
  private async lastRun(): Promise<string | undefined> {
    const { log, partition } = this.options;
    return (await latestRecord(log, { topic: 'runs', partition }))?.headers.id;
  }

  /** Each task has its own hour of the day, so that the snapshots of many points do not all come at midnight. */
  private dayOfSnapshot(): number {
    return Math.floor((this.drive.streamTimeMs - (this.partition * DAY_MS) / PARTITION_COUNT) / DAY_MS);
  }

  private resetStep(): void {
    this.journal = [];
    this.stepRecords = this.stepBytes = 0;
  }

  get streamTimeMs(): number {
    return this.drive?.streamTimeMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Restores memory where needed, then reads and processes one step; false where there was nothing to read. */
  async step(): Promise<boolean> {
    const patience = new Patience();
    for (let attempt = 1; ; ) {
      try {
        if (!this.restored) await this.open();
        return await this.tryStep();
      } catch (error) {
        this.restored = false;
        this.progress.lastFailure = (error as Error).message;
        if (this.options.signal?.aborted) throw error;
        if (error instanceof PoisonedError) {
          // Another throw for this key is undone by the drive, so each key comes here once.
          this.suspects.add(error.key);
          this.progress.suspects = this.suspects.size;
        } else if (isConnectionLost(error)) await patience.afterFailure(error, this.options.signal);
        else if (FINAL.has((error as IflexError).code) || attempt++ >= MAX_STEP_ATTEMPTS) throw error;
      }
    }
  }

  private async tryStep(): Promise<boolean> {
    let more = true;
    while (more && !this.stepIsFull()) {
      more = await this.refill();
      this.takeMerged();
    }
    if (this.stepRecords === 0) return false;
    await this.commit();
    return true;
  }

  private stepIsFull(): boolean {
    return (
      this.stepRecords >= MAX_STEP_RECORDS ||
      this.stepBytes >= MAX_STEP_BYTES ||
      this.drive.outputBytes >= MAX_STEP_OUTPUT_BYTES ||
      (this.awaitedReloads > 0 && this.stepRecords > 0 && !this.hasAnswer())
    );
  }

  /** Answers that are there are taken in one step. For further ones the step ends, as they may wait for its commit. */
  private hasAnswer(): boolean {
    return this.inputs.some((input) => input.topic === ANSWERS && input.at < input.buffer.length);
  }

  /**
   * One consistent look at every input whose buffer is used up. What the other buffers hold was seen before, so a tick
   * is never taken while facts that were appended before it are still unseen. False where the look found nothing.
   */
  private async refill(): Promise<boolean> {
    const empty = this.inputs.filter((input) => input.at >= input.buffer.length);
    if (empty.length === 0) return true;
    const requests = empty.map((input) => ({
      at: { topic: input.topic, partition: this.partition },
      offset: input.fetchOffset,
    }));
    const results = await this.options.log.readMany(requests, {
      maxRecords: MAX_STEP_RECORDS,
      maxBytes: MAX_STEP_BYTES,
    });
    let found = false;
    results.forEach((result, i) => {
      empty[i].buffer = result.records;
      empty[i].at = 0;
      empty[i].fetchOffset = result.nextOffset;
      if (result.records.length > 0) found = true;
    });
    return found;
  }

  /** Takes records in merged order until an input's buffer is used up or the step is full. */
  private takeMerged(): void {
    while (!this.stepIsFull()) {
      const next = this.nextInput();
      if (!next) return;
      const record = next.buffer[next.at++];
      this.takeRecord(record);
      if (next.at >= next.buffer.length) {
        next.buffer = [];
        next.at = 0;
        // Past the holes that end what was read, so that a position reaches the end of the log where nothing is left.
        this.positions[next.topic] = next.fetchOffset;
        return;
      }
    }
  }

  private nextInput(): Input | null {
    let best: Input | null = null;
    for (const input of this.inputs) {
      if (input.at >= input.buffer.length) continue;
      if (this.awaitedReloads > 0 && input.topic !== ANSWERS) continue;
      if (best === null || comesBefore(input, best)) best = input;
    }
    return best;
  }

  private takeRecord(record: LogRecord): void {
    const before = this.drive.outputs.length;
    this.drive.take(record);
    this.stepRecords++;
    this.stepBytes += record.value.length;
    this.positions[record.topic] = record.offset + 1;
    if (endsAnswer(record)) {
      const { offset } = nextRequest(record);
      // An answer that came twice was awaited once.
      if (offset > (this.positions[REQUESTS] ?? 0)) {
        if (this.awaitedReloads === 0) throw unasked(record, offset);
        this.positions[REQUESTS] = offset;
        this.awaitedReloads--;
      }
    }
    for (let i = before; i < this.drive.outputs.length; i++) if (this.drive.outputs[i].topic === REQUESTS) this.awaitedReloads++;
    const last = this.journal.at(-1);
    if (last?.topic === record.topic) {
      last.endOffset = record.offset + 1;
      last.count++;
    } else this.journal.push({ topic: record.topic, firstOffset: record.offset, endOffset: record.offset + 1, count: 1 });
  }

  private async commit(): Promise<void> {
    const { drive, handle, options } = this;
    this.progress.begun++;
    const announcement = this.announced ? undefined : options.run?.announce(this.partition, drive.streamTimeMs);
    const outputs = announcement ? [announcement, ...drive.outputs] : drive.outputs;
    const delta = drive.encodeState(false);
    const day = this.dayOfSnapshot();
    const due =
      this.deltaBytes + delta.length > Math.max(MIN_SNAPSHOT_DELTA_BYTES, this.snapshotBytes) ||
      (day !== this.snapshotDay && Number.isFinite(day));
    const snapshot = due ? { streamTimeMs: drive.streamTimeMs, bytes: drive.encodeState(true) } : undefined;
    await handle.commit({ label: options.label, outputs, delta, journal: this.journal, positions: this.positions, snapshot });
    drive.markCommitted();
    this.announced = true;
    this.deltaBytes = snapshot ? 0 : this.deltaBytes + delta.length;
    if (snapshot) this.snapshotBytes = snapshot.bytes.length;
    this.snapshotDay = day;
    this.progress.committed++;
    this.progress.records += this.stepRecords;
    this.resetStep();
  }
}

/** To go on would mean to read past the next request, and to take facts in another order than another run. */
function unasked({ topic, partition, offset }: LogRecord, next: number): IflexError {
  return new IflexError(
    'INTERNAL',
    `${topic}/${partition}/${offset} answers ${REQUESTS}/${partition}/${next - 1}, which the task has not asked for. ` +
      'Nothing but the reload adapter may write there; replay into a new namespace.',
  );
}

/** Within a topic the log's order stands, see merge-order.ts. */
function comesBefore(a: Input, b: Input): boolean {
  return compareMerge(a.buffer[a.at].headers.knownAtMs, a.topic, b.buffer[b.at].headers.knownAtMs, b.topic) < 0;
}
