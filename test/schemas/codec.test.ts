import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { AvroWriter } from '../../schemas/avro-bytes.ts';
import { bodyOf, Codec, CodecError, fingerprint, referenceType, schemaIdOf } from '../../schemas/codec.ts';
import { currentSchemas, draftSchemas } from '../../schemas/files.ts';
import { comparable, itemCount, valuesOf } from './arbitrary.ts';

const SEED = 20250330;
const schemas = [...currentSchemas(), ...draftSchemas()];

const codecOf = (schema: string, id = 7) => {
  const codec = new Codec([schema]);
  codec.register({ id, schema });
  return codec;
};

/** Runs something on hostile input: either a result or a CodecError, nothing else. */
function attempt<T>(run: () => T): T | CodecError {
  try {
    return run();
  } catch (error) {
    if (error instanceof CodecError) return error;
    throw error;
  }
}

describe('every schema', () => {
  for (const [name, schema] of schemas) {
    it(`${name}: bytes equal avsc's and decode to the same value`, () => {
      const codec = codecOf(schema);
      const reference = referenceType(schema);
      fc.assert(
        fc.property(valuesOf(schema), (value) => {
          const framed = codec.encode(name, value);
          const expected = reference.toBuffer(value);
          assert.equal(Buffer.compare(framed.subarray(5), expected), 0);
          assert.equal(schemaIdOf(framed), 7);
          assert.deepEqual(comparable(codec.decode(framed).value), comparable(value));
          assert.deepEqual(comparable(reference.fromBuffer(expected)), comparable(value));
          assert.deepEqual(codec.encode(name, codec.decodeAs(name, framed)), framed);
          // What is filled anew each time is what a fresh value would be, whatever the one before was.
          assert.deepEqual(comparable(codec.refillAs(name, framed)), comparable(value));
        }),
        { seed: SEED, numRuns: 60 },
      );
    });

    it(`${name}: refuses a body cut off at any length, and one with bytes after it`, () => {
      const codec = codecOf(schema);
      for (const value of fc.sample(valuesOf(schema), { seed: SEED, numRuns: 3 })) {
        const framed = codec.encode(name, value);
        for (let length = 0; length < framed.length; length++) assert.throws(() => codec.decode(framed.subarray(0, length)), CodecError);
        assert.throws(() => codec.decode(Buffer.concat([framed, Buffer.of(0)])), /Bytes follow/);
      }
    });

    it(`${name}: mutated bytes decode or give a CodecError, within the memory that their length allows`, () => {
      const codec = codecOf(schema);
      const mutation = fc.tuple(fc.nat(), fc.constantFrom('set', 'insert', 'remove'), fc.nat(255));
      fc.assert(
        fc.property(valuesOf(schema), fc.array(mutation, { minLength: 1, maxLength: 6 }), (value, mutations) => {
          const bytes = [...codec.encode(name, value)];
          for (const [at, kind, byte] of mutations) {
            const index = 5 + (at % Math.max(1, bytes.length - 5));
            bytes.splice(index, kind === 'insert' ? 0 : 1, ...(kind === 'remove' ? [] : [byte]));
          }
          const decoded = attempt(() => codec.decode(Uint8Array.from(bytes)));
          if (!(decoded instanceof CodecError)) assert.ok(itemCount(decoded.value) <= bytes.length);
        }),
        { seed: SEED, numRuns: 150 },
      );
    });
  }

  it('random bytes decode or give a CodecError', () => {
    const codecs = schemas.map(([, schema]) => codecOf(schema, 0));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(codecs.length - 1), (body, index) => {
        attempt(() => codecs[index].decode(Buffer.concat([Buffer.alloc(5), body])));
        attempt(() => codecs[index].decode(body));
      }),
      { seed: SEED, numRuns: 2000 },
    );
  });
});

