import type { Command } from 'commander';
import { TOPICS } from '../../streams/topics.ts';

export function registerTopics(program: Command): void {
  program
    .command('topics')
    .description('List the topics: what each carries, how it is keyed and kept, and why.')
    .action(() => {
      for (const { name, schema, key, kind, partitions, cleanup, draft, why } of TOPICS)
        console.log(
          `${name.padEnd(22)} ${schema.padEnd(20)} by ${key.padEnd(9)} ${kind.padEnd(7)} ${partitions} partitions, ${cleanup}${draft ? ', draft' : ''}  ${why}`,
        );
    });
}
