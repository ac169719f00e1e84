/** How one point's readings of a delivery enter the hot state, and what each of them sets off. */
import type { PointReadings } from '../../schemas/types.ts';
import {
  DAY_MS,
  HOT_MS,
  HOUR_MS,
  MAX_CLOCK_LAG_MS,
  MAX_FUTURE_MS,
  MAX_INTERVAL_MILLI_WH,
  MAX_PENDING_DAYS,
  MAX_REGISTER_GAP_MS,
} from '../../streams/limits.ts';
import type { Emit, ProcessorEvent, Reject } from '../../streams/processor.ts';
import { seriesProblem, WORST_QUALITY } from '../../streams/reading-columns.ts';
import type { RunBounds } from './hot-readings.ts';
import { type PointState, REASON_CORRECTED, REASON_LATE } from './point-state.ts';
import type { SiteState } from './resampler.ts';
import { affectedFromMs, affectedToMs, bearsOnHot, registerChange, waitMs } from './segments.ts';
import { STEP_MS } from './window-scratch.ts';

/** Half as much as none counts between two readings of a register, so that jitter makes no difference. */
const MAX_PLAIN_RISE = MAX_INTERVAL_MILLI_WH / 2;
/** Times that fit the wire. */
const EARLIEST_MS = 0;

/**
 * Start of a point's hot range at a time: full hours, so that every window of it can be recomputed, and as much earlier
 * as its readings may come later by agreement, but never before what memory still holds whole.
 */
export function hotFromMs({ declared, completeFromMs }: PointState, timeMs: number): number {
  return Math.max(completeFromMs, Math.floor((timeMs - HOT_MS - waitMs(declared)) / HOUR_MS) * HOUR_MS);
}

/** Stream time; before the first tick an event's own time stands for it. */
export function clockOf({ streamTimeMs, knownAtMs }: ProcessorEvent): number {
  return streamTimeMs === Number.NEGATIVE_INFINITY ? knownAtMs : streamTimeMs;
}

/**
 * Latest start of a reading that is taken. The ticks decide; where they lag, because the clock was down and its hourly
 * ticks still make up for that, the time at which a delivery became known is as good: it is the clock of an adapter or an
 * importer, never that of a meter. It is believed for a week of lag at most. What it lets in moves no time (only ticks
 * close windows, and memory reaches back further than a week), so a wrong one bears on readings of its own point only.
 */
function latestStartMs(clockMs: number, knownAtMs: number): number {
  const believed = knownAtMs > clockMs && knownAtMs <= clockMs + MAX_CLOCK_LAG_MS;
  return (believed ? knownAtMs : clockMs) + MAX_FUTURE_MS;
}

/**
 * The usual case, tried first: one reading, the next of an open point, in order and from the same device, which bears on
 * nothing that is closed. False where anything is else; then nothing was done.
 */
export function takeNextReading(point: PointState, series: PointReadings, streamTimeMs: number): boolean {
  const { startMs: starts, quality: qualities } = series;
  const [values, others] = point.isEnergy ? [series.energyMilliWh, series.value] : [series.value, series.energyMilliWh];
  if (starts.length !== 1 || values.length !== 1 || others.length !== 0 || qualities.length !== 1) return false;
  if (series.unit !== point.unit || series.deviceId !== point.latestDeviceId) return false;
  const startMs = starts[0];
  const value = values[0];
  const quality = qualities[0];
  const { hot, valueLimit } = point;
  if (!(startMs > hot.lastStartMs && startMs >= point.closedToMs && startMs <= streamTimeMs + MAX_FUTURE_MS)) return false;
  if (!(value <= valueLimit && value >= -valueLimit && quality <= WORST_QUALITY)) return false;
  if (point.openedFromMs === Number.POSITIVE_INFINITY) return false;
  if (point.isRegister && !registerGoesOn(point, startMs, value)) return false;
  if (!hot.append(startMs, value, (point.latestDevice << 2) | quality)) return false;
  point.touched = point.news = true;
  return true;
}

/** Whether a register's reading is one that nothing has to be told of, and bears on no closed window. */
function registerGoesOn(point: PointState, startMs: number, value: number): boolean {
  const { hot } = point;
  if (!goesOn(point) || startMs - hot.lastStartMs > MAX_REGISTER_GAP_MS) return false;
  const rise = value - hot.value(hot.count - 1);
  return rise >= 0 && rise <= MAX_PLAIN_RISE;
}

/** Whether the latest device's next readings may need nothing but their place: the point is open, a register's last one is from it. */
function goesOn({ isRegister, hot, openedFromMs, closedToMs, latestDevice }: PointState): boolean {
  if (openedFromMs === Number.POSITIVE_INFINITY) return false;
  const last = hot.count - 1;
  return !isRegister || (last >= 0 && hot.lastStartMs >= closedToMs && hot.device(last) === latestDevice);
}

