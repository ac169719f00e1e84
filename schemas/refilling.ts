/**
 * Decoders that fill the same value each time, for events whose readers keep nothing of them: one function a schema,
 * which makes no objects and calls nothing for what is usual (numbers of one byte, arrays of one item, texts that come
 * in the same order again). Whatever is not usual, and whatever is wrong, is left to the reader at the same place.
 */
import type { AvroReader } from './avro-bytes.ts';
import { sameDoubles, TextCursor } from './known-texts.ts';

type Json = string | { [key: string]: unknown } | Json[];
type Decode = (reader: AvroReader) => unknown;
interface Field {
  name: string;
  type: Json;
}

/** Items beyond so many are made anew each time, lest one large event is held for ever. */
const MAX_REUSED_ITEMS = 1_024;
/** What an array without items is read as; nobody may change it. */
const NONE: readonly number[] = [];
const ONE_BYTE = Array.from({ length: 256 }, (_, byte) => Buffer.from([byte]));

/** `decodeOf` gives the ordinary decoder of a type, `leastOf` the fewest bytes of its values. */
export function refilling(json: { fields: Field[] }, decodeOf: (type: Json) => Decode, leastOf: (type: Json) => number): () => Decode {
  const source = new RefillSource(decodeOf, leastOf);
  const body = source.record(json.fields, 'o', 'own');
  const text = `return () => {
    const own = ${source.slot(json.fields)};
    const o = own.record;
    return (r) => {
      const b = r.bytes, v = r.view, base = b.byteOffset, end = r.end;
      const texts = r.texts.store;
      let at = r.position, x = 0, y = 0, z = 0, from = 0, a = none, d = 0, text;
      ${body}
      r.position = at;
      return o;
    };
  };`;
  return new Function('none', 'oneByte', 'shared', 'same', text)(NONE, ONE_BYTE, source.shared, sameDoubles) as () => Decode;
}

class RefillSource {
  /** Values that the code refers to by number. */
  readonly shared: unknown[] = [];
  private readonly decodeOf: (type: Json) => Decode;
  private readonly leastOf: (type: Json) => number;

  constructor(decodeOf: (type: Json) => Decode, leastOf: (type: Json) => number) {
    this.decodeOf = decodeOf;
    this.leastOf = leastOf;
  }

  private refer(value: unknown): string {
    return `shared[${this.shared.push(value) - 1}]`;
  }

  /** A record with its arrays. Fields begin with a double, so that they hold numbers in place. */
  slot(fields: Field[]): string {
    const arrays = fields.map((_, i) => `a${i}: [0.5], a${i}Items: []`);
    return `{ record: { ${fields.map(({ name }) => `${name}: 0.5`).join(', ')} }, ${arrays.join(', ')} }`;
  }

  record(fields: Field[], record: string, slot: string): string {
    return fields.map(({ name, type }, i) => `{ ${this.value(type, `${record}.${name}`, `${slot}.a${i}`, slot)} }`).join('\n');
  }

  private value(type: Json, to: string, array: string, slot: string): string {
    if (type === 'long') return this.long(to);
    if (type === 'double') return this.double(to);
    if (type === 'string') return this.text(to);
    if (type === 'bytes')
      return `if (b[at] === 2 && at + 2 <= end) { ${to} = oneByte[b[at + 1]]; at += 2; } else { ${this.read('r.byteArray()', to)} }`;
    if (Array.isArray(type)) return this.union(type, to, array, slot);
    if (typeof type !== 'string' && type.type === 'enum') return this.enumeration(type.symbols as string[], to);
    if (typeof type !== 'string' && type.type === 'array') return this.array(type.items as Json, type, to, array, slot);
    return this.ordinary(type, to);
  }

  private read(call: string, to: string): string {
    return `r.position = at; ${to} = ${call}; at = r.position;`;
  }

  private ordinary(type: Json, to: string): string {
    return this.read(`${this.refer(this.decodeOf(type))}(r)`, to);
  }

