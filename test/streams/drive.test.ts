import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TOPOLOGY } from '../../processors/topology.ts';
import type { DataNotice, ReadingsDelivery, Rejected } from '../../schemas/types.ts';
import { Drive, PoisonedError } from '../../streams/drive.ts';
import type { LogRecord } from '../../streams/event-log.ts';
import type { Processor } from '../../streams/processor.ts';
import { asLogRecords, delivery, joinProbe, testCodec, tick } from './probe.ts';

const codec = testCodec();
const probe = joinProbe as Processor;
const READINGS: ReadingsDelivery['series'] = [
  { pointId: 'p', unit: 'WATT', deviceId: null, startMs: [0, 1], value: [5, 6], energyMilliWh: [], quality: Uint8Array.of(0) },
  { pointId: 'q', unit: 'WATT', deviceId: null, startMs: [0], value: [7], energyMilliWh: [], quality: Uint8Array.of(0) },
];
/** A delivery of three readings. */
const fact = (siteId: string, number: number, knownAtMs: number, topic = 'meter.readings') => ({
  ...delivery(codec, topic, siteId, number, knownAtMs),
  value: codec.encode('ReadingsDelivery', { siteId, knownAtMs, series: READINGS }),
});

function run(drive: Drive, records: readonly LogRecord[]) {
  for (const record of records) drive.take(record);
  return drive.outputs;
}
const noticeOf = (output: { value: Uint8Array }) => codec.decodeAs('DataNotice', output.value) as DataNotice;
const rejectedOf = (output: { value: Uint8Array }) => codec.decodeAs('Rejected', output.value) as Rejected;

/** The probe, which throws on events known at a time that ends with 13. */
const failing: Processor = {
  ...probe,
  onEvent(state, event, emit, reject) {
    probe.onEvent(state, event, emit, reject);
    if (event.knownAtMs % 100 === 13) throw new Error('bad event');
  },
};

test('nothing derived is known earlier than the latest of what its key has read, and of the ticks', () => {
  const drive = new Drive({ processors: [probe], codec });
  const facts = [fact('a', 1, 500), fact('a', 2, 300), tick(codec, 0, 1, 400), fact('a', 3, 350), tick(codec, 0, 2, 600), fact('b', 4, 10)];
  const known = run(drive, asLogRecords(facts)).map(noticeOf);
  assert.deepEqual(
    known.map(({ knownAtMs }) => knownAtMs),
    [500, 500, 500, 500, 600, 600],
  );
  assert.deepEqual(
    drive.outputs.map(({ headers }) => headers.knownAtMs),
    known.map(({ knownAtMs }) => knownAtMs),
  );
});

test('what is known survives in the state', () => {
  const drive = new Drive({ processors: [probe], codec });
  const records = asLogRecords([fact('a', 1, 500), fact('a', 2, 300)]);
  drive.take(records[0]);
  const restored = new Drive({ processors: [probe], codec });
  restored.applyState(drive.encodeState(false));
  assert.equal(noticeOf(run(restored, [records[1]])[0]).knownAtMs, 500);
});

test('a trace context stays with the fact that has it; what is derived leads to it by its causes, and has no other id', () => {
  const plain = fact('a', 1, 500);
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const traced = { ...plain, headers: { ...plain.headers, traceparent } };
  const derivedOf = (record: typeof plain) => run(new Drive({ processors: [probe], codec }), asLogRecords([record]))[0].headers;
  const { causes, ...others } = derivedOf(traced);
  assert.equal(causes?.split(' ')[0], `${plain.headers.source}#1`);
  assert.ok(!('traceparent' in others));
  assert.deepEqual(derivedOf(traced), derivedOf(plain));
});

test('equal events of one trigger are numbered: each has an id of its own, the same in every run', () => {
  const twice: Processor = {
    ...probe,
    onEvent(state, event, emit, reject) {
      probe.onEvent(state, event, emit, reject);
      reject('UNIT_MISMATCH', 'the same', { readingCount: 2 });
      reject('UNIT_MISMATCH', 'the same', { readingCount: 2 });
    },
  };
  const ids = () =>
    run(new Drive({ processors: [twice], codec }), asLogRecords([fact('a', 1, 500), fact('a', 2, 500)])).map(({ headers }) => headers.id);
  assert.equal(new Set(ids()).size, 6);
  assert.deepEqual(ids(), ids());
});

