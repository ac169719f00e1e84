/** kcat as Debian has it, in a folder that is never part of the project. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from '../../infra/embedded-postgres-lock.ts';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import { unpackDebian } from '../../infra/services/debian.ts';
import { INSTALL_WITHIN_MS } from '../../infra/services/versions.ts';

const VERSION = '1.7.1';
const PROGRAM = 'usr/bin/kcat';

/** Path of the program; unpacks it where it is not there yet. */
export async function peerKcat(): Promise<string> {
  const cache = join(PROJECT_FOLDER, 'node_modules', '.cache');
  const folder = join(cache, `peers-kcat-${VERSION}`);
  const marker = join(folder, '.complete');
  mkdirSync(cache, { recursive: true });
  await withLock(`${folder}.lock`, INSTALL_WITHIN_MS, async () => {
    if (existsSync(marker)) return;
    // One that was broken off is never taken for whole.
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    await unpackDebian({ name: 'kcat', packages: ['kcat'], pinned: { package: 'kcat', version: VERSION }, programs: [PROGRAM] }, folder);
    writeFileSync(marker, VERSION);
  });
  return join(folder, PROGRAM);
}
