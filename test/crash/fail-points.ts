/** Where a process kills itself: wrappers around the log and the store, so that product code knows nothing of them. */
import { writeSync } from 'node:fs';
import type { ProjectionStore } from '../../projections/store.ts';
import type { EventLog, NewRecord, Step, TaskHandle } from '../../streams/event-log.ts';
import { partitionOf } from '../../streams/partitioner.ts';
import { openClient } from '../../streams/postgres.ts';
import { namespaceSchema } from '../../streams/postgres-log.ts';
import { findTopic } from '../../streams/topics.ts';
import type { Place, Tools } from './roles.ts';

export interface FailPoint {
  /**
   * before: nothing is sent yet. committing: between append and commit, the server then commits on its own.
   * aborted: the same, but the server rolls back. after: committed, not yet acknowledged. moment: anywhere later.
   * Of an API they are about answers, not writes; answering: half of the answer has been sent.
   */
  when: 'before' | 'committing' | 'aborted' | 'answering' | 'after' | 'moment';
  /** At the how manieth write of this process, or request to it. */
  nth: number;
  /** `moment`: so long after that write began (ms). */
  delayMs: number;
}

/** Rows or tables that a write needs, to hold it up between its first change and its commit. */
type Obstacle = string;

export class FailPoints {
  private writes = 0;
  private readonly point: FailPoint | null;
  private readonly place: Place;

  constructor(point: FailPoint | null, place: Place) {
    this.point = point;
    this.place = place;
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
  async around<T>(write: () => Promise<T>, obstacle: () => Obstacle): Promise<T> {
    const { point } = this;
    if (point === null || ++this.writes !== point.nth) return write();
    if (point.when === 'before') this.die();
    if (point.when === 'moment') setTimeout(() => this.die(), point.delayMs);
    if (point.when === 'committing' || point.when === 'aborted') return this.dieBetween(write, obstacle(), point.when === 'aborted');
    const result = await write();
    if (point.when === 'after') this.die();
    return result;
  }

  private async dieBetween<T>(write: () => Promise<T>, obstacle: Obstacle, abort: boolean): Promise<T> {
    const { url, namespace } = this.place;
    const client = await openClient(url, 'obstacle');
    await client.query(`SET search_path = ${namespaceSchema(namespace)}`);
    await client.query('BEGIN');
    await client.query(obstacle);
    let result: { value: T } | undefined;
    const written = write().then((value) => {
      result = { value };
      return value;
    });
    // An aborted write may fail a moment before the process dies of it.
    if (abort) written.catch(() => {});
    for (;;) {
      // Within a transaction, the server would go on showing what it showed first.
      await client.query('SELECT pg_stat_clear_snapshot()');
      const { rows } = await client.query('SELECT pid FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)) LIMIT 1');
      if (rows.length > 0) {
        if (abort) await client.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
        this.die();
      }
      if (result === undefined) continue;
      // There was nothing to write, so nothing waited: the next write is the one.
      await client.end();
      this.writes--;
      return written;
    }
  }
}

/** The row that an append of these records locks last: everything before it has been appended by then. */
function lastPartition(records: readonly NewRecord[]): Obstacle {
  const places = records.map(({ topic, key, partition }) => ({
    topic,
    partition: partition ?? partitionOf(key, findTopic(topic)!.partitions),
  }));
  places.sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
  const { topic, partition } = places.at(-1)!;
  return `SELECT FROM log_partition WHERE topic = '${topic}' AND partition = ${partition} FOR UPDATE`;
}

/** Tools of a role with its fail point: importers and whole pipelines die at appends of facts, tasks at commits of steps, projectors at those of rows. */
export function withFailPoints(tools: Tools, points: FailPoints, role: string, report: number): Tools {
  const { log, store } = tools;
  if (role === 'projector') return { ...tools, store: failingStore(store, points) };
  const failing = Object.create(log) as EventLog;
  if (role === 'importer' || role === 'pipeline')
    failing.append = (records) =>
      points.around(
        () => log.append(records),
        () => lastPartition(records),
      );
  else {
    const underWay = new Set<number>();
    const tell = () => writeSync(report, `${[...underWay].join(' ')}\n`);
    failing.readMany = async (requests, options) => {
      const results = await log.readMany(requests, options);
      // From here on the task computes, until its step is acknowledged.
      if (requests[0].at.topic !== 'runs' && results.some(({ records }) => records.length > 0)) {
        underWay.add(requests[0].at.partition);
        tell();
      }
      return results;
    };
    failing.takeTask = async (partition) =>
      failingHandle(await log.takeTask(partition), points, () => {
        underWay.delete(partition);
        tell();
      });
  }
  return { ...tools, log: failing };
}

function failingHandle(handle: TaskHandle, points: FailPoints, onCommitted: () => void): TaskHandle {
  const commit = async (step: Step) => {
    const outputs = step.outputs;
    const taskRow = `SELECT FROM task WHERE partition = ${handle.partition} FOR UPDATE`;
    await points.around(
      () => handle.commit(step),
      () => (outputs.length > 0 ? lastPartition(outputs) : taskRow),
    );
    onCommitted();
  };
  return { partition: handle.partition, state: handle.state, commit, release: () => handle.release() };
}

function failingStore(store: ProjectionStore, points: FailPoints): ProjectionStore {
  const failing = Object.create(store) as ProjectionStore;
  failing.advance = (log, build, options) =>
    points.around(
      () => store.advance(log, build, options),
      () => `LOCK TABLE ${build.projection.tables.map((table) => `${table}_b${build.build}`).join(', ')} IN SHARE ROW EXCLUSIVE MODE`,
    );
  return failing;
}