const EVERYTHING = JSON.stringify({
  type: 'record',
  name: 'Everything',
  fields: [
    { name: 'text', type: 'string' },
    { name: 'count', type: 'int' },
    { name: 'at', type: 'long' },
    { name: 'power', type: 'double' },
    { name: 'flag', type: 'boolean' },
    { name: 'raw', type: 'bytes' },
    { name: 'kind', type: { type: 'enum', name: 'Kind', symbols: ['UNKNOWN', 'A'], default: 'UNKNOWN' } },
    { name: 'maybe', type: ['null', 'double'], default: null },
    { name: 'ints', type: { type: 'array', items: 'int' } },
    { name: 'longs', type: { type: 'array', items: 'long' } },
    { name: 'doubles', type: { type: 'array', items: 'double' } },
    { name: 'texts', type: { type: 'array', items: 'string' } },
    { name: 'inner', type: { type: 'record', name: 'Inner', fields: [{ name: 'x', type: 'long' }] } },
  ],
});
// biome-ignore format: one line a row of the table
const VALUE = {
  text: 'a', count: 1, at: 2, power: 3, flag: true, raw: Buffer.of(1), kind: 'A', maybe: null,
  ints: [1], longs: [2], doubles: [3], texts: ['t'], inner: { x: 1 },
};

