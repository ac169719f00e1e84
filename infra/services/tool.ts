/** Programs of the machine that installing needs: apt-get, dpkg-deb, mvn, tar, java. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { IflexError } from '../../streams/errors.ts';
import { INSTALL_WITHIN_MS, JAVA_LEAST } from './versions.ts';

/** The Debian packages that bring what may be missing. */
const PACKAGE_OF: Record<string, string> = {
  java: 'default-jre-headless',
  mvn: 'maven',
  tar: 'tar',
  'apt-get': 'apt',
  'dpkg-deb': 'dpkg',
  dpkg: 'dpkg',
};
export const PREREQUISITES = [PACKAGE_OF.java, PACKAGE_OF.mvn];
const OUTPUT_LIMIT = 1_000_000;

/**
 * Runs a program to its end and gives what it wrote. Throws SERVICE_NOT_INSTALLABLE where it is missing, fails or takes too
 * long; `purpose` says what could not be done.
 */
export async function runTool(
  command: string,
  args: string[],
  purpose: string,
  cwd?: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ stdout: string; stderr: string }> {
  const limit = AbortSignal.timeout(INSTALL_WITHIN_MS);
  const output = { stdout: '', stderr: '' };
  const failure = (why: string, cause?: unknown) =>
    new IflexError('SERVICE_NOT_INSTALLABLE', `${purpose}: ${why}`, { command, args }, cause);
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], signal: limit, env: { ...env, LC_ALL: 'C' } });
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] = (output[name] + text).slice(-OUTPUT_LIMIT)));
  }
  const status = await new Promise<number | null>((done, failed) => child.on('close', done).on('error', failed)).catch((error) => {
    if (limit.aborted) throw failure(`${command} took longer than ${INSTALL_WITHIN_MS / 60_000} minutes`, error);
    if (error.code !== 'ENOENT') throw failure(error.message, error);
    throw failure(
      `${command.split('/').at(-1)} is missing. As root: apt-get install ${PACKAGE_OF[command.split('/').at(-1)!] ?? command}`,
      error,
    );
  });
  if (status === 0) return output;
  const said = `${output.stdout}\n${output.stderr}`.trim().split('\n').slice(-6).join('\n');
  throw failure(`${command} failed (status ${status}). Is the network there?\n${said}`);
}

/** The Java to run with: $JAVA_HOME's, else the one on the path. Throws SERVICE_NOT_INSTALLABLE where it is missing or too old. */
export async function findJava(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const java = env.JAVA_HOME ? join(env.JAVA_HOME, 'bin', 'java') : 'java';
  const { stdout, stderr } = await runTool(java, ['-version'], `Java ${JAVA_LEAST} or newer is needed`, undefined, env);
  const version = /version "(\d+)/.exec(stderr + stdout)?.[1];
  if (Number(version) >= JAVA_LEAST) return java;
  const cure = `As root: apt-get install ${PACKAGE_OF.java}, or set JAVA_HOME`;
  throw new IflexError('SERVICE_NOT_INSTALLABLE', `Java ${JAVA_LEAST} or newer is needed, and ${java} is Java ${version ?? '?'}. ${cure}.`);
}

/** What of Java and Maven is missing or too old, in words; undefined where both can be used. */
export async function lackingPrerequisite(env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  try {
    await findJava(env);
    await runTool('mvn', ['-version'], 'Maven is needed', undefined, env);
    return undefined;
  } catch (error) {
    if (error instanceof IflexError && error.code === 'SERVICE_NOT_INSTALLABLE') return error.message;
    throw error;
  }
}
