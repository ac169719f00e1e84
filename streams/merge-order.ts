/**
 * The order in which facts of several topics are taken as one stream; this is the only place that says it. A live task,
 * the feed of an import and a what-if replay agree in it:
 *
 *   1. by the time at which the content became known,
 *   2. ticks after facts of the same time: a tick says that all that was known by then is there, so that a reading
 *      which became known at the very end of a window is part of it, and is not a late one that revises it,
 *   3. by topic.
 *
 * What is left is two facts of one topic known at the same time. A what-if orders them by id (source and number), the
 * same in every log. A live task takes them by offset: it reads a partition as it grows and cannot wait for what else
 * may have become known at the same time. Within a source numbers ascend with offsets, so both agree, but for facts of
 * two sources that became known in the same millisecond and were appended against the order of their names. The journal
 * keeps what the task did, so a verify replay does not depend on this.
 */

/** Negative where `a` comes first, 0 where their place within the topic decides. */
export function compareMerge(aKnownAtMs: number, aTopic: string, bKnownAtMs: number, bTopic: string): number {
  if (aKnownAtMs !== bKnownAtMs) return aKnownAtMs - bKnownAtMs;
  if (aTopic === bTopic) return 0;
  if (aTopic === 'ticks') return 1;
  return bTopic === 'ticks' || aTopic < bTopic ? -1 : 1;
}