describe('strictness', () => {
  const codec = codecOf(EVERYTHING);
  const refused: [string, Record<string, unknown>, RegExp][] = [
    ...[Number.NaN, Infinity, -Infinity].flatMap((bad): [string, Record<string, unknown>, RegExp][] => [
      [`double ${bad}`, { power: bad }, /^power: .*finite/],
      [`nullable double ${bad}`, { maybe: bad }, /^maybe: /],
      [`double ${bad} in a list`, { doubles: [1, bad] }, /^doubles: /],
      [`double ${bad} in a typed array`, { doubles: Float64Array.of(bad) }, /^doubles: /],
      [`long ${bad}`, { at: bad }, /^at: /],
      [`long ${bad} in a list`, { longs: [bad] }, /^longs: /],
    ]),
    ['an undeclared field', { more: 1 }, /more is not declared/],
    ['an undeclared inner field', { inner: { x: 1, y: 2 } }, /^inner: .*y is not declared/],
    ['a missing nullable field', { maybe: undefined }, /^maybe: .*missing/],
    ...Object.keys(VALUE).map((field): [string, Record<string, unknown>, RegExp] => [
      `a missing ${field}`,
      { [field]: undefined },
      new RegExp(`^${field}: `),
    ]),
    ['a symbol that is none', { kind: 'B' }, /^kind: "B" is none of UNKNOWN, A/],
    ['a symbol by number', { kind: 1 }, /^kind: /],
    ['an int of 2^31', { count: 2 ** 31 }, /^count: /],
    ['an int below -2^31', { count: -(2 ** 31) - 1 }, /^count: /],
    ['an int of 2^31 in a list', { ints: [2 ** 31] }, /^ints: /],
    ['a broken int', { count: 1.5 }, /^count: /],
    ['an int as text', { count: '1' }, /^count: /],
    ['a bigint', { count: 1n, at: 1n }, /^count: /],
    ['a long of 2^52', { at: 2 ** 52 }, /^at: /],
    ['a long below -2^52', { at: -(2 ** 52) - 1 }, /^at: /],
    ['a long of 2^52 in a list', { longs: [2 ** 52] }, /^longs: /],
    ['a broken long', { at: 0.5 }, /^at: /],
    ['a number for a flag', { flag: 1 }, /^flag: /],
    ['a text for bytes', { raw: 'a' }, /^raw: /],
    ['a list for bytes', { raw: [1] }, /^raw: /],
    ['a number for a text', { text: 1 }, /^text: /],
    ['half a surrogate pair', { text: 'a\ud800' }, /^text: .*surrogate/],
    ['half a surrogate pair in a long text', { text: `${'x'.repeat(100)}\udc00` }, /^text: .*surrogate/],
    ['an object for a list', { doubles: { length: 1, 0: 1 } }, /^doubles: /],
    ['a data view for a list', { doubles: new DataView(new ArrayBuffer(8)) }, /^doubles: /],
    ['a hole in a list', { doubles: new Array(1) }, /^doubles: /],
    ['null for a record', { inner: null }, /^inner: /],
  ];
  for (const [title, change, message] of refused) {
    it(`refuses ${title}`, () => {
      const error = attempt(() => codec.encode('Everything', { ...VALUE, ...change }));
      assert.ok(error instanceof CodecError);
      assert.equal(error.code, 'EVENT_INVALID');
      assert.match(error.message, message);
    });
  }

  it('refuses what is no record, and names that are not registered', () => {
    for (const value of [null, undefined, 1, 'text', []])
      assert.throws(() => codec.encode('Everything', value), { name: 'CodecError', code: 'EVENT_INVALID' });
    assert.throws(() => codec.encode('Other', VALUE), { name: 'CodecError', code: 'EVENT_INVALID' });
  });

  it('gives nothing but a CodecError for whatever stands in a field', () => {
    const anything = fc.oneof(
      fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true, withTypedArray: true }),
      fc.constantFrom(Symbol('s'), () => 1, new DataView(new ArrayBuffer(8))),
    );
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(VALUE)), anything, (field, value) => {
        const framed = attempt(() => codec.encode('Everything', { ...VALUE, [field]: value }));
        if (!(framed instanceof CodecError)) codec.decode(framed); // what is written can be read
        attempt(() => codec.encode('Everything', { ...VALUE, [field]: [value] }));
      }),
      { seed: SEED, numRuns: 2000 },
    );
  });

  it('a refused value leaves nothing behind in the next event', () => {
    const before = codec.encode('Everything', VALUE);
    assert.throws(() => codec.encode('Everything', { ...VALUE, text: 'long text before', inner: null }), CodecError);
    assert.deepEqual(codec.encode('Everything', VALUE), before);
  });

  it('keeps -0 and the least and greatest numbers', () => {
    // biome-ignore format: one line a row of the table
    const value = {
      ...VALUE, power: -0, maybe: -0, doubles: [-0, Number.MIN_VALUE, Number.MAX_VALUE], count: -(2 ** 31),
      ints: [2 ** 31 - 1], at: -(2 ** 52), longs: [2 ** 52 - 1, -(2 ** 52)],
    };
    assert.deepEqual(comparable(codec.decodeAs('Everything', codec.encode('Everything', value))), comparable(value));
  });

  it('takes typed arrays where the schema has lists', () => {
    const typed = {
      ...VALUE,
      ints: Int32Array.of(-1, 5),
      longs: Float64Array.of(-3, 2 ** 40),
      doubles: Float32Array.of(0.5),
    };
    const lists = { ...VALUE, ints: [-1, 5], longs: [-3, 2 ** 40], doubles: [0.5] };
    assert.deepEqual(codec.encode('Everything', typed), codec.encode('Everything', lists));
  });

  it('grows its buffer for large events', () => {
    const value = {
      ...VALUE,
      text: 'ä'.repeat(90_000),
      raw: Buffer.alloc(300_000, 5),
      doubles: new Float64Array(100_000),
    };
    const decoded = codec.decodeAs('Everything', codec.encode('Everything', value)) as typeof VALUE;
    assert.equal(decoded.text, value.text);
    assert.equal(decoded.raw.length, 300_000);
    assert.equal(decoded.doubles.length, 100_000);
  });
});

const ARRAYS = JSON.stringify({
  type: 'record',
  name: 'Arrays',
  fields: [
    { name: 'doubles', type: { type: 'array', items: 'double' } },
    { name: 'longs', type: { type: 'array', items: 'long' } },
    { name: 'texts', type: { type: 'array', items: ['null', 'string'] } },
  ],
});

/** A frame with id 7 around longs, and doubles and texts written as { double } and as text. */
function framed(...parts: (number | string | { double: number })[]): Buffer {
  const writer = new AvroWriter();
  writer.start(7);
  for (const part of parts) {
    if (typeof part === 'number') writer.long(part);
    else if (typeof part === 'string') writer.string(part);
    else writer.double(part.double);
  }
  return writer.finish();
}
const double = (value: number) => ({ double: value });

