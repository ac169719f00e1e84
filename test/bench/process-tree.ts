import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks of /proc a second: fixed on Linux. */
const TICKS_PER_SECOND = 100;

interface Stat {
  parent: number;
  /** Of the process, and of its children that have ended and were waited for (ms). */
  ownMs: number;
  reapedMs: number;
}

/** CPU time so far of a process, its living descendants, and those that have ended (ms). */
export function cpuMsOfTree(root: number): number {
  const stats = new Map<number, Stat>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = statOf(name);
    if (stat) stats.set(Number(name), stat);
  }
  let sumMs = 0;
  for (const [pid, { ownMs, reapedMs }] of stats) if (descends(pid, root, stats)) sumMs += ownMs + reapedMs;
  return sumMs;
}

function descends(pid: number, root: number, stats: ReadonlyMap<number, Stat>): boolean {
  for (let at: number | undefined = pid; at !== undefined && at > 0; at = stats.get(at)?.parent) if (at === root) return true;
  return false;
}

/** See proc_pid_stat(5); the second field may hold spaces, so counting begins behind its bracket. */
function statOf(pid: string): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined; // it ended meanwhile
  }
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const ms = (ticks: number) => (ticks * 1000) / TICKS_PER_SECOND;
  return { parent: fields[1], ownMs: ms(fields[11] + fields[12]), reapedMs: ms(fields[13] + fields[14]) };
}
