/** The `iflex` command: one file of this folder for each group of commands. */
import { Command } from 'commander';
import { IflexError } from '../../streams/errors.ts';
import { registerImport } from './import.ts';
import { registerInstance } from './instance.ts';
import { registerNamespaces } from './namespaces.ts';
import { registerRebuild } from './rebuild.ts';
import { registerReplay } from './replay.ts';
import { registerRun } from './run.ts';
import { registerSchemas } from './schemas.ts';
import { registerServe } from './serve.ts';
import { registerStart } from './start.ts';
import { registerTap } from './tap.ts';
import { registerToken } from './token.ts';
import { registerTopics } from './topics.ts';

const program = new Command('iflex')
  .description('Event-sourced demand-side flexibility: readings in, aligned series, forecasts and decisions out.')
  .showHelpAfterError('(run with --help to see what there is)');
for (const register of [
  registerImport,
  registerInstance,
  registerNamespaces,
  registerRebuild,
  registerReplay,
  registerRun,
  registerSchemas,
  registerServe,
  registerStart,
  registerTap,
  registerToken,
  registerTopics,
])
  register(program);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof IflexError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
}