/** A run spans hours at most, so that no gap of a register is as long as one that has to be told. */
function runBounds({ isRegister, closedToMs, valueLimit }: PointState, latestMs: number): RunBounds {
  return {
    earliestMs: closedToMs,
    latestMs,
    limit: valueLimit,
    lowestRise: isRegister ? 0 : Number.NEGATIVE_INFINITY,
    highestRise: isRegister ? MAX_PLAIN_RISE : Number.POSITIVE_INFINITY,
  };
}

export function takeReadings(
  site: SiteState,
  point: PointState,
  series: PointReadings,
  event: ProcessorEvent,
  emit: Emit,
  reject: Reject,
): void {
  const problem = seriesProblem(point.declared.kind, series, point.unit);
  if (problem) return reject(problem[0], problem[1], { pointId: series.pointId, readingCount: series.startMs.length });
  const { hot } = point;
  const values = point.isEnergy ? series.energyMilliWh : series.value;
  const clockMs = clockOf(event);
  const latestMs = latestStartMs(clockMs, event.knownAtMs);
  const device = point.deviceIndex(series.deviceId) << 2;
  const { startMs: steps, quality } = series;
  const columns = { startMs: steps, values, quality };
  const each = quality.length > 1 ? 1 : 0;
  let intake: Intake | null = null;
  point.touched = point.news = true;
  let startMs = 0;
  for (let i = 0; i < values.length; i++) {
    // The usual case first: the next readings of an open point, in order.
    if (goesOn(point)) {
      const next = hot.appendRun(columns, i, startMs, device, runBounds(point, latestMs));
      if (next > i) startMs = hot.lastStartMs;
      if ((i = next) === values.length) break;
    }
    startMs += steps[i];
    intake ??= { site, point, event, clockMs, hotMs: hotFromMs(point, clockMs), emit, bad: null };
    takeReading(intake, startMs, latestMs, values[i], device | quality[i * each]);
  }
  intake?.bad?.report(series.pointId, reject);
}

function takeReading(intake: Intake, startMs: number, latestMs: number, value: number, mark: number): void {
  const { point, hotMs } = intake;
  if (startMs > latestMs) setAside(intake, 'READING_IN_FUTURE', startMs);
  else if (startMs < EARLIEST_MS || Math.abs(value) > point.valueLimit) setAside(intake, 'READING_OUT_OF_RANGE', startMs);
  else if (startMs >= hotMs || bearsOnHot(point.hot, startMs, hotMs, point.declared)) takeHotReading(intake, startMs, value, mark);
  else takeOldReading(intake, startMs);
}

/** What the readings of one series share on their way in. */
interface Intake {
  site: SiteState;
  point: PointState;
  event: ProcessorEvent;
  clockMs: number;
  hotMs: number;
  emit: Emit;
  bad: Problems | null;
}

function setAside(intake: Intake, code: keyof typeof REASON_TEXT, startMs: number): void {
  intake.bad ??= new Problems();
  intake.bad.add(code, startMs);
}

/** Older than the hot state: its day waits for a reload, which finds out what else it bears on. */
function takeOldReading(intake: Intake, startMs: number): void {
  const { point, clockMs } = intake;
  if (markPending(point, startMs, startMs + 1, clockMs)) countLate(point, startMs);
  else setAside(intake, 'READING_BUFFER_FULL', startMs);
}

/** Notes the UTC days of [fromMs, toMs) for a reload; false where too many wait already. */
export function markPending(point: PointState, fromMs: number, toMs: number, clockMs: number): boolean {
  point.pending ??= new Map();
  for (let dayMs = Math.floor(fromMs / DAY_MS) * DAY_MS; dayMs < toMs; dayMs += DAY_MS) {
    const day = point.pending.get(dayMs);
    if (day) day.lastLateMs = clockMs;
    else if (point.pending.size >= MAX_PENDING_DAYS) return false;
    else point.pending.set(dayMs, { firstLateMs: clockMs, lastLateMs: clockMs, lateCount: 0, requested: false });
  }
  return true;
}

function countLate(point: PointState, startMs: number): void {
  const day = point.pending?.get(Math.floor(startMs / DAY_MS) * DAY_MS);
  if (day) day.lateCount++;
}

function takeHotReading(intake: Intake, startMs: number, value: number, mark: number): void {
  const { site, point, event, hotMs, emit } = intake;
  const { hot, declared } = point;
  if (declared.kind === 'REGISTER') noticeLongGap(intake, startMs, value);
  const insertion = hot.insert(startMs, value, mark);
  if (insertion === 'appended' && startMs >= point.closedToMs && declared.kind !== 'REGISTER') {
    if (point.openedFromMs === Number.POSITIVE_INFINITY) open(intake, startMs);
    return;
  }
  if (insertion === 'full') return startMs < hotMs ? takeOldReading(intake, startMs) : setAside(intake, 'READING_BUFFER_FULL', startMs);
  if (insertion === 'same' || insertion === 'conflict') point.doubles++;
  if (insertion === 'same') return;
  if (insertion === 'conflict') emitNotice(site, point, 'CONFLICT', startMs, event.knownAtMs, hot.replacedValue, value, emit);
  const i = hot.firstAtOrAfter(startMs);
  if (declared.kind === 'REGISTER') {
    noticeRegister(intake, i);
    if (insertion !== 'appended') noticeRegister(intake, i + 1);
  }
  if (startMs < point.openedFromMs) open(intake, startMs);
  if (affectedFromMs(hot, i, declared) < point.closedToMs) {
    markRevised(intake, i, insertion === 'conflict' ? REASON_CORRECTED : REASON_LATE);
    if (startMs < hotMs && insertion !== 'conflict') countLate(point, startMs);
  }
}

