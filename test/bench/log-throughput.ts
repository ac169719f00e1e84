/**
 * Appending to and reading from the log on PostgreSQL, against the same SQL sent by bare `pg`, with payloads packed
 * beforehand and never unpacked. A server of its own, which is killed in the end: what was appended must be there.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../infra/embedded-postgres.ts';
import { dropRepeats, groupByPartition, pack, TopicTable } from '../../streams/append-groups.ts';
import type { EventLog, NewRecord } from '../../streams/event-log.ts';
import { MAX_STEP_BYTES, PARTITION_COUNT } from '../../streams/limits.ts';
import { partitionOf } from '../../streams/partitioner.ts';
import {
  appendStatement,
  dropNamespace,
  namespaceSchema,
  openPostgresLog,
  READ_STATEMENT,
  withSearchPath,
} from '../../streams/postgres-log.ts';
import { TOPICS } from '../../streams/topics.ts';
import { type Benchmark, median } from './benchmark.ts';

const TOPIC = 'meter.readings';
const VALUE_BYTES = 80;
const SITES_PER_PARTITION = 40;
/** Records made (outside of what is measured) and held at a time. */
const CHUNK_RECORDS = 50_000;
const PAIRS = 3;
/** In each of the pairs: 5.1 million in all. */
const RECORDS = 1_700_000;
const QUICK_RECORDS = 100_000;

/** What one side took for one pass. */
interface Pass {
  events: number;
  wallMs: number;
  /** Of this process. */
  cpuMs: number;
}

/** Batches of one partition each, as gateways of sites would deliver them; seeded. */
class Deliveries {
  private readonly sites: { key: string; source: string }[][] = Array.from({ length: PARTITION_COUNT }, () => []);
  private readonly noise = Buffer.alloc(1 << 16);
  private delivered = 0;
  private batches = 0;
  private seed = 7;

  constructor() {
    for (let i = 0; this.sites.some((sites) => sites.length < SITES_PER_PARTITION); i++) {
      const key = `site-${(i * 2_654_435_761).toString(36)}`;
      const sites = this.sites[partitionOf(key, PARTITION_COUNT)];
      if (sites.length < SITES_PER_PARTITION) sites.push({ key, source: `gateway/${key}` });
    }
    for (let i = 0; i < this.noise.length; i++) this.noise[i] = this.random() >>> 16;
  }

  private random(): number {
    this.seed = (Math.imul(this.seed, 1_664_525) + 1_013_904_223) >>> 0;
    return this.seed;
  }

  batch(count: number): NewRecord[] {
    const sites = this.sites[this.batches++ % PARTITION_COUNT];
    return Array.from({ length: count }, () => {
      const number = this.delivered++;
      const { key, source } = sites[number % sites.length];
      const from = (this.random() >>> 8) % (this.noise.length - VALUE_BYTES);
      const value = Buffer.from(this.noise.subarray(from, from + VALUE_BYTES));
      const headers = { source, number, type: 'ReadingsDelivery', knownAtMs: 1_700_000_000_000 + number * 20 };
      return { topic: TOPIC, key, value, headers };
    });
  }
}

/** Order, content and headers of what went through, as one number that does not fit by chance. */
class Checksum {
  private sum = 0;
  events = 0;
  take({ value, headers }: { value: Uint8Array; headers: NewRecord['headers'] }): void {
    this.sum = (Math.imul(this.sum, 31) + value[0] + (value[40] << 8) + value.length * 7 + headers.number + headers.source.length) | 0;
    this.events++;
  }
  toString(): string {
    return `${this.events} events, ${this.sum >>> 0}`;
  }
}

/** `work` returns how many events it went through. */
async function measured(work: () => Promise<number>): Promise<Pass> {
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  const events = await work();
  const wallMs = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(cpu);
  return { events, wallMs, cpuMs: (user + system) / 1_000 };
}

function total(passes: readonly Pass[]): Pass {
  const sum = (of: (pass: Pass) => number) => passes.reduce((all, pass) => all + of(pass), 0);
  return { events: sum(({ events }) => events), wallMs: sum(({ wallMs }) => wallMs), cpuMs: sum(({ cpuMs }) => cpuMs) };
}

/** One of the two: how it appends a batch, made ready beforehand, and reads a partition back. */
interface Side {
  prepare(batch: NewRecord[]): () => Promise<unknown>;
  /** Returns the events read. */
  readPartition(partition: number, fromOffset: number): Promise<number>;
}

