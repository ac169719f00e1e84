/** What `iflex start` tells when the bundled pilot is through. */
import { forecastTotals } from '../../projections/queries/forecast-totals.ts';
import { noticeCounts } from '../../projections/queries/notice-counts.ts';
import { rejectedCounts } from '../../projections/queries/rejected-counts.ts';
import { seriesTotals } from '../../projections/queries/series-totals.ts';
import type { BundledPilot } from '../../replay/pilots/bundled.ts';
import type { ReadingsDelivery, SiteDeclared } from '../../schemas/types.ts';
import type { EventLog } from '../../streams/event-log.ts';
import type { Pool } from '../../streams/postgres.ts';
import { TOPICS } from '../../streams/topics.ts';

const counted = new Intl.NumberFormat('en-US');
const number = (value: number) => counted.format(value);

/** Events that a log has ever taken, by topic. */
export async function eventsByTopic(log: EventLog): Promise<Map<string, number>> {
  const written = TOPICS.filter(({ draft }) => !draft);
  const counts = await Promise.all(written.map(async ({ name }) => (await log.endOffsets(name)).reduce((sum, end) => sum + end, 0)));
  return new Map(written.map(({ name }, i) => [name, counts[i]]));
}

const sumOf = (events: Map<string, number>, kind: 'fact' | 'derived') =>
  TOPICS.filter((topic) => topic.kind === kind).reduce((sum, { name }) => sum + (events.get(name) ?? 0), 0);

export interface FeedReport {
  appended: number;
  redelivered: number;
  /** Events by topic before and after. */
  before: Map<string, number>;
  after: Map<string, number>;
}

/** What became of the feed: one or two lines. */
export function feedLines({ appended, redelivered, before, after }: FeedReport): string[] {
  const lines = [`Appended     ${number(appended)} facts and ticks; ${number(redelivered)} recognised as redelivered`];
  const changed = [...after].filter(([topic, count]) => count !== before.get(topic)).map(([topic]) => topic);
  if (appended === 0)
    lines.push(
      changed.length === 0
        ? '             All of it was here already: nothing changed. What follows stands from before.'
        : `             All of it was here already; changed all the same: ${changed.join(', ')}.`,
    );
  return lines;
}

/** What is in the namespace now, counted in its tables. */
export async function totalLines(pool: Pool, pilot: BundledPilot, events: Map<string, number>): Promise<string[]> {
  const [series, forecasts, notices, rejected] = [
    await seriesTotals(pool),
    await forecastTotals(pool),
    await noticeCounts(pool),
    await rejectedCounts(pool),
  ];
  const doubles = notices.find(({ kind }) => kind === 'DOUBLE')?.count ?? 0;
  const rejectedReadings = rejected.reduce((sum, { readings }) => sum + readings, 0);
  const delivered = pilot.facts.reduce(
    (sum, { schema, value }) => sum + (schema === 'ReadingsDelivery' ? readingsIn(value as ReadingsDelivery) : 0),
    0,
  );
  return [
    `Events       ${number(sumOf(events, 'fact'))} facts and ticks, ${number(sumOf(events, 'derived'))} derived from them`,
    `Readings     ${number(delivered)} delivered: ${number(series[0].readings)} in windows, ${number(doubles)} doubles, ${number(rejectedReadings)} rejected`,
    ...series.map(
      ({ width, rows, missing, revised }, i) =>
        `${i === 0 ? 'Series      ' : '            '} ${width.padStart(3)}: ${number(rows)} windows, ${number(missing)} without data, ${number(revised)} revised`,
    ),
    `Forecasts    ${number(forecasts.issues)} issued day-ahead, ${number(forecasts.slots)} quarter hours`,
    `Rejected     ${rejected.map(({ code, events, readings }) => `${code} ${number(readings)} readings in ${number(events)} events`).join(', ') || 'nothing'}`,
    `Notices      ${notices.map(({ kind, count }) => `${kind} ${number(count)}`).join(', ') || 'none'}`,
  ];
}

function readingsIn({ series }: ReadingsDelivery): number {
  return series.reduce((sum, { startMs }) => sum + startMs.length, 0);
}

/** Which sites are real. */
export function siteLines(sites: readonly SiteDeclared[]): string[] {
  return sites.map(({ siteId, kind, origin, points }, i) => {
    const what = kind === 'HOME' ? 'home' : 'apartment building';
    const told = origin === 'MEASURED' ? 'MEASURED: a real household' : 'SIMULATED: made up, with planted faults';
    return `${i === 0 ? 'Sites       ' : '            '} ${siteId}  ${what}, ${points.length} points, ${told}`;
  });
}

/** Where to look now. Without an address nothing serves, so that only commands are named. */
export function lookLines(namespace: string, pilot: BundledPilot, address: string | null): string[] {
  const household = pilot.instance.sites.find(({ origin }) => origin === 'MEASURED')!;
  const point = household.points.find(({ forecast }) => forecast)!;
  const series = `/v1/sites/${household.siteId}/points/${point.pointId}/series?resolution=60m&from=2007-04-16T00:00:00Z&to=2007-04-17T00:00:00Z`;
  const commands = [
    `  npx iflex tap resampled.15m --namespace ${namespace} --limit 5`,
    `  npx iflex tap notices --namespace ${namespace} --format csv`,
    `  npx iflex replay --verify --source ${namespace}`,
  ];
  if (address === null) return ['Look around:', ...commands, `  npx iflex serve --namespace ${namespace}`];
  return [
    `The API serves ${namespace} at ${address} (reference: ${address}/reference/). In another terminal:`,
    '  TOKEN=$(npx iflex token new --role operator --expires 1d)',
    `  curl -H "Authorization: Bearer $TOKEN" '${address}/v1/sites'`,
    `  curl -H "Authorization: Bearer $TOKEN" '${address}${series}'`,
    ...commands,
  ];
}
