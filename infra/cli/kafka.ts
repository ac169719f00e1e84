/** `iflex kafka`: what an operator of a log on Kafka needs beside Kafka's own tools. */
import type { Command } from 'commander';
import { IflexError } from '../../streams/errors.ts';
import { KafkaCluster } from '../../streams/kafka-cluster.ts';
import { endTransaction, findOpenTransactions, isHanging, type OpenTransaction, outcomeElsewhere } from '../../streams/kafka-hanging.ts';
import { listKafkaNamespaces, lookUpKafkaNamespace } from '../../streams/kafka-namespaces.ts';
import { KafkaReader } from '../../streams/kafka-reader.ts';
import { kafkaSettings } from '../../streams/kafka-settings.ts';
import { placesOf, wantedTopics } from '../../streams/kafka-topics.ts';
import { HOUR_MS } from '../../streams/limits.ts';
import { notFound } from '../../streams/namespaces.ts';
import { TOPICS } from '../../streams/topics.ts';
import { DEFAULT_NAMESPACE } from './existing-log.ts';

const ANSWER_WITHIN_MS = 30_000;
const HELP = `
Readers see nothing that was appended after a transaction until it ends. One whose writer froze is ended by its
coordinator within seconds. One that no coordinator knows hangs: nobody ends it, and its partition stands still. A restart
of a broker can leave such behind where a client writes transactions as they were before Kafka 4.0.

--end writes the mark that ends those that hang: no coordinator has them under way, and their writers have been silent
for longer than a transaction may last. Where another partition says that the transaction was committed, it is committed
here too; else it is aborted, which loses nothing: appends answer once they can be read. It needs the right to alter the
cluster. A running pipeline does the same by itself where a coordinator says that the producer has gone on to a later epoch,
unless KAFKA_REPAIR_HANGING is false.

Status 1 where a transaction hangs and was not ended.

Examples
  iflex kafka hanging
  iflex kafka hanging --namespace trial --end`;

export function registerKafka(program: Command): void {
  const kafka = program.command('kafka').description('Look after a log on Kafka (KAFKA_BROKERS).').addHelpText('after', HELP);
  kafka
    .command('hanging')
    .description('Show transactions that hold readers back, and end those that nobody else ever will.')
    .option('--namespace <name>', 'whose topics to look at', DEFAULT_NAMESPACE)
    .option('--end', 'end those that hang')
    .addHelpText('after', HELP)
    .action(hanging);
}

async function hanging({ namespace, end }: { namespace: string; end?: boolean }): Promise<void> {
  const settings = kafkaSettings();
  if (!settings)
    throw new IflexError('CONFIG_INVALID', 'KAFKA_BROKERS is not set: the log is not in Kafka, where alone transactions can hang.');
  if (!(await lookUpKafkaNamespace(settings, namespace)))
    throw notFound(
      namespace,
      (await listKafkaNamespaces(settings)).map(({ name }) => name),
    );
  const cluster = new KafkaCluster(settings, 'iflex kafka');
  try {
    const reader = new KafkaReader(cluster);
    const wanted = wantedTopics(namespace, TOPICS, { compactionLagMs: HOUR_MS });
    const places = wanted.flatMap(placesOf);
    const topics = new Set(wanted.map(({ name }) => name));
    const done = <T>(work: () => Promise<T>) => cluster.untilDone(work, { topics, withinMs: ANSWER_WITHIN_MS });
    const open = await done(() => findOpenTransactions(cluster, reader, places));
    if (open.length === 0) console.log(`No transaction holds readers of "${namespace}" back.`);
    const nowMs = Date.now();
    for (const each of open) {
      console.log(lineOf(each, nowMs));
      if (!isHanging(each, nowMs)) continue;
      if (end) {
        const outcome = (await outcomeElsewhere(reader, each, places)) ?? 'abort';
        await done(() => endTransaction(cluster, each, outcome));
        console.log(outcome === 'commit' ? '  ended: committed, as in its other partitions.' : '  ended: aborted.');
      } else process.exitCode = 1;
    }
  } finally {
    await cluster.close();
  }
}

function lineOf(each: OpenTransaction, nowMs: number): string {
  const { topic, partition, producerId, firstOffset, heldBack, lastWriteMs, transaction } = each;
  const seconds = (ms: number) => `${Math.round((nowMs - ms) / 1000)} s`;
  const what = `${topic}/${partition}: producer ${producerId} from offset ${firstOffset}, holds ${heldBack} offsets back, last wrote ${seconds(lastWriteMs)} ago`;
  if (isHanging(each, nowMs)) return `${what}. It hangs: no coordinator has it under way.`;
  if (transaction === null) return `${what}. No coordinator has it under way; if it is still there in a minute, it hangs.`;
  return `${what}. Open for ${seconds(transaction.startedMs)} as ${transaction.id}; its coordinator ends it after ${transaction.timeoutMs / 1000} s.`;
}
