/** A process of the crash suite: plays one role and dies at its fail point, or ends cleanly on SIGTERM. */
import { type FailPoint, FailPoints, withFailPoints } from './fail-points.ts';
import { openTools, type Place, play, type Role } from './roles.ts';

export interface ChildOptions {
  role: Role;
  place: Place;
  failPoint: FailPoint | null;
}

/** File descriptor on which a task runner says which steps are under way. */
const REPORT = 3;

const { role, place, failPoint } = JSON.parse(process.argv[2]) as ChildOptions;
const stopping = new AbortController();
process.on('SIGTERM', () => stopping.abort());
const tools = await openTools(place);
const watched = failPoint === null ? tools : withFailPoints(tools, new FailPoints(failPoint, place), role, REPORT);
await play(role, watched, place, stopping.signal);
await tools.close();
