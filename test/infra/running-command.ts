/** `iflex` commands as processes of their own, as people and service managers run them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { PROJECT_FOLDER } from '../../infra/engine.ts';

/** Types are stripped once, not in every process. */
const CACHE = { NODE_COMPILE_CACHE: join(PROJECT_FOLDER, 'node_modules', '.cache', 'compiled') };

export interface Command {
  process: ChildProcess;
  /** What it has printed. */
  printed(): string;
}

export function iflex(env: NodeJS.ProcessEnv, ...args: string[]): Command {
  const child = spawn(process.execPath, [join(PROJECT_FOLDER, 'infra/cli/main.ts'), ...args], { env: { ...env, ...CACHE } });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (printed += text));
  return { process: child, printed: () => printed };
}

/** What the pattern captures, once it is printed. */
export async function waitFor({ process, printed }: Command, pattern: RegExp): Promise<string> {
  for (;;) {
    const match = pattern.exec(printed());
    if (match) return match[1] ?? match[0];
    if (hasEnded(process)) throw new Error(`iflex ended with ${process.exitCode ?? process.signalCode}: ${printed()}`);
    await Promise.race([once(process.stdout!, 'data'), once(process.stderr!, 'data'), once(process, 'close')]);
  }
}

/** Signals a process; with what it ended, once it has. */
export async function end({ process }: Command, signal: NodeJS.Signals): Promise<unknown[]> {
  const closed = once(process, 'close');
  process.kill(signal);
  return closed;
}

/** A process of which nothing is left may be told to end: it does not matter. */
export function endAnyhow(commands: readonly Command[]): void {
  for (const { process } of commands) if (!hasEnded(process)) process.kill('SIGKILL');
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}
