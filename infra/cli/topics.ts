/** `iflex topics`: the one table of topics, and how far a log of them reaches. */
import type { Command } from 'commander';
import { IflexError } from '../../streams/errors.ts';
import { KafkaCluster } from '../../streams/kafka-cluster.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { applyTopics, planTopics, type TopicDrift, wantedTopics } from '../../streams/kafka-topics.ts';
import { HOUR_MS, MAINTENANCE_INTERVAL_MS, MINUTE_MS } from '../../streams/limits.ts';
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

const APPLY_HELP = `
Missing topics are made, settings that differ are set; others of a topic stay as they are. A number of partitions is never
changed: that would move keys to other partitions. Replay into a new namespace instead.

Status 1 where something differs and was not set right.

Examples
  iflex topics apply
  iflex topics apply --namespace trial --yes`;

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
  topics
    .command('apply')
    .description('Show how the topics of a log on Kafka differ from the table, and set them right.')
    .option('--namespace <name>', 'log to look after', DEFAULT_NAMESPACE)
    .option('--yes', 'really do it')
    .addHelpText('after', APPLY_HELP)
    .action(apply);
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

async function apply({ namespace, yes }: { namespace: string; yes?: boolean }): Promise<void> {
  const settings = kafkaSettings();
  if (!settings)
    throw new IflexError('CONFIG_INVALID', 'KAFKA_BROKERS is not set: the log is in PostgreSQL, whose topics are as the table says.');
  const wanted = wantedTopics(namespace, TOPICS, { compactionLagMs: HOUR_MS });
  const drift = await planTopics(settings, wanted);
  for (const each of drift) console.log(driftLine(each));
  const fixed = drift.filter(({ partitions }) => partitions !== null && partitions.is !== partitions.wanted);
  if (drift.length === 0) console.log(`The ${wanted.length} topics of "${namespace}" are as the table says.`);
  else if (yes) {
    const cluster = new KafkaCluster(settings, 'iflex topics');
    await applyTopics(cluster, wanted, drift).finally(() => cluster.close());
    console.log(fixed.length === 0 ? 'Done.' : 'Done, but for the numbers of partitions.');
  } else console.log('Nothing was changed. Add --yes to do it.');
  if (drift.length > 0 && (!yes || fixed.length > 0)) process.exitCode = 1;
}

function driftLine({ topic, partitions, settings }: TopicDrift): string {
  if (partitions === null) return `${topic}: is missing and is made.`;
  const set = settings.map(({ name, is, wanted }) => `${name} is ${is}, is set to ${wanted}`);
  if (partitions.is !== partitions.wanted) set.unshift(`has ${partitions.is} partitions, not ${partitions.wanted}, which stays`);
  return `${topic}: ${set.join('; ')}.`;
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