function ours(log: EventLog, batchRecords: number, read: (record: NewRecord) => void): Side {
  return {
    prepare: (batch) => () => log.append(batch),
    async readPartition(partition, fromOffset) {
      let events = 0;
      for (let offset = fromOffset; ; ) {
        const { records, nextOffset } = await log.read({ topic: TOPIC, partition }, offset, {
          maxRecords: batchRecords,
          maxBytes: MAX_STEP_BYTES,
        });
        if (records.length === 0) return events;
        for (let i = 0; i < records.length; i++) read(records[i]);
        events += records.length;
        offset = nextOffset;
      }
    },
  };
}

const TABLE = new TopicTable(TOPICS);

function peer(pool: pg.Pool, schema: string, batchRecords: number): Side {
  return {
    prepare(batch) {
      const groups = groupByPartition(batch, TABLE);
      dropRepeats(groups);
      const { topics, partitions, counts, sizes, blob, sourceBatch, sourceNames, sourceFirst, sourceLast } = pack(groups);
      const values = [topics, partitions, counts, sizes, blob, sourceBatch, sourceNames, sourceFirst, sourceLast];
      return () => pool.query({ name: 'append', text: appendStatement(schema), values });
    },
    async readPartition(partition, fromOffset) {
      let events = 0;
      for (let offset = fromOffset; ; ) {
        const values = [[TOPIC], [partition], [offset], MAX_STEP_BYTES, batchRecords];
        const { rows } = await pool.query({ name: 'read', text: READ_STATEMENT, values });
        if (rows[0].first_offset === null) return events;
        for (const row of rows) {
          assert.ok(Buffer.isBuffer(row.payload));
          events += row.end_offset - row.first_offset;
        }
        offset = Number(rows.at(-1).end_offset);
      }
    },
  };
}

/** Node has it where it runs with --expose-gc, as `npm run bench` does. */
function collectGarbage(): void {
  const { gc } = globalThis as { gc?: () => void };
  assert.ok(gc, 'run with --expose-gc');
  gc();
}

/** Makes a chunk of batches ready, then measures how long appending them takes. */
async function appendChunk(side: Side, deliveries: Deliveries, batchRecords: number, onRecord: (record: NewRecord) => void): Promise<Pass> {
  const prepared: (() => Promise<unknown>)[] = [];
  for (let i = 0; i < CHUNK_RECORDS; i += batchRecords) {
    const batch = deliveries.batch(batchRecords);
    for (const record of batch) onRecord(record);
    prepared.push(side.prepare(batch));
  }
  // Else the collector would move the records that were just made while the appends are measured, for one side only.
  collectGarbage();
  return measured(async () => {
    for (const append of prepared) await append();
    return CHUNK_RECORDS;
  });
}

/** Refuses figures of a server that may lose what it acknowledged. */
async function assertDurable(pool: pg.Pool, schema: string): Promise<void> {
  for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes'])
    assert.equal((await pool.query(`SHOW ${setting}`)).rows[0][setting], 'on', `${setting} must be on`);
  const { rows } = await pool.query(
    "SELECT relname, relpersistence FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'",
    [schema],
  );
  assert.ok(rows.length >= 8);
  for (const { relname, relpersistence } of rows) assert.equal(relpersistence, 'p', `${relname} must be permanent`);
}

type Pairs = { ours: Pass; peer: Pass }[];

/** Appends and reads back in pairs, whose two sides take turns chunk by chunk, so that both meet the same machine. */
async function measurePairs(server: EmbeddedPostgres, batchRecords: number, pairs: number, events: number) {
  const names = ['ours', 'peer'];
  const logs = await Promise.all(names.map((namespace) => openPostgresLog({ url: server.url, namespace })));
  const schema = namespaceSchema('peer');
  const pool = new pg.Pool({ connectionString: withSearchPath(server.url, schema), max: 1 });
  for (const name of names) await assertDurable(pool, namespaceSchema(name));
  const seen = new Checksum();
  const orders = Array.from({ length: PARTITION_COUNT }, () => new Checksum());
  const sides = {
    ours: { ...ours(logs[0], batchRecords, (record) => seen.take(record)), deliveries: new Deliveries() },
    peer: { ...peer(pool, schema, batchRecords), deliveries: new Deliveries() },
  };
  const note = { ours: (record: NewRecord) => orders[partitionOf(record.key, PARTITION_COUNT)].take(record), peer: () => {} };
  const appended: Pairs = [];
  const read: Pairs = [];
  for (let i = 0; i < pairs; i++) {
    const ends = await logs[0].endOffsets(TOPIC);
    const chunks = events / CHUNK_RECORDS;
    appended.push(await inTurns(chunks, (which) => appendChunk(sides[which], sides[which].deliveries, batchRecords, note[which])));
    const back = await inTurns(PARTITION_COUNT, (which, partition) =>
      measured(() => sides[which].readPartition(partition, ends[partition])),
    );
    assert.deepEqual([back.ours.events, back.peer.events], [events, events], 'what was appended is read back');
    read.push(back);
  }
  assert.deepEqual(await logs[0].endOffsets(TOPIC), await logs[1].endOffsets(TOPIC));
  await Promise.all([...logs.map((log) => log.close()), pool.end()]);
  return { appended, read, orders };
}

