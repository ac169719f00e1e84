// Runs before `npm start`, `npm test` and `npm run check`: installs the locked dependencies where they are missing
// or older than the lock file, so that one command is enough on a fresh clone. Works on Node 20.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const marker = join(root, 'node_modules', '.package-lock.json');
const lock = join(root, 'package-lock.json');
const node24 = join(root, 'node_modules', 'node', 'bin', 'node');

const current = existsSync(marker) && existsSync(node24) && statSync(marker).mtimeMs >= statSync(lock).mtimeMs;
if (!current) {
  console.log('Installing dependencies (once, about a minute) …');
  const done = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: root, stdio: 'inherit' });
  if (done.status !== 0) {
    console.error('npm ci failed. Check the network connection and run the command again.');
    process.exit(done.status ?? 1);
  }
  if (!existsSync(node24)) {
    console.error('Node 24 was not installed: npm blocked the install script of the package "node".');
    console.error('Run `npm rebuild node` or allow install scripts (package.json, allowScripts) and try again.');
    process.exit(1);
  }
}
