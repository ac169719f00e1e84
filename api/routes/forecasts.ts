/** Forecasts of a point by belief time. */
import { Type } from 'typebox';
import { type ForecastRow, forecastIssues } from '../../projections/queries/forecast-issues.ts';
import { latestValues } from '../../projections/queries/latest-values.ts';
import { DAY_MS, MINUTE_MS } from '../../streams/limits.ts';
import type { Pool } from '../../streams/postgres.ts';
import { cursorOf, placeOf, strayCursor, TimeMs } from '../cursor.ts';
import { sendPage } from '../representation.ts';
import type { Api } from '../server.ts';
import { columnsOf, type ForecastAnswer, ForecastRowShape, Nullable, PointParams, pageAnswers, parameters, Query } from '../shapes.ts';
import { boundedSpan, spanOf } from '../spans.ts';
import { instantOf, rendered, timeZoneOf } from '../times.ts';
import { type Units, unitsOf, valueIn } from '../units.ts';
import { pointOf } from './sites.ts';

/** Where the request names no times: from the latest value on, as far as a day-ahead forecast reaches. */
const LENGTH_MS = 2 * DAY_MS;
const SLOT_MS = 15 * MINUTE_MS;

const query = Query({
  from: parameters.from,
  to: parameters.to,
  asOf: Type.Optional(Type.String({ minLength: 1, maxLength: 40, description: 'Belief time: issues made later are left out.' })),
  issues: Type.Optional(Type.Enum(['latest', 'all'], { default: 'latest', description: 'The latest issue of each slot, or every issue' })),
  tz: parameters.tz,
  unit: parameters.unit,
  limit: parameters.limit,
  cursor: parameters.cursor,
  format: parameters.format,
});

/** Slot and issue of the last row of the page before, start and end of the span, and the belief time that all pages show. */
const Place = Type.Tuple([TimeMs, TimeMs, TimeMs, TimeMs, Nullable(TimeMs)]);

export function registerForecasts(app: Api, pool: Pool): void {
  app.get(
    '/v1/sites/:siteId/points/:pointId/forecasts',
    {
      config: { access: { action: 'read', kind: 'forecasts' } },
      schema: {
        tags: ['Forecasts'],
        summary: 'Forecasts of a point, with quantiles',
        params: PointParams,
        querystring: query,
        response: pageAnswers(
          {
            siteId: Type.String(),
            pointId: Type.String(),
            timeZone: Type.String(),
            from: Type.String(),
            to: Type.String(),
            asOf: Nullable(Type.String()),
            issues: Type.String(),
            units: Type.Object({ value: Type.String() }),
          },
          ForecastRowShape,
        ),
      },
    },
    async (request, reply) => {
      const { from, to, asOf, issues = 'latest', tz, unit, limit = 0 } = request.query;
      const { siteId, pointId } = request.params;
      const timeZone = timeZoneOf(tz ?? request.site!.timeZone);
      const point = await pointOf(pool, request.params);
      const units = unitsOf(point.kind, unit);
      const place = placeOf(request, Place);
      const span = place
        ? boundedSpan(place[2], place[3], SLOT_MS)
        : spanOf({ from, to }, timeZone, { ...(await fill(pool, request.params)), windowMs: SLOT_MS });
      const asOfMs = place?.[4] ?? (asOf === undefined ? null : instantOf(asOf, timeZone, 'asOf'));
      if (place && (place[0] < span.fromMs || place[0] >= span.toMs)) throw strayCursor();
      const after = place ? { startMs: place[0], issuedAtMs: place[1] } : null;
      const page = await forecastIssues(pool, { pointRef: point.pointRef, ...span, asOfMs, latestOnly: issues === 'latest', after, limit });
      const knownAsOfMs = asOfMs ?? page.horizonMs;
      const last = page.rows.at(-1);
      const next = page.horizonMs === null || !last ? null : [last.startMs, last.issuedAtMs, span.fromMs, span.toMs, knownAsOfMs];
      return sendPage(request, reply, {
        about: {
          siteId,
          pointId,
          timeZone,
          from: rendered(span.fromMs, timeZone),
          to: rendered(span.toMs, timeZone),
          asOf: knownAsOfMs === null ? null : rendered(knownAsOfMs, timeZone),
          issues,
          units: { value: units.value },
        },
        rows: page.rows.map((row) => forecastAnswer(row, units.value, timeZone)),
        nextCursor: next === null ? null : cursorOf(request, next),
        columns: columnsOf(ForecastRowShape),
        as: Object.fromEntries(['q10', 'q50', 'q90'].map((column) => [column, `${column}_${units.value}`])),
      });
    },
  );
}

async function fill(pool: Pool, { siteId, pointId }: { siteId: string; pointId: string }) {
  const [latest] = await latestValues(pool, siteId, pointId);
  return { endOfDataMs: (latest?.startMs ?? 0) + LENGTH_MS, lengthMs: LENGTH_MS };
}

function forecastAnswer(row: ForecastRow, unit: Units['value'], timeZone: string): ForecastAnswer {
  return {
    start: rendered(row.startMs, timeZone),
    end: rendered(row.endMs, timeZone),
    issuedAt: rendered(row.issuedAtMs, timeZone),
    q10: valueIn(unit, row.q10W),
    q50: valueIn(unit, row.q50W),
    q90: valueIn(unit, row.q90W),
    residualCount: row.residualCount,
    method: row.method,
    model: row.model,
  };
}
