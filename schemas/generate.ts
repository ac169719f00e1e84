/** Generates schemas/types.ts, the TypeScript of all events: node schemas/generate.ts */
import { writeFileSync } from 'node:fs';
import { fingerprint } from './codec.ts';
import { currentSchemas, draftSchemas } from './files.ts';
import type { AvroEnum, AvroRecord, AvroType } from './gate.ts';

const PRIMITIVES: Record<string, string> = {
  null: 'null',
  boolean: 'boolean',
  int: 'number',
  long: 'number',
  double: 'number',
  string: 'string',
  bytes: 'Uint8Array',
};

interface Declaration {
  fingerprint: string;
  lines: string[];
}

/** Text of types.ts. The same schemas give the same text, so that a test can tell that the file is current. */
export function generateTypes(current: Map<string, string> = currentSchemas(), drafts: Map<string, string> = draftSchemas()): string {
  const declarations = new Map<string, Declaration>();
  for (const text of [...current.values(), ...drafts.values()]) typeOf(JSON.parse(text), declarations);
  const lines = ['// Generated from the .avsc files by `node schemas/generate.ts`. Do not edit.'];
  for (const declaration of declarations.values()) lines.push('', ...declaration.lines);
  lines.push('', ...indexOf('EventTypes', 'Events that are written, by schema name.', current));
  lines.push('', ...indexOf('DraftEventTypes', 'Events that have a schema but no writer yet, by schema name.', drafts));
  return `${lines.join('\n')}\n`;
}

function indexOf(name: string, doc: string, schemas: Map<string, string>): string[] {
  return [`/** ${doc} */`, `export interface ${name} {`, ...[...schemas.keys()].map((key) => `  ${key}: ${key};`), '}'];
}

/** TypeScript of a type; declares the named types that it meets on the way. */
function typeOf(type: AvroType, declarations: Map<string, Declaration>): string {
  if (typeof type === 'string') return PRIMITIVES[type] ?? type;
  if (Array.isArray(type)) return `${typeOf(type[1], declarations)} | null`;
  if (type.type === 'array') {
    const item = typeOf(type.items, declarations);
    return item.includes(' ') ? `(${item})[]` : `${item}[]`;
  }
  declare(type, type.type === 'enum' ? enumLines(type) : recordLines(type, declarations), declarations);
  return type.name;
}

/** Two events may share a named type (a day kind, encrypted fields) as long as they define it alike. */
function declare(type: AvroRecord | AvroEnum, lines: string[], declarations: Map<string, Declaration>): void {
  const declaration = { fingerprint: fingerprint(JSON.stringify(type)), lines };
  const known = declarations.get(type.name);
  if (known && known.fingerprint !== declaration.fingerprint) throw new Error(`Two schemas define the type ${type.name} differently.`);
  if (!known) declarations.set(type.name, declaration);
}

function enumLines(type: AvroEnum): string[] {
  return [...docLines(type.doc, ''), `export type ${type.name} = ${type.symbols.map((s) => `'${s}'`).join(' | ')};`];
}

function recordLines(type: AvroRecord, declarations: Map<string, Declaration>): string[] {
  const fields = type.fields.flatMap((field) => [...docLines(field.doc, '  '), `  ${field.name}: ${typeOf(field.type, declarations)};`]);
  return [...docLines(type.doc, ''), `export interface ${type.name} {`, ...fields, '}'];
}

function docLines(doc: string | undefined, indent: string): string[] {
  return doc === undefined ? [] : [`${indent}/** ${doc.replaceAll('*/', '*\u200b/')} */`];
}

if (import.meta.main) writeFileSync(new URL('types.ts', import.meta.url), generateTypes());
