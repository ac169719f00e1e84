/** Forms of events (schemas/forms.ts) however few are kept, whatever the frame says, and that none is of an event without bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AvroReader } from '../../schemas/avro-bytes.ts';
import { Codec, CodecError } from '../../schemas/codec.ts';
import { CoderGenerator } from '../../schemas/coders.ts';
import { currentSchemas } from '../../schemas/files.ts';
import type { Forms } from '../../schemas/forms.ts';
import { refilling } from '../../schemas/refilling.ts';
import type { ReadingsDelivery, SiteDeclared } from '../../schemas/types.ts';
import { pointOf } from '../processors/harness/site-rig.ts';
import { comparable } from './arbitrary.ts';

const SEED = 20260114;
const NAME = 'ReadingsDelivery';
const SCHEMA = currentSchemas().get(NAME)!;

interface Place {
  device?: string | null;
  startMs?: number;
  value?: number;
}

const reading = (pointId: string, { device = null, startMs = 1_767_225_600_000, value = 230.5 }: Place = {}): ReadingsDelivery => ({
  siteId: 'site-9e3779b97f4a7c15',
  knownAtMs: 1_767_225_660_000,
  series: [{ pointId, unit: 'WATT', deviceId: device, startMs: [startMs], value: [value], energyMilliWh: [], quality: Buffer.of(0) }],
});

function codecOf(...schemas: [id: number, schema: string][]): Codec {
  const codec = new Codec(schemas.map(([, schema]) => schema).slice(-1));
  for (const [id, schema] of schemas) codec.register({ id, schema });
  return codec;
}

/** The same body under another number of its schema. */
function underId(bytes: Uint8Array, id: number): Buffer {
  const other = Buffer.from(bytes);
  other.writeUInt32BE(id, 1);
  return other;
}

/** What the codec makes of the bytes, each time somewhere else in memory. */
function refilled(codec: Codec, bytes: Uint8Array, name = NAME, at = 16): unknown {
  const memory = new Uint8Array(at + bytes.length + 3).fill(0xa5);
  memory.set(bytes, at);
  try {
    return comparable(codec.refillAs(name, memory.subarray(at, at + bytes.length), new DataView(memory.buffer)));
  } catch (error) {
    if (error instanceof CodecError) return error.code;
    throw error;
  }
}

/** Reads by forms as the codec does, but with few of them; counts what was read by one. */
class FewForms {
  byForm = 0;
  readonly forms: Forms;
  private readonly reader = new AvroReader();
  private readonly refill: ReturnType<typeof refilling>;

  constructor(most: { forms: number; shapes: number }) {
    const generator = new CoderGenerator();
    generator.compile(JSON.parse(SCHEMA));
    const of = (type: unknown) => generator.compile(type as never);
    this.refill = refilling(
      JSON.parse(SCHEMA),
      (type) => of(type).decode,
      (type) => of(type).least,
      most,
    );
    this.forms = this.refill.forms!;
  }

  read(bytes: Uint8Array): unknown {
    const memory = new DataView(bytes.buffer);
    if (this.forms.read(memory, bytes.byteOffset, bytes.length)) {
      this.byForm++;
      return comparable(this.refill.value);
    }
    this.reader.open(bytes, 5, memory);
    return comparable(this.refill.decode(this.reader));
  }
}

test('an event without bytes, or with too few, is refused whatever was read before it', () => {
  const codec = codecOf([7, SCHEMA]);
  for (let again = 0; again < 4; again++)
    for (const point of ['point-a', 'point-b']) {
      const event = reading(point, { value: again });
      const bytes = codec.encode(NAME, event);
      assert.deepEqual(refilled(codec, bytes), comparable(event));
      for (const at of [0, 16])
        for (let length = 0; length <= 4; length++)
          assert.equal(refilled(codec, new Uint8Array(length), NAME, at), 'EVENT_UNDECODABLE', `${length}`);
      // The frame is compared too: a number that no schema has, and what is no frame.
      for (const bad of [underId(bytes, 99), Buffer.from(bytes).fill(1, 0, 1)]) assert.equal(refilled(codec, bad), 'EVENT_UNDECODABLE');
    }
});

