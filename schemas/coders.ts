/**
 * Encoders and decoders made from schemas: straight-line code for records, loops for arrays, no lookups by name at run
 * time. A property test holds them equal to avsc.
 */
import { type AvroReader, type AvroWriter, CodecError, lengthOf, shown } from './avro-bytes.ts';
import { TextCursor } from './known-texts.ts';

export type Json = string | { [key: string]: unknown } | Json[];
export type Encode = (writer: AvroWriter, value: unknown) => void;
export type Decode = (reader: AvroReader) => unknown;

/** How values of one type are written and read. */
export interface Coder {
  encode: Encode;
  decode: Decode;
  /** Fewest bytes of a value. */
  least: number;
}

/** Makes the coders of one schema; one function a record. */
export class CoderGenerator {
  private readonly named = new Map<string, Coder>();

  compile(json: Json): Coder {
    if (typeof json === 'string') return this.named.get(json) ?? primitive(json);
    if (Array.isArray(json)) return this.union(json);
    const type = json.type as string;
    if (type === 'record') return this.record(json as never);
    if (type === 'array') return this.array(json.items as Json);
    if (type === 'enum') return this.enumeration(json as never);
    return this.compile(type);
  }

  private record(json: { name: string; fields: { name: string; type: Json }[] }): Coder {
    const parts = json.fields.map((field) => this.compile(field.type));
    const names = json.fields.map((field) => field.name);
    const bound = names.map((_, i) => `const f${i} = parts[${i}].encode, g${i} = parts[${i}].decode, c${i} = cursors[${i}];`).join('\n');
    // Calls of the reader and writer themselves, where the type has one: functions in between would cost as much again.
    const direct = json.fields.map((field) => directCalls(field.type));
    const writes = names.map((name, i) => `field = ${JSON.stringify(name)}; ${direct[i]?.write(`v.${name}`) ?? `f${i}(w, v.${name})`};`);
    const reads = names.map((name, i) => `${name}: ${direct[i]?.read(i) ?? `g${i}(r)`}`);
    const source = `${bound}
      const declared = new Set(names);
      const encode = (w, v) => {
        if (v === null || typeof v !== 'object') throw bad(${JSON.stringify(json.name)} + ' is missing or not an object.');
        let count = 0;
        for (const k in v) count++;
        // Each declared field is refused below where it is missing, so that as many fields are the same fields.
        if (count !== ${names.length}) for (const k in v) if (!declared.has(k)) throw bad('The field ' + k + ' is not declared.');
        let field = '';
        try { ${writes.join('\n')} } catch (e) { throw at(e, field); }
      };
      const decode = (r) => ({ ${reads.join(', ')} });
      return { encode, decode };`;
    const cursors = names.map(() => new TextCursor());
    const made = new Function('parts', 'names', 'bad', 'at', 'cursors', source)(parts, names, invalid, located, cursors) as Coder;
    const result = { ...made, least: parts.reduce((sum, part) => sum + part.least, 0) };
    this.named.set(json.name, result);
    return result;
  }

  private array(items: Json): Coder {
    if (items === 'double')
      return {
        encode: ((w, v) => w.doubles(v as number[])) as Encode,
        decode: ((r) => r.doubles()) as Decode,
        least: 1,
      };
    if (items === 'long' || items === 'int') {
      const int = items === 'int';
      return {
        encode: ((w, v) => w.longs(v as number[], int)) as Encode,
        decode: ((r) => (int ? ints(r) : r.longs())) as Decode,
        least: 1,
      };
    }
    const item = this.compile(items);
    if (item.least === 0) throw new Error('Items without bytes make arrays that no body bounds.');
    const encode: Encode = (w, v) => {
      const count = lengthOf(v as unknown[]);
      if (count > 0) w.long(count);
      for (let i = 0; i < count; i++) item.encode(w, (v as unknown[])[i]);
      w.long(0);
    };
    const decode: Decode = (r) => {
      const first = r.block(item.least);
      if (first === 0) return [];
      const values: unknown[] = [item.decode(r)];
      for (let i = 1; i < first; i++) values.push(item.decode(r));
      for (let count = r.block(item.least); count > 0; count = r.block(item.least))
        for (let i = 0; i < count; i++) values.push(item.decode(r));
      return values;
    };
    return { encode, decode, least: 1 };
  }

