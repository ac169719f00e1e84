/** Where a process kills itself: wrappers around the log and the store, so that product code knows nothing of them. */
import { writeSync } from 'node:fs';
import type { ProjectionStore } from '../../projections/store.ts';
import type { EventLog, Step, TaskHandle } from '../../streams/event-log.ts';
import { heldAppend, heldRows, heldStep } from './held-writes.ts';
import type { Place, Tools } from './roles.ts';

export interface FailPoint {
  /**
   * before: nothing is sent yet. committing: between append and commit, the server then commits on its own (Kafka: it has
   * decided so, and writes the marks). aborted: the same, but the server rolls back. after: committed, not yet
   * acknowledged. moment: anywhere later.
   * killed: by another process, at any time. Of an API they are about answers, not writes; answering: half of the answer has been sent.
   */
  when: 'before' | 'committing' | 'aborted' | 'answering' | 'after' | 'moment' | 'killed';
  /** At the how manieth write of this process, or request to it. */
  nth: number;
  /** `moment`: so long after that write began (ms). */
  delayMs: number;
}

/**
 * Has the next write of this process die between its first change and its end: undone where `abort`, else such that it
 * comes to be without this process. Whoever gets back from the write alive, as there was nothing to write, releases it.
 */
export type Hold = (abort: boolean, die: () => never) => Promise<{ release(): Promise<void> }>;

export class FailPoints {
  private writes = 0;
  private readonly point: FailPoint | null;

  constructor(point: FailPoint | null) {
    this.point = point;
  }

  die(): never {
    process.kill(process.pid, 'SIGKILL');
    // The signal comes at once, but is not part of this call.
    for (;;);
  }

  /** Counts a request: at the one of the fail point says when to die, or does so. */
  atRequest(): FailPoint['when'] | null {
    const { point } = this;
    if (point === null || ++this.writes !== point.nth) return null;
    if (point.when === 'before') this.die();
    if (point.when === 'moment') setTimeout(() => this.die(), point.delayMs);
    return point.when;
  }

  /** Does a write, unless this is the one at which the process dies. */
  async around<T>(write: () => Promise<T>, hold: Hold): Promise<T> {
    const { point } = this;
    if (point === null || ++this.writes !== point.nth) return write();
    if (point.when === 'before') this.die();
    if (point.when === 'moment') setTimeout(() => this.die(), point.delayMs);
    if (point.when === 'committing' || point.when === 'aborted') {
      const { release } = await hold(point.when === 'aborted', () => this.die());
      const result = await write();
      await release();
      // There was nothing to write, so the next write is the one.
      this.writes--;
      return result;
    }
    const result = await write();
    if (point.when === 'after') this.die();
    return result;
  }
}

/** Tools of a role with its fail point: importers and whole pipelines die at appends of facts, tasks at commits of steps, projectors at those of rows. */
export function withFailPoints(tools: Tools, points: FailPoints, place: Place, role: string, report: number): Tools {
  const { log, store } = tools;
  if (role === 'projector') return { ...tools, store: failingStore(store, points, place) };
  const failing = Object.create(log) as EventLog;
  if (role === 'importer' || role === 'pipeline')
    failing.append = (records) => points.around(() => log.append(records), heldAppend(place, records));
  else {
    const underWay = new Set<number>();
    const committing = new Set<number>();
    const tell = () => writeSync(report, `${[...underWay].join(' ')}\n`);
    failing.readMany = async (requests, options) => {
      const results = await log.readMany(requests, options);
      // From here on the task computes, until its step is acknowledged.
      const { topic, partition } = requests[0].at;
      if (results.some(({ records }) => records.length > 0)) {
        if (topic !== 'runs') underWay.add(partition);
        tell();
      }
      // Where nothing is read, the step commits at once; or there is none, as all that was read waits for an answer.
      else
        setImmediate(() => {
          if (committing.has(partition) || !underWay.delete(partition)) return;
          tell();
        });
      return results;
    };
    failing.takeTask = async (partition) => {
      const handle = await log.takeTask(partition);
      return failingHandle(handle, points, place, (isCommitting) => {
        if (isCommitting) committing.add(partition);
        else {
          committing.delete(partition);
          underWay.delete(partition);
        }
        tell();
      });
    };
  }
  return { ...tools, log: failing };
}

function failingHandle(handle: TaskHandle, points: FailPoints, place: Place, tell: (isCommitting: boolean) => void): TaskHandle {
  const { partition, state } = handle;
  const commit = async (step: Step) => {
    tell(true);
    await points.around(() => handle.commit(step), heldStep(place, partition, step.outputs));
    tell(false);
  };
  return { partition, state, commit, release: () => handle.release() };
}

function failingStore(store: ProjectionStore, points: FailPoints, place: Place): ProjectionStore {
  const failing = Object.create(store) as ProjectionStore;
  failing.advance = (log, build, options) => {
    const tables = build.projection.tables.map((table) => `${table}_b${build.build}`);
    return points.around(() => store.advance(log, build, options), heldRows(place, tables));
  };
  return failing;
}
