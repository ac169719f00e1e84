/**
 * The strict codec of all events: Confluent framing around Avro bodies. Encoders and decoders are generated from the
 * schemas (a property test holds them equal to avsc); bodies written with an older schema are resolved by avsc. This is
 * the only file that imports avsc.
 */
import { createHash } from 'node:crypto';
import avro from 'avsc';
import { AvroReader, AvroWriter, CodecError, lengthOf, shown } from './avro-bytes.ts';

export { CodecError } from './avro-bytes.ts';

type Json = string | { [key: string]: unknown } | Json[];
type Encode = (writer: AvroWriter, value: unknown) => void;
type Decode = (reader: AvroReader) => unknown;

/** A schema as the registry numbers it. */
export interface RegisteredSchema {
  id: number;
  /** Schema JSON as text. */
  schema: string;
}

interface Compiled {
  name: string;
  encode: Encode;
  decode: Decode;
}

/** Encodes and decodes events by schema name. `current` are the schemas this code writes, by record name. */
export class Codec {
  private readonly writers = new Map<string, { id: number; encode: Encode }>();
  private readonly readers = new Map<number, { name: string; decode: Decode }>();
  private readonly fingerprints = new Map<number, string>();
  private readonly currentTypes = new Map<string, { json: string; compiled: Compiled }>();
  private readonly writer = new AvroWriter();
  private readonly reader = new AvroReader();

  constructor(current: Iterable<string>) {
    for (const json of current) {
      const compiled = compileSchema(JSON.parse(json));
      this.currentTypes.set(compiled.name, { json, compiled });
    }
  }

  /** Makes a numbered schema known: for writing where it equals the current one of its name, for reading always. */
  register({ id, schema }: RegisteredSchema): void {
    const name = recordName(schema);
    const current = this.currentTypes.get(name);
    const print = fingerprint(schema);
    this.fingerprints.set(id, print);
    if (current && fingerprint(current.json) === print) {
      this.writers.set(name, { id, encode: current.compiled.encode });
      this.readers.set(id, { name, decode: current.compiled.decode });
    } else
      this.readers.set(id, {
        name,
        decode: current ? resolving(schema, current.json) : compileSchema(JSON.parse(schema)).decode,
      });
  }

  /** Framed bytes of a value; throws CodecError EVENT_INVALID where it does not fit the schema exactly. */
  encode(name: string, value: unknown): Buffer {
    const entry = this.writers.get(name);
    if (!entry) throw new CodecError('EVENT_INVALID', `No schema of the name ${name} is registered.`);
    this.writer.start(entry.id);
    entry.encode(this.writer, value);
    return this.writer.finish();
  }

  /** Value of framed bytes. Byte fields share memory with the input. Throws CodecError. */
  decode(bytes: Uint8Array): { name: string; value: unknown } {
    const entry = this.entry(bytes);
    this.reader.open(bytes, 5);
    const value = entry.decode(this.reader);
    if (this.reader.position !== bytes.length) throw new CodecError('EVENT_UNDECODABLE', 'Bytes follow after the end of the body.');
    return { name: entry.name, value };
  }

  /** Value of framed bytes that must be of the given record. */
  decodeAs(name: string, bytes: Uint8Array): unknown {
    const decoded = this.decode(bytes);
    if (decoded.name !== name) throw new CodecError('EVENT_UNDECODABLE', `The bytes are a ${decoded.name}, not a ${name}.`);
    return decoded.value;
  }

  knows(id: number): boolean {
    return this.readers.has(id);
  }

  /** Fingerprint of a registered schema: what its number means in every log. Throws EVENT_UNDECODABLE for an unknown one. */
  fingerprintOf(id: number): string {
    const print = this.fingerprints.get(id);
    if (print === undefined) throw new CodecError('EVENT_UNDECODABLE', `No schema has the id ${id}.`);
    return print;
  }

  private entry(bytes: Uint8Array): { name: string; decode: Decode } {
    const id = schemaIdOf(bytes);
    const entry = this.readers.get(id);
    if (!entry) throw new CodecError('EVENT_UNDECODABLE', `No schema has the id ${id}.`);
    return entry;
  }
}

/** Schema id of framed bytes. */
export function schemaIdOf(bytes: Uint8Array): number {
  if (bytes.length < 5 || bytes[0] !== 0)
    throw new CodecError('EVENT_UNDECODABLE', 'The bytes do not begin with a Confluent frame (0 and four bytes of schema id).');
  return ((bytes[1] << 24) | (bytes[2] << 16) | (bytes[3] << 8) | bytes[4]) >>> 0;
}

/** Body without the frame: what canonical bytes are made of, as registry ids differ from one log to the next. */
export function bodyOf(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(5);
}

export function recordName(schemaText: string): string {
  return (JSON.parse(schemaText) as { name: string }).name;
}

