import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { checkSchemas, type Schemas, schemasOnDisk } from '../../schemas/gate.ts';
import { nextVersion } from '../../schemas/publish.ts';

type Json = Record<string, unknown>;
const kind = (symbols = ['UNKNOWN', 'A', 'B'], more: Json = {}) => ({
  type: 'enum',
  name: 'K',
  symbols,
  default: 'UNKNOWN',
  ...more,
});
const field = (name: string, type: unknown, more: Json = {}) => ({ name, type, ...more });
const record = (fields: Json[], more: Json = {}) => ({
  type: 'record',
  name: 'Event',
  namespace: 'iflex.events',
  fields,
  ...more,
});
const ID = field('id', 'string');
/** Event with one field. */
const one = (name: string, type: unknown, more: Json = {}) => record([field(name, type, more)]);
const maybe = (type: string) => one('n', ['null', type], { default: null });
const list = (items: unknown) => ({ type: 'array', items });

/** Versions of Event, all published, the last of them current. */
function history(...versions: Json[]): Schemas {
  const texts = versions.map((version) => JSON.stringify(version));
  return { current: new Map([['Event', texts.at(-1)!]]), drafts: new Map(), published: new Map([['Event', texts]]) };
}
const problemsOf = (...versions: Json[]) => checkSchemas(history(...versions)).problems;

/** The rule must speak in both directions where it is symmetric, so each case says which way it is planted. */
function refuses(older: Json, newer: Json, message: RegExp): void {
  const problems = problemsOf(older, newer);
  assert.ok(
    problems.some((problem) => message.test(problem)),
    `none of ${JSON.stringify(problems)} matches ${message}`,
  );
  assert.ok(problems.every((problem) => problem.startsWith('Event: ')));
}

describe('the schemas of this repository', () => {
  it('pass the gate', () => {
    const schemas = schemasOnDisk();
    const { checked, problems } = checkSchemas();
    assert.deepEqual(problems, []);
    const published = [...schemas.published.values()].reduce((sum, versions) => sum + versions.length, 0);
    assert.equal(checked, schemas.current.size + schemas.drafts.size + published);
    assert.ok(checked >= 29);
  });
});

describe('changes that pass', () => {
  const base = record([ID, field('kind', kind()), field('list', list('long'))]);
  const cases: [string, Json, Json][] = [
    ['nothing', base, base],
    ['documentation', base, { ...base, doc: 'Says more.' }],
    ['a nullable field', record([ID]), record([ID, field('more', ['null', 'long'], { default: null })])],
    ['a field with a default', record([ID]), record([ID, field('more', 'long', { default: 0 })])],
    ['removing a field with a default', record([ID, field('more', 'long', { default: 0 })]), record([ID])],
    ['a symbol at the end', one('k', kind(['UNKNOWN', 'A'])), one('k', kind(['UNKNOWN', 'A', 'B']))],
    ['a named type used by name', record([field('a', kind()), field('b', 'K')]), record([field('a', kind()), field('b', 'K')])],
  ];
  for (const [title, older, newer] of cases) it(title, () => assert.deepEqual(problemsOf(older, newer), []));
});

