/**
 * The gate that keeps every event readable for ever, in both directions: replays run old code on new data and new code
 * on old data. avsc's resolver alone is laxer than we need: it lets aliases rename, promotes bytes to string, and lets
 * enum symbols go or change places and defaults change, which makes old events mean something else without any error.
 * So every pair of versions must pass both the resolver and the rules below.
 */
import { Codec, fingerprint, readingProblem } from './codec.ts';
import { currentSchemas, draftSchemas, publishedNames, publishedVersions } from './files.ts';

export interface AvroField {
  name: string;
  type: AvroType;
  default?: unknown;
  doc?: string;
}
export interface AvroRecord {
  type: 'record';
  name: string;
  namespace?: string;
  doc?: string;
  fields: AvroField[];
}
export interface AvroEnum {
  type: 'enum';
  name: string;
  doc?: string;
  symbols: string[];
  default?: string;
}
export interface AvroArray {
  type: 'array';
  items: AvroType;
}
/** The part of Avro that our schemas use; a text is a primitive or the name of a type defined before. */
export type AvroType = string | AvroRecord | AvroEnum | AvroArray | AvroType[];

/** Texts of schemas: current and draft by file name, published oldest first. */
export interface Schemas {
  current: Map<string, string>;
  drafts: Map<string, string>;
  published: Map<string, string[]>;
}

export function schemasOnDisk(): Schemas {
  const published = publishedNames().map((name) => [name, publishedVersions(name)] as const);
  return { current: currentSchemas(), drafts: draftSchemas(), published: new Map(published) };
}

/** Every way in which the schemas break the rules, each beginning with the schema's name; `checked` counts texts. */
export function checkSchemas(schemas: Schemas = schemasOnDisk()): { checked: number; problems: string[] } {
  const problems: string[] = [];
  let checked = 0;
  const report = (name: string, found: string[]) => {
    for (const problem of found) problems.push(`${name}: ${problem}`);
  };
  for (const [name, text] of schemas.current) {
    const versions = schemas.published.get(name) ?? [];
    report(name, shapeProblems(name, text));
    report(name, publicationProblems(name, text, versions));
    report(name, evolutionProblems([...versions, text]));
    checked += 1 + versions.length;
  }
  for (const [name, text] of schemas.drafts) {
    report(name, shapeProblems(name, text));
    if (schemas.current.has(name)) report(name, ['a draft and a current schema have the same name.']);
    checked += 1;
  }
  for (const name of schemas.published.keys()) {
    if (!schemas.current.has(name)) report(name, ['was published, but its schema is gone; old events need it.']);
  }
  return { checked, problems };
}

function publicationProblems(name: string, text: string, versions: string[]): string[] {
  const newest = versions.at(-1);
  if (newest !== undefined && safeFingerprint(newest) === safeFingerprint(text)) return [];
  const what = newest === undefined ? 'was never published' : 'differs from its newest published version';
  return [`${what}; run: node schemas/publish.ts ${name}`];
}

function safeFingerprint(text: string): string {
  try {
    return fingerprint(text);
  } catch {
    return text;
  }
}

/** Every pair, not only neighbours (FULL_TRANSITIVE). The last text is the current one, mostly equal to its neighbour. */
function evolutionProblems(texts: string[]): string[] {
  const distinct = texts.filter((text, i) => i === 0 || safeFingerprint(text) !== safeFingerprint(texts[i - 1]));
  const problems: string[] = [];
  for (let newer = 1; newer < distinct.length; newer++) {
    for (let older = 0; older < newer; older++) {
      const pair = `version ${older + 1} and ${newer + 1}`;
      for (const problem of pairProblems(distinct[older], distinct[newer])) problems.push(`${pair}: ${problem}`);
    }
  }
  return problems;
}

function pairProblems(older: string, newer: string): string[] {
  const forward = readingProblem(older, newer);
  const backward = readingProblem(newer, older);
  return [
    ...(forward === undefined ? [] : [`the older cannot read the newer (${forward})`]),
    ...(backward === undefined ? [] : [`the newer cannot read the older (${backward})`]),
    ...changeProblems(older, newer),
  ];
}

/** What a schema breaks by itself, without its history. */
function shapeProblems(fileName: string, text: string): string[] {
  let schema: AvroRecord;
  try {
    new Codec([text]); // refuses what is not Avro and what the generated codec does not cover
    schema = JSON.parse(text) as AvroRecord;
  } catch (error) {
    return [`does not compile (${(error as Error).message})`];
  }
  const problems: string[] = [];
  if (schema.type !== 'record') return ['is not a record.'];
  if (schema.name !== fileName) problems.push(`the record is named ${schema.name}, the file ${fileName}.`);
  if (schema.namespace !== 'iflex.events') problems.push('the namespace is not iflex.events.');
  const { namespace: _, ...withoutNamespace } = schema;
  visitShape(withoutNamespace, schema.name, problems);
  return problems;
}

const ATTRIBUTES: Record<string, readonly string[]> = {
  record: ['type', 'name', 'doc', 'fields'],
  enum: ['type', 'name', 'doc', 'symbols', 'default'],
  array: ['type', 'items'],
};
const FIELD_ATTRIBUTES = ['name', 'type', 'default', 'doc'];

