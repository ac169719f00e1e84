/** Processes that run tasks over Kafka (kafka-tasks-run.ts), and what some of them took for a namespace of facts together. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import nodeOptions from '../../infra/node-options.json' with { type: 'json' };
import { MINUTE_MS } from '../../streams/limits.ts';
import type { TasksRunOptions, TasksRunReport, TasksRunRequest } from './kafka-tasks-run.ts';

const SCRIPT = fileURLToPath(new URL('kafka-tasks-run.ts', import.meta.url));
const LOOK_EVERY_MS = 20;
const RUN_LIMIT_MS = 20 * MINUTE_MS;

export class TasksProcess {
  private readonly child: ChildProcess;
  /** Rejects where it ends without having been told to. */
  private readonly ended: Promise<void>;
  private isEnding = false;

  constructor(options: TasksRunOptions) {
    this.child = fork(SCRIPT, [JSON.stringify(options)], { execArgv: nodeOptions, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.ended = once(this.child, 'close').then(([code, signal]) => {
      if (code !== 0 && !this.isEnding) throw new Error(`A process of tasks ended with ${signal ?? code}.`);
    });
    this.ended.catch(() => {});
  }

  async report(): Promise<TasksRunReport> {
    const answer = once(this.child, 'message');
    this.tell('report');
    return (await Promise.race([answer, this.ended.then(() => Promise.reject(new Error('A process of tasks ended.')))]))[0];
  }

  private tell(request: TasksRunRequest): void {
    this.child.send(request, () => {});
  }

  /** Cleanly. */
  async stop(): Promise<void> {
    this.tell('stop');
    await this.ended;
  }

  async kill(): Promise<void> {
    this.isEnding = true;
    this.child.kill('SIGKILL');
    await this.ended;
  }
}

export interface Work {
  /** All facts that the namespace holds. */
  records: number;
  /** What is done after so many is told apart, as code is compiled while the first ones are read. */
  warmUpRecords: number;
}

/** Of all processes together. */
export interface TasksFigures {
  cpuSeconds: number;
  wallSeconds: number;
  /** Records taken in once warm, and what they took. */
  warmRecords: number;
  warmCpuSeconds: number;
  warmWallSeconds: number;
  steps: number;
  /** Of the largest process. */
  peakMegabytes: number;
  /** Records that each process took in. */
  shares: number[];
}

/** Runs all tasks in so many processes until they have taken in all facts. */
export async function runTasksIn(processCount: number, options: TasksRunOptions, { records, warmUpRecords }: Work): Promise<TasksFigures> {
  const begunMs = performance.now();
  const processes = Array.from({ length: processCount }, () => new TasksProcess(options));
  const look = async () => {
    const reports = await Promise.all(processes.map((each) => each.report()));
    const sum = (of: 'records' | 'steps' | 'cpuSeconds') => reports.reduce((total, report) => total + report[of], 0);
    return { wall: (performance.now() - begunMs) / 1000, records: sum('records'), steps: sum('steps'), cpu: sum('cpuSeconds'), reports };
  };
  try {
    const begun = await look();
    let warm: typeof begun | undefined;
    let now = begun;
    while (now.records < records) {
      if (performance.now() - begunMs > RUN_LIMIT_MS) throw new Error(`Only ${now.records} of ${records} records were taken in.`);
      await pause(LOOK_EVERY_MS);
      now = await look();
      if (now.records >= warmUpRecords) warm ??= now;
    }
    await Promise.all(processes.map((each) => each.stop()));
    return {
      cpuSeconds: now.cpu - begun.cpu,
      wallSeconds: now.wall - begun.wall,
      warmRecords: records - warm!.records,
      warmCpuSeconds: now.cpu - warm!.cpu,
      warmWallSeconds: now.wall - warm!.wall,
      steps: now.steps,
      peakMegabytes: Math.max(...now.reports.map(({ peakMegabytes }) => peakMegabytes)),
      shares: now.reports.map((report) => report.records),
    };
  } finally {
    await Promise.all(processes.map((each) => each.kill()));
  }
}
