/** `iflex topics`: the one table of topics, and how far a log of them reaches. */
import type { Command } from 'commander';
import { TOPICS } from '../../streams/topics.ts';
import { withEngine, withExistingLog } from './existing-log.ts';

interface TopicsCommand {
  namespace?: string;
  json?: boolean;
}

const HELP = `
Examples
  iflex topics
  iflex topics --namespace main
  iflex topics --namespace main --json | jq '.[] | select(.name == "rejected").endOffsets'`;

export function registerTopics(program: Command): void {
  program
    .command('topics')
    .description('List the topics: what each carries, how it is keyed and kept, and why.')
    .option('--namespace <name>', 'show the end offsets of its log too: per partition the offset that the next event gets')
    .option('--json', 'the whole table as JSON')
    .addHelpText('after', HELP)
    .action(async ({ namespace, json }: TopicsCommand) => {
      const ends = namespace === undefined ? undefined : await endOffsets(namespace);
      if (json)
        console.log(
          JSON.stringify(
            TOPICS.map((topic) => ({ ...topic, endOffsets: ends?.get(topic.name) })),
            null,
            2,
          ),
        );
      else for (const line of lines(ends)) console.log(line);
    });
}

async function endOffsets(namespace: string): Promise<Map<string, number[]>> {
  return withEngine((url) =>
    withExistingLog(url, namespace, async ({ log }) => {
      const ends = await Promise.all(TOPICS.map(async ({ name }) => [name, await log.endOffsets(name)] as const));
      return new Map(ends);
    }),
  );
}

function lines(ends: Map<string, number[]> | undefined): string[] {
  return TOPICS.flatMap(({ name, schema, key, kind, partitions, cleanup, draft, why }) => {
    const kept = `${partitions} partitions, ${cleanup}${draft ? ', draft' : ''}`;
    const line = `${name.padEnd(22)} ${schema.padEnd(20)} by ${key.padEnd(9)} ${kind.padEnd(7)} ${kept.padEnd(29)} ${why}`;
    const offsets = ends?.get(name);
    return offsets ? [line, `  ${offsets.reduce((sum, end) => sum + end, 0)} events; ends ${offsets.join(' ')}`] : [line];
  });
}