test('forms are let go where there are too many, and what has none is read all the same', () => {
  const points = fc.constantFrom(...Array.from({ length: 9 }, (_, i) => `point-9e3779b97f4a7c1${i}`), 'p', '');
  const places = fc.record({
    device: fc.constantFrom(null, 'device-a'),
    startMs: fc.constantFrom(0, 64, 2 ** 20, 1_767_225_600_000),
    value: fc.constantFrom(0, -0, 230.5),
  });
  const most = fc.record({ forms: fc.constantFrom(2, 3, 5, 12, 100), shapes: fc.constantFrom(0, 1, 2, 256) });
  const codec = codecOf([7, SCHEMA]);
  let byForm = 0;
  let usual = 0;
  fc.assert(
    fc.property(most, fc.array(fc.tuple(points, places), { minLength: 1, maxLength: 8 }), fc.array(fc.nat()), (kept, given, order) => {
      const few = new FewForms(kept);
      const events = given.map(([point, place]) => codec.encode(NAME, reading(point, place)));
      // In turn, so that each is expected after the one before, then in any order, then in turn again.
      const inTurn = [...events.keys()];
      const turns = [...inTurn, ...inTurn, ...inTurn, ...inTurn, ...order.map((i) => i % events.length), ...inTurn, ...inTurn];
      for (const i of turns) assert.deepEqual(few.read(events[i]), comparable(reading(...given[i])));
      byForm += few.byForm;
      usual += turns.length - few.byForm;
      if (kept.shapes === 0) assert.equal(few.byForm, 0);
      const { store, at, texts, textCount } = few.forms;
      assert.ok(at.length <= kept.forms && texts.length <= textCount * kept.forms && store.length <= 1 + 16 * kept.forms);
    }),
    { seed: SEED, numRuns: 80 },
  );
  assert.ok(byForm > 300 && usual > 500, `${byForm} by form, ${usual} as usual`);
});

test('what comes in the same order again is read by its form, also where one is missing, late or doubled once', () => {
  const few = new FewForms({ forms: 100, shapes: 8 });
  const codec = codecOf([7, SCHEMA]);
  const points = Array.from({ length: 10 }, (_, i) => `point-9e3779b97f4a7c1${i}`);
  let minute = 0;
  /** How many of a minute's readings were read by their form. */
  const formsOf = (order: readonly number[]) => {
    const before = few.byForm;
    minute++;
    for (const i of order) {
      const event = reading(points[i], { startMs: 1_767_225_600_000 + minute * 60_000, value: minute + i });
      assert.deepEqual(few.read(codec.encode(NAME, event)), comparable(event));
    }
    return few.byForm - before;
  };
  const all = [...points.keys()];
  // At first they come once, then they get their forms; the first one's follows the last one's.
  assert.deepEqual([formsOf(all), formsOf(all), formsOf(all), formsOf(all)], [0, 0, 9, 10]);
  assert.equal(formsOf(all.filter((i) => i !== 4)), 9);
  assert.equal(formsOf(all), 10);
  // One out of turn costs itself and the one after it, and nothing the next time, however often there is one.
  for (let again = 0; again < 3; again++) {
    assert.equal(formsOf([0, 1, 2, 7, 3, 4, 5, 6, 7, 8, 9]), 9);
    assert.equal(formsOf(all), 10);
  }
  // Another order for good is learnt.
  const backwards = [...all].reverse();
  for (let again = 0; again < 4; again++) formsOf(backwards);
  assert.equal(formsOf(backwards), 10);
});

