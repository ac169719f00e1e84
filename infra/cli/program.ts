/** The `iflex` command as a value: one file of this folder for each group of commands. */
import { Command } from 'commander';
import { codeVersion } from '../code-version.ts';
import { registerImport } from './import.ts';
import { registerInstance } from './instance.ts';
import { registerKafka } from './kafka.ts';
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

const HELP = `
From files of yours to series: README.md, "Your own data". Each command's --help shows examples.

Examples
  iflex start --once
  iflex import --help
  iflex tap resampled.15m --namespace demo --limit 5`;

export function iflexProgram(): Command {
  const program = new Command('iflex')
    .description('Event-sourced demand-side flexibility: readings in, aligned series, forecasts and decisions out.')
    .option('--version', 'print the version of the package and of the code')
    .on('option:version', printVersion)
    .addHelpText('after', HELP);
  for (const register of [
    registerImport,
    registerInstance,
    registerKafka,
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
  for (const [name, command] of commandsOf(program)) tellUsage(name, command);
  return program;
}

/** Asks git only where the version is wanted. */
function printVersion(): void {
  const code = codeVersion();
  console.log(`iflex ${code.split('+')[0]} (code version ${code})`);
  process.exit(0);
}

/** A command and all below it, with their full names ("iflex token new"). */
export function commandsOf(command: Command, name = command.name()): [string, Command][] {
  return [[name, command], ...command.commands.flatMap((below) => commandsOf(below, `${name} ${below.name()}`))];
}

/** What is wrong on the command line is told like any other wrong setting, and where to look. */
function tellUsage(name: string, command: Command): void {
  command.showHelpAfterError(`\`${name} --help\` shows what it takes, with examples.`).configureOutput({
    outputError: (text, write) => write(text.replace(/^error: /, 'CONFIG_INVALID: ')),
  });
}