describe('changes that fail', () => {
  const inner = (fields: Json[], name = 'Inner') => ({ type: 'record', name, fields });
  const cases: [string, Json, Json, RegExp][] = [
    ['an added field without default', record([ID]), record([ID, field('more', 'long')]), /\.more: the added field has no default/],
    ['the same, as the resolver sees it', record([ID]), record([ID, field('more', 'long')]), /the newer cannot read the older/],
    ['a removed field without default', record([ID, field('more', 'long')]), record([ID]), /\.more: the removed field has no default/],
    ['the same, as the resolver sees it', record([ID, field('more', 'long')]), record([ID]), /the older cannot read the newer/],
    ['a renamed field', record([ID]), one('identity', 'string'), /\.id: the removed field has no default/],
    ['int to long', one('n', 'int'), one('n', 'long'), /\.n: the type changed from int to long/],
    ['long to double', one('n', 'long'), one('n', 'double'), /\.n: the type changed from long to double/],
    ['bytes to string', one('n', 'bytes'), one('n', 'string'), /\.n: the type changed from bytes to string/],
    ['a field that becomes nullable', one('n', 'int'), maybe('int'), /from int to nullable int/],
    ['another nullable type', maybe('int'), maybe('long'), /from nullable int to nullable long/],
    ['another type in an array', one('n', list('int')), one('n', list('double')), /\.n\[\]: the type changed from int to double/],
    [
      'a change inside a nullable type',
      one('k', ['null', kind()], { default: null }),
      one('k', ['null', kind(['UNKNOWN', 'A'])], { default: null }),
      /\.k: symbols were removed or reordered/,
    ],
    ['a removed symbol', one('k', kind()), one('k', kind(['UNKNOWN', 'A'])), /\.k: symbols were removed or reordered/],
    ['reordered symbols', one('k', kind()), one('k', kind(['UNKNOWN', 'B', 'A'])), /\.k: symbols were removed or reordered/],
    ['a symbol in the middle', one('k', kind()), one('k', kind(['UNKNOWN', 'A', 'X', 'B'])), /\.k: symbols were removed or reordered/],
    ['another default of an enum', one('k', kind()), one('k', kind(undefined, { default: 'A' })), /\.k: the default changed/],
    ['a renamed enum', one('k', kind()), one('k', kind(undefined, { name: 'L' })), /\.k: the enum K was renamed L/],
    [
      'a renamed enum by alias',
      one('k', kind()),
      one('k', kind(undefined, { name: 'L', aliases: ['K'] })),
      /\.k: the enum K was renamed L/,
    ],
    ['a renamed inner record', one('r', inner([ID])), one('r', inner([ID], 'Other')), /\.r: the record Inner was renamed Other/],
    ['a renamed record', record([ID], { name: 'Was' }), record([ID]), /the top: the record Was was renamed Event/],
    ['another namespace', record([ID], { namespace: 'was' }), record([ID]), /the top: the record Event was renamed/],
    ['another default', one('n', 'int', { default: 1 }), one('n', 'int', { default: 2 }), /\.n: the default changed/],
    ['a default that goes', one('n', 'int', { default: 1 }), one('n', 'int'), /\.n: the default changed/],
    ['a change deep inside', one('l', list(inner([ID]))), one('l', list(inner([field('id', 'long')]))), /\.l\[\]\.id: the type changed/],
    [
      'a change behind a name',
      record([field('a', inner([ID])), field('b', 'Inner')]),
      record([field('a', inner([ID])), field('b', inner([ID, field('n', 'int')], 'Other'))]),
      /\.b: the record Inner was renamed Other/,
    ],
  ];
  for (const [title, older, newer, message] of cases) it(title, () => refuses(older, newer, message));

  it('also between versions that are not neighbours', () => {
    const more = (type: string) => record([ID, field('more', type, { default: 0 })]);
    const problems = problemsOf(more('int'), record([ID]), more('long'));
    assert.ok(problems.length > 0 && problems.every((problem) => problem.startsWith('Event: version 1 and 3: ')));
  });

  it('also between the current schema and versions before it is published', () => {
    const schemas = history(record([ID]));
    schemas.current.set('Event', JSON.stringify(record([ID, field('more', 'long')])));
    const { problems } = checkSchemas(schemas);
    assert.ok(problems.some((problem) => /differs from its newest published version.*publish\.ts Event/.test(problem)));
    assert.ok(problems.some((problem) => /version 1 and 2: \.more: the added field/.test(problem)));
  });
});

