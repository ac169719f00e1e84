/** The schema files of this folder: current ones by record name, drafts, and the published history. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

/** Text of every current schema (drafts are not current), by record name, sorted by name. */
export function currentSchemas(): Map<string, string> {
  return schemasIn(here);
}

export function draftSchemas(): Map<string, string> {
  return schemasIn(join(here, 'drafts'));
}

/** Every published version of a schema, oldest first. Files are named history/NAME/0001.avsc and never change. */
export function publishedVersions(name: string): string[] {
  const folder = join(here, 'history', name);
  return filesIn(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
}

export function publishedNames(): string[] {
  return readdirSync(join(here, 'history')).sort();
}

function schemasIn(folder: string): Map<string, string> {
  return new Map(filesIn(folder).map((file) => [file.slice(0, -'.avsc'.length), readFileSync(join(folder, file), 'utf8')]));
}

function filesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.avsc'))
    .sort();
}