  private enumeration(json: { name: string; symbols: string[] }) {
    const { symbols } = json;
    const indexes = new Map(symbols.map((symbol, i) => [symbol, i]));
    const encode: Encode = (w, v) => {
      const index = indexes.get(v as string);
      if (index === undefined) throw invalid(`${shown(v)} is none of ${symbols.join(', ')}.`);
      w.long(index);
    };
    const result = { encode, decode: ((r) => symbols[r.index(symbols.length)]) as Decode, least: 1 };
    this.named.set(json.name, result);
    return result;
  }

  /** Only unions of null and one other type, which is all that our schemas use. */
  private union(branches: Json[]): Coder {
    if (branches.length !== 2 || branches[0] !== 'null') throw new Error('Unions are of null and one other type.');
    const other = this.compile(branches[1]);
    const encode: Encode = (w, v) => {
      if (v === undefined) throw invalid('The field is missing.');
      w.long(v === null ? 0 : 1);
      if (v !== null) other.encode(w, v);
    };
    return { encode, decode: ((r) => (r.index(2) === 0 ? null : other.decode(r))) as Decode, least: 1 };
  }
}

interface DirectCalls {
  write: (value: string) => string;
  /** By the number of the field, as its cursor is called after it. */
  read: (field: number) => string;
}

/** Source of the calls that write and read a type without further ado; undefined for all others. */
function directCalls(type: Json): DirectCalls | undefined {
  const methods: Record<string, string> = {
    long: 'long',
    int: 'int',
    double: 'double',
    boolean: 'boolean',
    string: 'string',
    bytes: 'byteArray',
  };
  if (typeof type === 'string') {
    const method = methods[type];
    if (method === undefined) return undefined;
    const read = (field: number) => `r.${method}(${type === 'string' ? `c${field}` : ''})`;
    return { write: (value) => `w.${method}(${value})`, read };
  }
  const items = Array.isArray(type) || type.type !== 'array' ? undefined : type.items;
  if (items === 'double') return { write: (value) => `w.doubles(${value})`, read: () => 'r.doubles()' };
  if (items === 'long') return { write: (value) => `w.longs(${value}, false)`, read: () => 'r.longs()' };
  return undefined;
}

function ints(reader: AvroReader): number[] {
  const values = reader.longs();
  for (const value of values) if (value !== (value | 0)) throw new CodecError('EVENT_UNDECODABLE', 'An int lies beyond 32 bits.');
  return values;
}

function primitive(type: string): Coder {
  const cursor = new TextCursor();
  const pair = (encode: (w: AvroWriter, v: never) => void, decode: Decode, least: number) => ({
    encode: encode as Encode,
    decode,
    least,
  });
  switch (type) {
    case 'long':
      return pair(
        (w, v) => w.long(v),
        (r) => r.long(),
        1,
      );
    case 'int':
      return pair(
        (w, v) => w.int(v),
        (r) => r.int(),
        1,
      );
    case 'double':
      return pair(
        (w, v) => w.double(v),
        (r) => r.double(),
        8,
      );
    case 'boolean':
      return pair(
        (w, v) => w.boolean(v),
        (r) => r.boolean(),
        1,
      );
    case 'string':
      return pair(
        (w, v) => w.string(v),
        (r) => r.string(cursor),
        1,
      );
    case 'bytes':
      return pair(
        (w, v) => w.byteArray(v),
        (r) => r.byteArray(),
        1,
      );
    default:
      throw new Error(`The schema type ${type} is not supported.`);
  }
}

function invalid(message: string): CodecError {
  return new CodecError('EVENT_INVALID', message);
}

/** Adds the path of fields to an error while it travels up. */
function located(error: unknown, field: string): unknown {
  if (error instanceof CodecError) error.message = `${field}: ${error.message}`;
  return error;
}