  /** Most numbers take one byte, or six (times); z is the sum of the latter's lower four groups of seven bits. */
  private long(to: string): string {
    return `x = b[at];
      if (x < 128) { at++; ${to} = (x >>> 1) ^ -(x & 1); }
      else if (at + 6 <= end
        && ((y = v.getInt32(base + at, true)) & -2139062144) === -2139062144
        && ((x = v.getUint16(base + at + 4, true)) & 32896) === 128) {
        z = (y & 127) | ((y >>> 1) & 16256) | ((y >>> 2) & 2080768) | ((y >>> 3) & 266338304);
        d = (z >>> 1) + ((x & 127) | ((x >>> 1) & 16256)) * 134217728;
        ${to} = (z & 1) === 0 ? d : -d - 1;
        at += 6;
      } else { ${this.read('r.long()', to)} }`;
  }

  private double(to: string): string {
    return `if (at + 8 <= end && (d = v.getFloat64(base + at, true)) - d === 0) { ${to} = d; at += 8; } else { ${this.read('r.double()', to)} }`;
  }

  private text(to: string): string {
    const cursor = this.refer(new TextCursor());
    return `x = b[at] >> 1; from = at + 1; text = ${cursor}.latest;
      if ((b[at] & 129) !== 0 || from + x > end) x = 0;
      if (text.guessLength !== x || !same(texts, text.at, v, base + from, x)) text = text.follower;
      if (text.guessLength === x && same(texts, text.at, v, base + from, x)) {
        ${cursor}.latest = text; ${to} = text.text; at = from + x;
      } else { ${this.read(`r.string(${cursor})`, to)} }`;
  }

  private union(branches: Json[], to: string, array: string, slot: string): string {
    return `x = b[at];
      if (x === 0) { at++; ${to} = null; }
      else if (x === 2) { at++; ${this.value(branches[1], to, array, slot)} }
      else { ${this.ordinary(branches, to)} }`;
  }

  private enumeration(symbols: string[], to: string): string {
    const list = this.refer(symbols);
    return `x = b[at];
      if (x < ${Math.min(128, 2 * symbols.length)} && (x & 1) === 0) { at++; ${to} = ${list}[x >> 1]; }
      else { r.position = at; ${to} = ${list}[r.index(${symbols.length})]; at = r.position; }`;
  }

  private array(items: Json, type: Json, to: string, array: string, slot: string): string {
    if (items === 'long' || items === 'double') return this.numbers(items, to, array);
    const fields = typeof items !== 'string' && !Array.isArray(items) && items.type === 'record' ? (items.fields as Field[]) : undefined;
    // Records within the items of another array are rare, and would need a place for each.
    return fields === undefined || slot !== 'own' ? this.ordinary(type, to) : this.records(items, fields, to, array);
  }

  private numbers(items: 'long' | 'double', to: string, array: string): string {
    const least = items === 'double' ? 8 : 1;
    return `x = b[at];
      if (x === 0) { at++; ${to} = none; }
      else if (x === 2 && at + 1 + ${least} < end) {
        a = ${array}; from = at++;
        ${items === 'double' ? this.double('a[0]') : this.long('a[0]')}
        if (b[at] === 0) { at++; if (a.length !== 1) a.length = 1; ${to} = a; }
        else { at = from; ${this.read(`r.${items}sInto(a)`, to)} }
      } else { ${this.read(`r.${items}sInto(${array})`, to)} }`;
  }

  private records(items: Json, fields: Field[], to: string, array: string): string {
    const decode = this.refer(this.decodeOf(items));
    const next = `if (b[at] === 0) { at++; count = 0; } else { r.position = at; count = r.block(${this.leastOf(items)}); at = r.position; }`;
    return `const list = ${array}; let length = 0, count = 0;
      ${next}
      while (count > 0) {
        for (; count > 0; count--) {
          if (length >= ${MAX_REUSED_ITEMS}) { ${this.read(`${decode}(r)`, 'list[length++]')} continue; }
          if (length === ${array}Items.length) ${array}Items.push(${this.slot(fields)});
          const item = ${array}Items[length], i = item.record;
          ${this.record(fields, 'i', 'item')}
          list[length++] = i;
        }
        ${next}
      }
      if (list.length !== length) list.length = length;
      ${to} = list;`;
  }
}
