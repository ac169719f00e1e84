/** Sites, their points and latest values. */
import { Type } from 'typebox';
import type { SiteRow } from '../../projections/queries/find-site.ts';
import { type LatestRow, latestValues } from '../../projections/queries/latest-values.ts';
import { listSites } from '../../projections/queries/list-sites.ts';
import { type PointRow, sitePoints } from '../../projections/queries/site-points.ts';
import { IflexError } from '../../streams/errors.ts';
import type { Pool } from '../../streams/postgres.ts';
import { cursorOf, Id, placeOf } from '../cursor.ts';
import { sendPage } from '../representation.ts';
import type { Api } from '../server.ts';
import {
  answers,
  columnsOf,
  LatestRowShape,
  Name,
  PointParams,
  PointRowShape,
  pageAnswers,
  parameters,
  Query,
  qualityName,
  SiteParams,
  SiteRowShape,
} from '../shapes.ts';
import { rendered, timeZoneOf } from '../times.ts';
import { unitsOf, valueIn } from '../units.ts';

const access = { action: 'read', kind: 'sites' } as const;
const tags = ['Sites'];
const list = Query({ format: parameters.format });

export function registerSites(app: Api, pool: Pool): void {
  app.get(
    '/v1/sites',
    {
      config: { access },
      schema: {
        tags,
        summary: 'Sites that the token may see',
        querystring: Query({
          pilot: Type.Optional(Name('Only sites of this pilot')),
          limit: parameters.limit,
          cursor: parameters.cursor,
          format: parameters.format,
        }),
        response: pageAnswers({}, SiteRowShape),
      },
    },
    async (request, reply) => {
      const { pilot = null, limit } = request.query;
      const after = placeOf(request, Id);
      const sites = await listSites(pool, { scope: request.subject!, pilotId: pilot, afterSiteId: after, limit: limit! + 1 });
      const rows = sites.slice(0, limit);
      const nextCursor = sites.length > limit! ? cursorOf(request, rows.at(-1)!.siteId) : null;
      return sendPage(request, reply, { about: {}, rows: rows.map(siteAnswer), nextCursor, columns: columnsOf(SiteRowShape) });
    },
  );
  app.get(
    '/v1/sites/:siteId',
    {
      config: { access },
      schema: { tags, summary: 'One site', params: SiteParams, querystring: Query({}), response: answers(SiteRowShape) },
    },
    async (request) => siteAnswer(request.site!),
  );
  app.get(
    '/v1/sites/:siteId/points',
    {
      config: { access },
      schema: { tags, summary: 'Points of a site', params: SiteParams, querystring: list, response: pageAnswers({}, PointRowShape) },
    },
    async (request, reply) => {
      const points = await sitePoints(pool, request.params.siteId, null);
      return sendPage(request, reply, { about: {}, rows: points.map(pointAnswer), nextCursor: null, columns: columnsOf(PointRowShape) });
    },
  );
  app.get(
    '/v1/sites/:siteId/points/:pointId',
    {
      config: { access },
      schema: { tags, summary: 'One point', params: PointParams, querystring: Query({}), response: answers(PointRowShape) },
    },
    async (request) => pointAnswer(await pointOf(pool, request.params)),
  );
}

export function registerLatest(app: Api, pool: Pool): void {
  app.get(
    '/v1/sites/:siteId/latest',
    {
      config: { access: { action: 'read', kind: 'series' } },
      schema: {
        tags: ['Series'],
        summary: 'Latest values of the points of a site',
        params: SiteParams,
        querystring: Query({ tz: parameters.tz, format: parameters.format }),
        response: pageAnswers({ siteId: Type.String(), timeZone: Type.String() }, LatestRowShape),
      },
    },
    async (request, reply) => {
      const site = request.site!;
      const timeZone = timeZoneOf(request.query.tz ?? site.timeZone);
      const rows = await latestValues(pool, site.siteId, null);
      return sendPage(request, reply, {
        about: { siteId: site.siteId, timeZone },
        rows: rows.map((row) => latestAnswer(row, timeZone)),
        nextCursor: null,
        columns: columnsOf(LatestRowShape),
      });
    },
  );
}

/** The point that the address names; throws NOT_FOUND. */
export async function pointOf(pool: Pool, { siteId, pointId }: { siteId: string; pointId: string }): Promise<PointRow> {
  const [point] = await sitePoints(pool, siteId, pointId);
  if (!point) throw new IflexError('NOT_FOUND', `The site ${siteId} has no point ${pointId}.`);
  return point;
}

function siteAnswer({ siteId, pilotId, timeZone, kind, origin, knownAtMs }: SiteRow) {
  return { siteId, pilotId, timeZone, kind, origin, knownAt: rendered(knownAtMs, 'UTC') };
}

function pointAnswer({ pointId, siteId, name, kind, carrier, intervalMs, forecast }: PointRow) {
  return { pointId, siteId, name, kind, carrier, intervalMs, forecast };
}

function latestAnswer(row: LatestRow, timeZone: string) {
  const { value: unit } = unitsOf(row.kind, undefined);
  return {
    pointId: row.pointId,
    start: rendered(row.startMs, timeZone),
    unit,
    last: valueIn(unit, row.last),
    mean: valueIn(unit, row.mean),
    quality: qualityName(row.quality),
    knownAt: rendered(row.knownAtMs, timeZone),
  };
}
