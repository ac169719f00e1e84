/** Folders on disk. */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * Makes a folder and those above it that are missing, one at a time: Node's own way of making them all never ends where
 * the system says of each that it does not exist, as below /proc. Returns what was missing, outermost first. Throws the
 * system's error where one cannot be made, or is no folder.
 */
export function makeFolders(path: string): string[] {
  const folder = resolve(path);
  const missing: string[] = [];
  for (let each = folder; !existsSync(each) && each !== dirname(each); each = dirname(each)) missing.unshift(each);
  for (const each of missing) makeFolder(each);
  if (!statSync(folder).isDirectory()) throw new Error(`${folder} is not a folder`);
  return missing;
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another process may have made it meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
