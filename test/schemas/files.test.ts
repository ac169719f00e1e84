import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { currentSchemas, draftSchemas, publishedNames, publishedVersions } from '../../schemas/files.ts';
import type { AvroType } from '../../schemas/gate.ts';
import { TOPICS } from '../../streams/topics.ts';

const folder = fileURLToPath(new URL('../../schemas/', import.meta.url));
const everySchemaFile = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.avsc'));

describe('schema files', () => {
  it('are all found, each as what its folder says', () => {
    const found = [
      ...[...currentSchemas().keys()].map((name) => `${name}.avsc`),
      ...[...draftSchemas().keys()].map((name) => `drafts/${name}.avsc`),
      ...publishedNames().flatMap((name) =>
        publishedVersions(name).map((_, i) => `history/${name}/${String(i + 1).padStart(4, '0')}.avsc`),
      ),
    ];
    assert.deepEqual(found.sort(), everySchemaFile.map((path) => path.replaceAll('\\', '/')).sort());
    assert.ok(currentSchemas().size >= 11 && currentSchemas().size + draftSchemas().size >= 18);
  });

  it('give their text, by record name in order', () => {
    for (const schemas of [currentSchemas(), draftSchemas()]) {
      assert.deepEqual([...schemas.keys()], [...schemas.keys()].sort());
      for (const [name, text] of schemas) assert.equal(JSON.parse(text).name, name);
    }
    assert.equal(currentSchemas().get('Tick'), readFileSync(`${folder}Tick.avsc`, 'utf8'));
    assert.deepEqual(publishedVersions('Tick')[0], readFileSync(`${folder}history/Tick/0001.avsc`, 'utf8'));
  });

  it('cover every topic, and every schema has a topic', () => {
    for (const topic of TOPICS) {
      assert.equal(currentSchemas().has(topic.schema), !topic.draft, topic.name);
      assert.equal(draftSchemas().has(topic.schema), topic.draft, topic.name);
    }
    const used = new Set(TOPICS.map((topic) => topic.schema));
    for (const name of [...currentSchemas().keys(), ...draftSchemas().keys()]) assert.ok(used.has(name), name);
  });

  it('use names that say their unit, and hold no personal data in the clear', () => {
    const personal = /^(first|last|full)?name$|email|phone|street|postalCode|birth|serialNumber/i;
    const withoutUnit = /(?<!Milli|PerK)Wh$|Timestamp$|Percent$|[Pp]rice$|[Pp]ower$|(?<!has)[Ee]nergy$|[Tt]emperature$|Duration$/;
    const named = new Set(['PilotDeclared.name', 'PointDeclared.name', 'TimeOfUseBlock.name']);
    for (const [name, text] of [...currentSchemas(), ...draftSchemas()]) {
      for (const { record, field } of fieldsOf(JSON.parse(text))) {
        assert.doesNotMatch(field, withoutUnit, name);
        if (!named.has(`${record}.${field}`)) assert.doesNotMatch(field, personal, name);
      }
    }
  });
});

function fieldsOf(type: AvroType): { record: string; field: string }[] {
  if (typeof type === 'string') return [];
  if (Array.isArray(type)) return type.flatMap(fieldsOf);
  if (type.type === 'array') return fieldsOf(type.items);
  if (type.type !== 'record') return [];
  return type.fields.flatMap((field) => [{ record: type.name, field: field.name }, ...fieldsOf(field.type)]);
}
