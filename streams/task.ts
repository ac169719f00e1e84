/**
 * One task: partition p of all fact topics, run through the topology over a log. Inputs are merged by the time they
 * became known (ticks last); the order taken is journalled with each step. See run.ts for many tasks together.
 */
import type { Codec } from '../schemas/codec.ts';
import { Drive, PoisonedError } from './drive.ts';
import { IflexError } from './errors.ts';
import type { EventLog, LogRecord, Positions, StepJournalEntry, TaskHandle } from './event-log.ts';
import { DAY_MS, MAX_STEP_ATTEMPTS, MAX_STEP_BYTES, MAX_STEP_OUTPUT_BYTES, MAX_STEP_RECORDS, MIN_SNAPSHOT_DELTA_BYTES } from './limits.ts';
import type { Processor } from './processor.ts';

export interface TaskOptions {
  log: EventLog;
  codec: Codec;
  processors: readonly Processor[];
  partition: number;
  /** "resampler@1 forecaster@1 <configuration hash>": a snapshot under another label is not used. */
  label: string;
  /** Id of this run, and the framed `RunStarted` event to publish with the first step (none in replays of a journal). */
  run?: { id: string; announce: (partition: number) => Parameters<TaskHandle['commit']>[0]['outputs'][number] };
}

interface Input {
  topic: string;
  buffer: LogRecord[];
  at: number;
  /** Where the next look at the log begins. */
  fetchOffset: number;
}

/** How far a task is and what it has done since it was opened. */
export interface TaskProgress {
  steps: number;
  records: number;
  poisoned: number;
}

const REQUESTS = 'revisions.requested';
const RELOADED = 'day.reloaded';

export class Task {
  readonly partition: number;
  readonly progress: TaskProgress = { steps: 0, records: 0, poisoned: 0 };
  private readonly options: TaskOptions;
  private readonly poisoned = new Set<string>();
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
  /** Reloads asked for and not yet answered: nothing else is read until they are, so that the order is the same in every run. */
  private awaitedReloads = 0;

  constructor(options: TaskOptions) {
    this.options = options;
    this.partition = options.partition;
  }

  /** Fences the former owner and restores memory: snapshot, then deltas. */
  async open(): Promise<void> {
    const { log, processors, codec, partition, run, label } = this.options;
    this.handle = await log.takeTask(partition);
    this.drive = new Drive({ processors, codec, run: run?.id }, this.poisoned);
    const { state } = this.handle;
    const stale = state.snapshot && state.snapshot.label !== label;
    if (stale)
      throw new IflexError(
        'CONFIG_INVALID',
        `The state of task ${partition} belongs to other processors or settings (${state.snapshot!.label}, now ${label}). Replay into a new namespace, or run the code that wrote it.`,
      );
    if (state.snapshot) this.drive.applyState(state.snapshot.bytes);
    for (const delta of state.deltas) this.drive.applyState(delta);
    this.drive.markCommitted();
    this.deltaBytes = state.deltas.reduce((sum, delta) => sum + delta.length, 0);
    this.snapshotBytes = state.snapshot?.bytes.length ?? 0;
    this.snapshotDay = Math.floor(this.drive.streamTimeMs / DAY_MS);
    this.positions = { ...state.positions };
    this.inputs = this.drive.inputs.map((topic) => ({
      topic,
      buffer: [],
      at: 0,
      fetchOffset: this.positions[topic] ?? 0,
    }));
    this.resetStep();
    const requested = (await log.endOffsets(REQUESTS))[partition];
    this.awaitedReloads = requested - (this.positions[RELOADED] ?? 0);
  }

  private resetStep(): void {
    this.journal = [];
    this.stepRecords = this.stepBytes = 0;
  }

  get inputTopics(): string[] {
    return new Drive({ processors: this.options.processors, codec: this.options.codec }).inputs;
  }

  get streamTimeMs(): number {
    return this.drive?.streamTimeMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Reads and processes one step; false where there was nothing to read. Restores itself and retries after a failure. */
  async step(): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.tryStep();
      } catch (error) {
        if (error instanceof PoisonedError) {
          this.poisoned.add(error.poison);
          this.progress.poisoned++;
        } else if ((error as IflexError).code === 'TASK_FENCED' || attempt >= MAX_STEP_ATTEMPTS) throw error;
        else await new Promise((resolve) => setTimeout(resolve, 10 * 2 ** attempt));
        await this.open();
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
      (this.awaitedReloads > 0 && this.stepRecords > 0)
    );
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
        return;
      }
    }
  }

  private nextInput(): Input | null {
    let best: Input | null = null;
    for (const input of this.inputs) {
      if (input.at >= input.buffer.length) continue;
      if (this.awaitedReloads > 0 && input.topic !== RELOADED) continue;
      if (best === null || comesBefore(input, best)) best = input;
    }
    return best;
  }

  private takeRecord(record: LogRecord): void {
    const before = this.drive.outputs.length;
    this.drive.take(record);
    this.stepRecords++;
    this.stepBytes += record.value.length;
    this.progress.records++;
    this.positions[record.topic] = record.offset + 1;
    if (record.topic === RELOADED) this.awaitedReloads--;
    for (let i = before; i < this.drive.outputs.length; i++) if (this.drive.outputs[i].topic === REQUESTS) this.awaitedReloads++;
    const last = this.journal.at(-1);
    if (last?.topic === record.topic) {
      last.endOffset = record.offset + 1;
      last.count++;
    } else this.journal.push({ topic: record.topic, firstOffset: record.offset, endOffset: record.offset + 1, count: 1 });
  }

  private async commit(): Promise<void> {
    const { drive, handle, options } = this;
    const outputs = drive.outputs;
    if (options.run && !this.announced) outputs.unshift(options.run.announce(this.partition));
    const delta = drive.encodeState(false);
    const day = Math.floor(drive.streamTimeMs / DAY_MS);
    const due =
      this.deltaBytes + delta.length > Math.max(MIN_SNAPSHOT_DELTA_BYTES, this.snapshotBytes) ||
      (day !== this.snapshotDay && Number.isFinite(day));
    const snapshot = due ? { label: options.label, streamTimeMs: drive.streamTimeMs, bytes: drive.encodeState(true) } : undefined;
    await handle.commit({ outputs, delta, journal: this.journal, positions: this.positions, snapshot });
    drive.markCommitted();
    this.announced = true;
    this.deltaBytes = snapshot ? 0 : this.deltaBytes + delta.length;
    if (snapshot) {
      this.snapshotBytes = snapshot.bytes.length;
      this.snapshotDay = day;
    }
    this.progress.steps++;
    this.resetStep();
  }
}

/** By the time the content became known; ticks after facts of the same time; else by topic. */
function comesBefore(a: Input, b: Input): boolean {
  const aMs = a.buffer[a.at].headers.knownAtMs;
  const bMs = b.buffer[b.at].headers.knownAtMs;
  if (aMs !== bMs) return aMs < bMs;
  if ((a.topic === 'ticks') !== (b.topic === 'ticks')) return b.topic === 'ticks';
  return a.topic < b.topic;
}
