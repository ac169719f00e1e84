/** How one point's readings of a delivery enter the hot state, and what each of them sets off. */
import type { PointReadings } from '../../schemas/types.ts';
import { DAY_MS, HOT_MS, HOUR_MS, MAX_FUTURE_MS, MAX_PENDING_DAYS, MAX_REGISTER_GAP_MS } from '../../streams/limits.ts';
import type { Emit, ProcessorEvent, Reject } from '../../streams/processor.ts';
import { type PointState, REASON_CORRECTED, REASON_LATE } from './point-state.ts';
import type { SiteState } from './resampler.ts';
import { affectedFromMs, affectedToMs, isEnergyKind, registerChange } from './segments.ts';
import { STEP_MS } from './window-scratch.ts';

/** What a float can hold without losing milliwatt-hours, and times that fit the wire. */
const VALUE_LIMIT = 2 ** 52;
const EARLIEST_MS = 0;

/** Start of the hot range at a tick: full hours, so that every window of it can be recomputed. */
export function hotFromMs(tickMs: number): number {
  return Number.isFinite(tickMs) ? Math.floor((tickMs - HOT_MS) / HOUR_MS) * HOUR_MS : Number.NEGATIVE_INFINITY;
}

const UNIT_OF_KIND: Record<string, string> = {
  MEAN_POWER: 'WATT',
  INSTANT_POWER: 'WATT',
  INTERVAL_ENERGY: 'MILLIWATT_HOUR',
  REGISTER: 'MILLIWATT_HOUR',
  TEMPERATURE: 'DEGREE_CELSIUS',
  STATE: 'CODE',
};

/** Why a series cannot be used as a whole, or undefined. */
function seriesProblem(point: PointState, series: PointReadings): ['UNIT_MISMATCH' | 'EVENT_INVALID', string] | undefined {
  const { kind } = point.declared;
  if (series.unit !== UNIT_OF_KIND[kind])
    return ['UNIT_MISMATCH', `A point of kind ${kind} takes ${UNIT_OF_KIND[kind]}, not ${series.unit}.`];
  const count = series.startMs.length;
  const values = isEnergyKind(kind) ? series.energyMilliWh.length : series.value.length;
  const others = isEnergyKind(kind) ? series.value.length : series.energyMilliWh.length;
  const qualities = series.quality.length;
  if (values !== count || others !== 0 || (qualities !== count && qualities !== 1))
    return ['EVENT_INVALID', `The columns do not fit: ${count} starts, ${values} values, ${qualities} qualities.`];
  for (let i = 0; i < qualities; i++) if (series.quality[i] > 3) return ['EVENT_INVALID', `There is no quality ${series.quality[i]}.`];
  return undefined;
}

export function takeReadings(
  site: SiteState,
  point: PointState,
  series: PointReadings,
  event: ProcessorEvent,
  emit: Emit,
  reject: Reject,
): void {
  const problem = seriesProblem(point, series);
  const { pointId } = series;
  if (problem) return reject(problem[0], problem[1], { pointId, readingCount: series.startMs.length });
  const values = isEnergyKind(point.declared.kind) ? series.energyMilliWh : series.value;
  const clockMs = Number.isFinite(event.streamTimeMs) ? event.streamTimeMs : event.knownAtMs;
  const latestMs = clockMs + MAX_FUTURE_MS;
  const hotMs = hotFromMs(event.streamTimeMs);
  const device = point.deviceIndex(series.deviceId) << 2;
  const oneQuality = series.quality.length === 1 ? series.quality[0] : -1;
  const bad = new Problems();
  point.touched = true;
  let startMs = 0;
  for (let i = 0; i < values.length; i++) {
    startMs += series.startMs[i];
    const value = values[i];
    if (startMs > latestMs) bad.add('READING_IN_FUTURE', startMs);
    else if (startMs < EARLIEST_MS || value > VALUE_LIMIT || value < -VALUE_LIMIT) bad.add('READING_OUT_OF_RANGE', startMs);
    else if (startMs < hotMs) takeOldReading(point, startMs, event, bad);
    else takeHotReading(site, point, startMs, value, device | (oneQuality >= 0 ? oneQuality : series.quality[i]), hotMs, event, emit, bad);
  }
  bad.report(pointId, reject);
}

/** Older than the hot state: its day, and the neighbours it may bear on, wait for a reload. */
function takeOldReading(point: PointState, startMs: number, event: ProcessorEvent, bad: Problems): void {
  const { kind, intervalMs, maxHoldMs } = point.declared;
  const reachMs = kind === 'MEAN_POWER' || kind === 'INTERVAL_ENERGY' ? intervalMs : kind === 'REGISTER' ? 2 * intervalMs : maxHoldMs;
  const fromMs = kind === 'REGISTER' ? startMs - reachMs : startMs;
  if (!markPending(point, fromMs, startMs + reachMs, event)) bad.add('READING_BUFFER_FULL', startMs);
}

/** Notes the UTC days of [fromMs, toMs) for a reload; false where too many wait already. */
export function markPending(point: PointState, fromMs: number, toMs: number, event: { streamTimeMs: number }): boolean {
  point.pending ??= new Map();
  for (let dayMs = Math.floor(fromMs / DAY_MS) * DAY_MS; dayMs < toMs; dayMs += DAY_MS) {
    const day = point.pending.get(dayMs);
    if (day) day.lastLateMs = event.streamTimeMs;
    else if (point.pending.size >= MAX_PENDING_DAYS) return false;
    else point.pending.set(dayMs, { firstLateMs: event.streamTimeMs, lastLateMs: event.streamTimeMs, requested: false });
  }
  return true;
}

