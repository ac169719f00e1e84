/**
 * Forms of events that came before. Most events differ from an earlier one only in their numbers: the same site, point
 * and unit, another time and value. A form holds what is the same, and its shape says where the numbers stand, so that
 * the next event of its kind is told by comparing eight bytes at a time, and read from places that are known, by code
 * made for the shape. Whatever has no form, or not the expected one, is read as usual, and gets its form then.
 */
import type { AvroReader } from './avro-bytes.ts';
import type { TextCursor } from './known-texts.ts';

type Json = string | { [key: string]: unknown } | Json[];
export interface Field {
  name: string;
  type: Json;
}

/** Longer events are read as usual: comparing would cost as much. */
const MOST_BYTES = 256;
/** Beyond so many forms, all are let go: they come in again as they are read. Shapes beyond so many are read as usual. */
export const MOST = { forms: 2 ** 17, shapes: 256 };
/** Groups of seven bits that a number of a form may have: exact in doubles. */
const MOST_GROUPS = 7;

/** Reads an event of the shape into the value that is filled anew, or tells that it has another form than that of the number. */
type ReadShape = (memory: DataView, base: number, form: number, forms: Forms) => boolean;

/** The number of no form: it follows itself, and no event has its length (not even one without bytes). */
const NO_FORM = 0;
const NO_LENGTH = -1;

/** A field that holds a number (or at most one), or whatever else. */
interface Leaf {
  kind: 'long' | 'double' | 'longs' | 'doubles' | 'other';
  type: Json;
  /** Index of the list of records it stands in; -1 for the event's own. */
  list: number;
  /** Source of where its value goes, and of the array that is used for one number. */
  into: string;
  array: string;
}

/** A number of an event: where it begins and how many bytes it has; none where its array is empty. */
interface Place {
  from: number;
  bytes: number;
}

/** The leaves of a record, those of lists of records included, in the order of their bytes; undefined where it is too deep for forms. */
export function leavesOf(fields: readonly Field[]): Leaf[] | undefined {
  const leaves: Leaf[] = [];
  for (const [index, { name, type }] of fields.entries()) {
    const items = itemsOf(type);
    const nested = recordFields(items);
    if (nested === undefined) leaves.push(leafOf(type, -1, `o.${name}`, `own.a${index}`));
    else
      for (const [inner, field] of nested.entries())
        leaves.push(leafOf(field.type, index, `own.a${index}Items[0].record.${field.name}`, `own.a${index}Items[0].a${inner}`));
  }
  return leaves.some(({ type }) => recordFields(itemsOf(type)) !== undefined) ? undefined : leaves;
}

function leafOf(type: Json, list: number, into: string, array: string): Leaf {
  const items = itemsOf(type);
  const kind = type === 'long' || type === 'double' ? type : items === 'long' ? 'longs' : items === 'double' ? 'doubles' : 'other';
  return { kind, type, list, into, array };
}

function itemsOf(type: Json): Json | undefined {
  return typeof type !== 'string' && !Array.isArray(type) && type.type === 'array' ? (type.items as Json) : undefined;
}

function recordFields(type: Json | undefined): Field[] | undefined {
  return typeof type === 'object' && !Array.isArray(type) && type.type === 'record' ? (type.fields as Field[]) : undefined;
}

export interface FormsOptions {
  fields: readonly Field[];
  leaves: readonly Leaf[];
  /** Fields of texts, whose last values tell which form an event may have. */
  cursors: readonly TextCursor[];
  decodeOf: (type: Json) => (reader: AvroReader) => unknown;
  /** The value that is filled anew, with its arrays. */
  own: unknown;
  most: { forms: number; shapes: number };
}

/**
 * All forms of one schema, numbered from 1 in the order in which they came: side by side in memory (plain arrays, which
 * are nearer at hand to the engine than typed ones), so that what comes in the same order again is read ahead of need.
 */
