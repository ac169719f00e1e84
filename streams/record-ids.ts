/** How records are named: as causes of others, and derived ones by their content. */
import { hash } from 'node:crypto';
import type { LogRecord, NewRecord } from './event-log.ts';
import type { ReadRanges } from './read-ranges.ts';

/** Identifies records for causes: source#number of facts, the hash of derived ones. */
export function idOf({ headers }: Pick<NewRecord, 'headers'>): string {
  return headers.id ?? `${headers.source}#${headers.number}`;
}

/** The trigger's id and position, and the ranges of positions read since the last output of the key. */
export function causesOf(trigger: LogRecord, { byTopic }: ReadRanges): string {
  let causes = `${idOf(trigger)} ${trigger.topic}/${trigger.partition}:${trigger.offset}-${trigger.offset}`;
  for (const [topic, { first, last }] of byTopic)
    if (topic !== trigger.topic || first !== trigger.offset) causes += ` ${topic}/${trigger.partition}:${first}-${last}`;
  return causes;
}

/**
 * Id of a derived event: SHA-256 of processor, topic, key, body and the trigger's id, cut to 128 bits (hex). Nothing of
 * it is an offset, so the same facts give the same ids in every log.
 *
 * The body holds window and revision, so they are in the hash. Of the causes only the trigger's id is: an hour's window
 * may have thousands, and hashing the id of each would cost more than all else that is done for a reading. It is sound,
 * as a key's processors are a function of the facts in their order: an event that other causes made under the same
 * trigger differs in its body, or it says the very same thing. Which causes were read stands in the headers, as ranges
 * of positions, outside of what replays compare.
 */
export function contentId(processor: string, topic: string, key: string, body: Uint8Array, triggerId: string): string {
  const head = Buffer.from(`${processor}\0${topic}\0${key}\0${triggerId}\0`);
  return hash('sha256', Buffer.concat([head, body])).slice(0, 32);
}
