/** Declared files: YAML that people write, checked against a schema, with errors that say where and what to do. */
import { readFileSync } from 'node:fs';
import type { Static, TSchema } from 'typebox';
import { Settings } from 'typebox/system';
import { Value } from 'typebox/value';
import { LineCounter, parseDocument } from 'yaml';
import { IflexError } from '../../streams/errors.ts';

/** Bytes of a declared file: a site of MAX_POINTS_PER_SITE points takes about 100 kB. */
const MAX_DECLARED_BYTES = 1024 * 1024;
/** So many problems of a file are told at once. */
const MAX_PROBLEMS_TOLD = 10;
/** A file is searched for problems until it has so many, so that one does not have to be corrected eight by eight. */
const MAX_PROBLEMS_FOUND = 1_000;
Settings.Set({ maxErrors: MAX_PROBLEMS_FOUND });

/** Reads and checks a file. Throws CONFIG_INVALID that names file, line, field and what may stand there. */
export function readDeclaredFile<Schema extends TSchema>(path: string, schema: Schema): Static<Schema> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new IflexError('CONFIG_INVALID', `${path} cannot be read: ${(error as Error).message}.`, {}, error);
  }
  return parseDeclared(path, text, schema);
}

/** As readDeclaredFile, of a text; `path` appears in errors only. */
export function parseDeclared<Schema extends TSchema>(path: string, text: string, schema: Schema): Static<Schema> {
  if (Buffer.byteLength(text) > MAX_DECLARED_BYTES)
    throw new IflexError('CONFIG_INVALID', `${path} is larger than ${MAX_DECLARED_BYTES} bytes. Divide it into several files.`);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const broken = document.errors[0];
  if (broken) throw new IflexError('CONFIG_INVALID', `${path}:${lines.linePos(broken.pos[0]).line}: ${broken.message.split('\n')[0]}`);
  const value: unknown = document.toJS();
  if (value === null) throw new IflexError('CONFIG_INVALID', `${path} is empty.`);
  const errors = Value.Errors(schema, value);
  const problems = problemsOf(schema, errors).map(({ at, message }) => {
    const node = nearestNode(document, at);
    const line = node?.range ? `:${lines.linePos(node.range[0]).line}` : '';
    return `${path}${line}: ${message}`;
  });
  if (problems.length > 0) throw new IflexError('CONFIG_INVALID', told(problems, errors.length < MAX_PROBLEMS_FOUND));
  return value as Static<Schema>;
}

/** Several problems as one message; `areAll`: whether there are no others. */
export function told(problems: readonly string[], areAll = true): string {
  const left = problems.length - MAX_PROBLEMS_TOLD;
  const more = left > 0 ? `\n… and ${left} ${areAll ? 'more' : 'or more others'}.` : '';
  return problems.slice(0, MAX_PROBLEMS_TOLD).join('\n') + more;
}

interface Problem {
  /** Path into the document. */
  at: string[];
  message: string;
}

function problemsOf(schema: TSchema, errors: ReturnType<typeof Value.Errors>): Problem[] {
  const problems: Problem[] = [];
  for (const error of errors) {
    const at = error.instancePath.split('/').slice(1);
    const field = at.length === 0 ? 'the file' : at.join('.');
    const union = unionInWords(schema, error.schemaPath, at);
    if (union) {
      // It is told once, in place of what each of its members lacks.
      if (!problems.some(({ message }) => message === union.message)) problems.push(union);
      continue;
    }
    const params = error.params as { additionalProperties?: string[]; allowedValues?: unknown[]; requiredProperties?: string[] };
    // Of an undeclared field there are two reports; the one of its object names it.
    if (error.keyword === 'boolean') continue;
    // The members of a union say what is wrong; that none of them fits adds nothing.
    if (error.keyword === 'anyOf') continue;
    if (params.additionalProperties)
      problems.push({
        at: [...at, params.additionalProperties[0]],
        message: `${field} has no field ${params.additionalProperties.join(', ')}.`,
      });
    else if (params.requiredProperties) problems.push({ at, message: `${field} lacks ${params.requiredProperties.join(', ')}.` });
    else if (params.allowedValues) problems.push({ at, message: `${field} must be one of: ${params.allowedValues.join(', ')}.` });
    else problems.push({ at, message: `${field} ${error.message}${hintOf(schema, error.schemaPath)}.` });
  }
  return problems;
}

/** The outermost union on the way to an error that says in words what it takes, as one problem. */
function unionInWords(schema: TSchema, schemaPath: string, at: string[]): Problem | undefined {
  const steps = schemaPath.split('/').slice(1);
  let node = schema as Record<string, unknown> | undefined;
  let depth = 0;
  for (const [i, step] of steps.entries()) {
    if (node?.anyOf && node.description !== undefined) break;
    const isName = steps[i - 1] === 'properties' || steps[i - 1] === 'patternProperties';
    if (isName || step === 'items') depth++;
    node = node?.[step] as typeof node;
  }
  if (!node?.anyOf || node.description === undefined) return undefined;
  const place = at.slice(0, depth);
  return { at: place, message: `${place.join('.')} must be ${node.description}.` };
}

/** What the schema says beside the rule that was broken, e.g. " (a span like 1 min or 2 h)". */
function hintOf(schema: TSchema, schemaPath: string): string {
  let at: unknown = schema;
  for (const step of schemaPath.split('/').slice(1)) at = (at as Record<string, unknown> | undefined)?.[step];
  const description = (at as { description?: string } | undefined)?.description;
  return description === undefined ? '' : ` (${description})`;
}

function nearestNode(document: ReturnType<typeof parseDocument>, at: string[]): { range?: [number, number, number] | null } | null {
  for (let length = at.length; length > 0; length--) {
    const path = at.slice(0, length).map((step) => (/^\d+$/.test(step) ? Number(step) : step));
    const node = document.getIn(path, true);
    if (node && typeof node === 'object') return node as never;
  }
  return document.contents as never;
}