describe('bytes by hand', () => {
  const codec = codecOf(ARRAYS);

  it('reads several blocks, and blocks with negative count and size', () => {
    const doubles = [-2, 16, double(1), double(-0), 1, double(3), 0];
    const longs = [1, 5, -2, 2, 6, 7, 0];
    const texts = [-1, 3, 1, 'a', 1, 0, 0];
    const bytes = framed(...doubles, ...longs, ...texts);
    const expected = { doubles: [1, -0, 3], longs: [5, 6, 7], texts: ['a', null] };
    assert.deepEqual(codec.decodeAs('Arrays', bytes), expected);
    assert.deepEqual(comparable(referenceType(ARRAYS).fromBuffer(bytes.subarray(5))), expected);
  });

  it('refuses huge counts before it reserves memory for them', () => {
    for (const count of [2 ** 52 - 1, 2 ** 31, 2 ** 24, 1000, -(2 ** 52), -(2 ** 31)]) {
      for (const start of [[], [0], [0, 0], [1, double(1)], [0, 1, 1]]) {
        const bytes = framed(...start, count, 1, double(0), double(0));
        assert.throws(() => codec.decode(bytes), { name: 'CodecError', code: 'EVENT_UNDECODABLE' });
      }
    }
  });

  it('refuses schemas whose arrays no body bounds', () => {
    const empty = { type: 'record', name: 'Empty', fields: [] };
    const schema = { type: 'record', name: 'R', fields: [{ name: 'a', type: { type: 'array', items: empty } }] };
    assert.throws(() => new Codec([JSON.stringify(schema)]), /Items without bytes/);
  });

  it('refuses numbers that are not finite, too long, out of range, and texts that are not UTF-8', () => {
    const everything = codecOf(EVERYTHING);
    const at = 5 + 2 + 1; // after the frame, the text "a" and the int
    const good = everything.encode('Everything', VALUE);
    const changed = (from: number, removed: number, ...bytes: number[]) =>
      Buffer.concat([good.subarray(0, from), Buffer.from(bytes), good.subarray(from + removed)]);
    const nan = Buffer.alloc(8);
    nan.writeDoubleLE(Number.NaN);
    assert.throws(() => everything.decode(changed(at + 1, 8, ...nan)), /not a finite number/);
    assert.throws(() => everything.decode(changed(at, 1, ...new Array(10).fill(0xff), 1)), CodecError);
    assert.throws(() => everything.decode(changed(at, 1, ...new Array(10).fill(0x80), 0)), /longer than ten bytes/);
    assert.throws(() => everything.decode(changed(at, 1, ...new Array(7).fill(0xff), 0x7f)), /beyond/);
    assert.throws(() => everything.decode(changed(at - 1, 1, 0x80, 0x80, 0x80, 0x80, 0x10)), /32 bits/);
    assert.throws(() => everything.decode(changed(6, 1, 0xff)), /UTF-8/);
    assert.throws(() => everything.decode(changed(at + 9, 1, 2)), /neither 0 nor 1/);
    assert.throws(() => everything.decode(changed(at + 12, 1, 4)), /out of range/);
    assert.deepEqual(comparable(everything.decode(changed(0, 0)).value), VALUE);
  });

  it('refuses what has no frame, an unknown id, or another record', () => {
    assert.throws(() => codec.decode(Buffer.alloc(0)), /Confluent frame/);
    assert.throws(() => codec.decode(Buffer.of(1, 0, 0, 0, 7, 0, 0, 0)), /Confluent frame/);
    assert.throws(() => codec.decode(Buffer.of(0, 0, 0, 0, 8, 0, 0, 0)), /No schema has the id 8/);
    assert.throws(() => codec.decodeAs('Other', Buffer.of(0, 0, 0, 0, 7, 0, 0, 0)), /are a Arrays, not a Other/);
    assert.equal(schemaIdOf(Buffer.of(0, 0xff, 0xff, 0xff, 0xff)), 2 ** 32 - 1);
    assert.equal(bodyOf(Buffer.of(0, 0, 0, 0, 7, 9)).length, 1);
  });
});