/** Both sides do each of `count` parts of the work, the first of them by turns. */
async function inTurns(count: number, part: (which: 'ours' | 'peer', i: number) => Promise<Pass>): Promise<Pairs[number]> {
  const passes = { ours: [] as Pass[], peer: [] as Pass[] };
  for (let i = 0; i < count; i++)
    for (const which of i % 2 === 0 ? (['ours', 'peer'] as const) : (['peer', 'ours'] as const)) passes[which].push(await part(which, i));
  return { ours: total(passes.ours), peer: total(passes.peer) };
}

/** What was acknowledged is there after the server was killed, in order and byte for byte. */
async function assertRestored(server: EmbeddedPostgres, orders: readonly Checksum[]): Promise<void> {
  const log = await openPostgresLog({ url: server.url, namespace: 'ours' });
  for (let partition = 0; partition < PARTITION_COUNT; partition++) {
    const restored = new Checksum();
    await ours(log, 10_000, (record) => restored.take(record)).readPartition(partition, 0);
    assert.equal(String(restored), String(orders[partition]), `partition ${partition} after a crash`);
  }
  await log.close();
}

const perSecond = (pairs: Pairs, which: 'ours' | 'peer', of: 'wallMs' | 'cpuMs') =>
  median(pairs.map((pair) => (pair[which].events / pair[which][of]) * 1_000));
const ratio = (pairs: Pairs, of: 'wallMs' | 'cpuMs') =>
  median(pairs.map(({ ours, peer }) => ours.events / ours[of] / (peer.events / peer[of])));

async function run(batchRecords: number, name: string, quick: boolean) {
  const stateFolder = mkdtempSync(join(tmpdir(), 'iflex-bench-'));
  // The server of root runs as another user.
  chmodSync(stateFolder, 0o755);
  let server = await startEmbeddedPostgres({ stateFolder });
  try {
    // One pass of each before, so that neither pays for compiling the code.
    await measurePairs(server, batchRecords, 1, CHUNK_RECORDS).then(() => dropAll(server));
    const { appended, read, orders } = await measurePairs(server, batchRecords, PAIRS, quick ? QUICK_RECORDS : RECORDS);
    process.kill(server.serverPid, 'SIGKILL');
    server = await startEmbeddedPostgres({ stateFolder });
    await assertRestored(server, orders);
    const figures: Record<string, number | string> = {
      'events appended by each': appended.reduce((sum, { ours }) => sum + ours.events, 0),
    };
    for (const [what, pairs] of [
      ['append', appended],
      ['read', read],
    ] as const)
      for (const which of ['ours', 'peer'] as const) {
        figures[`${what}, ${which}: events/s of wall time`] = perSecond(pairs, which, 'wallMs');
        figures[`${what}, ${which}: events/s of client CPU`] = perSecond(pairs, which, 'cpuMs');
      }
    figures['append: ratio of client CPU'] = ratio(appended, 'cpuMs');
    figures['read: ratio of client CPU'] = ratio(read, 'cpuMs');
    figures['after a kill'] = 'all events restored, in order';
    return { ratios: { [`log-append-${name}`]: ratio(appended, 'wallMs'), [`log-read-${name}`]: ratio(read, 'wallMs') }, figures };
  } finally {
    await server.stop();
    rmSync(stateFolder, { recursive: true, force: true });
  }
}

async function dropAll({ url }: EmbeddedPostgres): Promise<void> {
  for (const name of ['ours', 'peer']) await dropNamespace(url, name);
}

const benchmark = (batchRecords: number, name: string): Benchmark => ({
  targets: [`log-append-${name}`, `log-read-${name}`],
  run: ({ quick }) => run(batchRecords, name, quick),
});

export const LOG_BENCHMARKS: readonly Benchmark[] = [benchmark(1_000, '1k'), benchmark(10_000, '10k')];
