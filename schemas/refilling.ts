/**
 * Decoders that fill the same value each time, for events whose readers keep nothing of them: one function a schema,
 * which makes no objects where it can. Events that differ from an earlier one only in their numbers are read by their
 * form; all others, and whatever is wrong, by the reader.
 */
import type { AvroReader } from './avro-bytes.ts';
import { type Field, Forms, leavesOf, MOST } from './forms.ts';
import { TextCursor } from './known-texts.ts';

type Json = string | { [key: string]: unknown } | Json[];
type Decode = (reader: AvroReader) => unknown;

/** Items beyond so many are made anew each time, lest one large event is held for ever. */
const MAX_REUSED_ITEMS = 1_024;

/** Decodes into the same value each time. */
export interface Refill {
  decode: Decode;
  /** The value that is filled, and the forms of events that it is filled from without a reader, where the schema has some. */
  value: unknown;
  forms: Forms | undefined;
}

/** `decodeOf` gives the ordinary decoder of a type, `leastOf` the fewest bytes of its values; `most`: how many forms are kept. */
export function refilling(
  { fields }: { fields: Field[] },
  decodeOf: (type: Json) => Decode,
  leastOf: (type: Json) => number,
  most = MOST,
): Refill {
  const source = new RefillSource(decodeOf, leastOf);
  const own = new Function(`return ${source.slot(fields)};`)() as { record: unknown };
  const body = source.record(fields, 'o', 'own');
  const leaves = leavesOf(fields);
  const forms = leaves && new Forms({ fields, leaves, cursors: source.cursors, decodeOf, own, most });
  const text = `
    const o = own.record;
    return (r) => {
      const from = r.position;
      ${body}
      ${forms ? 'const to = r.position; if (to === r.end) { forms.note(r, from); r.position = to; }' : ''}
      return o;
    };`;
  return { decode: new Function('own', 'shared', 'forms', text)(own, source.shared, forms) as Decode, value: own.record, forms };
}

class RefillSource {
  /** Values that the code refers to by number. */
  readonly shared: unknown[] = [];
  readonly cursors: TextCursor[] = [];
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
    return fields.map(({ name, type }, i) => `${this.value(type, `${record}.${name}`, `${slot}.a${i}`, slot)};`).join('\n');
  }

  private value(type: Json, to: string, array: string, slot: string): string {
    if (type === 'string') return `${to} = r.string(${this.cursor()})`;
    if (type === 'long' || type === 'double') return `${to} = r.${type}()`;
    if (Array.isArray(type) && type[0] === 'null' && type[1] === 'string')
      return `${to} = r.index(2) === 0 ? null : r.string(${this.cursor()})`;
    if (typeof type !== 'string' && !Array.isArray(type) && type.type === 'array') {
      const items = type.items as Json;
      if (items === 'long' || items === 'double') return `${to} = r.${items}sInto(${array})`;
      const fields = typeof items !== 'string' && !Array.isArray(items) && items.type === 'record' ? (items.fields as Field[]) : undefined;
      // Records within the items of another array are rare, and would need a place for each.
      if (fields !== undefined && slot === 'own') return this.records(items, fields, to, array);
    }
    return `${to} = ${this.refer(this.decodeOf(type))}(r)`;
  }

  private cursor(): string {
    const cursor = new TextCursor();
    this.cursors.push(cursor);
    return this.refer(cursor);
  }

  private records(items: Json, fields: Field[], to: string, array: string): string {
    return `{ const list = ${array}; let length = 0;
      for (let count = r.block(${this.leastOf(items)}); count > 0; count = r.block(${this.leastOf(items)}))
        for (; count > 0; count--) {
          if (length >= ${MAX_REUSED_ITEMS}) { list[length++] = ${this.refer(this.decodeOf(items))}(r); continue; }
          if (length === ${array}Items.length) ${array}Items.push(${this.slot(fields)});
          const item = ${array}Items[length], i = item.record;
          ${this.record(fields, 'i', 'item')}
          list[length++] = i;
        }
      if (list.length !== length) list.length = length;
      ${to} = list; }`;
  }
}
