/** A processor that throws at every tick of a key: told, bounded, and the same after every restart. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DataNotice, Rejected } from '../../schemas/types.ts';
import { Drive } from '../../streams/drive.ts';
import type { LogRecord } from '../../streams/event-log.ts';
import { DAY_MS, MINUTE_MS } from '../../streams/limits.ts';
import type { Processor } from '../../streams/processor.ts';
import { asLogRecords, delivery, joinProbe, testCodec, tick } from './probe.ts';

const codec = testCodec();
const probe = joinProbe as Processor;

/** The probe, which throws on ticks that `fails` says. */
const failingOn = (fails: (tickMs: number) => boolean): Processor => ({
  ...probe,
  onTick(state, tickMs, emit) {
    if (fails(tickMs)) throw new Error('bad tick');
    probe.onTick(state, tickMs, emit);
  },
});

const fact = (siteId: string, number: number, knownAtMs: number) => delivery(codec, 'meter.readings', siteId, number, knownAtMs);
const ticks = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => tick(codec, 0, from + i, (from + i) * MINUTE_MS));
const rejectedOf = (output: { value: Uint8Array }) => codec.decodeAs('Rejected', output.value) as Rejected;

/** Runs records, committing and starting anew before the records of these numbers. */
function run(processor: Processor, records: readonly LogRecord[], restartsAt: (i: number) => boolean = () => false) {
  const open = () => new Drive({ processors: [processor], codec }, new Set(['a']));
  let drive = open();
  const states: Buffer[] = [];
  const outputs = [];
  for (const [i, record] of records.entries()) {
    if (restartsAt(i)) {
      states.push(drive.encodeState(false));
      outputs.push(...drive.outputs);
      drive = open();
      for (const state of states) drive.applyState(state);
      drive.markCommitted();
    }
    drive.take(record);
  }
  outputs.push(...drive.outputs);
  return { outputs, state: drive.encodeState(true) };
}
const failures = (outputs: ReturnType<typeof run>['outputs']) => outputs.filter(({ topic }) => topic === 'rejected').map(rejectedOf);

test('of ticks that fail one after another the first, second, fourth, eighth … are told, with their count', () => {
  const { outputs } = run(
    failingOn(() => true),
    asLogRecords([fact('a', 1, 1), ...ticks(1, 1_001)]),
  );
  const told = failures(outputs);
  assert.deepEqual(
    told.map(({ code, siteId, readingCount, source }) => [code, siteId, readingCount, source]),
    Array.from({ length: 10 }, (_, i) => ['PROCESSOR_FAILED', 'a', 0, `ticks/0/${2 ** i - 1}`]),
  );
  assert.doesNotMatch(told[0].reason, /ticks/);
  assert.match(told[3].reason, / on 8 ticks /);
});

test('ticks that fail now and then are told no more often, and anew after a day without any', () => {
  const everySecond = run(
    failingOn((tickMs) => tickMs % (2 * MINUTE_MS) === 0),
    asLogRecords([fact('a', 1, 1), ...ticks(1, 1_001)]),
  );
  assert.equal(failures(everySecond.outputs).length, 9);
  const toldOf = (records: readonly LogRecord[]) =>
    failures(
      run(
        failingOn(() => true),
        records,
      ).outputs,
    ).length;
  const later = 1_000 + DAY_MS / MINUTE_MS;
  const records = asLogRecords([fact('a', 1, 1), ...ticks(1_000, 1_004), ...ticks(later + 3, later + 5)]);
  // A day after the last one of 1,000 … 1,003 is not yet more than a day; one minute later it would be.
  assert.equal(toldOf(records), 3);
  const apart = asLogRecords([fact('a', 1, 1), ...ticks(1_000, 1_004), ...ticks(later + 4, later + 6)]);
  assert.equal(toldOf(apart), 5);
});

test('restarts, wherever they are, change nothing of what is told and kept; other keys go on, and the key too once it can', () => {
  const records = asLogRecords([fact('a', 1, 1), fact('b', 2, 2), ...ticks(1, 40), fact('a', 3, 40 * MINUTE_MS), ...ticks(41, 60)]);
  const processor = failingOn((tickMs) => tickMs < 50 * MINUTE_MS);
  const onlyA: Processor = {
    ...processor,
    initialState: (key) => ({ ...(probe.initialState(key) as object), key }),
    onTick(state, tickMs, emit) {
      ((state as { key: string }).key === 'a' ? processor : probe).onTick(state, tickMs, emit);
    },
  };
  const undisturbed = run(onlyA, records);
  const shown = ({ outputs }: ReturnType<typeof run>) => outputs.map(({ topic, headers }) => `${topic} ${headers.id}`);
  for (const every of [1, 2, 7]) {
    const restarted = run(onlyA, records, (i) => i % every === 0);
    assert.deepEqual(shown(restarted), shown(undisturbed));
    assert.deepEqual(restarted.state, undisturbed.state);
  }
  assert.equal(failures(undisturbed.outputs).length, 6);
  const notices = undisturbed.outputs.filter(({ topic }) => topic === 'notices');
  const ofTicks = notices
    .map(({ key, value }) => ({ key, ...(codec.decodeAs('DataNotice', value) as DataNotice) }))
    .filter((one) => one.siteId === 'tick');
  assert.deepEqual(
    ofTicks.map(({ key, pointId, knownAtMs }) => [key, pointId, knownAtMs / MINUTE_MS]),
    [
      ['b', 'm', 1],
      ['a', 'mm', 50],
    ],
  );
});
