/** What a declaration of a site must hold, so that its points can be resampled. */
import type { PointDeclared, SiteDeclared } from '../../schemas/types.ts';
import { MAX_POINT_SPAN_MS, MAX_POINTS_PER_SITE } from '../../streams/limits.ts';
import { isTimeZone } from '../../streams/time.ts';
import type { SiteState } from './resampler.ts';

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
    const known = site.points.get(pointId)?.declared;
    if (known && known.kind !== point.kind) return `The point ${pointId} is of kind ${known.kind} for ever; declare a new point.`;
    if (known && lengthIsMeaning(known) && known.intervalMs !== point.intervalMs)
      return `The readings of the point ${pointId} mean ${known.intervalMs} ms each for ever; declare a new point.`;
  }
  return undefined;
}

/** Whether a reading stands for an interval of the declared length, so that another length would change the past. */
function lengthIsMeaning({ kind }: PointDeclared): boolean {
  return kind === 'INTERVAL_ENERGY' || kind === 'MEAN_POWER';
}

function pointProblem(point: PointDeclared): string | undefined {
  const { kind, intervalMs, maxHoldMs, deliveryDelayMs, registerModulusMilliWh, registerJitterMilliWh } = point;
  const holds = kind === 'INSTANT_POWER' || kind === 'TEMPERATURE' || kind === 'STATE';
  if (kind === 'UNKNOWN') return 'its kind is not known.';
  if (intervalMs <= 0 || intervalMs > MAX_POINT_SPAN_MS) return `intervalMs ${intervalMs} is not within 1 to ${MAX_POINT_SPAN_MS}.`;
  if (holds && (maxHoldMs <= 0 || maxHoldMs > MAX_POINT_SPAN_MS)) return `maxHoldMs ${maxHoldMs} is not within 1 to ${MAX_POINT_SPAN_MS}.`;
  if (deliveryDelayMs < 0 || deliveryDelayMs > MAX_POINT_SPAN_MS)
    return `deliveryDelayMs ${deliveryDelayMs} is not within 0 to ${MAX_POINT_SPAN_MS}.`;
  if (registerModulusMilliWh !== null && registerModulusMilliWh <= 0) return 'registerModulusMilliWh is not positive.';
  if (registerJitterMilliWh < 0) return 'registerJitterMilliWh is negative.';
  return undefined;
}
