import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { currentSchemas, draftSchemas } from '../../schemas/files.ts';
import { generateTypes } from '../../schemas/generate.ts';

const record = (name: string, fields: object[]) => JSON.stringify({ type: 'record', name, fields });

describe('generated types', () => {
  it('are up to date: else run node schemas/generate.ts', () => {
    assert.equal(readFileSync(new URL('../../schemas/types.ts', import.meta.url), 'utf8'), generateTypes());
  });

  it('hold every event by name', () => {
    const [events, drafts] = generateTypes().split('export interface EventTypes')[1].split('export interface DraftEventTypes');
    for (const name of currentSchemas().keys()) assert.ok(events.includes(`  ${name}: ${name};`));
    for (const name of draftSchemas().keys()) assert.ok(drafts.includes(`  ${name}: ${name};`));
  });

  it('say what the codec decodes', () => {
    const kind = { type: 'enum', name: 'K', symbols: ['UNKNOWN', 'A'], doc: 'ends */ here' };
    const fields = [
      ...['int', 'long', 'double', 'boolean', 'string', 'bytes'].map((type) => ({ name: `${type}Field`, type })),
      { name: 'kind', type: kind },
      { name: 'kinds', type: { type: 'array', items: 'K' } },
      { name: 'maybe', type: ['null', 'bytes'], default: null },
      { name: 'list', type: { type: 'array', items: ['null', 'string'] }, doc: 'Why.' },
    ];
    const text = generateTypes(new Map([['R', record('R', fields)]]), new Map());
    // biome-ignore format: reads like the file
    const lines = [
      '/** ends *\u200b/ here */', "export type K = 'UNKNOWN' | 'A';", 'export interface R {',
      '  intField: number;', '  longField: number;', '  doubleField: number;', '  booleanField: boolean;',
      '  stringField: string;', '  bytesField: Uint8Array;', '  kind: K;', '  kinds: K[];',
      '  maybe: Uint8Array | null;', '  /** Why. */', '  list: (string | null)[];',
    ];
    for (const line of lines) assert.ok(text.split('\n').includes(line), line);
  });

  it('refuse two meanings of one name', () => {
    const kind = (...symbols: string[]) => [{ name: 'k', type: { type: 'enum', name: 'K', symbols } }];
    const schemas = (b: string) =>
      new Map([
        ['A', record('A', kind('UNKNOWN', 'X'))],
        ['B', record('B', kind('UNKNOWN', b))],
      ]);
    assert.throws(() => generateTypes(schemas('Y'), new Map()), /define the type K differently/);
    assert.equal(generateTypes(schemas('X'), new Map()).split('export type K').length, 2);
  });
});
