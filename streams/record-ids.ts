/** How records are named: as causes of others, and derived ones by their content. */
import { hash } from 'node:crypto';
import type { LogRecord, NewRecord } from './event-log.ts';
import type { ReadRanges } from './read-ranges.ts';

/** Identifies records for causes: source#number of facts, the hash of derived ones. */
export function idOf(record: NewRecord): string {
  return record.headers.id ?? `${record.headers.source}#${record.headers.number}`;
}

/** The trigger's id and position, and the ranges of positions read since the last output of the key. */
export function causesOf(trigger: LogRecord, { byTopic }: ReadRanges): string {
  let causes = `${idOf(trigger)} ${trigger.topic}/${trigger.partition}:${trigger.offset}-${trigger.offset}`;
  for (const [topic, { first, last }] of byTopic)
    if (topic !== trigger.topic || first !== trigger.offset) causes += ` ${topic}/${trigger.partition}:${first}-${last}`;
  return causes;
}

/** Id of a derived event: SHA-256 of processor, topic, key, body and the trigger's id, cut to 128 bits (hex). */
export function contentId(processor: string, topic: string, key: string, body: Uint8Array, triggerId: string): string {
  const head = Buffer.from(`${processor}\0${topic}\0${key}\0${triggerId}\0`);
  return hash('sha256', Buffer.concat([head, body])).slice(0, 32);
}