/**
 * Windows begin with the first reading. Where an earlier one comes later, the hot ones in between are emitted too (from
 * nothing); older ones are left to the reload of their day, which knows whether they have been emitted.
 */
function open({ point, hotMs }: Intake, startMs: number): void {
  const windowMs = Math.floor(startMs / STEP_MS) * STEP_MS;
  if (point.openedFromMs === Number.POSITIVE_INFINITY) {
    point.closedToMs = point.openedFromMs = windowMs;
    return;
  }
  const earlierMs = Math.max(windowMs, hotMs);
  if (earlierMs >= point.openedFromMs) return;
  if (point.closedToMs === point.openedFromMs) {
    point.closedToMs = point.openedFromMs = earlierMs;
    return;
  }
  point.dirty ??= new Map();
  for (let dirtyMs = earlierMs; dirtyMs < point.openedFromMs; dirtyMs += STEP_MS) point.dirty.set(dirtyMs, REASON_LATE);
}

/** Closed windows that reading i bears on: hot ones are revised with the next closing, for older ones their days wait for a reload. */
function markRevised({ point, hotMs, clockMs }: Intake, i: number, reason: number): void {
  const { hot, declared } = point;
  const fromMs = affectedFromMs(hot, i, declared);
  const toMs = Math.min(affectedToMs(hot, i, declared), point.closedToMs);
  if (fromMs < hotMs) {
    const oldToMs = Math.min(toMs, hotMs);
    if (oldToMs - fromMs < MAX_REGISTER_GAP_MS) markPending(point, fromMs, oldToMs, clockMs);
    else markPending(point, hot.startMs(i), hot.startMs(i) + 1, clockMs);
  }
  point.dirty ??= new Map();
  const firstMs = Math.floor(Math.max(fromMs, hotMs, point.openedFromMs) / STEP_MS) * STEP_MS;
  for (let windowMs = firstMs; windowMs < toMs; windowMs += STEP_MS) {
    const earlier = point.dirty.get(windowMs) ?? 0;
    point.dirty.set(windowMs, Math.max(earlier, reason));
  }
  if (point.dirty.size === 0) point.dirty = null;
}

const NOTICE_OF_CHANGE = {
  ROLLOVER: 'REGISTER_ROLLOVER',
  RESET: 'REGISTER_RESET',
  SWAP: 'METER_SWAP',
} as const;

/** Told before the reading is inserted, as the one before the gap may be too old to stay beside it. */
function noticeLongGap({ site, point, event, emit }: Intake, startMs: number, value: number): void {
  const { hot } = point;
  if (hot.count === 0 || startMs - hot.lastStartMs <= MAX_REGISTER_GAP_MS) return;
  emitNotice(site, point, 'REGISTER_GAP', startMs, event.knownAtMs, value - hot.value(hot.count - 1), null, emit);
}

function noticeRegister({ site, point, event, emit }: Intake, i: number): void {
  const { hot, declared } = point;
  if (i === 0 || i >= hot.count) return;
  const { kind } = registerChange(hot, i, declared);
  if (kind === 'NORMAL' || kind === 'JITTER' || kind === 'GAP') return;
  emitNotice(site, point, NOTICE_OF_CHANGE[kind], hot.startMs(i), event.knownAtMs, hot.value(i - 1), hot.value(i), emit);
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
  READING_IN_FUTURE: 'stamped more than 10 minutes after stream time and after they became known',
  READING_OUT_OF_RANGE: 'with a time or value out of range',
  READING_BUFFER_FULL: 'more than the hot state or the waiting days can hold',
} as const;

/** Rejected readings of one series, reported once a code with their starts. */
class Problems {
  private readonly byCode = new Map<keyof typeof REASON_TEXT, number[]>();

  add(code: keyof typeof REASON_TEXT, startMs: number): void {
    const starts = this.byCode.get(code);
    if (starts) starts.push(startMs);
    else this.byCode.set(code, [startMs]);
  }

  report(pointId: string, reject: Reject): void {
    for (const [code, startsMs] of this.byCode) reject(code, `${startsMs.length} reading(s) ${REASON_TEXT[code]}.`, { pointId, startsMs });
  }
}