export class Forms {
  /** Bytes that must be the same, eight at a time, and where those of a form begin. */
  readonly store: number[] = [0.5];
  readonly at: number[] = [0];
  /** What is no number, `textCount` a form in the order of `leavesOf`. */
  readonly texts: unknown[] = [];
  readonly textCount: number;
  /** Bytes of a whole event; none once the form was let go. */
  private readonly lengths: number[] = [NO_LENGTH];
  private readonly shapeOf: number[] = [0];
  /** The form that is expected after each, and whether another came last time. */
  private readonly followers: number[] = [NO_FORM];
  private readonly doubtful: number[] = [0];
  private latest = NO_FORM;
  private count = 1;
  private used = 1;
  private readonly byTexts = new Map<number, number>();
  private readonly shapes: ReadShape[] = [];
  private readonly shapeNumbers = new Map<string, number>();
  private readonly options: FormsOptions;

  constructor(options: FormsOptions) {
    this.options = options;
    this.textCount = options.leaves.filter(({ kind }) => kind === 'other').length;
    this.texts.length = this.textCount;
    this.texts.fill(null);
  }

  /** Reads an event that has the form which is expected now into the value that is filled anew; false where it has another. */
  read(memory: DataView, base: number, length: number): boolean {
    const { latest, followers, lengths, shapes, shapeOf } = this;
    const follower = followers[latest];
    if (lengths[follower] === length && shapes[shapeOf[follower]](memory, base, follower, this)) {
      if (this.doubtful[latest] !== 0) this.doubtful[latest] = 0;
      this.latest = follower;
      return true;
    }
    // The expected one may be missing this time.
    const next = followers[follower];
    if (lengths[next] !== length || !shapes[shapeOf[next]](memory, base, next, this)) return false;
    this.latest = next;
    return true;
  }

  /** Finds or makes the form of an event that was just read as usual, to be expected after the one before. */
  note(reader: AvroReader, from: number): void {
    if (reader.end > MOST_BYTES) return;
    let hash = reader.end;
    for (const { latest } of this.options.cursors) hash = Math.imul(hash ^ latest.hash, 0x5bd1e995) ^ latest.length;
    let form = this.byTexts.get(hash);
    if (form === undefined) {
      // What comes once gets no form, lest what never comes again crowds out what does.
      if (this.byTexts.size >= this.options.most.forms) this.letGo();
      this.byTexts.set(hash, NO_FORM);
      return;
    }
    if (this.lengths[form] !== reader.end || !this.shapes[this.shapeOf[form]](reader.view, reader.base, form, this)) {
      if (this.count >= this.options.most.forms) this.letGo();
      form = this.make(reader, from);
      if (form === NO_FORM) return;
      this.byTexts.set(hash, form);
    }
    this.follow(form);
  }

  /** One that comes out of turn, late or doubled, changes nothing about what is expected where it came; a second one does. */
  private follow(form: number): void {
    const { latest, followers, doubtful } = this;
    if (followers[latest] === NO_FORM || doubtful[latest] !== 0) {
      if (latest !== NO_FORM) followers[latest] = form;
      doubtful[latest] = 0;
    } else doubtful[latest] = 1;
    this.latest = form;
  }

  private letGo(): void {
    this.lengths.fill(NO_LENGTH);
    this.followers.fill(NO_FORM);
    this.texts.length = this.textCount;
    this.byTexts.clear();
    this.count = 1;
    this.used = 1;
    this.latest = NO_FORM;
  }

  /** Goes through the bytes by the schema, to find the numbers; no form where there are several of a kind. */
  private make(reader: AvroReader, from: number): number {
    const { bytes, end } = reader;
    const places: (Place | undefined)[] = [];
    const texts: unknown[] = [];
    let list = -1;
    reader.position = from;
    for (const leaf of this.options.leaves) {
      if (leaf.list !== list) {
        if (list >= 0 && bytes[reader.position++] !== 0) return NO_FORM;
        if (leaf.list >= 0 && bytes[reader.position++] !== 2) return NO_FORM;
        ({ list } = leaf);
      }
      if (leaf.kind === 'other') texts.push(owned(this.options.decodeOf(leaf.type)(reader)));
      else if (!placeNumber(leaf, reader, places)) return NO_FORM;
    }
    if (list >= 0 && bytes[reader.position++] !== 0) return NO_FORM;
    if (reader.position !== end) return NO_FORM;
    return this.formOf(reader, places, texts);
  }

