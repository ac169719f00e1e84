/** Tasks of one process: started and stopped as a membership says, each restored and run by itself. */
import { setTimeout as pause } from 'node:timers/promises';
import type { IflexError } from './errors.ts';
import { MAX_STEPS_UNDER_WAY, MAX_TASK_RETAKE_MS, TASK_RETAKE_MS } from './limits.ts';
import type { Crew } from './membership.ts';
import { Task, type TaskOptions } from './task.ts';
import { Turns } from './turns.ts';

export interface CrewOptions extends Omit<TaskOptions, 'partition' | 'signal'> {
  /** Whether a task that another process took is given up, rather than that everything ends. */
  isShared: boolean;
  signal: AbortSignal;
  /** Is told what a task cannot go on from. */
  fail: (error: unknown) => void;
}

/** A task that runs, or has not stopped yet. */
interface Post {
  task: Task;
  stopping: AbortController;
  /** Never rejects. */
  ended: Promise<void>;
}

const IDLE_WAIT_MS = 500;

export class TaskCrew implements Crew {
  private readonly options: CrewOptions;
  private readonly posts = new Map<number, Post>();
  private readonly latest = new Map<number, Task>();
  private readonly turns = new Turns(MAX_STEPS_UNDER_WAY);
  /** Restoring two at a time would delay the first output of both. */
  private readonly openings = new Turns(1);

  constructor(options: CrewOptions) {
    this.options = options;
  }

  held(): number[] {
    return [...this.posts.keys()];
  }

  /** Of each partition that this crew ever had the latest one. */
  tasks(): Task[] {
    return [...this.latest.values()];
  }

  async run(partitions: readonly number[]): Promise<void> {
    const wanted = new Set(partitions);
    const unwanted = [...this.posts].filter(([partition]) => !wanted.has(partition)).map(([, post]) => post);
    for (const { stopping } of unwanted) stopping.abort();
    for (const partition of wanted) {
      const post = this.posts.get(partition);
      if (!post || post.stopping.signal.aborted) this.start(partition, post?.ended);
    }
    await Promise.all(unwanted.map(({ ended }) => ended));
  }

  private start(partition: number, after = Promise.resolve()): void {
    const stopping = new AbortController();
    const signal = AbortSignal.any([this.options.signal, stopping.signal]);
    const task = new Task({ ...this.options, partition, signal });
    const post: Post = { task, stopping, ended: after };
    post.ended = after
      .then(() => this.keepRunning(task, signal))
      .catch((error) => {
        // As where everything stops: what was not committed is done again, by whoever has the task then.
        if (!stopping.signal.aborted) this.options.fail(error);
      })
      .then(() => {
        if (this.posts.get(partition) === post) this.posts.delete(partition);
      });
    this.posts.set(partition, post);
    this.latest.set(partition, task);
  }

  /** Runs a task until the signal. One that another process took is taken again a while later, if nobody has stopped it then. */
  private async keepRunning(task: Task, signal: AbortSignal): Promise<void> {
    let pauseMs = TASK_RETAKE_MS;
    for (let known = 0; !signal.aborted; known = task.progress.committed)
      try {
        return await this.runOne(task, signal);
      } catch (error) {
        const { code, details } = error as IflexError;
        // Who was away for long cannot know whether another one has it. Who shares hears that from the group meanwhile.
        if (code !== 'TASK_FENCED' || !(this.options.isShared || details.isOverdue)) throw error;
        // It was ours in between: this is another time, not the same one going on.
        if (task.progress.committed > known) pauseMs = TASK_RETAKE_MS;
        await pause(pauseMs, undefined, { signal }).catch(() => {});
        pauseMs = Math.min(MAX_TASK_RETAKE_MS, pauseMs * 2);
      }
  }

  private async runOne(task: Task, signal: AbortSignal): Promise<void> {
    const step = async () => !signal.aborted && (await task.step());
    // Nobody runs this one, while the others have had their turns: it does not wait behind all of them.
    await this.openings.take(() => this.turns.takeFirst(step));
    while (!signal.aborted) if (!(await this.turns.take(step))) await this.options.log.waitForAppend(IDLE_WAIT_MS, signal);
  }
}
