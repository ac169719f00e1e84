/**
 * Readings of any kind and spacing in, windows of 5, 15 and 60 minutes out (requirements S-2, R-6). Windows close on
 * ticks only; readings that come after their window closed revise it, and days older than the hot state are revised
 * from a reload of their raw readings.
 */
import type { DayReloaded, PointDeclared, PointReadings, ReadingsDelivery, SiteDeclared } from '../../schemas/types.ts';
import type { Emit, Processor, ProcessorEvent, Reject } from '../../streams/processor.ts';
import { readingCountOf } from '../../streams/reading-columns.ts';
import type { StateReader, StateWriter } from '../../streams/state-bytes.ts';
import { closeWindows } from './closing.ts';
import { declarationProblem } from './declaration.ts';
import { clockOf, hotFromMs, takeNextReading, takeReadings } from './intake.ts';
import { PointState, removePoint } from './point-state.ts';
import { reviseReloadedDay } from './reload.ts';

export interface SiteState {
  siteId: string;
  declared: boolean;
  /** In the order of declaration, which is the order of outputs. Removed ones stay until nothing of them is hot. */
  points: Map<string, PointState>;
  /** Points let go since the last commit. */
  forgotten: string[];
  /** What points were that are gone, as their windows are in the log: they come back as the same or not at all. */
  retired: Map<string, RetiredPoint>;
  /** Number of the five-minute step in which windows were closed last. */
  closedStep: number;
  /** The point read last: mostly the next one is that which came after it the time before. */
  latest: PointState | undefined;
}

export interface RetiredPoint {
  kind: PointDeclared['kind'];
  intervalMs: number;
  /** What was before this is revised by reloads only. */
  completeFromMs: number;
}

export const resampler: Processor<SiteState> = {
  name: 'resampler',
  version: 4,
  reads: ['sites', 'meter.readings', 'sensor.readings', 'day.reloaded'],
  writes: ['resampled.5m', 'resampled.15m', 'resampled.60m', 'notices', 'revisions.requested', 'sites.latest'],

  initialState(siteId) {
    return {
      siteId,
      declared: false,
      points: new Map(),
      forgotten: [],
      retired: new Map(),
      closedStep: Number.NEGATIVE_INFINITY,
      latest: undefined,
    };
  },

  onEvent(site, event, emit, reject) {
    if (event.topic === 'sites') declare(site, event, emit, reject);
    else if (event.topic === 'day.reloaded') reviseReloadedDay(site, event.value as DayReloaded, event, emit);
    else takeDelivery(site, event, emit, reject);
  },

  onTick: closeWindows,

  encodeChanges(site, out, everything) {
    out.count(site.declared ? 1 : 0);
    out.double(site.closedStep);
    const gone = everything ? [...site.retired.keys()] : site.forgotten;
    out.count(gone.length);
    for (const pointId of gone) encodeGone(out, pointId, site.retired.get(pointId));
    let count = 0;
    for (const point of site.points.values()) if (everything || point.touched) count++;
    out.count(count);
    for (const point of site.points.values()) {
      if (!everything && !point.touched) continue;
      out.text(point.declared.pointId);
      point.encodeChanges(out, everything);
    }
  },

  applyChanges(site, changes: StateReader) {
    site.declared = changes.count() === 1;
    site.closedStep = changes.double();
    for (let gone = changes.count(); gone > 0; gone--) applyGone(site, changes);
    for (let count = changes.count(); count > 0; count--) {
      const pointId = changes.text();
      const point = site.points.get(pointId) ?? addPoint(site, { pointId } as PointDeclared);
      point.applyChanges(changes);
    }
  },

  markCommitted(site) {
    site.forgotten = [];
    for (const point of site.points.values()) if (point.touched) point.markCommitted();
  },
};

function encodeGone(out: StateWriter, pointId: string, retired: RetiredPoint | undefined): void {
  out.text(pointId);
  out.text(retired?.kind ?? '');
  out.count(retired?.intervalMs ?? 0);
  out.double(retired?.completeFromMs ?? 0);
}

function applyGone(site: SiteState, changes: StateReader): void {
  const pointId = changes.text();
  const kind = changes.text();
  const retired = { kind: kind as RetiredPoint['kind'], intervalMs: changes.count(), completeFromMs: changes.double() };
  removePoint(site, pointId);
  if (kind !== '') site.retired.set(pointId, retired);
}

function declare(site: SiteState, event: ProcessorEvent, emit: Emit, reject: Reject): void {
  const declaration = event.value as SiteDeclared;
  const problem = declarationProblem(site, declaration);
  if (problem) return reject('EVENT_INVALID', problem);
  adopt(site, declaration, clockOf(event));
  emit('sites.latest', declaration);
}

/** Takes over a declaration: new points begin empty, known ones keep their history under the new rules, others go. */
function adopt(site: SiteState, declaration: SiteDeclared, clockMs: number): void {
  site.declared = true;
  const declaredIds = new Set<string>();
  for (const declared of declaration.points) {
    declaredIds.add(declared.pointId);
    const point = site.points.get(declared.pointId);
    if (point) point.declare(declared, hotFromMs(point, clockMs));
    else addPoint(site, declared);
  }
  for (const point of site.points.values()) if (!declaredIds.has(point.declared.pointId)) point.removed = point.touched = point.news = true;
}

function addPoint(site: SiteState, declared: PointDeclared): PointState {
  const point = new PointState(declared);
  const retired = site.retired.get(declared.pointId);
  if (retired) point.completeFromMs = retired.completeFromMs;
  site.points.set(declared.pointId, point);
  return point;
}

function takeDelivery(site: SiteState, event: ProcessorEvent, emit: Emit, reject: Reject): void {
  const { series: all } = event.value as ReadingsDelivery;
  if (!site.declared) {
    const readingCount = readingCountOf('ReadingsDelivery', event.value);
    reject('SITE_UNKNOWN', `The site ${site.siteId} is not declared.`, { readingCount });
    return;
  }
  for (let i = 0; i < all.length; i++) {
    const series = all[i];
    const point = pointOf(site, series.pointId);
    if (point !== undefined && !point.removed) {
      if (!takeNextReading(point, series, event.streamTimeMs)) takeReadings(site, point, series, event, emit, reject);
    } else rejectPoint(series, reject);
  }
}

/** Finds a point by its id: first by expecting the order of the time before, where a glance at the string suffices. */
function pointOf(site: SiteState, pointId: string): PointState | undefined {
  const expected = site.latest?.follower;
  if (expected !== undefined && expected.text === pointId) return (site.latest = expected);
  const point = site.points.get(pointId);
  if (point === undefined) return undefined;
  point.text = pointId;
  if (site.latest !== undefined) site.latest.follower = point;
  return (site.latest = point);
}

function rejectPoint({ pointId, startMs }: PointReadings, reject: Reject): void {
  reject('POINT_UNKNOWN', `The site does not declare the point ${pointId}.`, { pointId, readingCount: startMs.length });
}
