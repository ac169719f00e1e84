/**
 * What sharing costs: two processes that share the tasks of a namespace over Kafka, as members of its group, against one
 * member that runs them all; exactly once, with durable state, one reading a delivery. Held against each other is the CPU
 * time of the processes together once they are warm, as a machine that has the broker on it too cannot show how much
 * faster two members are: their rates are told beside it. The windows of some sites are held against plain sums.
 */
import { up } from '../../infra/services/lifecycle.ts';
import { SERVICES } from '../../infra/services/list.ts';
import { openPlace } from '../../infra/services/place.ts';
import { openKafkaLog } from '../../streams/kafka-log.ts';
import { dropKafkaNamespace } from '../../streams/kafka-namespaces.ts';
import { type KafkaSettings, kafkaSettings } from '../../streams/kafka-settings.ts';
import { MINUTE_MS } from '../../streams/limits.ts';
import { outputTopic, WIDTHS_MINUTES } from '../peers/kafka-streams/run.ts';
import { withServicesOfARun } from '../services-of-a-run.ts';
import { type Benchmark, type Measured, median, pairs } from './benchmark.ts';
import { graceMinutesOf, type LoadedReadings, loadReadings } from './kafka-readings.ts';
import { runTasksIn, type TasksFigures } from './kafka-tasks-processes.ts';
import { assertWindows, windowsIn } from './kafka-windows.ts';
import { numberedCodec } from './numbered-codec.ts';

const NAMESPACE = 'two_members';
const READINGS = 5_000_000;
const QUICK_READINGS = 600_000;
const PAIRS = 3;
/** Small sites, so that all partitions have about as many points. */
const SIZES = { seed: 23, points: 1_000, pointsPerSite: 10, readingsPerDelivery: 1, watchedSites: 10 } as const;
const WARM_UP_SHARE = 1 / 5;

const { codec } = numberedCodec();

interface Setting {
  kafka: KafkaSettings;
  loaded: LoadedReadings;
}

async function runIn(memberCount: number, { kafka, loaded }: Setting): Promise<TasksFigures> {
  const own = `${NAMESPACE}_of_${memberCount}`;
  try {
    const options = { kafka, namespace: NAMESPACE, own, processors: 'resampler', isShared: true } as const;
    const warmUpRecords = Math.floor(loaded.records * WARM_UP_SHARE);
    const figures = await runTasksIn(memberCount, options, { records: loaded.records, warmUpRecords });
    const log = await openKafkaLog({ settings: kafka, namespace: own });
    for (const width of WIDTHS_MINUTES) {
      const expected = loaded.expected.closed(width * MINUTE_MS, graceMinutesOf(SIZES.readingsPerDelivery) * MINUTE_MS);
      assertWindows(await windowsIn(log, outputTopic(width), codec), expected);
    }
    await log.close();
    return figures;
  } finally {
    await dropKafkaNamespace(kafka, own);
  }
}

async function measure(kafka: KafkaSettings, quick: boolean): Promise<Measured> {
  await dropKafkaNamespace(kafka, NAMESPACE);
  const log = await openKafkaLog({ settings: kafka, namespace: NAMESPACE });
  const loaded = await loadReadings({ log, codec, ...SIZES, readings: quick ? QUICK_READINGS : READINGS });
  await log.close();
  const runs: Record<1 | 2, TasksFigures[]> = { 1: [], 2: [] };
  const perCpuSecond = async (memberCount: 1 | 2) => {
    const run = await runIn(memberCount, { kafka, loaded });
    runs[memberCount].push(run);
    return run.warmRecords / run.warmCpuSeconds;
  };
  const measured = await pairs(
    quick ? 1 : PAIRS,
    () => perCpuSecond(2),
    () => perCpuSecond(1),
  );
  await dropKafkaNamespace(kafka, NAMESPACE);
  const middle = (of: 1 | 2, value: (run: TasksFigures) => number) => median(runs[of].map(value));
  const perSecond = ({ warmRecords, warmWallSeconds }: TasksFigures) => warmRecords / warmWallSeconds;
  const figures = {
    readings: loaded.readings,
    'two members: readings per CPU second of both': measured.ours,
    'one member: readings per CPU second': measured.peer,
    'ratios of the pairs': measured.ratios.map((ratio) => ratio.toFixed(2)).join(', '),
    'two members: readings per second of wall time': middle(2, perSecond),
    'one member: readings per second of wall time': middle(1, perSecond),
    'two members: CPU s of everything, start included': middle(2, ({ cpuSeconds }) => cpuSeconds),
    'one member: CPU s of everything, start included': middle(1, ({ cpuSeconds }) => cpuSeconds),
    'share of the smaller member': middle(2, ({ shares }) => Math.min(...shares) / (shares[0] + shares[1])),
    'two members: peak MB of the larger one': middle(2, ({ peakMegabytes }) => peakMegabytes),
    'one member: peak MB': middle(1, ({ peakMegabytes }) => peakMegabytes),
  };
  return { ratios: { 'kafka-two-members': measured.ratio }, figures };
}

export const twoMembersBenchmark: Benchmark = {
  targets: ['kafka-two-members'],
  run: ({ quick }) =>
    withServicesOfARun(async () => {
      const place = openPlace(() => {});
      await up(place, 'kafka');
      return measure(kafkaSettings(SERVICES.kafka.clientSettings(place))!, quick);
    }),
};
