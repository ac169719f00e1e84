/** What Prometheus sees of a namespace and its server: requests, how far the log and its readers are, what was rejected, the process. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Lag, Service } from '../api/routes/service.ts';
import { PROJECTIONS } from '../projections/list.ts';
import { projectionPositions } from '../projections/queries/projection-positions.ts';
import { replicaLagMs } from '../projections/queries/replica-lag.ts';
import { clockLead } from '../streams/adapters/clock.ts';
import type { EventLog } from '../streams/event-log.ts';
import { PARTITION_COUNT } from '../streams/limits.ts';
import type { Pool } from '../streams/postgres.ts';
import { TOPICS } from '../streams/topics.ts';
import { countHanging } from './hanging-tally.ts';
import { createRejectedCounter } from './rejected-counter.ts';

export interface ServiceDeps {
  log: EventLog;
  /** Read-only connections of the namespace. */
  pool: Pool;
  /** Whether these go to a replica. */
  isReplica?: boolean;
  /** Fact topics that the tasks take in. */
  taskTopics: readonly string[];
  nowMs: () => number;
  /** How many transactions that hung this process has ended, or left, by outcome. */
  hanging?: Readonly<Record<string, number>>;
}

const SECONDS_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function createService(deps: ServiceDeps): Service {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const labelNames = ['method', 'route', 'status'];
  const requests = new Counter({ name: 'iflex_http_requests_total', help: 'Requests answered.', labelNames, registers: [registry] });
  const duration = new Histogram({
    name: 'iflex_http_request_duration_seconds',
    help: 'Time to answer a request.',
    labelNames: ['method', 'route'],
    buckets: SECONDS_BUCKETS,
    registers: [registry],
  });
  if (deps.hanging) countHanging(registry, deps.hanging);
  const gauges = createGauges(registry);
  const countRejected = createRejectedCounter(deps.pool);
  return {
    lags: () => lagsOf(deps),
    clockLead: () => clockLead(deps.log, deps.nowMs()),
    ...(deps.isReplica && { replicaLagMs: () => replicaLagMs(deps.pool) }),
    metrics: {
      contentType: registry.contentType,
      async render() {
        await refresh(deps, gauges, countRejected);
        return registry.metrics();
      },
      observe({ method, route, status, seconds }) {
        requests.inc({ method, route, status });
        duration.observe({ method, route }, seconds);
      },
    },
  };
}

type Gauges = ReturnType<typeof createGauges>;

function createGauges(registry: Registry) {
  const gauge = (name: string, help: string, labelNames: string[]) => new Gauge({ name, help, labelNames, registers: [registry] });
  return {
    ends: gauge('iflex_log_end_offset', 'Offset after the last record.', ['topic', 'partition']),
    behind: gauge('iflex_lag_records', 'Offsets between a reader (task or projection) and the end of its topic.', [
      'reader',
      'topic',
      'partition',
    ]),
    waited: gauge('iflex_lag_seconds', 'How long the oldest record that a reader has not taken in has waited.', ['reader']),
    ahead: gauge('iflex_tick_lead_seconds', 'How far the latest tick is ahead of the clock; more than minutes: one is wrong.', []),
    replica: gauge('iflex_replica_lag_seconds', 'How long the replica for reading has not applied what it received; -1: not known.', []),
    rejectedEvents: gauge('iflex_rejected_events', 'Events set aside, by code.', ['code']),
    rejectedReadings: gauge('iflex_rejected_readings', 'Readings set aside, by code.', ['code']),
  };
}

async function refresh(deps: ServiceDeps, gauges: Gauges, countRejected: ReturnType<typeof createRejectedCounter>): Promise<void> {
  for (const gauge of Object.values(gauges)) gauge.reset();
  for (const [topic, ends] of await endsOf(deps.log)) {
    ends.forEach((end, partition) => {
      gauges.ends.set({ topic, partition }, end);
    });
  }
  const longest = new Map<string, number>();
  for (const { reader, topic, partition, records, waitedMs } of await lagsOf(deps)) {
    gauges.behind.set({ reader, topic, partition }, records);
    longest.set(reader, Math.max(longest.get(reader) ?? 0, waitedMs));
  }
  gauges.ahead.set((await clockLead(deps.log, deps.nowMs())).aheadMs / 1000);
  if (deps.isReplica) gauges.replica.set(((await replicaLagMs(deps.pool)) ?? -1_000) / 1000);
  for (const [reader, waitedMs] of longest) gauges.waited.set({ reader }, waitedMs / 1000);
  for (const [code, { events, readings }] of await countRejected()) {
    gauges.rejectedEvents.set({ code }, events);
    gauges.rejectedReadings.set({ code }, readings);
  }
}

async function endsOf(log: EventLog): Promise<Map<string, number[]>> {
  const written = TOPICS.filter(({ draft }) => !draft);
  return new Map(await Promise.all(written.map(async ({ name }) => [name, await log.endOffsets(name)] as const)));
}

/** Of every reader in every partition of its topics. Positions are read before ends, so that no lag is below zero. */
async function lagsOf({ log, pool, taskTopics, nowMs }: ServiceDeps): Promise<Lag[]> {
  const partitions = Array.from({ length: PARTITION_COUNT }, (_, partition) => partition);
  const taskPositions = await Promise.all(partitions.map((partition) => log.taskPositions(partition)));
  const projected = new Map(
    (await projectionPositions(pool)).map(({ name, topic, partition, nextOffset }) => [`${name} ${topic} ${partition}`, nextOffset]),
  );
  const ends = await endsOf(log);
  const readers = [
    ...taskTopics.map((topic) => ({ reader: 'task', topic, position: (partition: number) => taskPositions[partition][topic] ?? 0 })),
    ...PROJECTIONS.flatMap(({ name, topics }) =>
      topics.map((topic) => ({
        reader: name,
        topic,
        position: (partition: number) => projected.get(`${name} ${topic} ${partition}`) ?? 0,
      })),
    ),
  ];
  return Promise.all(
    readers.flatMap(({ reader, topic, position }) =>
      partitions.map(async (partition) => {
        const offset = position(partition);
        const records = Math.max(0, ends.get(topic)![partition] - offset);
        return {
          reader,
          topic,
          partition,
          records,
          waitedMs: records === 0 ? 0 : await waitedSince(log, topic, partition, offset, nowMs()),
        };
      }),
    ),
  );
}

/** How long the first record at or after the offset has been in the log. */
async function waitedSince(log: EventLog, topic: string, partition: number, offset: number, nowMs: number): Promise<number> {
  const { records } = await log.read({ topic, partition }, offset, { maxRecords: 1, maxBytes: 1 });
  return records.length === 0 ? 0 : Math.max(0, nowMs - records[0].appendedMs);
}
