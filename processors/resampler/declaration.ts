/** What a declaration of a site must hold, so that its points can be resampled. */
import type { PointDeclared, SiteDeclared } from '../../schemas/types.ts';
import {
  HOT_MS,
  HOUR_MS,
  MAX_HOT_READINGS,
  MAX_HOT_SPAN_MS,
  MAX_POINT_INTERVAL_MS,
  MAX_POINT_SPAN_MS,
  MAX_POINTS_EVER,
  MAX_POINTS_PER_SITE,
} from '../../streams/limits.ts';
import { isTimeZone } from '../../streams/time.ts';
import type { SiteState } from './resampler.ts';
import { waitMs } from './segments.ts';

/** Why a declaration cannot be taken over, or undefined. The former one then stays. */
export function declarationProblem(site: SiteState, { points, timeZone }: SiteDeclared): string | undefined {
  if (!isTimeZone(timeZone)) return `There is no time zone ${timeZone}.`;
  if (points.length > MAX_POINTS_PER_SITE) return `A site has at most ${MAX_POINTS_PER_SITE} points, not ${points.length}.`;
  const seen = new Set<string>();
  for (const point of points) {
    const { pointId } = point;
    if (seen.has(pointId)) return `The point ${pointId} is declared twice.`;
    seen.add(pointId);
    const problem = pointProblem(point);
    if (problem) return `The point ${pointId}: ${problem}`;
    // Readings in memory and windows in the log would change their meaning.
    const known = site.points.get(pointId)?.declared ?? site.retired.get(pointId);
    if (known && known.kind !== point.kind) return `The point ${pointId} is of kind ${known.kind} for ever; declare a new point.`;
    if (known && lengthIsMeaning(known) && known.intervalMs !== point.intervalMs)
      return `The readings of the point ${pointId} mean ${known.intervalMs} ms each for ever; declare a new point.`;
  }
  const pointsEver = new Set([...site.points.keys(), ...site.retired.keys(), ...seen]).size;
  if (pointsEver > MAX_POINTS_EVER)
    return `A site has at most ${MAX_POINTS_EVER} different points in all its time, these would be ${pointsEver}: declare a new site.`;
  return undefined;
}

/** Whether a reading stands for an interval of the declared length, so that another length would change the past. */
function lengthIsMeaning({ kind }: Pick<PointDeclared, 'kind'>): boolean {
  return kind === 'INTERVAL_ENERGY' || kind === 'MEAN_POWER';
}

/** Why a point cannot be resampled as it is declared, or undefined; the same for events and for declared files. */
export function pointProblem(point: PointDeclared): string | undefined {
  const { kind, intervalMs, maxHoldMs, deliveryDelayMs, registerModulusMilliWh, registerJitterMilliWh } = point;
  const holds = kind === 'INSTANT_POWER' || kind === 'TEMPERATURE' || kind === 'STATE';
  if (kind === 'UNKNOWN') return 'its kind is not known.';
  if (intervalMs <= 0 || intervalMs > MAX_POINT_INTERVAL_MS)
    return `intervalMs ${intervalMs} is not within 1 to ${MAX_POINT_INTERVAL_MS} (24 days).`;
  if (holds && (maxHoldMs <= 0 || maxHoldMs > MAX_POINT_INTERVAL_MS))
    return `maxHoldMs ${maxHoldMs} is not within 1 to ${MAX_POINT_INTERVAL_MS} (24 days).`;
  if (deliveryDelayMs < 0 || deliveryDelayMs > MAX_POINT_SPAN_MS)
    return `deliveryDelayMs ${deliveryDelayMs} is not within 0 to ${MAX_POINT_SPAN_MS} (31 days).`;
  if (registerModulusMilliWh !== null && registerModulusMilliWh <= 0) return 'registerModulusMilliWh is not positive.';
  if (registerJitterMilliWh < 0) return 'registerJitterMilliWh is negative.';
  return memoryProblem(point);
}

/**
 * Readings stay in memory for the hot hours and for as long as later ones may come. Two hours more pass before the oldest
 * are let go, since that happens in whole hours, with the closing of windows, and readings may lie a little in the future.
 */
function memoryProblem(point: PointDeclared): string | undefined {
  const { kind, intervalMs, deliveryDelayMs } = point;
  const spanMs = HOT_MS + 2 * HOUR_MS + waitMs(point) + (kind === 'INTERVAL_ENERGY' ? intervalMs : 0);
  const readings = Math.ceil(spanMs / intervalMs);
  if (readings > MAX_HOT_READINGS)
    return `a reading every ${intervalMs} ms that may come ${deliveryDelayMs} ms late makes ${readings} readings to keep in memory, at most ${MAX_HOT_READINGS} fit: declare a longer intervalMs or a shorter deliveryDelayMs.`;
  if (spanMs > MAX_HOT_SPAN_MS)
    return `intervalMs ${intervalMs} and deliveryDelayMs ${deliveryDelayMs} reach further back than the 49 days that memory can: shorten one of them.`;
  return undefined;
}
