/** Runs the tasks of a log: each restores and begins by itself, one after the other, so that the first output is early. */
import { hash } from 'node:crypto';
import type { Codec } from '../schemas/codec.ts';
import type { RunStarted } from '../schemas/types.ts';
import type { EventLog, NewRecord } from './event-log.ts';
import { PARTITION_COUNT } from './limits.ts';
import type { Processor } from './processor.ts';
import { Task } from './task.ts';

export interface RunOptions {
  log: EventLog;
  codec: Codec;
  processors: readonly Processor[];
  /** Version of the code, for the `runs` event. */
  codeVersion: string;
  /** Hash of what else decides about results. */
  configurationHash: string;
  partitions?: readonly number[];
  signal: AbortSignal;
  /** Called when a task cannot go on; the others are stopped too. */
  onFailure?: (error: unknown) => void;
}

export interface Running {
  tasks: readonly Task[];
  /** Settles once all tasks have stopped (after the signal or a failure). */
  stopped: Promise<void>;
}

const IDLE_WAIT_MS = 500;

/** Name under which snapshots are kept: other processors or settings must not take them over. */
export function stateLabel(processors: readonly Processor[], configurationHash: string): string {
  return `${processors.map(({ name, version }) => `${name}@${version}`).join(' ')} ${configurationHash}`;
}

/** Starts all tasks. Steps of different tasks interleave; each commits by itself. */
export function runTasks(options: RunOptions): Running {
  const { log, codec, processors, signal, configurationHash, codeVersion } = options;
  const partitions = options.partitions ?? Array.from({ length: PARTITION_COUNT }, (_, p) => p);
  const label = stateLabel(processors, configurationHash);
  const runId = hash('sha256', `${codeVersion} ${label}`).slice(0, 32);
  const tasks = partitions.map(
    (partition) => new Task({ log, codec, processors, partition, label, run: { id: runId, announce: (p) => announcement(p) } }),
  );
  const announcement = (partition: number): NewRecord => {
    const knownAtMs = Math.max(0, Number.isFinite(tasks[0].streamTimeMs) ? tasks[0].streamTimeMs : 0);
    const value: RunStarted = {
      runId,
      knownAtMs,
      partition,
      codeVersion,
      configurationHash,
      processors: processors.map(({ name, version }) => `${name}@${version}`),
    };
    return {
      topic: 'runs',
      key: String(partition),
      partition,
      value: codec.encode('RunStarted', value),
      headers: { source: 'run', number: -1, id: runId, type: 'RunStarted', knownAtMs },
    };
  };
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  let opening: Promise<unknown> = Promise.resolve();
  const loops = tasks.map(async (task) => {
    const opened = opening.then(() => (either.aborted ? undefined : task.open().then(() => task.step())));
    opening = opened.catch(() => {});
    await opened;
    while (!either.aborted) if (!(await task.step())) await log.waitForAppend(IDLE_WAIT_MS, either);
  });
  const stopped = Promise.all(
    loops.map((loop) =>
      loop.catch((error) => {
        failed.abort();
        options.onFailure?.(error);
        throw error;
      }),
    ),
  ).then(() => {});
  stopped.catch(() => {});
  return { tasks, stopped };
}