function visitShape(type: AvroType, path: string, problems: string[]): void {
  if (typeof type === 'string') return;
  if (Array.isArray(type)) {
    if (type.length !== 2 || type[0] !== 'null') problems.push(`${path}: a union is not of null and one other type.`);
    for (const branch of type) visitShape(branch, path, problems);
    return;
  }
  // Attributes that nobody reads are misspelt ("defualt"), or rename (aliases), or change meaning (logicalType).
  const stray = Object.keys(type).filter((key) => !(ATTRIBUTES[type.type] ?? ['type']).includes(key));
  if (stray.length > 0) problems.push(`${path}: the attribute ${stray.join(', ')} is not used here.`);
  if (type.type === 'array') visitShape(type.items, `${path}[]`, problems);
  if (type.type === 'enum' && (type.symbols[0] !== 'UNKNOWN' || type.default !== 'UNKNOWN'))
    problems.push(`${path}: the first symbol and the default of the enum ${type.name} are not UNKNOWN.`);
  if (type.type === 'record') for (const field of type.fields) visitField(field, `${path}.${field.name}`, problems);
}

function visitField(field: AvroField, path: string, problems: string[]): void {
  const stray = Object.keys(field).filter((key) => !FIELD_ATTRIBUTES.includes(key));
  if (stray.length > 0) problems.push(`${path}: the attribute ${stray.join(', ')} is not used here.`);
  if (Array.isArray(field.type) && field.default !== null) problems.push(`${path}: a field that may be null lacks the default null.`);
  visitShape(field.type, path, problems);
}

/** What one change of a schema breaks, in either direction, beyond what the resolver sees. */
function changeProblems(olderText: string, newerText: string): string[] {
  const [older, newer] = [resolved(olderText), resolved(newerText)];
  if (older === undefined || newer === undefined) return ['a version is not JSON.'];
  const problems: string[] = [];
  compare(older, newer, '', problems);
  return problems;
}

function compare(older: AvroType, newer: AvroType, path: string, problems: string[]): void {
  if (kindOf(older) !== kindOf(newer)) {
    problems.push(`${path || 'the top'}: the type changed from ${kindOf(older)} to ${kindOf(newer)}.`);
    return;
  }
  if (typeof older === 'string') return;
  if (Array.isArray(older)) {
    compare(older[1], (newer as AvroType[])[1], path, problems);
    return;
  }
  if (older.type === 'array') compare(older.items, (newer as AvroArray).items, `${path}[]`, problems);
  if (older.type === 'enum') compareEnums(older, newer as AvroEnum, path, problems);
  if (older.type === 'record') compareRecords(older, newer as AvroRecord, path, problems);
}

function compareEnums(older: AvroEnum, newer: AvroEnum, path: string, problems: string[]): void {
  const kept = older.symbols.every((symbol, i) => newer.symbols[i] === symbol);
  if (!kept) problems.push(`${path}: symbols were removed or reordered; new ones go to the end.`);
  if (older.name !== newer.name) problems.push(`${path}: the enum ${older.name} was renamed ${newer.name}.`);
  if (older.default !== newer.default) problems.push(`${path}: the default changed.`);
}

function compareRecords(older: AvroRecord, newer: AvroRecord, path: string, problems: string[]): void {
  if (older.name !== newer.name || older.namespace !== newer.namespace)
    problems.push(`${path || 'the top'}: the record ${older.name} was renamed ${newer.name}.`);
  const newerFields = new Map(newer.fields.map((field) => [field.name, field]));
  for (const field of older.fields) {
    const at = `${path}.${field.name}`;
    const same = newerFields.get(field.name);
    newerFields.delete(field.name);
    if (same === undefined) {
      if (!('default' in field)) problems.push(`${at}: the removed field has no default, so older code cannot do without.`);
      continue;
    }
    if (JSON.stringify(field.default) !== JSON.stringify(same.default)) problems.push(`${at}: the default changed.`);
    compare(field.type, same.type, at, problems);
  }
  for (const field of newerFields.values()) {
    if (!('default' in field)) problems.push(`${path}.${field.name}: the added field has no default, so older events lack it.`);
  }
}

function kindOf(type: AvroType): string {
  if (typeof type === 'string') return type;
  return Array.isArray(type) ? `nullable ${kindOf(type[1])}` : type.type;
}

/** The schema with names of types replaced by what they stand for; undefined where the text is no JSON. */
function resolved(text: string): AvroType | undefined {
  const named = new Map<string, AvroType>();
  const resolve = (type: AvroType): AvroType => {
    if (typeof type === 'string') return named.get(type) ?? type;
    if (Array.isArray(type)) return type.map(resolve);
    if (type.type === 'array') return { ...type, items: resolve(type.items) };
    if (type.type === 'enum') {
      named.set(type.name, type);
      return type;
    }
    if (type.type !== 'record') return resolve(type['type' as never]);
    const record = { ...type, fields: type.fields.map((field) => ({ ...field, type: resolve(field.type) })) };
    named.set(type.name, record);
    return record;
  };
  try {
    return resolve(JSON.parse(text));
  } catch {
    return undefined;
  }
}