  private formOf(reader: AvroReader, places: readonly (Place | undefined)[], texts: unknown[]): number {
    const { end } = reader;
    // From the frame on, so that what has the form has its schema as well.
    const runs = runsBetween(places, end);
    const short = runs.filter((run) => run.to - run.from < 8).flatMap((run) => [...reader.bytes.subarray(run.from, run.to)]);
    const key = [end, ...places.map((place) => (place ? `${place.from}+${place.bytes}` : '-')), ...short].join(' ');
    let shape = this.shapeNumbers.get(key);
    if (shape === undefined) {
      if (this.shapes.length >= this.options.most.shapes) return NO_FORM;
      shape = this.shapes.push(readShape(this.options, places, runs, reader)) - 1;
      this.shapeNumbers.set(key, shape);
    }
    const at = this.keep(reader, runs);
    if (at === undefined) return NO_FORM;
    const form = this.count++;
    this.lengths[form] = end;
    this.shapeOf[form] = shape;
    this.at[form] = at;
    this.doubtful[form] = 0;
    this.followers[form] = NO_FORM;
    for (const text of texts) this.texts.push(text);
    return form;
  }

  /** Keeps the bytes of long runs as doubles; undefined where equal doubles would not mean equal bytes. */
  private keep({ view, base }: AvroReader, runs: readonly Run[]): number | undefined {
    const values = runs.flatMap((run) => doublesOf(run).map((place) => view.getFloat64(base + place, true)));
    if (values.some((value) => value === 0 || Number.isNaN(value))) return undefined;
    for (const [i, value] of values.entries()) this.store[this.used + i] = value;
    this.used += values.length;
    return this.used - values.length;
  }
}

/** Notes where a number stands; false where there are several, or it is too long. */
function placeNumber({ kind }: Leaf, reader: AvroReader, places: (Place | undefined)[]): boolean {
  const { bytes } = reader;
  const listed = kind === 'longs' || kind === 'doubles';
  if (listed && bytes[reader.position] === 0) {
    reader.position++;
    places.push(undefined);
    return true;
  }
  if (listed && bytes[reader.position++] !== 2) return false;
  const from = reader.position;
  if (kind === 'double' || kind === 'doubles') reader.double();
  else reader.long();
  const length = reader.position - from;
  places.push({ from, bytes: length });
  if ((kind === 'long' || kind === 'longs') && length > MOST_GROUPS) return false;
  return !listed || bytes[reader.position++] === 0;
}

/** Bytes between numbers, all of which must be the same. */
interface Run {
  from: number;
  to: number;
}

function runsBetween(places: readonly (Place | undefined)[], end: number): Run[] {
  const runs: Run[] = [];
  let at = 0;
  for (const place of places) {
    if (place === undefined) continue;
    if (place.from > at) runs.push({ from: at, to: place.from });
    at = place.from + place.bytes;
  }
  if (end > at) runs.push({ from: at, to: end });
  return runs;
}

/** Where the doubles of a run of at least eight bytes begin; the last one ends with the run. */
function doublesOf({ from, to }: Run): number[] {
  if (to - from < 8) return [];
  return Array.from({ length: Math.ceil((to - from) / 8) }, (_, i) => Math.min(from + 8 * i, to - 8));
}