function takeHotReading(
  site: SiteState,
  point: PointState,
  startMs: number,
  value: number,
  mark: number,
  hotMs: number,
  event: ProcessorEvent,
  emit: Emit,
  bad: Problems,
): void {
  const { hot } = point;
  const insertion = hot.insert(startMs, value, mark);
  if (insertion === 'appended' && startMs >= point.closedToMs && point.declared.kind !== 'REGISTER') {
    if (point.openedFromMs === Number.POSITIVE_INFINITY) open(point, startMs);
    return;
  }
  if (insertion === 'full') return bad.add('READING_BUFFER_FULL', startMs);
  if (insertion === 'same') {
    point.doubles++;
    return;
  }
  if (insertion === 'conflict') {
    point.doubles++;
    emitNotice(site, point, 'CONFLICT', startMs, event.knownAtMs, hot.replacedValue, value, emit);
  }
  const i = hot.firstAtOrAfter(startMs);
  if (point.declared.kind === 'REGISTER') noticeRegister(site, point, i, event, emit);
  if (startMs < point.openedFromMs) open(point, startMs);
  const fromMs = affectedFromMs(hot, i, point.declared);
  if (fromMs < point.closedToMs) {
    const reason = insertion === 'conflict' ? REASON_CORRECTED : REASON_LATE;
    markRevised(point, fromMs, affectedToMs(hot, i, point.declared), hotMs, reason, event);
  }
}

/** Windows begin with the first reading; where an earlier one comes later, those in between are revised (from nothing). */
function open(point: PointState, startMs: number): void {
  const earlierMs = Math.floor(startMs / STEP_MS) * STEP_MS;
  if (point.closedToMs <= point.openedFromMs) {
    point.closedToMs = point.openedFromMs = Math.min(earlierMs, point.openedFromMs);
    return;
  }
  point.dirty ??= new Map();
  for (let windowMs = earlierMs; windowMs < point.openedFromMs; windowMs += STEP_MS) point.dirty.set(windowMs, REASON_LATE);
}

function markRevised(point: PointState, fromMs: number, toMs: number, hotMs: number, reason: number, event: ProcessorEvent): void {
  if (fromMs < hotMs && hotMs - fromMs < MAX_REGISTER_GAP_MS) markPending(point, fromMs, Math.min(toMs, hotMs), event);
  point.dirty ??= new Map();
  const firstMs = Math.floor(Math.max(fromMs, hotMs) / STEP_MS) * STEP_MS;
  for (let windowMs = firstMs; windowMs < Math.min(toMs, point.closedToMs); windowMs += STEP_MS) {
    const earlier = point.dirty.get(windowMs) ?? 0;
    point.dirty.set(windowMs, Math.max(earlier, reason));
  }
}

const NOTICE_OF_CHANGE = {
  ROLLOVER: 'REGISTER_ROLLOVER',
  RESET: 'REGISTER_RESET',
  SWAP: 'METER_SWAP',
  GAP: 'REGISTER_GAP',
} as const;

function noticeRegister(site: SiteState, point: PointState, i: number, event: ProcessorEvent, emit: Emit): void {
  if (i === 0) return;
  const change = registerChange(point.hot, i, point.declared);
  if (change.kind === 'NORMAL' || change.kind === 'JITTER') return;
  const value = change.kind === 'GAP' ? change.energyMilliWh : point.hot.value(i);
  emitNotice(site, point, NOTICE_OF_CHANGE[change.kind], point.hot.startMs(i), event.knownAtMs, point.hot.value(i - 1), value, emit);
}

type NoticeKind =
  | 'DOUBLE'
  | 'CONFLICT'
  | 'REGISTER_RESET'
  | 'REGISTER_ROLLOVER'
  | 'METER_SWAP'
  | 'REGISTER_GAP'
  | 'STUCK'
  | 'OUTLIER'
  | 'NEGATIVE';

export function emitNotice(
  site: SiteState,
  point: PointState,
  kind: NoticeKind,
  startMs: number,
  knownAtMs: number,
  value: number | null,
  otherValue: number | null,
  emit: Emit,
  count = 1,
): void {
  emit('notices', {
    siteId: site.siteId,
    pointId: point.declared.pointId,
    knownAtMs,
    kind,
    startMs,
    value,
    otherValue,
    count,
  } as { knownAtMs: number });
}

const REASON_TEXT = {
  READING_IN_FUTURE: 'stamped more than 10 minutes after stream time',
  READING_OUT_OF_RANGE: 'with a time or value out of range',
  READING_BUFFER_FULL: 'more than the hot state or the waiting days can hold',
} as const;

/** Rejected readings of one series, reported once a code with their count. */
class Problems {
  private readonly byCode = new Map<keyof typeof REASON_TEXT, { count: number; startMs: number }>();

  add(code: keyof typeof REASON_TEXT, startMs: number): void {
    const entry = this.byCode.get(code);
    if (entry) entry.count++;
    else this.byCode.set(code, { count: 1, startMs });
  }

  report(pointId: string, reject: Reject): void {
    for (const [code, { count, startMs }] of this.byCode)
      reject(code, `${count} reading(s) ${REASON_TEXT[code]}.`, { pointId, startMs, readingCount: count });
  }
}
