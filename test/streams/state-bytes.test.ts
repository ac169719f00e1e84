import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StateReader, StateWriter } from '../../streams/state-bytes.ts';

type Item =
  | { kind: 'double' | 'long' | 'count'; value: number }
  | { kind: 'text'; value: string }
  | { kind: 'array'; value: Float64Array | Uint8Array | Uint32Array };

const item: fc.Arbitrary<Item> = fc.oneof(
  fc.record({ kind: fc.constant('double' as const), value: fc.double() }),
  fc.record({ kind: fc.constant('long' as const), value: fc.integer({ min: -(2 ** 52), max: 2 ** 52 }) }),
  fc.record({ kind: fc.constant('count' as const), value: fc.nat({ max: 2 ** 53 - 1 }) }),
  fc.record({ kind: fc.constant('text' as const), value: fc.string({ unit: 'grapheme' }) }),
  fc.record({ kind: fc.constant('array' as const), value: fc.oneof(fc.float64Array(), fc.uint8Array(), fc.uint32Array()) }),
);

function write(out: StateWriter, { kind, value }: Item): void {
  if (kind === 'text') out.text(value);
  else if (kind === 'array') out.array(value);
  else out[kind](value);
}

function read(from: StateReader, { kind, value }: Item): unknown {
  if (kind !== 'array') return from[kind]();
  const into = value.slice().fill(0);
  from.arrayInto(() => ({ into, at: 0 }));
  return into;
}

test('what is written is read back, in order and to the last byte', () => {
  fc.assert(
    fc.property(fc.array(item, { maxLength: 50 }), (items) => {
      const out = new StateWriter();
      for (const each of items) write(out, each);
      const from = new StateReader(out.finish());
      for (const each of items) assert.deepEqual(read(from, each), each.value);
      assert.ok(from.done);
    }),
    { seed: 1 },
  );
});

test('a part of an array goes to a place in another, beyond the first buffer', () => {
  const values = Float64Array.from({ length: 30_000 }, (_, i) => i);
  const out = new StateWriter();
  out.array(values, 10_000, 30_000);
  const into = new Float64Array(20_005);
  assert.equal(
    new StateReader(out.finish()).arrayInto(() => ({ into, at: 5 })),
    20_000,
  );
  assert.equal(into[4], 0);
  assert.equal(into[5], 10_000);
  assert.equal(into.at(-1), 29_999);
});

test('a marked part tells its length, so that it can be skipped; a finished writer begins anew', () => {
  const out = new StateWriter();
  const mark = out.mark();
  out.text('unknown');
  out.patch(mark);
  out.count(7);
  const from = new StateReader(out.finish());
  const length = from.length();
  from.position += length;
  assert.equal(from.count(), 7);
  out.count(8);
  assert.equal(new StateReader(out.finish()).count(), 8);
});