const version = (fields: object[], symbols: string[], doc?: string) =>
  JSON.stringify({
    type: 'record',
    name: 'Evolving',
    doc,
    fields: [
      { name: 'id', type: 'string' },
      { name: 'kind', type: { type: 'enum', name: 'EvolvingKind', symbols, default: 'UNKNOWN' } },
      { name: 'raw', type: 'bytes' },
      ...fields,
    ],
  });
const inner = { type: 'record', name: 'Detail', fields: [{ name: 'x', type: 'long' }] };
const OLD = version([{ name: 'gone', type: 'int', default: 4 }], ['UNKNOWN', 'A']);
const NEW = version(
  [
    { name: 'added', type: ['null', 'string'], default: null },
    { name: 'list', type: { type: 'array', items: inner }, default: [] },
  ],
  ['UNKNOWN', 'A', 'B'],
);

describe('other versions of a schema', () => {
  const old = codecOf(OLD, 1);
  const now = codecOf(NEW, 2);
  old.register({ id: 2, schema: NEW });
  now.register({ id: 1, schema: OLD });

  it('new code reads old events as plain values that it can write again', () => {
    const value = now.decodeAs('Evolving', old.encode('Evolving', { id: 'a', kind: 'A', raw: Buffer.of(1), gone: 9 }));
    assert.deepEqual(value, { id: 'a', kind: 'A', raw: Buffer.of(1), added: null, list: [] });
    assert.deepEqual(now.decodeAs('Evolving', now.encode('Evolving', value)), value);
  });

  it('old code reads new events, and UNKNOWN for symbols that it does not know', () => {
    const value = { id: 'a', kind: 'B', raw: Buffer.of(1), added: 'b', list: [{ x: 1 }] };
    const read = old.decodeAs('Evolving', now.encode('Evolving', value));
    assert.deepEqual(read, { id: 'a', kind: 'UNKNOWN', raw: Buffer.of(1), gone: 4 });
  });

  it('hostile bytes of an older version give a CodecError and nothing else', () => {
    fc.assert(
      fc.property(valuesOf(OLD), fc.nat(), fc.nat(255), (value, at, byte) => {
        const bytes = old.encode('Evolving', value);
        assert.throws(() => now.decode(bytes.subarray(0, -1)), CodecError);
        assert.throws(() => now.decode(Buffer.concat([bytes, Buffer.of(0)])), CodecError);
        bytes[5 + (at % (bytes.length - 5))] = byte;
        attempt(() => now.decode(bytes));
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it('writes with the id of the schema that says the same, whatever its documentation', () => {
    const codec = new Codec([NEW]);
    assert.throws(() => codec.encode('Evolving', {}), /No schema of the name/);
    codec.register({ id: 1, schema: OLD });
    assert.throws(() => codec.encode('Evolving', {}), /No schema of the name/);
    const documented = JSON.stringify({ ...JSON.parse(NEW), doc: 'Other words.' });
    assert.equal(fingerprint(documented), fingerprint(NEW));
    codec.register({ id: 3, schema: documented });
    assert.equal(schemaIdOf(codec.encode('Evolving', { id: '', kind: 'A', raw: Buffer.of(), added: null, list: [] })), 3);
    assert.ok(codec.knows(3) && codec.knows(1) && !codec.knows(2));
  });

  it('reads events whose name it does not know at all', () => {
    const other = new Codec([]);
    other.register({ id: 1, schema: OLD });
    const value = { id: 'a', kind: 'A', raw: Buffer.of(1), gone: 9 };
    assert.deepEqual(other.decode(old.encode('Evolving', value)), { name: 'Evolving', value });
  });
});
