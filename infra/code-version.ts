/** What code this is, as `runs` events and reports say it. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT_FOLDER } from './engine.ts';

/** E.g. "0.1.0+da6ea26"; "+changed" where files differ from that commit; without a commit outside of a checkout. */
export function codeVersion(): string {
  const { version } = JSON.parse(readFileSync(join(PROJECT_FOLDER, 'package.json'), 'utf8')) as { version: string };
  const described = spawnSync('git', ['describe', '--always', '--dirty=.changed', '--exclude=*'], {
    cwd: PROJECT_FOLDER,
    encoding: 'utf8',
  });
  return described.status === 0 ? `${version}+${described.stdout.trim()}` : version;
}
