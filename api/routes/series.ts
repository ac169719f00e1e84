/** Series of a point: aligned windows, and sums over the local calendar. */
import { Type } from 'typebox';
import { latestValues } from '../../projections/queries/latest-values.ts';
import { seriesCalendar } from '../../projections/queries/series-calendar.ts';
import { seriesWindows, type WindowRow, type WindowsPage } from '../../projections/queries/series-windows.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../streams/limits.ts';
import type { Pool } from '../../streams/postgres.ts';
import { CALENDAR_UNITS, type CalendarUnit, calendarBounds, calendarStartMs, widthOfBounds } from '../calendar.ts';
import { cursorOf, placeOf, strayCursor, TimeMs } from '../cursor.ts';
import { sendPage } from '../representation.ts';
import type { Api } from '../server.ts';
import {
  columnsOf,
  flagNames,
  Nullable,
  PointParams,
  pageAnswers,
  parameters,
  QUALITIES,
  Query,
  qualityName,
  reasonName,
  type WindowAnswer,
  WindowRowShape,
} from '../shapes.ts';
import { type Span, spanOf } from '../spans.ts';
import { instantOf, rendered, timeZoneOf } from '../times.ts';
import { energyIn, type Units, unitsOf, valueIn } from '../units.ts';
import { pointOf } from './sites.ts';

/** Width of the windows that answer, and how much is shown where the request names no start. */
const RESOLUTIONS = {
  '5m': { windowMs: 5 * MINUTE_MS, lengthMs: DAY_MS },
  '15m': { windowMs: 15 * MINUTE_MS, lengthMs: DAY_MS },
  '60m': { windowMs: HOUR_MS, lengthMs: 7 * DAY_MS },
  day: { windowMs: HOUR_MS, lengthMs: 30 * DAY_MS },
  week: { windowMs: HOUR_MS, lengthMs: 182 * DAY_MS },
  month: { windowMs: HOUR_MS, lengthMs: 365 * DAY_MS },
} as const;
type Resolution = keyof typeof RESOLUTIONS;

const query = Query({
  resolution: Type.Optional(
    Type.Enum(Object.keys(RESOLUTIONS) as Resolution[], {
      default: '15m',
      description: 'Windows that start in the span. Days, weeks (from Monday) and months are those of the zone: 23, 24 or 25 hours a day.',
    }),
  ),
  from: parameters.from,
  to: parameters.to,
  asOf: parameters.asOf,
  tz: parameters.tz,
  unit: parameters.unit,
  quality: Type.Optional(Type.Enum([...QUALITIES], { description: 'Worst quality that is shown' })),
  completeness: Type.Optional(Type.Number({ minimum: 0, maximum: 1, description: 'Least covered part of a window that is shown' })),
  limit: parameters.limit,
  cursor: parameters.cursor,
  format: parameters.format,
});

/** Last start of the page before, end of the span, and the time of knowledge that all pages show. */
const Place = Type.Tuple([TimeMs, TimeMs, Nullable(TimeMs)]);

export function registerSeries(app: Api, pool: Pool): void {
  app.get(
    '/v1/sites/:siteId/points/:pointId/series',
    {
      config: { access: { action: 'read', kind: 'series' } },
      schema: {
        tags: ['Series'],
        summary: 'Series of a point',
        description: 'Without `from` and `to`: what is latest. Times are rendered with the offset of the zone.',
        params: PointParams,
        querystring: query,
        response: pageAnswers(
          {
            siteId: Type.String(),
            pointId: Type.String(),
            resolution: Type.String(),
            timeZone: Type.String(),
            from: Type.String(),
            to: Type.String(),
            asOf: Nullable(Type.String({ description: 'Time of knowledge that is shown; null: now' })),
            units: Type.Object({ value: Type.String(), energy: Nullable(Type.String()) }),
          },
          WindowRowShape,
        ),
      },
    },
    async (request, reply) => {
      const { resolution = '15m', tz, unit, quality = 'missing', completeness = 0, limit = 0, asOf } = request.query;
      const { siteId, pointId } = request.params;
      const timeZone = timeZoneOf(tz ?? request.site!.timeZone);
      const point = await pointOf(pool, request.params);
      const units = unitsOf(point.kind, unit);
      const place = placeOf(request, Place);
      const asOfMs = place?.[2] ?? (asOf === undefined ? null : instantOf(asOf, timeZone, 'asOf'));
      const whole = await wholeSpan(pool, request.query, request.params, timeZone, resolution, place?.[1]);
      if (place && (place[0] < whole.fromMs || place[0] >= whole.toMs)) throw strayCursor();
      const span = place ? { fromMs: place[0] + 1, toMs: place[1] } : whole;
      const filter = { pointRef: point.pointRef, asOfMs, worstQuality: QUALITIES.indexOf(quality), leastCompleteness: completeness, limit };
      const page = await readPage(pool, resolution, timeZone, span, filter);
      const knownAsOfMs = asOfMs ?? page.horizonMs;
      return sendPage(request, reply, {
        about: {
          siteId,
          pointId,
          resolution,
          timeZone,
          from: rendered(whole.fromMs, timeZone),
          to: rendered(whole.toMs, timeZone),
          asOf: knownAsOfMs === null ? null : rendered(knownAsOfMs, timeZone),
          units,
        },
        rows: page.rows.map((row) => windowAnswer(row, units, timeZone)),
        nextCursor: page.horizonMs === null ? null : cursorOf(request, [page.rows.at(-1)!.startMs, whole.toMs, knownAsOfMs]),
        columns: columnsOf(WindowRowShape).filter((column) => column !== 'energy' || units.energy !== null),
        as: unitNames(units),
      });
    },
  );
}

