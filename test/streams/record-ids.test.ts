/** Ids of derived events: why it is sound that of the causes only the trigger's id is hashed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TOPOLOGY } from '../../processors/topology.ts';
import { Drive } from '../../streams/drive.ts';
import type { LogRecord, NewRecord } from '../../streams/event-log.ts';
import { HOUR_MS } from '../../streams/limits.ts';
import { contentId } from '../../streams/record-ids.ts';
import { SCENARIO_FROM_MS, scenarioFacts } from '../crash/scenario.ts';
import { asLogRecords, testCodec, tick } from './probe.ts';

const codec = testCodec();
const TICK_MS = HOUR_MS / 4;

/** Facts of one site with ticks between them. */
function records(): NewRecord[] {
  const made: NewRecord[] = [];
  let tickMs = SCENARIO_FROM_MS;
  for (const { topic, schema, key, value, source, number } of scenarioFacts({ seed: 3, sites: 1, days: 2 })) {
    while (tickMs + TICK_MS < value.knownAtMs) {
      tickMs += TICK_MS;
      made.push(tick(codec, 0, tickMs / TICK_MS, tickMs));
    }
    made.push({ topic, key, value: codec.encode(schema, value), headers: { source, number, type: schema, knownAtMs: value.knownAtMs } });
  }
  // Undecodable, so that something is rejected too.
  const headers = { source: 'garbage', number: 1, type: 'ReadingsDelivery', knownAtMs: tickMs };
  return [...made, { topic: 'meter.readings', key: made[0].key, value: Buffer.from('no event'), headers }];
}

/** Outputs of a drive, whose state is committed and restored after every `batch` records. */
function outputsOf(taken: readonly LogRecord[], batch: number): NewRecord[] {
  const outputs: NewRecord[] = [];
  let drive = new Drive({ processors: TOPOLOGY, codec });
  taken.forEach((record, i) => {
    drive.take(record);
    if ((i + 1) % batch !== 0 && i + 1 < taken.length) return;
    outputs.push(...drive.outputs);
    const state = drive.encodeState(true);
    drive = new Drive({ processors: TOPOLOGY, codec });
    drive.applyState(state);
    drive.markCommitted();
  });
  return outputs;
}

const idsOf = (outputs: readonly NewRecord[]) => outputs.map(({ topic, headers }) => `${topic} ${headers.id}`);

test('the same facts at other offsets, in another partition and in other batches give the same ids, each once', () => {
  const facts = asLogRecords(records());
  const ids = idsOf(outputsOf(facts, facts.length));
  assert.ok(ids.length > 300, `${ids.length} ids`);
  assert.ok(ids.some((id) => id.startsWith('rejected ')) && ids.some((id) => id.startsWith('forecasts ')));
  assert.equal(new Set(ids).size, ids.length);
  const elsewhere = facts.map((record) => ({ ...record, partition: 7, offset: 1_000 + 3 * record.offset, appendedMs: 99 }));
  for (const batch of [facts.length, 7, 1]) assert.deepEqual(idsOf(outputsOf(elsewhere, batch)), ids, `in batches of ${batch}`);
});

test('what causes the body does not show, it has not changed: other readings before the same trigger give other ids', () => {
  const facts = asLogRecords(records());
  // The first hour's delivery is left out: every event whose values it went into is another one, all others are the same.
  const dropped = facts.findIndex(({ topic }) => topic === 'meter.readings');
  const without = facts.filter((_, i) => i !== dropped);
  const of = (taken: readonly LogRecord[]) =>
    new Map(
      outputsOf(taken, taken.length).map(({ topic, value, headers }) => [headers.id!, `${topic} ${Buffer.from(value).toString('hex')}`]),
    );
  const [all, fewer] = [of(facts), of(without)];
  let [same, other] = [0, 0];
  for (const [id, body] of fewer)
    if (!all.has(id)) other++;
    else {
      assert.equal(all.get(id), body);
      same++;
    }
  assert.ok(same > 0 && other > 0, `${same} ids stay, ${other} are new`);
});

test('another processor, topic, key, body or trigger gives another id', () => {
  const parts: [string, string, string, Uint8Array, string] = ['resampler', 'resampled.5m', 'site', Buffer.from('body'), 'meter#4'];
  const changed: [string, string, string, Uint8Array, string][] = [
    ['forecaster', parts[1], parts[2], parts[3], parts[4]],
    [parts[0], 'resampled.15m', parts[2], parts[3], parts[4]],
    [parts[0], parts[1], 'other', parts[3], parts[4]],
    [parts[0], parts[1], parts[2], Buffer.from('Body'), parts[4]],
    [parts[0], parts[1], parts[2], parts[3], 'meter#5'],
  ];
  const ids = [parts, ...changed].map((each) => contentId(...each));
  assert.equal(new Set(ids).size, ids.length);
  assert.equal(contentId(...parts), contentId(...parts));
  assert.ok(ids.every((id) => /^[0-9a-f]{32}$/.test(id)));
});
