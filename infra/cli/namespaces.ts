/** `iflex namespaces`: what logs a database holds, and how to be rid of one. */
import type { Command } from 'commander';
import { IflexError } from '../../streams/errors.ts';
import type { Namespace } from '../../streams/namespaces.ts';
import { type Backend, dropNamespace, findNamespace, listNamespaces } from '../backend.ts';
import { lockNamespace } from '../namespace-lock.ts';
import { withEngine } from './existing-log.ts';

const HELP = `
Examples
  iflex namespaces
  iflex namespaces list --json
  iflex namespaces drop trial --yes`;

export function registerNamespaces(program: Command): void {
  const namespaces = program
    .command('namespaces')
    .description('List the namespaces of the database, or drop one.')
    .addHelpText('after', HELP);
  namespaces
    .command('list', { isDefault: true })
    .description('List them: events, size on disk, latest append, and what made them.')
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action(async ({ json }: { json?: boolean }) => {
      const all = await withEngine(listNamespaces);
      if (json) console.log(JSON.stringify(all, null, 2));
      else for (const namespace of all) console.log(lineOf(namespace));
    });
  namespaces
    .command('drop <name>')
    .description('Drop a namespace with its log, state and projections. This cannot be undone.')
    .option('--yes', 'really drop it')
    .addHelpText('after', HELP)
    .action(async (name: string, { yes }: { yes?: boolean }) => {
      await withEngine(async (backend) => {
        const found = await findNamespace(backend, name);
        if (!yes) throw new IflexError('CONFIG_INVALID', `This would drop ${lineOf(found)}\nAdd --yes to do it.`);
        await dropIdleNamespace(backend, name);
        console.log(`Dropped ${lineOf(found)}`);
      });
    });
}

/** Drops a namespace on which no pipeline runs; throws PIPELINE_ALREADY_RUNNING where one does. */
export async function dropIdleNamespace(backend: Backend, name: string): Promise<void> {
  const lock = await lockNamespace(backend.url, name);
  try {
    await dropNamespace(backend, name);
  } finally {
    await lock.end();
  }
}

function lineOf({ name, events, bytes, lastAppendedMs, note }: Namespace): string {
  const latest = lastAppendedMs === null ? 'empty' : `latest ${new Date(lastAppendedMs).toISOString()}`;
  return `${name.padEnd(20)} ${events} events, ${(bytes / 1e6).toFixed(1)} MB, ${latest}${note === null ? '' : ` (${note})`}`;
}