/** The span of all pages together. Where the end is that of the data, further pages keep it. */
async function wholeSpan(
  pool: Pool,
  asked: { from?: string; to?: string },
  { siteId, pointId }: { siteId: string; pointId: string },
  timeZone: string,
  resolution: Resolution,
  pinnedToMs: number | undefined,
): Promise<Span> {
  const { windowMs, lengthMs } = RESOLUTIONS[resolution];
  const needsData = asked.to === undefined && pinnedToMs === undefined;
  const latest = needsData ? (await latestValues(pool, siteId, pointId))[0] : undefined;
  const endOfDataMs = pinnedToMs ?? (latest ? latest.startMs + 5 * MINUTE_MS : 0);
  const span = spanOf(asked, timeZone, { endOfDataMs, lengthMs, windowMs });
  // A span that we chose ourselves begins with a whole window.
  if (asked.from !== undefined) return span;
  const fromMs = isCalendar(resolution)
    ? calendarStartMs(resolution, timeZone, span.fromMs)
    : Math.floor(span.fromMs / windowMs) * windowMs;
  return { ...span, fromMs };
}

const isCalendar = (resolution: Resolution): resolution is CalendarUnit => (CALENDAR_UNITS as readonly string[]).includes(resolution);

type Filter = { pointRef: number; asOfMs: number | null; worstQuality: number; leastCompleteness: number; limit: number };

async function readPage(pool: Pool, resolution: Resolution, timeZone: string, span: Span, filter: Filter): Promise<WindowsPage> {
  if (!isCalendar(resolution)) return seriesWindows(pool, { ...filter, width: resolution as '5m' | '15m' | '60m', ...span });
  const boundsMs = calendarBounds(resolution, timeZone, span.fromMs, span.toMs);
  if (boundsMs.length === 0) return { rows: [], horizonMs: null };
  return seriesCalendar(pool, { ...filter, width: widthOfBounds(boundsMs), boundsMs });
}

/** CSV has no other place for the units. */
function unitNames({ value, energy }: Units): Record<string, string> {
  const names = Object.fromEntries(['mean', 'min', 'max', 'last'].map((column) => [column, `${column}_${value}`]));
  return energy === null ? names : { ...names, energy: `energy_${energy}` };
}

function windowAnswer(row: WindowRow, units: Units, timeZone: string): WindowAnswer {
  const widthMs = row.endMs - row.startMs;
  // Where nothing is known, the zeros of the row mean nothing.
  const value = (stored: number) => (row.coveredMs === 0 ? null : valueIn(units.value, stored));
  const hasEnergy = row.energyMilliWh !== null && row.coveredMs > 0 && units.energy !== null;
  return {
    start: rendered(row.startMs, timeZone),
    end: rendered(row.endMs, timeZone),
    mean: value(row.mean),
    min: value(row.min),
    max: value(row.max),
    last: value(row.last),
    energy: hasEnergy ? energyIn(units.energy!, row.energyMilliWh!) : null,
    completeness: row.coveredMs / widthMs,
    measured: row.measuredMs / widthMs,
    readingCount: row.readingCount,
    quality: qualityName(row.quality) as WindowAnswer['quality'],
    flags: flagNames(row.flags) as WindowAnswer['flags'],
    revision: row.revision,
    reason: reasonName(row.reason) as WindowAnswer['reason'],
    knownAt: rendered(row.knownAtMs, timeZone),
  };
}