test('an event whose key or knownAt its headers contradict is rejected with its bytes', () => {
  const [wrongKey, wrongTime] = asLogRecords([
    { ...fact('a', 1, 500), key: 'b' },
    { ...fact('a', 2, 500), headers: { ...fact('a', 2, 500).headers, knownAtMs: 501 } },
  ]);
  const outputs = run(new Drive({ processors: [probe], codec }), [wrongKey, wrongTime]);
  assert.deepEqual(
    outputs.map((output) => [output.topic, rejectedOf(output).code]),
    [
      ['rejected', 'EVENT_INVALID'],
      ['rejected', 'EVENT_INVALID'],
    ],
  );
  assert.deepEqual(
    outputs.map((output) => rejectedOf(output).readingCount),
    [3, 3],
  );
  assert.deepEqual(Buffer.from(rejectedOf(outputs[0]).bytes), Buffer.from(wrongKey.value));
});

test('a throw for a key that never threw asks for a restore; for a suspect it is undone and set aside', () => {
  const records = asLogRecords([fact('a', 1, 100), fact('a', 2, 113), fact('a', 3, 114), fact('b', 4, 213), tick(codec, 0, 1, 300)]);
  assert.throws(
    () => run(new Drive({ processors: [failing], codec }), records),
    (error) => error instanceof PoisonedError && error.key === 'a',
  );
  const outputs = run(new Drive({ processors: [failing], codec }, new Set(['a', 'b'])), records);
  assert.deepEqual(
    outputs.map((output) => (output.topic === 'rejected' ? rejectedOf(output).code : noticeOf(output).pointId)),
    ['m', 'PROCESSOR_FAILED', 'mm', 'PROCESSOR_FAILED', 'mm'],
  );
  assert.equal(rejectedOf(outputs[1]).siteId, 'a');
  assert.equal(rejectedOf(outputs[1]).readingCount, 3);
});

test('a key whose events leave no trace is forgotten at once; one that is known stays', () => {
  const drive = new Drive({ processors: TOPOLOGY, codec });
  for (let i = 0; i < 100; i++) run(drive, asLogRecords([fact(`nobody-${i}`, i, 500 + i)]));
  assert.deepEqual(new Set(drive.outputs.map((output) => rejectedOf(output).code)), new Set(['SITE_UNKNOWN']));
  assert.equal(drive.outputs.length, 100);
  assert.equal(drive.keyCount, 0);
  const nothing = new Drive({ processors: TOPOLOGY, codec });
  assert.deepEqual(drive.encodeState(false), nothing.encodeState(false));
  drive.markCommitted();
  assert.deepEqual(drive.encodeState(true), nothing.encodeState(true));
  // For the probe each event leaves something.
  const minding = new Drive({ processors: [probe], codec });
  run(minding, asLogRecords([fact('a', 1, 500), fact('b', 2, 501)]));
  assert.equal(minding.keyCount, 2);
});

test('a key that is undone to nothing is forgotten too, and its next event begins anew', () => {
  const drive = new Drive({ processors: [failing], codec }, new Set(['a']));
  run(drive, asLogRecords([fact('a', 1, 113)]));
  assert.equal(drive.keyCount, 0);
  assert.equal(noticeOf(run(drive, asLogRecords([fact('a', 2, 114)])).at(-1)!).pointId, 'm');
  assert.equal(drive.keyCount, 1);
});

test('an undone event leaves the state and its next delta as if it had only been rejected', () => {
  const records = asLogRecords([fact('a', 1, 100), fact('a', 2, 101), fact('a', 3, 113)]);
  const drive = new Drive({ processors: [failing], codec }, new Set(['a']));
  drive.take(records[0]);
  const before = drive.encodeState(false);
  drive.markCommitted();
  drive.take(records[1]);
  drive.take(records[2]);
  const restored = new Drive({ processors: [probe], codec });
  restored.applyState(before);
  restored.applyState(drive.encodeState(false));
  const undisturbed = new Drive({ processors: [probe], codec });
  run(undisturbed, records.slice(0, 2));
  assert.deepEqual(restored.encodeState(true), undisturbed.encodeState(true));
});

