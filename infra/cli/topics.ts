/** `iflex topics`: the one table of topics, and how far a log of them reaches. */
import type { Command } from 'commander';
import { MAINTENANCE_INTERVAL_MS, MINUTE_MS } from '../../streams/limits.ts';
import { maintain, planMaintenance, type TopicUpkeep } from '../../streams/maintenance.ts';
import { TOPICS } from '../../streams/topics.ts';
import { DEFAULT_NAMESPACE, withEngine, withExistingLog } from './existing-log.ts';

interface TopicsCommand {
  namespace?: string;
  json?: boolean;
}

const HELP = `
Examples
  iflex topics
  iflex topics list --namespace main
  iflex topics list --namespace main --json | jq '.[] | select(.name == "rejected").endOffsets'
  iflex topics maintain --dry-run`;

const MAINTAIN_HELP = `
Of a compacted topic the latest event of each key stays; of a topic with retention what was appended less than its span
before the latest event of the log. All others are kept for ever. A running pipeline does the same every ${MAINTENANCE_INTERVAL_MS / MINUTE_MS} minutes,
and may go on meanwhile.

Examples
  iflex topics maintain --dry-run
  iflex topics maintain --namespace trial`;

export function registerTopics(program: Command): void {
  const topics = program
    .command('topics')
    .description('List the topics, or do what the table says about how long they are kept.')
    .addHelpText('after', HELP);
  topics
    .command('list', { isDefault: true })
    .description('List them: what each carries, how it is keyed and kept, and why.')
    .option('--namespace <name>', 'show the end offsets of its log too: per partition the offset that the next event gets')
    .option('--json', 'the whole table as JSON')
    .addHelpText('after', HELP)
    .action(list);
  topics
    .command('maintain')
    .description('Compact and expire what the table of topics says, once, and say what went.')
    .option('--namespace <name>', 'log to look after', DEFAULT_NAMESPACE)
    .option('--dry-run', 'only say what would go')
    .addHelpText('after', MAINTAIN_HELP)
    .action(maintainOnce);
}

async function list({ namespace, json }: TopicsCommand): Promise<void> {
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
}

async function maintainOnce({ namespace, dryRun }: { namespace: string; dryRun?: boolean }): Promise<void> {
  await withEngine((backend) =>
    withExistingLog(backend, namespace, async ({ log }) => {
      for (const plan of await planMaintenance({ log })) console.log(planLine(plan));
      if (dryRun) return;
      for (const [topic, removed] of await maintain({ log })) console.log(`Removed ${removed} events of ${topic}.`);
    }),
  );
}

function planLine({ topic, held, toRemove, beforeAppendedMs }: TopicUpkeep): string {
  const which =
    beforeAppendedMs === null ? 'are not the latest of their key' : `were appended before ${new Date(beforeAppendedMs).toISOString()}`;
  return `${topic}: ${toRemove} of ${held} events ${which}.`;
}

async function endOffsets(namespace: string): Promise<Map<string, number[]>> {
  return withEngine((backend) =>
    withExistingLog(backend, namespace, async ({ log }) => {
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
