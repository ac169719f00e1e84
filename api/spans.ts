/** The span of time that a request asks for, with what it leaves out filled in from the data. */
import { IflexError } from '../streams/errors.ts';
import { DAY_MS, MAX_SPAN_WINDOWS } from '../streams/limits.ts';
import { instantOf } from './times.ts';

export interface Span {
  fromMs: number;
  toMs: number;
}

/**
 * `to` is else the end of the data, and `from` so much before `to`. A time before which it all ends is no error, it is
 * an empty span; the two the wrong way round are one. Throws REQUEST_INVALID, SPAN_TOO_LONG.
 */
export function spanOf(
  asked: { from?: string; to?: string },
  timeZone: string,
  fill: { endOfDataMs: number; lengthMs: number; windowMs: number },
): Span {
  const { endOfDataMs, lengthMs, windowMs } = fill;
  const given = asked.from === undefined ? undefined : instantOf(asked.from, timeZone, 'from');
  const toMs = asked.to === undefined ? Math.max(endOfDataMs, given ?? endOfDataMs) : instantOf(asked.to, timeZone, 'to');
  return boundedSpan(given ?? toMs - lengthMs, toMs, windowMs);
}

/** [fromMs, toMs) as a span that one request may ask for. Throws REQUEST_INVALID, SPAN_TOO_LONG. */
export function boundedSpan(fromMs: number, toMs: number, windowMs: number): Span {
  if (toMs < fromMs) throw new IflexError('REQUEST_INVALID', '`to` lies before `from`.');
  if (toMs - fromMs > MAX_SPAN_WINDOWS * windowMs)
    throw new IflexError(
      'SPAN_TOO_LONG',
      `At this resolution one request may span ${Math.floor((MAX_SPAN_WINDOWS * windowMs) / DAY_MS)} days at most.`,
    );
  return { fromMs, toMs };
}