test('texts that come once make no forms, and too many of them let all forms go', () => {
  const few = new FewForms({ forms: 6, shapes: 8 });
  const codec = codecOf([7, SCHEMA]);
  let byForm = 0;
  /** Whether each was read by its form. */
  const formsOf = (...points: string[]) =>
    points.map((point) => {
      const event = reading(point);
      assert.deepEqual(few.read(codec.encode(NAME, event)), comparable(event));
      return byForm !== (byForm = few.byForm);
    });
  for (let again = 0; again < 3; again++) formsOf('a', 'b', 'c');
  assert.deepEqual(formsOf('a', 'b', 'c'), [true, true, true]);
  const made = few.forms.at.length;
  assert.deepEqual(formsOf('once', 'twice'), [false, false]);
  assert.deepEqual(formsOf('a', 'b', 'c'), [true, true, true]);
  assert.equal(few.forms.at.length, made);
  // A sixth and a seventh text: the seventh finds no room.
  formsOf('thrice', 'too many');
  assert.deepEqual(formsOf('a', 'b', 'c'), [false, false, false]);
});

test('two numbers of one schema, and an older schema, between events of known forms', () => {
  const widened = JSON.parse(SCHEMA) as { fields: unknown[] };
  widened.fields.push({ name: 'note', type: 'string', default: '' });
  const current = JSON.stringify(widened);
  const codec = codecOf([1, SCHEMA], [7, current], [9, current]);
  const writer = codecOf([1, SCHEMA]);
  for (const order of [
    [7, 9],
    [7, 1],
    [7, 9, 1, 9, 7, 1],
    [1, 1, 7, 7, 9, 9],
  ])
    for (let again = 0; again < 6; again++)
      for (const id of order)
        for (const point of ['point-9e3779b97f4a7c15', 'p']) {
          const event = reading(point, { value: again });
          const bytes = id === 1 ? writer.encode(NAME, event) : underId(codec.encode(NAME, { ...event, note: 'n' } as never), id);
          const expected = comparable({ ...event, note: id === 1 ? '' : 'n' });
          assert.deepEqual(refilled(codec, bytes), expected, `${id}`);
          assert.deepEqual(comparable(codec.decodeAs(NAME, bytes)), expected);
        }
});

test('the same texts with numbers of other lengths, in turn', () => {
  const codec = codecOf([7, SCHEMA]);
  // Together they have as many bytes, so that only their places tell them apart.
  const lengths = [
    { knownAtMs: 1, startMs: 2 ** 40 },
    { knownAtMs: 2 ** 40, startMs: 1 },
    { knownAtMs: 2 ** 20, startMs: 2 ** 20 },
    { knownAtMs: 1, startMs: 1 },
  ];
  for (let again = 0; again < 50; again++)
    for (const { knownAtMs, startMs } of again % 2 === 0 ? lengths : [...lengths].reverse()) {
      const event = { ...reading('point-9e3779b97f4a7c15', { startMs: startMs + again, value: again }), knownAtMs };
      assert.deepEqual(refilled(codec, codec.encode(NAME, event)), comparable(event));
    }
});

test('bytes within a record of a form are its own', () => {
  const name = 'SiteDeclared';
  const codec = codecOf([7, currentSchemas().get(name)!]);
  const site: SiteDeclared = {
    siteId: 'site-9e3779b97f4a7c15',
    knownAtMs: 1,
    pilotId: 'pilot',
    timeZone: 'Europe/Helsinki',
    kind: 'HOME',
    origin: 'SIMULATED',
    personalData: { keyId: 'key', ciphertext: Buffer.from('ciphertext') },
    points: [pointOf('p', 'REGISTER', { registerModulusMilliWh: 1_000_000 })],
  };
  const bytes = codec.encode(name, site);
  const copies = Array.from({ length: 4 }, () => Uint8Array.from(bytes));
  for (const copy of copies) {
    const value = codec.refillAs(name, copy, new DataView(copy.buffer));
    assert.deepEqual(comparable(value), comparable(site));
    copy.fill(0xff);
  }
});
