/** What could not be used, and what the data show about themselves; newest first. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { dataNotices, type NoticeRow } from '../../projections/queries/data-notices.ts';
import { findRejected } from '../../projections/queries/find-rejected.ts';
import { type Place, type RejectedRow, rejectedEvents, type SetAsideAsk } from '../../projections/queries/rejected-events.ts';
import { IflexError } from '../../streams/errors.ts';
import type { Pool } from '../../streams/postgres.ts';
import { cursorOf, Offset, Partition, placeOf, TimeMs } from '../cursor.ts';
import { type Row, sendPage } from '../representation.ts';
import type { Api } from '../server.ts';
import {
  answers,
  CODES,
  columnsOf,
  Name,
  NOTICE_KINDS,
  NoticeRowShape,
  pageAnswers,
  parameters,
  Query,
  RejectedRowShape,
} from '../shapes.ts';
import { FIRST_RENDERED_MS, instantOf, LAST_RENDERED_MS, rendered, timeZoneOf } from '../times.ts';

const shared = {
  site: Type.Optional(Name('Only of this site')),
  from: parameters.from,
  to: parameters.to,
  tz: Type.Optional(Type.String({ maxLength: 60, default: 'UTC', description: 'IANA name of the zone of days and rendered times' })),
  limit: parameters.limit,
  cursor: parameters.cursor,
  format: parameters.format,
};
const description = '`from` and `to` are about when it became known.';
const rejectedAccess = { action: 'read', kind: 'rejected' } as const;
const RejectedShape = Type.Object({
  ...RejectedRowShape.properties,
  bytesBase64: Type.String({ description: 'The first bytes of what was rejected' }),
});
const AtPlace = Type.Object({ partition: Partition, offset: Offset });
/** When the last row of the page before became known, its partition and offset. */
const After = Type.Tuple([TimeMs, Partition, Offset]);

export function registerSetAside(app: Api, pool: Pool): void {
  app.get(
    '/v1/rejected',
    {
      config: { access: rejectedAccess },
      schema: {
        tags: ['Set aside'],
        summary: 'Events and readings that could not be used',
        description,
        querystring: Query({ ...shared, code: Type.Optional(Type.Enum(CODES, { description: 'Only with this error code' })) }),
        response: pageAnswers({}, RejectedRowShape),
      },
    },
    async (request, reply) => {
      const { code = null } = request.query;
      return sendList(request, reply, {
        code,
        read: (ask) => rejectedEvents(pool, ask),
        answer: rejectedAnswer,
        columns: columnsOf(RejectedRowShape),
      });
    },
  );
  app.get(
    '/v1/rejected/:partition/:offset',
    {
      config: { access: rejectedAccess },
      schema: {
        tags: ['Set aside'],
        summary: 'One rejected event, with its first bytes',
        params: AtPlace,
        querystring: Query({}),
        response: answers(RejectedShape),
      },
    },
    async (request) => {
      const found = await findRejected(pool, request.subject!, request.params);
      if (found === null) throw new IflexError('NOT_FOUND', 'No rejected event stands at this place.');
      return { ...rejectedAnswer(found, 'UTC'), bytesBase64: found.bytes.toString('base64') };
    },
  );
  app.get(
    '/v1/notices',
    {
      config: { access: { action: 'read', kind: 'notices' } },
      schema: {
        tags: ['Set aside'],
        summary: 'Notices about data: doubles, resets, swaps, stuck meters, outliers',
        description,
        querystring: Query({ ...shared, kind: Type.Optional(Type.Enum(NOTICE_KINDS, { description: 'Only of this kind' })) }),
        response: pageAnswers({}, NoticeRowShape),
      },
    },
    async (request, reply) => {
      const { kind = null } = request.query;
      return sendList(request, reply, {
        code: kind,
        read: (ask) => dataNotices(pool, ask),
        answer: noticeAnswer,
        columns: columnsOf(NoticeRowShape),
      });
    },
  );
}

interface ListOf<Found extends Place & { knownAtMs: number }> {
  code: string | null;
  read(ask: SetAsideAsk): Promise<Found[]>;
  answer(row: Found, timeZone: string): Row;
  columns: string[];
}

async function sendList<Found extends Place & { knownAtMs: number }>(
  request: FastifyRequest,
  reply: FastifyReply,
  { code, read, answer, columns }: ListOf<Found>,
): Promise<FastifyReply> {
  const {
    site = null,
    from,
    to,
    tz = 'UTC',
    limit = 0,
  } = request.query as { site?: string; from?: string; to?: string; tz?: string; limit?: number };
  const timeZone = timeZoneOf(tz);
  const fromMs = from === undefined ? null : instantOf(from, timeZone, 'from');
  const toMs = to === undefined ? null : instantOf(to, timeZone, 'to');
  if (fromMs !== null && toMs !== null && toMs < fromMs) throw new IflexError('REQUEST_INVALID', '`to` lies before `from`.');
  const place = placeOf(request, After);
  const after = place && { knownAtMs: place[0], partition: place[1], offset: place[2] };
  const found = await read({ scope: request.subject!, siteId: site, code, fromMs, toMs, after, limit: limit + 1 });
  const rows = found.slice(0, limit);
  const last = rows.at(-1);
  return sendPage(request, reply, {
    about: {},
    rows: rows.map((row) => answer(row, timeZone)),
    nextCursor: last && found.length > limit ? cursorOf(request, [last.knownAtMs, last.partition, last.offset]) : null,
    columns,
  });
}

function rejectedAnswer(row: RejectedRow, timeZone: string) {
  return {
    partition: row.partition,
    offset: row.offset,
    knownAt: rendered(row.knownAtMs, timeZone),
    siteId: row.siteId,
    pointId: row.pointId,
    start: row.startMs === null ? null : timeOrNull(row.startMs, timeZone),
    code: row.code,
    reason: row.reason,
    source: row.source,
    readingCount: row.readingCount,
    byteLength: row.byteLength,
    sha256: row.sha256,
  };
}

/** What was rejected may be stamped with any time, also one that no calendar has. */
function timeOrNull(atMs: number, timeZone: string): string | null {
  return atMs >= FIRST_RENDERED_MS && atMs <= LAST_RENDERED_MS ? rendered(atMs, timeZone) : null;
}

function noticeAnswer(row: NoticeRow, timeZone: string) {
  return {
    partition: row.partition,
    offset: row.offset,
    knownAt: rendered(row.knownAtMs, timeZone),
    siteId: row.siteId,
    pointId: row.pointId,
    start: rendered(row.startMs, timeZone),
    kind: row.kind,
    value: row.value,
    otherValue: row.otherValue,
    count: row.count,
  };
}