/** Makes the code that reads events of one shape: first it compares what must be the same, then it takes the numbers. */
function readShape(
  { leaves, own, fields }: FormsOptions,
  places: readonly (Place | undefined)[],
  runs: readonly Run[],
  { bytes }: AvroReader,
): ReadShape {
  const refuse: string[] = [];
  let kept = 0;
  for (const run of runs) {
    for (const place of doublesOf(run)) refuse.push(`v.getFloat64(s + ${place}, true) !== store[w + ${kept++}]`);
    for (let at = run.from; run.to - run.from < 8 && at < run.to; ) {
      const size = run.to - at >= 4 ? 4 : run.to - at >= 2 ? 2 : 1;
      refuse.push(`${readInt('v', 's', at, size)} !== ${wordOf(bytes, at, size)}`);
      at += size;
    }
  }
  const take: string[] = [];
  const give: string[] = [];
  let place = 0;
  let other = 0;
  for (const [n, { kind, into, array }] of leaves.entries()) {
    if (kind === 'other') {
      // Not compared first: that would fetch the texts themselves.
      give.push(`${into} = texts[t + ${other++}];`);
      continue;
    }
    const number = places[place++];
    if (number === undefined) {
      give.push(`${into} = none;`);
      continue;
    }
    take.push(kind === 'double' || kind === 'doubles' ? takeDouble(n, number) : takeLong(n, number));
    if (kind === 'long' || kind === 'double') give.push(`${into} = d${n};`);
    else give.push(`a = ${array}; if (a.length !== 1) a.length = 1; a[0] = d${n}; ${into} = a;`);
  }
  for (const list of new Set(leaves.map((leaf) => leaf.list).filter((index) => index >= 0)))
    give.push(`a = own.a${list}; item = own.a${list}Items[0].record; if (a.length !== 1) a.length = 1; if (a[0] !== item) a[0] = item;
      o.${fields[list].name} = a;`);
  const text = `
    const o = own.record;
    return (v, s, form, forms) => {
      const store = forms.store, w = forms.at[form];
      if (${refuse.join(' || ') || 'false'}) return false;
      ${take.join('\n')}
      const texts = forms.texts, t = form * ${other};
      let a, item;
      ${give.join('\n')}
      return true;
    };`;
  return new Function('own', 'none', text)(own, []) as ReadShape;
}

function takeDouble(n: number, { from }: Place): string {
  return `const d${n} = v.getFloat64(s + ${from}, true); if (d${n} - d${n} !== 0) return false;`;
}

/** Seven bits of each byte, the lowest first, zig-zag; all bytes but the last have their eighth bit set. */
function takeLong(n: number, { from, bytes }: Place): string {
  const lower = Math.min(4, bytes);
  const parts = [
    { name: `x${n}`, from, size: lower },
    { name: `y${n}`, from: from + 4, size: bytes - lower },
  ].filter(({ size }) => size > 0);
  const source = parts.map(({ name, from: at, size }, i) => {
    const last = i === parts.length - 1;
    const bits = 0x80808080 >>> (8 * (4 - size));
    const wanted = last ? bits & ~(0x80 << (8 * (size - 1))) : bits;
    const read = size === 3 ? `${readInt('v', 's', at, 2)} | (${readInt('v', 's', at + 2, 1)} << 16)` : readInt('v', 's', at, size);
    return `const ${name} = ${read}; if ((${name} & ${bits | 0}) !== ${wanted | 0}) return false;`;
  });
  const groups = (name: string, size: number) =>
    Array.from({ length: size }, (_, i) => `((${name} >>> ${i}) & ${0x7f << (7 * i)})`).join(' | ');
  const low = `const z${n} = ${groups(`x${n}`, lower)};`;
  if (bytes <= 4) return `${source.join('\n')} ${low} const d${n} = (z${n} >>> 1) ^ -(z${n} & 1);`;
  const half = `(z${n} >>> 1) + (${groups(`y${n}`, bytes - 4)}) * 134217728`;
  return `${source.join('\n')} ${low} const h${n} = ${half}; const d${n} = (z${n} & 1) === 0 ? h${n} : -h${n} - 1;`;
}

function readInt(view: string, base: string, at: number, size: number): string {
  const method = size === 4 ? 'getInt32' : size === 2 ? 'getUint16' : 'getUint8';
  return `${view}.${method}(${base} + ${at}${size === 1 ? '' : ', true'})`;
}

function wordOf(bytes: Uint8Array, at: number, size: number): number {
  let word = 0;
  for (let i = 0; i < size; i++) word |= bytes[at + i] << (8 * i);
  return word;
}

/** Bytes that share memory with an event would change with it, or hold its memory; a single one does not. */
function owned(value: unknown): unknown {
  if (value instanceof Uint8Array) return value.length !== 1 ? Buffer.from(value) : value;
  if (Array.isArray(value)) return value.map(owned);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, owned(field)]));
}
