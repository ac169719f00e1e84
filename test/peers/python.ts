/** A Python with the packages that peers need, in a folder that is never part of the project. */
import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PROJECT_FOLDER } from '../../infra/engine.ts';

const run = promisify(execFile);
/** What a peer is made of: exactly these, so that it is the same in every run. */
const PACKAGES = ['fastavro==1.13.1'];
export const KAFKA_CLIENT = ['confluent-kafka[avro,schemaregistry]==2.16.1', 'fastavro==1.13.1'];

/** Path of an interpreter with these packages; makes the environment where it is not there yet. */
export async function peerPython(packages: readonly string[] = PACKAGES): Promise<string> {
  const cache = join(PROJECT_FOLDER, 'node_modules', '.cache');
  const folder = join(cache, `peers-python-${hash('sha256', packages.join(' ')).slice(0, 12)}`);
  const python = join(folder, 'bin', 'python');
  if (existsSync(python)) return python;
  // Made beside and moved, so that one that was broken off is never taken for whole.
  const making = `${folder}-${process.pid}`;
  mkdirSync(cache, { recursive: true });
  await run('python3', ['-m', 'venv', making]);
  await run(join(making, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages]);
  if (existsSync(python)) rmSync(making, { recursive: true });
  else renameSync(making, folder);
  return python;
}
