/** Events read by the form of one that came before (schemas/forms.ts) are what the strict decoder makes of them, or its error. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Codec, CodecError } from '../../schemas/codec.ts';
import { currentSchemas } from '../../schemas/files.ts';
import type { PointReadings, ReadingsDelivery } from '../../schemas/types.ts';
import { comparable } from './arbitrary.ts';

const SEED = 20250330;
const NAME = 'ReadingsDelivery';

function freshCodec(): Codec {
  const schema = currentSchemas().get(NAME)!;
  const codec = new Codec([schema]);
  codec.register({ id: 7, schema });
  return codec;
}

const long = fc.oneof(
  fc.integer({ min: -70, max: 70 }),
  fc.integer({ min: -(2 ** 52), max: 2 ** 52 - 1 }),
  fc.nat({ max: 51 }).map((bits) => 2 ** bits),
  fc.constant(1_767_225_600_000),
);
const value = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(-0, 0, 230.5));
/** Few texts, so that the same ones come again, in another order. */
const site = fc.constantFrom('site-9e3779b97f4a7c15', 'site-3c6ef372fe94f82b', 's', '');
const point = fc.constantFrom('point-9e3779b97f4a7c15', 'point-3c6ef372fe94f82b', 'punto-ñandú-0001', 'p');
const device = fc.constantFrom(null, 'device-a', 'device-b');
const numbers = <T>(of: fc.Arbitrary<T>) => fc.array(of, { maxLength: 2 });

const series: fc.Arbitrary<PointReadings> = fc.record(
  {
    pointId: point,
    unit: fc.constantFrom('WATT' as const, 'MILLIWATT_HOUR' as const),
    deviceId: device,
    startMs: numbers(long),
    value: numbers(value),
    energyMilliWh: numbers(long),
    quality: fc.constantFrom(Buffer.of(0), Buffer.of(3), Buffer.of(0, 1)),
  },
  { noNullPrototype: true },
);
const delivery: fc.Arbitrary<ReadingsDelivery> = fc.record(
  { siteId: site, knownAtMs: long, series: fc.oneof(fc.tuple(series), fc.array(series, { maxLength: 2 })) },
  { noNullPrototype: true },
);

const refilled = (codec: Codec, bytes: Uint8Array) => {
  try {
    return comparable(codec.refillAs(NAME, bytes, new DataView(bytes.buffer)));
  } catch (error) {
    if (error instanceof CodecError) return error.code;
    throw error;
  }
};
const strict = (codec: Codec, bytes: Uint8Array) => {
  try {
    return comparable(codec.decodeAs(NAME, bytes));
  } catch (error) {
    if (error instanceof CodecError) return error.code;
    throw error;
  }
};

test('whatever came before, in whatever order, and however bytes are changed', () => {
  const change = fc.tuple(fc.nat(), fc.nat(255));
  let read = 0;
  let refused = 0;
  fc.assert(
    fc.property(
      fc.array(delivery, { minLength: 1, maxLength: 6 }),
      fc.array(fc.tuple(fc.nat(), change), { maxLength: 30 }),
      (given, order) => {
        const codec = freshCodec();
        const events = given.map((each) => codec.encode(NAME, each));
        // Each one twice, so that the second time goes by its form; then copies of them with one byte changed.
        const changed = order.map(([which, [at, byte]]) => {
          const bytes = Buffer.from(events[which % events.length]);
          bytes[5 + (at % (bytes.length - 5))] = byte;
          return bytes;
        });
        for (const bytes of [...events, ...events, ...changed, ...changed, ...events]) {
          const expected = strict(codec, bytes);
          if (typeof expected === 'string') refused++;
          else read++;
          assert.deepEqual(refilled(codec, bytes), expected);
          assert.deepEqual(refilled(codec, bytes), expected);
        }
      },
    ),
    { seed: SEED, numRuns: 400 },
  );
  assert.ok(read > 1_000 && refused > 1_000, `${read} read, ${refused} refused`);
});

test('numbers of every length at every place of a reading alone', () => {
  const codec = freshCodec();
  const of = (startMs: number, reading: number, energy: boolean) =>
    codec.encode(NAME, {
      siteId: 'site-9e3779b97f4a7c15',
      knownAtMs: startMs,
      series: [
        {
          pointId: 'point-9e3779b97f4a7c15',
          unit: energy ? 'MILLIWATT_HOUR' : 'WATT',
          deviceId: null,
          startMs: [startMs],
          value: energy ? [] : [reading],
          energyMilliWh: energy ? [reading] : [],
          quality: Buffer.of(0),
        },
      ],
    } satisfies ReadingsDelivery);
  for (let bits = 0; bits <= 51; bits++)
    for (const sign of [1, -1])
      for (const more of [0, 1, 2 ** Math.max(0, bits - 1)]) {
        const number = sign * (2 ** bits + (more === 2 ** bits ? 0 : more) * (bits > 1 ? 1 : 0));
        for (const bytes of [of(number, number / 4, false), of(number, number, true)])
          for (let again = 0; again < 3; again++) assert.deepEqual(refilled(codec, bytes), strict(codec, bytes), `${number}`);
      }
});

test('a value that is no finite number is refused in an event of a known form too', () => {
  const codec = freshCodec();
  const [series] = [
    { pointId: 'point-9e3779b97f4a7c15', unit: 'WATT', deviceId: null, startMs: [1], value: [1], energyMilliWh: [], quality: Buffer.of(0) },
  ];
  const bytes = codec.encode(NAME, { siteId: 'site-9e3779b97f4a7c15', knownAtMs: 1, series: [series] });
  for (let again = 0; again < 3; again++) assert.equal(typeof refilled(codec, bytes), 'object');
  // The value is followed by the ends of two arrays, the quality, and the end of the series.
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    bytes.writeDoubleLE(bad, bytes.length - 5 - 8);
    assert.equal(refilled(codec, bytes), 'EVENT_INVALID');
  }
  bytes.writeDoubleLE(2, bytes.length - 5 - 8);
  assert.equal((refilled(codec, bytes) as ReadingsDelivery).series[0].value[0], 2);
});

test('what is read by its form shares no memory with the event it was made from', () => {
  const codec = freshCodec();
  const event = {
    siteId: 'site-9e3779b97f4a7c15',
    knownAtMs: 1,
    series: [
      { pointId: 'p', unit: 'WATT', deviceId: null, startMs: [1_767_225_600_000], value: [1], energyMilliWh: [], quality: Buffer.of(1, 2) },
    ],
  };
  const first = codec.encode(NAME, event);
  refilled(codec, first);
  refilled(codec, Buffer.from(first));
  const second = Buffer.from(first);
  first.fill(0xff);
  assert.deepEqual(refilled(codec, second), comparable(event));
});
