/** Publishes the current schema of a name as its next version: node schemas/publish.ts NAME... */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fingerprint } from './codec.ts';
import { checkSchemas, type Schemas, schemasOnDisk } from './gate.ts';

/** The version to write, or undefined where the newest published one says the same; throws what the gate refuses. */
export function nextVersion(schemas: Schemas, name: string): { number: number; text: string } | undefined {
  const text = schemas.current.get(name);
  if (text === undefined) throw new Error(`There is no current schema of the name ${name}; drafts are not published.`);
  const versions = schemas.published.get(name) ?? [];
  const published = new Map(schemas.published).set(name, [...versions, text]);
  const problems = checkSchemas({ ...schemas, published }).problems.filter((problem) => problem.startsWith(`${name}: `));
  if (problems.length > 0) throw new Error(problems.join('\n'));
  const newest = versions.at(-1);
  if (newest !== undefined && fingerprint(newest) === fingerprint(text)) return undefined;
  return { number: versions.length + 1, text };
}

function publish(name: string): void {
  const version = nextVersion(schemasOnDisk(), name);
  if (version === undefined) {
    console.log(`${name}: the newest published version already says the same.`);
    return;
  }
  const folder = join(dirname(fileURLToPath(import.meta.url)), 'history', name);
  const file = join(folder, `${String(version.number).padStart(4, '0')}.avsc`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, version.text, { flag: 'wx' }); // a published version never changes
  console.log(`${name}: published as version ${version.number}.`);
}

if (import.meta.main) {
  try {
    const names = process.argv.slice(2);
    if (names.length === 0) throw new Error('Which schema? node schemas/publish.ts NAME...');
    for (const name of names) publish(name);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
