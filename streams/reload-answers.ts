/**
 * How requests for old days (`revisions.requested`) and the answers to them (`day.reloaded`) belong together: an answer
 * carries as its number the offset of its request. Where a day is too large for one event, its parts come from sources
 * of their own, since a source counts each number once; the part from the plain source is the last.
 */
import type { LogRecord, RecordHeaders } from './event-log.ts';

export const REQUESTS = 'revisions.requested';
export const ANSWERS = 'day.reloaded';
const SOURCE = 'reload';

/** Source and number of a part of an answer, after which so many further parts come. */
export function answerHeaders(requestOffset: number, partsLeft: number): Pick<RecordHeaders, 'source' | 'number'> {
  return { source: partsLeft === 0 ? SOURCE : `${SOURCE}-${partsLeft}`, number: requestOffset };
}

/** Offset of the first request that is not answered in full once this part of an answer is there. */
export function nextRequest({ headers }: LogRecord): number {
  return headers.source === SOURCE ? headers.number + 1 : headers.number;
}

/** Whether a record is an answer's last part. */
export function endsAnswer({ topic, headers }: LogRecord): boolean {
  return topic === ANSWERS && headers.source === SOURCE;
}
