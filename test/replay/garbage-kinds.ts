/** Every documented kind of garbage, made of good events and lines by a seeded generator. */
import { hash } from 'node:crypto';
import type { Codec } from '../../schemas/codec.ts';
import type { ReadingsDelivery } from '../../schemas/types.ts';

/** Seeded 32-bit generator (mulberry32). */
export class Dice {
  private state: number;
  constructor(seed: number) {
    this.state = seed;
  }
  /** Whole number below the bound. */
  below(bound: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * bound);
  }
}

/** Stands in a base event's only value, to be found in its bytes. */
export const MARKER_W = 1234.5678;
const MARKER = (() => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(MARKER_W);
  return bytes;
})();

function withValueBytes(bytes: Buffer, value: number): Buffer {
  const at = bytes.indexOf(MARKER);
  const changed = Buffer.from(bytes);
  changed.writeDoubleLE(value, at);
  return changed;
}

/** Where the count of series stands: after frame, site (short) and the six bytes of a time of our days. */
const seriesCountAt = (delivery: ReadingsDelivery) => 5 + 1 + delivery.siteId.length + 6;
const spliced = (bytes: Buffer, at: number, removed: number, put: Buffer) =>
  Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + removed)]);
const HUGE = Buffer.from([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);

export interface EventContext {
  codec: Codec;
  delivery: ReadingsDelivery;
  bytes: Buffer;
  dice: Dice;
}

const changed = ({ codec, delivery }: EventContext, change: (copy: ReadingsDelivery) => void): Buffer => {
  const copy = structuredClone(delivery);
  change(copy);
  return codec.encode('ReadingsDelivery', copy);
};

/** Framed bytes that are wrong in one way each; some may still be a whole event (a flipped bit of a value). */
export const EVENT_KINDS: Record<string, (context: EventContext) => Buffer> = {
  'one bit flipped': ({ bytes, dice }) => {
    const copy = Buffer.from(bytes);
    copy[dice.below(copy.length)] ^= 1 << dice.below(8);
    return copy;
  },
  'a byte written over': ({ bytes, dice }) => {
    const copy = Buffer.from(bytes);
    copy[dice.below(copy.length)] = dice.below(256);
    return copy;
  },
  'a stretch written over': ({ bytes, dice }) => {
    const copy = Buffer.from(bytes);
    const from = dice.below(copy.length);
    for (let i = from; i < Math.min(copy.length, from + 8); i++) copy[i] = dice.below(256);
    return copy;
  },
  truncated: ({ bytes, dice }) => bytes.subarray(0, dice.below(bytes.length)),
  'bytes after the end': ({ bytes, dice }) => Buffer.concat([bytes, Buffer.alloc(1 + dice.below(20), dice.below(256))]),
  'a byte put in': ({ bytes, dice }) => spliced(bytes, dice.below(bytes.length), 0, Buffer.from([dice.below(256)])),
  'a byte taken out': ({ bytes, dice }) => spliced(bytes, dice.below(bytes.length), 1, Buffer.alloc(0)),
  empty: () => Buffer.alloc(0),
  'frame only': ({ bytes }) => bytes.subarray(0, 5),
  'wrong magic byte': ({ bytes, dice }) => Buffer.concat([Buffer.from([1 + dice.below(255)]), bytes.subarray(1)]),
  'unknown schema id': ({ bytes, dice }) => spliced(bytes, 1, 4, Buffer.from([0x7f, 0xff, dice.below(256), dice.below(256)])),
  'another known schema': ({ codec, delivery }) => codec.encode('Tick', { knownAtMs: delivery.knownAtMs }),
  'body under another schema': ({ codec, bytes }) => Buffer.concat([codec.encode('SiteDeclared', SITE).subarray(0, 5), bytes.subarray(5)]),
  'random bytes': ({ bytes, dice }) =>
    Buffer.concat([bytes.subarray(0, 5), Buffer.from(Array.from({ length: 60 }, () => dice.below(256)))]),
  text: () => Buffer.from('{"siteId":"a","value":1}'),
  'not a number': ({ bytes }) => withValueBytes(bytes, Number.NaN),
  infinite: ({ bytes, dice }) => withValueBytes(bytes, dice.below(2) === 0 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY),
  'an enormous value': ({ bytes }) => withValueBytes(bytes, 1e300),
  'a huge count of series': ({ bytes, delivery }) => spliced(bytes, seriesCountAt(delivery), 1, HUGE),
  'a negative count of series': ({ bytes, delivery }) => spliced(bytes, seriesCountAt(delivery), 1, Buffer.from([0x03])),
  'a huge length of a text': ({ bytes }) => spliced(bytes, 5, 1, HUGE),
  'a negative length of a text': ({ bytes }) => spliced(bytes, 5, 1, Buffer.from([0x03])),
  'a text that is not UTF-8': ({ bytes, delivery }) =>
    spliced(bytes, bytes.lastIndexOf(delivery.series[0].pointId) + 1, 2, Buffer.from([0xff, 0xfe])),
  'an unknown site': (context) => changed(context, (copy) => (copy.siteId = `${copy.siteId}x`)),
  'an unknown point': (context) => changed(context, (copy) => (copy.series[0].pointId = 'nobody')),
  'another unit': (context) => changed(context, (copy) => (copy.series[0].unit = 'DEGREE_CELSIUS')),
  'an unknown quality': (context) => changed(context, (copy) => (copy.series[0].quality = Uint8Array.of(9))),
  'columns of unequal length': (context) => changed(context, (copy) => copy.series[0].value.push(1)),
  'energy beside power': (context) => changed(context, (copy) => (copy.series[0].energyMilliWh = [1])),
  'a clock in 2038': (context) => changed(context, (copy) => (copy.series[0].startMs = [2_147_483_648_000])),
  'a time before 1970': (context) => changed(context, (copy) => (copy.series[0].startMs = [-86_400_000])),
  oversized: ({ bytes, dice }) => Buffer.concat([bytes, Buffer.alloc(20_000 + dice.below(1000), 0x41)]),
};

const SITE = { siteId: 's', knownAtMs: 0, pilotId: 'p', timeZone: 'UTC', kind: 'HOME', origin: 'MEASURED', personalData: null, points: [] };

export const sha256 = (bytes: Uint8Array): string => hash('sha256', bytes);

export interface LineContext {
  meter: string;
  stamp: string;
  value: string;
  dice: Dice;
}

const line = ({ meter, stamp, value }: LineContext) => Buffer.from(`${meter},${stamp},${value}`);
/** No new line: it would make two lines of one, which is another kind. */
const byteOf = (dice: Dice) => {
  const byte = dice.below(256);
  return byte === 0x0a ? 0x0b : byte;
};

/** Lines of the form "meter,stamp,value" that are wrong in one way each; some may still hold a reading. */
export const LINE_KINDS: Record<string, (context: LineContext) => Buffer> = {
  'one bit flipped': (context) => {
    const bytes = line(context);
    const at = context.dice.below(bytes.length);
    const flipped = bytes[at] ^ (1 << context.dice.below(8));
    bytes[at] = flipped === 0x0a ? 0x0b : flipped;
    return bytes;
  },
  'a byte written over': (context) => {
    const bytes = line(context);
    bytes[context.dice.below(bytes.length)] = byteOf(context.dice);
    return bytes;
  },
  truncated: (context) => line(context).subarray(0, 1 + context.dice.below(line(context).length - 1)),
  'a field too many': (context) => Buffer.concat([line(context), Buffer.from(',1')]),
  'a field too few': ({ meter, stamp }) => Buffer.from(`${meter},${stamp}`),
  'cut in two lines': (context) => {
    const bytes = line(context);
    return spliced(bytes, 1 + context.dice.below(bytes.length - 1), 0, Buffer.from('\n'));
  },
  'a quote that does not close': ({ meter, stamp, value }) => Buffer.from(`${meter},"${stamp},${value}`),
  'a quote within': ({ meter, stamp, value }) => Buffer.from(`${meter},${stamp}"x",${value}`),
  'well quoted': ({ meter, stamp, value }) => Buffer.from(`"${meter}","${stamp}","${value}"`),
  'a carriage return at the end': (context) => Buffer.concat([line(context), Buffer.from('\r')]),
  'bytes that are not UTF-8': ({ meter, stamp, value }) =>
    Buffer.concat([Buffer.from(meter), Buffer.from([0xff, 0xc0]), Buffer.from(`,${stamp},${value}`)]),
  'zero bytes': ({ meter, stamp }) => Buffer.from(`${meter},${stamp},\0\0`),
  'a month that is not': ({ meter, value }) => Buffer.from(`${meter},2013-13-01 00:00:00,${value}`),
  'a day that is not': ({ meter, value }) => Buffer.from(`${meter},2013-02-29 00:00:00,${value}`),
  'a time skipped in spring': ({ meter, value }) => Buffer.from(`${meter},2013-03-31 01:30:00,${value}`),
  'another form of stamp': ({ meter, value }) => Buffer.from(`${meter},01.02.2013 00:30,${value}`),
  'a year to come': ({ meter, value }) => Buffer.from(`${meter},2038-01-19 03:14:08,${value}`),
  'a year gone by': ({ meter, value }) => Buffer.from(`${meter},2012-06-01 00:00:00,${value}`),
  'not a number': ({ meter, stamp, dice }) =>
    Buffer.from(`${meter},${stamp},${['NaN', 'Infinity', '-inf', 'null', '?', '1,5', '0x10'][dice.below(7)]}`),
  'an enormous value': ({ meter, stamp, dice }) => Buffer.from(`${meter},${stamp},${['1e99', '1e999', '-9e15'][dice.below(3)]}`),
  'digits of another script': ({ meter, stamp }) => Buffer.from(`${meter},${stamp},٣.٥`),
  'an unknown meter': ({ stamp, value }) => Buffer.from(`STRANGER,${stamp},${value}`),
  'an empty line': () => Buffer.alloc(0),
  'no value': ({ meter, stamp }) => Buffer.from(`${meter},${stamp},`),
  'random bytes': ({ dice }) => Buffer.from(Array.from({ length: 40 }, () => byteOf(dice))),
  oversized: ({ meter, stamp, dice }) => Buffer.from(`${meter},${stamp},${'9'.repeat(66_000 + dice.below(1000))}`),
};
