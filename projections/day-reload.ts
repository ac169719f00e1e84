/**
 * The reload adapter: answers each `revisions.requested` with a `day.reloaded` fact (a day of very many readings: with a
 * few) that holds the raw readings of the point and day that the task took in, read back from the log, and the windows
 * emitted so far. Requests are answered in order and numbered in it, so that each is answered once whatever crashes.
 * A task reads nothing else until its requests are answered, and an answer holds only what the task had read by
 * then: it is the same whenever it is made.
 */
import { hash } from 'node:crypto';
import type { Codec } from '../schemas/codec.ts';
import type { DayReloaded, Rejected, RevisionRequested } from '../schemas/types.ts';
import type { EventLog, LogRecord, NewRecord, Positions } from '../streams/event-log.ts';
import { latestRecord } from '../streams/latest-record.ts';
import { FEED_BATCH_BYTES, MAX_STEP_BYTES, PARTITION_COUNT, REJECTED_BYTES_KEPT } from '../streams/limits.ts';
import { ANSWERS, answerHeaders, FIRST_REQUEST, nextRequest, REQUESTS, type RequestPlace } from '../streams/reload-answers.ts';
import { READINGS_TOPICS } from '../streams/topics.ts';
import { previousWindows } from './previous-windows.ts';
import { hasReached } from './project.ts';
import { type RawDay, rawReadingsOfDays, type WantedDay } from './raw-days.ts';
import { partsOfDay } from './reload-parts.ts';
import type { ProjectionStore } from './store.ts';

const SERIES_TOPICS = ['resampled.5m', 'resampled.15m', 'resampled.60m'];
const IDLE_WAIT_MS = 500;
const CATCH_UP_WAIT_MS = 20;
/** Requests answered in one go: those of one site share what is read. */
const MAX_REQUESTS = 100;

export interface ReloadOptions {
  log: EventLog;
  codec: Codec;
  store: ProjectionStore;
  signal: AbortSignal;
}

interface Request extends WantedDay {
  record: LogRecord;
  /** How many requests its partition has before it. */
  number: number;
  asked: RevisionRequested;
}

/** Runs until the signal. Reloads wait for the projections to have all that was emitted before the request. */
export async function reloadDays(options: ReloadOptions): Promise<void> {
  const { log, signal } = options;
  const next: RequestPlace[] = [];
  for (let partition = 0; partition < PARTITION_COUNT; partition++) {
    const latest = await latestRecord(log, { topic: ANSWERS, partition });
    next.push(latest ? nextRequest(latest) : FIRST_REQUEST);
  }
  while (!signal.aborted) {
    const looks = next.map(({ offset }, partition) => ({ at: { topic: REQUESTS, partition }, offset }));
    const results = await log.readMany(looks, { maxRecords: MAX_REQUESTS, maxBytes: MAX_STEP_BYTES });
    let found = false;
    for (let partition = 0; partition < PARTITION_COUNT && !signal.aborted; partition++) {
      const records = results[partition].records.slice(0, MAX_REQUESTS);
      if (records.length === 0) continue;
      found = true;
      const { number } = next[partition];
      if (await answer(options, partition, records, number))
        next[partition] = { number: number + records.length, offset: records.at(-1)!.offset + 1 };
    }
    if (!found) await log.waitForAppend(IDLE_WAIT_MS, signal);
  }
}

/** Answers requests of one partition, of which so many were answered before; false where the signal came first. */
async function answer(options: ReloadOptions, partition: number, records: readonly LogRecord[], answered: number): Promise<boolean> {
  const { log, codec, signal } = options;
  const before = await log.taskPositions(partition);
  if (!(await waitForRows(options, partition, before))) return false;
  const requests: Request[] = records.map((record, i) => {
    const asked = codec.decodeAs('RevisionRequested', record.value) as RevisionRequested;
    return { record, number: answered + i, asked, pointId: asked.pointId, dayStartMs: asked.dayStartMs };
  });
  const answers = new Map<Request, NewRecord[]>();
  for (const [siteId, ofSite] of Map.groupBy(requests, ({ asked }) => asked.siteId)) {
    const raw = await rawReadingsOfDays({ ...options, siteId, partition, before }, ofSite);
    const previous = await previousWindows(options.store, siteId, ofSite);
    for (const request of ofSite) answers.set(request, answerRecords(options, request, raw.get(request)!, previous.get(request)!));
  }
  let batch: NewRecord[] = [];
  let bytes = 0;
  for (const request of requests) {
    for (const record of answers.get(request)!) {
      batch.push(record);
      bytes += record.value.length;
      if (bytes < FEED_BATCH_BYTES) continue;
      if (signal.aborted) return false;
      await log.append(batch);
      batch = [];
      bytes = 0;
    }
  }
  await log.append(batch);
  return true;
}

/** What the task has read must be in the index, what it has emitted in the series, what it has set aside in its rows; its sites tell kinds of points. */
async function waitForRows({ log, store, signal }: ReloadOptions, partition: number, before: Positions): Promise<boolean> {
  const emitted = async (topic: string): Promise<[string, number]> => [`${topic}/${partition}`, (await log.endOffsets(topic))[partition]];
  const needed = {
    sites: new Map([await emitted('sites.latest')]),
    series: new Map(await Promise.all(SERIES_TOPICS.map(emitted))),
    'set-aside': new Map([await emitted('rejected')]),
    'day-index': new Map(READINGS_TOPICS.map((topic) => [`${topic}/${partition}`, before[topic] ?? 0])),
  };
  for (const [name, positions] of Object.entries(needed)) {
    while (!(await hasReached(store, name, positions))) {
      if (signal.aborted) return false;
      await log.waitForAppend(CATCH_UP_WAIT_MS, signal);
    }
  }
  return true;
}

/** The answer in as many parts as it takes; what no event can hold is told, and its windows stay as they are. */
function answerRecords({ codec }: ReloadOptions, request: Request, day: RawDay, previous: DayReloaded['previous']): NewRecord[] {
  const { record, number, asked } = request;
  const parts = partsOfDay(codec, asked, day, previous);
  return parts.flatMap(({ bytes, fromMs, heldBack }, i) => {
    const headers = { ...answerHeaders(record, number, parts.length - 1 - i), knownAtMs: asked.knownAtMs };
    const place = { key: record.key, partition: record.partition };
    const answer = { ...place, topic: ANSWERS, value: bytes, headers: { ...headers, type: 'DayReloaded' } };
    if (heldBack === null) return [answer];
    const rejected = codec.encode('Rejected', heldBackReport(request, fromMs, heldBack));
    return [{ ...place, topic: 'rejected', value: rejected, headers: { ...headers, type: 'Rejected' } }, answer];
  });
}

function heldBackReport({ record, asked }: Request, fromMs: number, readingCount: number): Rejected {
  return {
    siteId: asked.siteId,
    knownAtMs: asked.knownAtMs,
    code: 'READING_BUFFER_FULL',
    reason: `The hour from ${new Date(fromMs).toISOString()} has more readings than an event can hold; its windows stay as they are.`,
    source: `${REQUESTS}/${record.partition}/${record.offset}`,
    pointId: asked.pointId,
    startMs: fromMs,
    readingCount,
    startsMs: [],
    bytes: record.value.subarray(0, REJECTED_BYTES_KEPT),
    byteLength: record.value.length,
    sha256: hash('sha256', record.value),
  };
}