describe('schemas that fail by themselves', () => {
  const cases: [string, Json, RegExp][] = [
    ["a name that is not the file's", record([ID], { name: 'Other' }), /the record is named Other, the file Event/],
    ['another namespace', record([ID], { namespace: 'x' }), /namespace is not iflex.events/],
    ['no record', kind() as Json, /is not a record/],
    ['an enum without default', one('k', kind(undefined, { default: undefined })), /first symbol and the default of the enum K/],
    ['an enum with another default', one('k', kind(undefined, { default: 'A' })), /first symbol and the default of the enum K/],
    ['an enum whose first symbol is another', one('k', kind(['A', 'UNKNOWN'])), /first symbol and the default of the enum K/],
    ['an enum in a list without default', one('k', list(kind(undefined, { default: undefined }))), /Event\.k\[\]: the first symbol/],
    ['a union of two types', one('u', ['string', 'long']), /does not compile \(Unions/],
    ['a union of three types', one('u', ['null', 'string', 'long'], { default: null }), /does not compile \(Unions/],
    ['null not first', one('u', ['long', 'null'], { default: 1 }), /does not compile \(Unions/],
    ['a nullable field without default', one('u', ['null', 'long']), /Event\.u: a field that may be null lacks the default null/],
    ['a misspelt attribute', one('n', 'long', { defualt: 1 }), /Event\.n: the attribute defualt/],
    ['an alias of a field', one('n', 'long', { aliases: ['m'] }), /Event\.n: the attribute aliases/],
    ['an alias of the record', record([ID], { aliases: ['Was'] }), /Event: the attribute aliases/],
    ['a logical type', one('n', { type: 'long', logicalType: 'timestamp-millis' }), /Event\.n: the attribute logicalType/],
    ['a type that the codec lacks', one('n', 'float'), /does not compile .*float/],
    ['a map', one('n', { type: 'map', values: 'long' }), /does not compile .*map/],
    ['a default that does not fit', one('n', 'long', { default: 'x' }), /does not compile/],
  ];
  for (const [title, schema, message] of cases) it(title, () => refuses(schema, schema, message));

  it('text that is no JSON, current, published or draft', () => {
    const current = { current: new Map([['Event', '{']]), drafts: new Map(), published: new Map([['Event', ['{']]]) };
    assert.match(checkSchemas(current).problems.join(), /Event: does not compile/);
    const published = history(record([ID]));
    published.published.get('Event')!.unshift('{');
    assert.match(checkSchemas(published).problems.join(), /Event: version 1 and 2: a version is not JSON/);
    const draft = { current: new Map(), drafts: new Map([['Event', '{']]), published: new Map() };
    assert.match(checkSchemas(draft).problems.join(), /Event: does not compile/);
  });

  it('never published, or published and gone', () => {
    const text = JSON.stringify(record([ID]));
    const fresh = { current: new Map([['Event', text]]), drafts: new Map(), published: new Map() };
    assert.deepEqual(checkSchemas(fresh).problems, ['Event: was never published; run: node schemas/publish.ts Event']);
    const gone = { current: new Map(), drafts: new Map(), published: new Map([['Event', [text]]]) };
    assert.match(checkSchemas(gone).problems.join(), /Event: was published, but its schema is gone/);
  });

  it('drafts need no history, but a shape and a name of their own', () => {
    const text = JSON.stringify(record([ID]));
    const draft = { current: new Map(), drafts: new Map([['Event', text]]), published: new Map() };
    assert.deepEqual(checkSchemas(draft), { checked: 1, problems: [] });
    assert.match(checkSchemas({ ...history(record([ID])), drafts: new Map([['Event', text]]) }).problems.join(), /same name/);
  });
});

describe('publishing', () => {
  const planned = (published: Json[], current: Json) => {
    const schemas = history(current);
    schemas.published = new Map(published.length === 0 ? [] : [['Event', published.map((v) => JSON.stringify(v))]]);
    return nextVersion(schemas, 'Event');
  };

  it('numbers versions and writes nothing where nothing changed', () => {
    const next = record([ID, field('n', 'long', { default: 0 })]);
    assert.equal(planned([], record([ID]))?.number, 1);
    assert.deepEqual(planned([record([ID])], next), { number: 2, text: JSON.stringify(next) });
    assert.equal(planned([record([ID])], { ...record([ID]), doc: 'More words.' }), undefined);
  });

  it('refuses what the gate refuses, drafts and unknown names', () => {
    assert.throws(() => planned([record([ID])], record([ID, field('n', 'long')])), /the added field has no default/);
    const drafts = new Map([['Draft', JSON.stringify(record([ID], { name: 'Draft' }))]]);
    assert.throws(() => nextVersion({ ...history(record([ID])), drafts }, 'Draft'), /drafts are not published/);
  });

  it('is a command that fails with a reason and changes nothing that is published', () => {
    const script = fileURLToPath(new URL('../../schemas/publish.ts', import.meta.url));
    const run = (...names: string[]) => spawnSync(process.execPath, [script, ...names], { encoding: 'utf8' });
    const listed = () => readdirSync(fileURLToPath(new URL('../../schemas/history', import.meta.url)), { recursive: true }).sort();
    const before = listed();
    assert.deepEqual([run().status, run('NoSuchEvent').status, run('Tick').status], [1, 1, 0]);
    assert.deepEqual(listed(), before);
  });
});
