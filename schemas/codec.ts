/**
 * The strict codec of all events: Confluent framing around Avro bodies. Encoders and decoders are generated from the
 * schemas (a property test holds them equal to avsc); bodies written with an older schema are resolved by avsc. This is
 * the only file that imports avsc.
 */
import { createHash } from 'node:crypto';
import avro from 'avsc';
import { AvroReader, AvroWriter, CodecError } from './avro-bytes.ts';
import { type Coder, CoderGenerator, type Decode, type Encode } from './coders.ts';
import { type Refill, refilling } from './refilling.ts';

export { CodecError } from './avro-bytes.ts';

/** A schema as the registry numbers it. */
export interface RegisteredSchema {
  id: number;
  /** Schema JSON as text. */
  schema: string;
}

interface Compiled extends Coder {
  name: string;
  refill: Refill;
}

interface Reading {
  id: number;
  name: string;
  decode: Decode;
  refill: Refill;
}

/** Encodes and decodes events by schema name. `current` are the schemas this code writes, by record name. */
export class Codec {
  private readonly writers = new Map<string, { id: number; encode: Encode }>();
  private readonly readers = new Map<number, Reading>();
  private latest: Reading | undefined;
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
      const { decode, refill } = current.compiled;
      this.readers.set(id, { id, name, decode, refill });
    } else {
      const decode = current ? resolving(schema, current.json) : compileSchema(JSON.parse(schema)).decode;
      this.readers.set(id, { id, name, decode, refill: { decode, value: undefined, forms: undefined } });
    }
    this.latest = undefined;
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

  /**
   * As `decodeAs`, but what it returns may be filled anew by its next call, so that nothing of it may be kept. `memory`: a
   * view of all the memory that the bytes lie in, where it is at hand.
   */
  refillAs(name: string, bytes: Uint8Array, memory?: DataView): unknown {
    const { latest } = this;
    // An event of a known form has the schema of that form, whose frame is part of it.
    if (memory !== undefined && latest?.name === name && latest.refill.forms?.read(memory, bytes.byteOffset, bytes.length))
      return latest.refill.value;
    const entry = this.entry(bytes);
    if (entry.name !== name) throw new CodecError('EVENT_UNDECODABLE', `The bytes are a ${entry.name}, not a ${name}.`);
    this.reader.open(bytes, 5, memory);
    const value = entry.refill.decode(this.reader);
    if (this.reader.position !== bytes.length) throw new CodecError('EVENT_UNDECODABLE', 'Bytes follow after the end of the body.');
    return value;
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

  /** Whether bytes are framed with an id that is known. */
  knowsFrame(bytes: Uint8Array): boolean {
    return isFramed(bytes) && this.knows(schemaIdOf(bytes));
  }

  /** Fingerprint of a registered schema: what its number means in every log. Throws EVENT_UNDECODABLE for an unknown one. */
  fingerprintOf(id: number): string {
    const print = this.fingerprints.get(id);
    if (print === undefined) throw new CodecError('EVENT_UNDECODABLE', `No schema has the id ${id}.`);
    return print;
  }

  /**
   * The same framed event with the id that `target` has for its schema. Throws EVENT_UNDECODABLE where either knows no
   * such schema.
   */
  reframed(bytes: Uint8Array, target: Codec): Uint8Array {
    const id = schemaIdOf(bytes);
    const print = this.fingerprintOf(id);
    if (target.fingerprints.get(id) === print) return bytes;
    const other = [...target.fingerprints].find(([, each]) => each === print)?.[0];
    if (other === undefined)
      throw new CodecError('EVENT_UNDECODABLE', `The other registry has no schema that means what the id ${id} means here.`);
    const copy = Buffer.from(bytes);
    copy.writeUInt32BE(other, 1);
    return copy;
  }

  /** What every registered id means, ascending by id. */
  registered(): { id: number; fingerprint: string }[] {
    return [...this.fingerprints].map(([id, fingerprint]) => ({ id, fingerprint })).sort((a, b) => a.id - b.id);
  }

  private entry(bytes: Uint8Array): Reading {
    const id = schemaIdOf(bytes);
    if (this.latest?.id === id) return this.latest;
    const entry = (this.latest = this.readers.get(id));
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

/** Whether bytes begin with a frame: a zero byte, then the id of a schema. */
export function isFramed(bytes: Uint8Array): boolean {
  return bytes.length >= 5 && bytes[0] === 0;
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

function compileSchema(json: unknown): Compiled {
  avro.Type.forSchema(json as never); // refuses what is not Avro
  const { name, fields } = json as { name: string; fields?: never };
  const generator = new CoderGenerator();
  const coder = generator.compile(json as never);
  if (fields === undefined) return { name, ...coder, refill: { decode: coder.decode, value: undefined, forms: undefined } };
  // Types that the schema names are known to the generator by now.
  const of = (type: unknown) => generator.compile(type as never);
  const refill = refilling(
    { fields },
    (type) => of(type).decode,
    (type) => of(type).least,
  );
  return { name, ...coder, refill };
}
