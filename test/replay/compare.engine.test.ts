/** Comparisons of derived topics: counts, the first divergence of each topic, and what is outside of canonical bytes. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { COMPARED_TOPICS, compareLogs, describeComparison, type Side, type TopicComparison } from '../../replay/compare.ts';
import { importFiles } from '../../replay/import/import-files.ts';
import { declare } from '../../replay/instance/declare.ts';
import type { DataNotice, Rejected } from '../../schemas/types.ts';
import type { EventLog, NewRecord } from '../../streams/event-log.ts';
import { openPostgresLog } from '../../streams/postgres-log.ts';
import { openRegistry } from '../../streams/schema-registry.ts';
import { openTestEngine } from '../engine.ts';
import { instanceFor, mappingFor } from './import-instance.ts';

const engine = await openTestEngine();
const logs: EventLog[] = [];
after(() => Promise.all(logs.map((log) => log.close())));

async function newSide(): Promise<Side> {
  const namespace = engine.namespace();
  const log = await openPostgresLog({ url: engine.url, namespace });
  logs.push(log);
  return { log, codec: await openRegistry(engine.url, namespace) };
}

const BASE: DataNotice = {
  siteId: 'home',
  pointId: 'grid',
  knownAtMs: 1000,
  kind: 'DOUBLE',
  startMs: 500,
  value: 1,
  otherValue: null,
  count: 1,
};

function notice({ codec }: Side, at: number, change: Partial<DataNotice> = {}, headers: Partial<NewRecord['headers']> = {}): NewRecord {
  const value = { ...BASE, startMs: BASE.startMs + at, ...change };
  const id = `id-${at}-${JSON.stringify(change)}`;
  return {
    topic: 'notices',
    key: value.siteId,
    value: codec.encode('DataNotice', value),
    headers: { source: 'resampler', number: -1, type: 'DataNotice', knownAtMs: 1000, id, causes: `because ${at}`, run: 'one', ...headers },
  };
}

function site({ codec }: Side, siteId: string, knownAtMs: number): NewRecord {
  const declaration = { siteId, knownAtMs, pilotId: 'p', timeZone: 'Europe/Helsinki', kind: 'HOME', origin: 'SIMULATED' };
  return {
    topic: 'sites.latest',
    key: siteId,
    value: codec.encode('SiteDeclared', { ...declaration, personalData: null, points: [] }),
    headers: { source: 'resampler', number: -1, type: 'SiteDeclared', knownAtMs, id: `${siteId} ${knownAtMs}` },
  };
}

async function compared(left: Side, right: Side, topic: string): Promise<TopicComparison> {
  const found: TopicComparison[] = [];
  for await (const comparison of compareLogs(left, right, [topic])) found.push(comparison);
  assert.equal(found.length, 1);
  return found[0];
}

describe('a comparison', () => {
  it('is equal where runs, causes and batches differ and canonical bytes do not', async () => {
    const [left, right] = [await newSide(), await newSide()];
    await left.log.append([0, 1, 2].map((at) => notice(left, at)));
    for (const at of [0, 1, 2]) await right.log.append([notice(right, at, {}, { run: 'other', causes: 'other', knownAtMs: 5 })]);
    const comparison = await compared(left, right, 'notices');
    assert.deepEqual(comparison, { topic: 'notices', leftCount: 3, rightCount: 3, divergence: null });
    assert.match(describeComparison(comparison), /^notices +3 events, equal$/);
  });

  it('shows the first event that differs, with its causes, and goes on counting', async () => {
    const [left, right] = [await newSide(), await newSide()];
    await left.log.append([0, 1, 2].map((at) => notice(left, at)));
    await right.log.append([notice(right, 0), notice(right, 1, { count: 7 }), notice(right, 2, { value: 9 }), notice(right, 3)]);
    const { leftCount, rightCount, divergence } = await compared(left, right, 'notices');
    assert.deepEqual([leftCount, rightCount, divergence?.equalBefore], [3, 4, 1]);
    assert.deepEqual(divergence?.differences, [{ path: 'count', left: '1', right: '7' }]);
    assert.deepEqual(divergence?.left, {
      ...{ id: 'id-1-{}', key: 'home', offset: 1, knownAt: '1970-01-01T00:00:01.000Z', causes: 'because 1' },
      what: 'point grid, from 1970-01-01T00:00:00.501Z, kind DOUBLE',
    });
  });

  it('says which side has ended, and where only ids differ', async () => {
    const [left, right, other] = [await newSide(), await newSide(), await newSide()];
    await left.log.append([notice(left, 0), notice(left, 1)]);
    await right.log.append([notice(right, 0)]);
    await other.log.append([notice(other, 0), notice(other, 1, {}, { id: 'another' })]);
    const ended = await compared(left, right, 'notices');
    assert.equal(ended.divergence?.right, null);
    assert.match(
      describeComparison(ended),
      /2 and 1 events, differ in partition \d+ after 1 equal ones\n {2}left: id-1-\{\} .*\n.*\n {2}right: has ended/,
    );
    const { divergence } = await compared(left, other, 'notices');
    assert.deepEqual(divergence?.differences, [{ path: 'id', left: '"id-1-{}"', right: '"another"' }]);
  });

  it('of a compacted topic compares the latest event of each key, compacted or not', async () => {
    const [left, right] = [await newSide(), await newSide()];
    await left.log.append([site(left, 'a', 1), site(left, 'b', 1), site(left, 'a', 2)]);
    await right.log.append([site(right, 'b', 1), site(right, 'a', 1), site(right, 'a', 2)]);
    await left.log.compact('sites.latest');
    assert.deepEqual(await compared(left, right, 'sites.latest'), { topic: 'sites.latest', leftCount: 2, rightCount: 2, divergence: null });
    await right.log.append([site(right, 'b', 3)]);
    assert.equal((await compared(left, right, 'sites.latest')).divergence?.left?.key, 'b');
  });

  it('of rejected events leaves out at which offset their record lies, and nothing else', async () => {
    const [left, right, other] = [await newSide(), await newSide(), await newSide()];
    const rejected = ({ codec }: Side, source: string, reason = 'garbage'): NewRecord => {
      const bytes = { bytes: Buffer.from('x'), byteLength: 1, sha256: 'ab' };
      const place = { pointId: null, startMs: null, readingCount: 0, startsMs: [] };
      const value: Rejected = { siteId: 'home', knownAtMs: 1000, code: 'EVENT_INVALID', reason, source, ...place, ...bytes };
      const headers = { source: 'reject', number: -1, type: 'Rejected', knownAtMs: 1000, id: 'same' };
      return { topic: 'rejected', key: 'home', value: codec.encode('Rejected', value), headers };
    };
    await left.log.append([rejected(left, 'meter.readings/3/10'), rejected(left, 'a.csv:7')]);
    await right.log.append([rejected(right, 'meter.readings/3/11'), rejected(right, 'a.csv:7')]);
    await other.log.append([rejected(other, 'meter.readings/3/10'), rejected(other, 'a.csv:8')]);
    assert.equal((await compared(left, right, 'rejected')).divergence, null);
    const { divergence } = await compared(left, other, 'rejected');
    assert.deepEqual(divergence?.differences, [{ path: 'source', left: '"a.csv:7"', right: '"a.csv:8"' }]);
    await right.log.append([rejected(right, 'meter.readings/3/12', 'one reason')]);
    await left.log.append([rejected(left, 'meter.readings/3/12', 'another')]);
    assert.equal((await compared(left, right, 'rejected')).divergence?.equalBefore, 2);
  });

  it('leaves out the lines that an import set aside, as a replay of its log has no file', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'iflex-compare-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'a.csv');
    writeFileSync(file, 'LCLid,tstp,energy(kWh/hh)\nA,2013-01-01 00:30:00,0.1\nA,2013-01-01 01:00:00,much\n');
    const [left, right] = [await newSide(), await newSide()];
    const mapping = mappingFor('low-carbon-london', ['A']);
    const instance = instanceFor(mapping, 0);
    await declare(left.log, left.codec, instance);
    await importFiles({ ...left, mapping, files: [file], importedAtMs: Date.UTC(2013, 1, 1) });
    assert.equal(
      (await left.log.endOffsets('rejected')).reduce((sum, end) => sum + end),
      1,
    );
    assert.deepEqual(await compared(left, right, 'rejected'), { topic: 'rejected', leftCount: 0, rightCount: 0, divergence: null });
  });

  it('covers every derived topic but the runs themselves', () => {
    assert.ok(COMPARED_TOPICS.includes('rejected') && COMPARED_TOPICS.includes('forecasts'));
    assert.ok(!COMPARED_TOPICS.includes('runs') && !COMPARED_TOPICS.includes('meter.readings'));
  });
});