/** Keeps when events were known and, as processors with much state do, writes into a delta only what is new; tells all on a tick. */
const counting: Processor = {
  ...probe,
  name: 'counting',
  reads: ['meter.readings'],
  initialState: () => ({ committed: [] as number[], since: [] as number[] }),
  onEvent(state, { knownAtMs }) {
    (state as { since: number[] }).since.push(knownAtMs);
    if (knownAtMs % 100 === 13) throw new Error('bad event');
  },
  onTick(state, tickMs, emit) {
    const { committed, since } = state as { committed: number[]; since: number[] };
    const pointId = [...committed, ...since].join();
    const told: DataNotice = {
      siteId: 'a',
      pointId,
      knownAtMs: tickMs,
      kind: 'UNKNOWN',
      startMs: 0,
      value: null,
      otherValue: null,
      count: 0,
    };
    emit('notices', told);
  },
  encodeChanges(state, out, everything) {
    const { committed, since } = state as { committed: number[]; since: number[] };
    const written = everything ? [...committed, ...since] : since;
    out.count(written.length);
    for (const knownAtMs of written) out.count(knownAtMs);
  },
  applyChanges(state, changes) {
    for (let count = changes.count(); count > 0; count--) (state as { since: number[] }).since.push(changes.count());
  },
  markCommitted(state) {
    const { committed, since } = state as { committed: number[]; since: number[] };
    committed.push(...since.splice(0));
  },
};

test('after an undone event the delta holds what came before it since the last commit', () => {
  const records = asLogRecords([fact('a', 1, 100), fact('a', 2, 101), fact('a', 3, 113), fact('a', 4, 104), fact('a', 5, 105)]);
  const drive = new Drive({ processors: [counting], codec }, new Set(['a']));
  const restored = new Drive({ processors: [counting], codec });
  const bytes: number[] = [];
  for (const count of [1, 3, 1]) {
    run(drive, records.splice(0, count));
    const delta = drive.encodeState(false);
    bytes.push(delta.length);
    restored.applyState(delta);
    drive.markCommitted();
  }
  assert.ok(bytes[2] < bytes[1], 'only the delta with the undone event holds everything');
  const undisturbed = new Drive({ processors: [counting], codec });
  run(undisturbed, asLogRecords([fact('a', 1, 100), fact('a', 2, 101), fact('a', 4, 104), fact('a', 5, 105)]));
  const toldBy = (each: Drive) => noticeOf(run(each, asLogRecords([tick(codec, 0, 1, 900)])).at(-1)!).pointId;
  for (const each of [undisturbed, drive, restored]) assert.equal(toldBy(each), '100,101,104,105');
});

test('a tick on which a processor throws for one key is set aside for that key only', () => {
  const brittle: Processor = {
    ...probe,
    onTick(state, tickMs, emit) {
      if ((state as { seen: string }).seen.length === 2) throw new Error('two');
      probe.onTick(state, tickMs, emit);
    },
  };
  const records = asLogRecords([fact('a', 1, 1), fact('b', 2, 2), fact('b', 3, 3), fact('c', 4, 4), tick(codec, 0, 1, 10)]);
  const outputs = run(new Drive({ processors: [brittle], codec }, new Set(['b'])), records).slice(4);
  assert.deepEqual(
    outputs.map(({ topic, key }) => `${topic} ${key}`),
    ['notices a', 'rejected b', 'notices c'],
  );
});

test('an event that would be too large for the log fails its processor, not the step', () => {
  const large: Processor = {
    ...probe,
    onEvent: (_, event, emit) =>
      emit('notices', { ...noticeOf(large0), siteId: 'x'.repeat(2_000_000), knownAtMs: event.knownAtMs } as never),
  };
  const large0 = run(new Drive({ processors: [probe], codec }), asLogRecords([fact('a', 1, 1)]))[0];
  const outputs = run(new Drive({ processors: [large], codec }, new Set(['a'])), asLogRecords([fact('a', 1, 1)]));
  assert.deepEqual(
    outputs.map((output) => rejectedOf(output).code),
    ['PROCESSOR_FAILED'],
  );
});

test('a processor may write only the topics that it declares', () => {
  const stray: Processor = { ...probe, writes: [] };
  assert.throws(() => run(new Drive({ processors: [stray], codec }), asLogRecords([fact('a', 1, 1)])), /does not declare/);
});
