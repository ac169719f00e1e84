/** A process of the crash suite: plays one role and dies at its fail point, or ends cleanly on SIGTERM. */
import { writeSync } from 'node:fs';
import { serveWithFailPoints } from './api.ts';
import { type FailPoint, FailPoints, withFailPoints } from './fail-points.ts';
import { openTools, type Place, play, type Role } from './roles.ts';

export interface ChildOptions {
  role: Role;
  place: Place;
  failPoint: FailPoint | null;
  /** Of an API. */
  api?: { port: number; secret: string };
}

/** File descriptor on which a child says that it is ready; a task runner which steps are under way, and an API its port. */
const REPORT = 3;

const { role, place, failPoint, api } = JSON.parse(process.argv[2]) as ChildOptions;
const stopping = new AbortController();
const { signal } = stopping;
process.on('SIGTERM', () => stopping.abort());
const points = new FailPoints(failPoint);
if (role === 'api' && api) {
  const onListening = (at: number) => void writeSync(REPORT, `${at}\n`);
  await serveWithFailPoints(place, { ...api, points, signal, onListening });
} else if (role !== 'api') {
  const tools = await openTools(place);
  writeSync(REPORT, '\n');
  await play(role, failPoint === null ? tools : withFailPoints(tools, points, place, role, REPORT), place, signal);
  await tools.close();
}
