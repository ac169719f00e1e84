/** `iflex schemas`: the schemas of events, and the gate that keeps old events readable. */
import type { Command } from 'commander';
import { checkSchemas, schemasOnDisk } from '../../schemas/gate.ts';
import { IflexError } from '../../streams/errors.ts';
import { TOPICS } from '../../streams/topics.ts';

const HELP = `
Examples
  iflex schemas list
  iflex schemas check`;

export function registerSchemas(program: Command): void {
  const schemas = program
    .command('schemas')
    .description('List the schemas of events, and check that every event stays readable.')
    .addHelpText('after', HELP);
  schemas
    .command('list')
    .description('List the schemas: published versions, and the topics that carry them.')
    .addHelpText('after', HELP)
    .action(() => {
      const { current, drafts, published } = schemasOnDisk();
      for (const [name, versions] of [
        ...[...current.keys()].map((name) => [name, `${published.get(name)?.length ?? 0} published`] as const),
        ...[...drafts.keys()].map((name) => [name, 'draft'] as const),
      ]) {
        const topics = TOPICS.filter(({ schema }) => schema === name).map((topic) => topic.name);
        console.log(`${name.padEnd(22)} ${versions.padEnd(12)} ${topics.join(' ')}`);
      }
    });
  schemas
    .command('check')
    .description('Check that old code reads new events and new code old ones, for every pair of versions. Status 1 where not.')
    .addHelpText('after', `\nWhat may change, and how to publish a change, stands in schemas/README.md.\n${HELP}`)
    .action(() => {
      const { checked, problems } = checkSchemas();
      for (const problem of problems) console.error(problem);
      if (problems.length > 0)
        throw new IflexError('SCHEMA_INCOMPATIBLE', `${problems.length} problem(s) in ${checked} schemas. See schemas/README.md.`);
      console.log(`${checked} schemas checked: good`);
    });
}
