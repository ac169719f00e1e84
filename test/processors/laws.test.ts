/**
 * The laws of processors, one suite over every one of them: each is run alone on the events that reach it in the whole
 * topology, bytes in and bytes out, and must give the same whatever happens around it.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import { TOPOLOGY } from '../../processors/topology.ts';
import type { RevisionRequested } from '../../schemas/types.ts';
import type { Processor } from '../../streams/processor.ts';
import { StateReader, StateWriter } from '../../streams/state-bytes.ts';
import { findTopic } from '../../streams/topics.ts';
import { type Input, inputsOf, Runner } from './harness/law-runner.ts';
import { realisticSite } from './harness/realistic-site.ts';
import { codecOfCurrentSchemas } from './harness/site-rig.ts';

const codec = codecOfCurrentSchemas();

describe('the topology', () => {
  it('lists every processor that a file exports', async () => {
    const folder = join(PROJECT_FOLDER, 'processors');
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
    const exported = new Set<unknown>();
    for (const file of files)
      for (const value of Object.values((await import(join(folder, file))) as object))
        if (value !== null && typeof value === 'object' && 'onEvent' in value && 'onTick' in value) exported.add(value);
    assert.ok(exported.size >= 2);
    assert.deepEqual(exported, new Set(TOPOLOGY));
    assert.equal(new Set(TOPOLOGY.map(({ name }) => name)).size, TOPOLOGY.length);
  });

  it('knows the topics of every processor', () => {
    for (const { reads, writes } of TOPOLOGY) {
      for (const topic of [...reads, ...writes]) assert.ok(findTopic(topic), topic);
      for (const topic of writes) assert.equal(findTopic(topic)!.kind, 'derived', topic);
    }
  });
});

for (const processor of TOPOLOGY) describe(`the ${processor.name}`, () => lawsOf(processor));

function lawsOf(processor: Processor): void {
  let inputs: Input[];
  let plain: Runner;

  before(() => {
    inputs = inputsOf(processor, TOPOLOGY, codec, realisticSite('site-a', 1));
    plain = new Runner(processor, codec, 'site-a').takeAll(inputs);
  });

  it('is tried on input that makes it write to each of its topics', () => {
    const written = new Set(plain.outputs.map(({ topic }) => topic));
    assert.deepEqual([...written].sort(), [...processor.writes].sort());
    assert.ok(inputs.length > 300, `${inputs.length} inputs`);
  });

  it('writes only what it declares, in the form of the topic', () => {
    for (const { topic, bytes } of plain.outputs) {
      assert.ok(processor.writes.includes(topic), topic);
      codec.decodeAs(findTopic(topic)!.schema, bytes);
    }
  });

  it('gives the same output for the same input', () => {
    const again = new Runner(processor, codec, 'site-a').takeAll(inputs);
    assert.deepEqual(again.outputs, plain.outputs);
    assert.deepEqual(again.snapshot(), plain.snapshot());
  });

  it('leaves the events that it is given as they are', () => {
    const runner = new Runner(processor, codec, 'site-a');
    for (const input of inputs) {
      if (input.bytes === null) runner.take(input);
      else {
        const value = codec.decode(input.bytes).value;
        runner.take(input, value);
        assert.deepEqual(codec.encode(findTopic(input.topic)!.schema, value), Buffer.from(input.bytes));
      }
    }
  });

  it('goes on from its own snapshot after every event as if nothing had happened', () => {
    let runner = new Runner(processor, codec, 'site-a');
    for (const input of inputs) {
      runner.take(input);
      const restored = new Runner(processor, codec, 'site-a', runner.outputs);
      restored.apply(runner.snapshot());
      assert.deepEqual(restored.snapshot(), runner.snapshot());
      runner = restored;
    }
    assert.deepEqual(runner.outputs, plain.outputs);
  });

  it('goes on from its deltas after every step, however long, as if nothing had happened', () => {
    for (const stepLength of [1, 7, 40]) {
      const runner = new Runner(processor, codec, 'site-a');
      const shadow = new Runner(processor, codec, 'site-a');
      inputs.forEach((input, i) => {
        runner.take(input);
        if (i % stepLength !== stepLength - 1) return;
        shadow.apply(runner.delta());
        assert.deepEqual(shadow.snapshot(), runner.snapshot(), `after input ${i}, ${input.topic}`);
      });
      assert.deepEqual(runner.outputs, plain.outputs);
    }
  });

  it('writes nothing into a delta where nothing happened', () => {
    const runner = new Runner(processor, codec, 'site-a').takeAll(inputs);
    runner.delta();
    const quiet = runner.delta();
    assert.ok(quiet.length < 0.05 * runner.snapshot().length + 64, `${quiet.length} bytes`);
  });

  it('does not mind other keys in between', () => {
    const others = inputsOf(processor, TOPOLOGY, codec, realisticSite('site-b', 2));
    const other = new Runner(processor, codec, 'site-b');
    const runner = new Runner(processor, codec, 'site-a');
    for (let i = 0; i < Math.max(inputs.length, others.length); i++) {
      if (i < others.length) other.take(others[i]);
      if (i < inputs.length) runner.take(inputs[i]);
    }
    assert.deepEqual(runner.outputs, plain.outputs);
    assert.deepEqual(other.outputs, new Runner(processor, codec, 'site-b').takeAll(others).outputs);
  });

  it('says nothing new when an event is delivered twice', () => {
    const twice = new Runner(processor, codec, 'site-a');
    for (const input of inputs) twice.take(input).take(input);
    // Doubles are counted in notices and in requests; everything else is at most said again, word for word.
    const said = (runner: Runner) =>
      new Set(
        runner.outputs
          .filter(({ topic }) => topic !== 'notices')
          .map(({ topic, bytes }) =>
            topic === 'revisions.requested'
              ? JSON.stringify({ ...(codec.decodeAs('RevisionRequested', bytes) as RevisionRequested), lateCount: 0 })
              : `${topic} ${bytes.toString('hex')}`,
          ),
      );
    assert.deepEqual(said(twice), said(plain));
  });

  it('gives the same after a throw in the midst of any event, restored and tried again', () => {
    const committed = new Runner(processor, codec, 'site-a');
    let runner = new Runner(processor, codec, 'site-a');
    inputs.forEach((input, i) => {
      const broken = new Runner(processor, codec, 'site-a');
      broken.apply(committed.snapshot());
      assert.throws(() => broken.takeAndThrow(input, i % 3), /injected/);
      // What the failed attempt left in memory is thrown away; the state of the last commit is what counts.
      runner = new Runner(processor, codec, 'site-a', runner.outputs);
      runner.apply(committed.snapshot());
      runner.take(input);
      committed.apply(runner.delta());
    });
    assert.deepEqual(runner.outputs, plain.outputs);
  });
}

describe('the bytes of state', () => {
  it('come back as they were written', () => {
    const out = new StateWriter();
    out.double(Number.NEGATIVE_INFINITY);
    out.long(-(2 ** 52));
    out.text('Ωμ');
    const from = new StateReader(out.finish());
    assert.deepEqual([from.double(), from.long(), from.text(), from.done], [Number.NEGATIVE_INFINITY, -(2 ** 52), 'Ωμ', true]);
  });
});
