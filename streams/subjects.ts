import { TOPICS } from './topics.ts';

/** Subjects of a registry under which a schema stands: those of the written topics that carry it, whatever the namespace. */
export function subjectsOf(schemaName: string): string[] {
  return TOPICS.filter((topic) => topic.schema === schemaName && !topic.draft).map(({ name }) => `${name}-value`);
}
