/** Where the real data stand: $IFLEX_DATA, else ../shared/data beside the project. None of it is part of the project. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT_FOLDER } from '../infra/engine.ts';

export function dataRoot(): string {
  return process.env.IFLEX_DATA ?? join(PROJECT_FOLDER, '..', 'shared', 'data');
}

/** Path of a real data file; throws where it is absent, as the runner lists data suites as not run by itself. */
export function dataFile(...parts: string[]): string {
  const path = join(dataRoot(), ...parts);
  if (!existsSync(path)) throw new Error(`${path} is missing. Set IFLEX_DATA to the folder of the real data.`);
  return path;
}
