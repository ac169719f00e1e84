/** Runs the tasks of a log: each restores and begins by itself, one after the other, so that the first output is early. */
import { hash } from 'node:crypto';
import type { Codec } from '../schemas/codec.ts';
import type { RunStarted } from '../schemas/types.ts';
import { STATE_FORM } from './drive.ts';
import type { EventLog, NewRecord } from './event-log.ts';
import { ALL_PARTITIONS, type Membership, soleMembership } from './membership.ts';
import { type Processor, topicsOf } from './processor.ts';
import { linked } from './retry.ts';
import type { Task } from './task.ts';
import { TaskCrew } from './task-crew.ts';

export interface RunOptions {
  log: EventLog;
  codec: Codec;
  processors: readonly Processor[];
  /** Version of the code, for the `runs` event. */
  codeVersion: string;
  /** Hash of what else decides about results. */
  configurationHash: string;
  /** Which tasks this process runs; default: all, and that another one takes a task ends the run. */
  membership?: Membership;
  signal: AbortSignal;
  /** Called when a task cannot go on; the others are stopped too. */
  onFailure?: (error: unknown) => void;
}

export interface Running {
  runId: string;
  /** Of each partition whose task ran in this process the latest one. */
  readonly tasks: readonly Task[];
  /** Fact topics that the tasks consume. */
  inputs: readonly string[];
  /** Settles once all tasks have stopped (after the signal or a failure). */
  stopped: Promise<void>;
}

/** Name under which state is kept: other processors, settings or forms of its bytes must not take it over. */
export function stateLabel(processors: readonly Processor[], configurationHash: string): string {
  return `${processors.map(({ name, version }) => `${name}@${version}`).join(' ')} ${configurationHash} state@${STATE_FORM}`;
}

/** Starts tasks. Steps of different tasks interleave, a few at a time; each commits by itself. */
export function runTasks(options: RunOptions): Running {
  const { codec, processors, signal, configurationHash, membership = soleMembership(ALL_PARTITIONS) } = options;
  const description = describeRun(options);
  const runId = runIdOf(description);
  const stopping = linked(signal);
  let failure: { error: unknown } | undefined;
  const fail = (error: unknown) => {
    // A connection that is lost while everything stops is no failure: what was not committed is done again.
    if (signal.aborted) return;
    stopping.abort();
    options.onFailure?.(error);
    failure ??= { error };
  };
  const label = stateLabel(processors, configurationHash);
  const run = { id: runId, announce: announcementOf(codec, description, runId) };
  const crew = new TaskCrew({ ...options, label, run, isShared: membership.isShared, signal: stopping.signal, fail });
  const stopped = membership
    .follow(crew, stopping.signal)
    .catch(fail)
    .then(() => crew.run([]))
    .then(() => {
      if (failure) throw failure.error;
    });
  stopped.catch(() => {});
  return {
    runId,
    get tasks() {
      return crew.tasks();
    },
    inputs: topicsOf(processors).inputs,
    stopped,
  };
}

/** What makes outputs what they are: of a `runs` event all but where and when. */
export type RunDescription = Omit<RunStarted, 'runId' | 'knownAtMs' | 'partition'>;

/** Which code, settings and schemas a run of these processors has. */
export function describeRun({
  codec,
  processors,
  codeVersion,
  configurationHash,
}: Pick<RunOptions, 'codec' | 'processors' | 'codeVersion' | 'configurationHash'>): RunDescription {
  return {
    codeVersion,
    configurationHash,
    processors: processors.map(({ name, version }) => `${name}@${version}`),
    // Processors draw nothing at random, and none computes with trained weights; a model that comes as an event is an input.
    seed: null,
    models: [],
    schemas: codec.registered(),
  };
}

/** The same for the same description, so that a restart is not another run. */
function runIdOf(description: RunDescription): string {
  return hash('sha256', JSON.stringify(description)).slice(0, 32);
}

/** The `RunStarted` event of a partition: what made the outputs that carry its id. */
function announcementOf(codec: Codec, description: RunDescription, runId: string) {
  return (partition: number, streamTimeMs: number): NewRecord => {
    const knownAtMs = Number.isFinite(streamTimeMs) ? streamTimeMs : 0;
    const value: RunStarted = { runId, knownAtMs, partition, ...description };
    return {
      topic: 'runs',
      key: String(partition),
      partition,
      value: codec.encode('RunStarted', value),
      headers: { source: 'run', number: -1, id: runId, type: 'RunStarted', knownAtMs },
    };
  };
}
