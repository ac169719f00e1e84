// Runs the stages of checks and tests: node test/run.js [check|test|services|soak]. Each stage prints its time, has a limit, and
// reports at least one test; a stage that ran nothing fails. The last line is `N passed, N failed`.
// Plain JavaScript that hands over to the Node 24 of the dependencies, so that any Node can start it.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..');
const node24 = join(root, 'node_modules', 'node', 'bin', 'node');
const done = spawnSync(node24, [join(root, 'test', 'stages.ts'), ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' });
process.exit(done.status ?? 1);
