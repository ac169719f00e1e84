#!/usr/bin/env node
// The `iflex` command: starts the TypeScript command line on the Node 24 that came with the dependencies, whatever
// Node started this file (Node strips types from 22.18 on, and no code of ours relies on an older one).
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(realpathSync(fileURLToPath(import.meta.url)));
const node24 = join(here, '..', 'node_modules', 'node', 'bin', 'node');
if (!existsSync(node24)) {
  console.error('Dependencies are not installed. Run `npm install` in the project folder first.');
  process.exit(1);
}
// Types are stripped once, not at every start: a third of the time of a short command.
const env = { NODE_COMPILE_CACHE: join(here, '..', 'node_modules', '.cache', 'compiled'), ...process.env };
// A young generation that is left to grow costs tasks a tenth of their CPU time, and 60 MB (kafka-exactly-once).
const options = JSON.parse(readFileSync(join(here, 'node-options.json'), 'utf8'));
const child = spawn(node24, [...options, join(here, 'cli', 'main.ts'), ...process.argv.slice(2)], { stdio: 'inherit', env });
// Whoever stops this process means the command, which ends what it does and then this process with it. `npm start` execs
// it, so that npm's child is this one: a shell in between would end by itself and pass nothing on.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
