/**
 * How requests for old days (`revisions.requested`) and the answers to them (`day.reloaded`) belong together. Answers of a
 * partition are numbered in the order of their requests, and name the request as their cause. The number is a count, not
 * an offset: it is in the id of the answer, and so in those of the revisions that come of it, and offsets are not the
 * same in every log. Where a day is too large for one event, its parts come from sources of their own, since a source
 * counts each number once; the part from the plain source is the last.
 */
import type { LogRecord, RecordHeaders } from './event-log.ts';
import { idOf } from './record-ids.ts';

export const REQUESTS = 'revisions.requested';
export const ANSWERS = 'day.reloaded';
const SOURCE = 'reload';
const REQUEST_RANGE = new RegExp(` ${REQUESTS.replace('.', '\\.')}/\\d+:(\\d+)-\\1$`);

/** A place in the requests of a partition. */
export interface RequestPlace {
  /** How many requests are before it. */
  number: number;
  offset: number;
}

export const FIRST_REQUEST: RequestPlace = { number: 0, offset: 0 };

/** What a part of the answer to the request that has so many before it says of itself; after it so many further parts come. */
export function answerHeaders(request: LogRecord, number: number, partsLeft: number): Pick<RecordHeaders, 'source' | 'number' | 'causes'> {
  return {
    source: partsLeft === 0 ? SOURCE : `${SOURCE}-${partsLeft}`,
    number,
    causes: `${idOf(request)} ${REQUESTS}/${request.partition}:${request.offset}-${request.offset}`,
  };
}

/** The first request that is not answered in full once this part of an answer is there. */
export function nextRequest(answer: LogRecord): RequestPlace {
  const { number, causes = '' } = answer.headers;
  const range = REQUEST_RANGE.exec(causes);
  if (!range) throw new Error(`${ANSWERS}/${answer.partition}/${answer.offset} does not name its request: ${JSON.stringify(causes)}`);
  const offset = Number(range[1]);
  return endsAnswer(answer) ? { number: number + 1, offset: offset + 1 } : { number, offset };
}

/** Whether a record is an answer's last part. */
export function endsAnswer({ topic, headers }: LogRecord): boolean {
  return topic === ANSWERS && headers.source === SOURCE;
}