/** SHA-256 of the schema's text without its documentation: equal where two schemas mean the same bytes and names. */
export function fingerprint(schemaText: string): string {
  return createHash('sha256')
    .update(JSON.stringify(withoutDoc(JSON.parse(schemaText))))
    .digest('hex');
}

function withoutDoc(json: unknown): unknown {
  if (Array.isArray(json)) return json.map(withoutDoc);
  if (json === null || typeof json !== 'object') return json;
  const entries = Object.entries(json)
    .filter(([key]) => key !== 'doc')
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, value]) => [key, withoutDoc(value)]));
}

/** Undefined where a reader schema can read what a writer schema wrote, else the reason (avsc's resolution rules). */
export function readingProblem(readerText: string, writerText: string): string | undefined {
  try {
    avro.Type.forSchema(JSON.parse(readerText)).createResolver(avro.Type.forSchema(JSON.parse(writerText)));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** avsc's own encoder and decoder of a schema: the reference that the generated ones are tested against. */
export function referenceType(schemaText: string): {
  toBuffer(value: unknown): Buffer;
  fromBuffer(bytes: Buffer): unknown;
} {
  return avro.Type.forSchema(JSON.parse(schemaText));
}

function resolving(writerText: string, readerText: string): Decode {
  const reader = avro.Type.forSchema(JSON.parse(readerText));
  const writer = avro.Type.forSchema(JSON.parse(writerText));
  const resolver = reader.createResolver(writer);
  const strict = compileSchema(JSON.parse(writerText)).decode;
  return (bytes) => {
    const from = bytes.position;
    strict(bytes); // refuses what the strict decoder refuses, and finds the end
    return plain(reader.fromBuffer(Buffer.from(bytes.bytes.subarray(from, bytes.position)), resolver));
  };
}

/** avsc's records have a prototype whose methods count as fields: they would equal no literal and not encode again. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]));
}

function compileSchema(json: Json): Compiled {
  avro.Type.forSchema(json as never); // refuses what is not Avro
  const generator = new Generator();
  const { encode, decode } = generator.compile(json);
  return { name: (json as { name: string }).name, encode, decode };
}

/** Generates straight-line code for a schema: one function a record, loops for arrays, no lookups by name at run time. */
class Generator {
  private readonly named = new Map<string, { encode: Encode; decode: Decode; least: number }>();

  compile(json: Json): { encode: Encode; decode: Decode; least: number } {
    if (typeof json === 'string') return this.named.get(json) ?? primitive(json);
    if (Array.isArray(json)) return this.union(json);
    const type = json.type as string;
    if (type === 'record') return this.record(json as never);
    if (type === 'array') return this.array(json.items as Json);
    if (type === 'enum') return this.enumeration(json as never);
    return this.compile(type);
  }

  private record(json: { name: string; fields: { name: string; type: Json }[] }) {
    const parts = json.fields.map((field) => this.compile(field.type));
    const names = json.fields.map((field) => field.name);
    const bound = names.map((_, i) => `const f${i} = parts[${i}].encode, g${i} = parts[${i}].decode;`).join('\n');
    // Calls of the reader and writer themselves, where the type has one: functions in between would cost as much again.
    const direct = json.fields.map((field) => directCalls(field.type));
    const writes = names.map((name, i) => `field = ${JSON.stringify(name)}; ${direct[i]?.write(`v.${name}`) ?? `f${i}(w, v.${name})`};`);
    const reads = names.map((name, i) => `${name}: ${direct[i]?.read ?? `g${i}(r)`}`);
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
    const made = new Function('parts', 'names', 'bad', 'at', source)(parts, names, invalid, located) as {
      encode: Encode;
      decode: Decode;
    };
    const result = { ...made, least: parts.reduce((sum, part) => sum + part.least, 0) };
    this.named.set(json.name, result);
    return result;
  }

  private array(items: Json) {
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
  private union(branches: Json[]) {
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

/** Source of the calls that write and read a type without further ado; undefined for all others. */
function directCalls(type: Json): { write: (value: string) => string; read: string } | undefined {
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
    return method === undefined ? undefined : { write: (value) => `w.${method}(${value})`, read: `r.${method}()` };
  }
  const items = Array.isArray(type) || type.type !== 'array' ? undefined : type.items;
  if (items === 'double') return { write: (value) => `w.doubles(${value})`, read: 'r.doubles()' };
  if (items === 'long') return { write: (value) => `w.longs(${value}, false)`, read: 'r.longs()' };
  return undefined;
}

function ints(reader: AvroReader): number[] {
  const values = reader.longs();
  for (const value of values) if (value !== (value | 0)) throw new CodecError('EVENT_UNDECODABLE', 'An int lies beyond 32 bits.');
  return values;
}

function primitive(type: string): { encode: Encode; decode: Decode; least: number } {
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
        (r) => r.string(),
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
