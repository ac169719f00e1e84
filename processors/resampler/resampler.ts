/**
 * Readings of any kind and spacing in, windows of 5, 15 and 60 minutes out (requirements S-2, R-6). Windows close on
 * ticks only; readings that come after their window closed revise it, and days older than the hot state are revised
 * from a reload of their raw readings.
 */
import type { DayReloaded, ReadingsDelivery, SiteDeclared } from '../../schemas/types.ts';
import type { Emit, Processor, ProcessorEvent, Reject } from '../../streams/processor.ts';
import type { StateReader } from '../../streams/state-bytes.ts';
import { closeWindows, requestReloads } from './closing.ts';
import { takeReadings } from './intake.ts';
import { PointState } from './point-state.ts';
import { reviseReloadedDay } from './reload.ts';

export interface SiteState {
  siteId: string;
  declaration: SiteDeclared | null;
  declarationChanged: boolean;
  points: Map<string, PointState>;
}

export const resampler: Processor<SiteState> = {
  name: 'resampler',
  version: 1,
  reads: ['sites', 'meter.readings', 'sensor.readings', 'day.reloaded'],
  writes: ['resampled.5m', 'resampled.15m', 'resampled.60m', 'notices', 'revisions.requested', 'sites.latest'],

  initialState(key) {
    return { siteId: key, declaration: null, declarationChanged: false, points: new Map() };
  },

  onEvent(site, event, emit, reject) {
    if (event.topic === 'sites') declare(site, event, emit);
    else if (event.topic === 'day.reloaded') reviseReloadedDay(site, event.value as DayReloaded, event, emit);
    else takeDelivery(site, event, emit, reject);
  },

  onTick(site, tickMs, emit) {
    closeWindows(site, tickMs, emit);
    requestReloads(site, tickMs, emit);
  },

  encodeChanges(site, out, everything) {
    const withDeclaration = site.declaration !== null && (everything || site.declarationChanged);
    out.count(withDeclaration ? 1 : 0);
    if (withDeclaration) out.text(JSON.stringify({ ...site.declaration, personalData: null }));
    const touched = [...site.points.values()].filter((point) => everything || point.touched);
    out.count(touched.length);
    for (const point of touched) {
      out.text(point.declared.pointId);
      point.encodeChanges(out, everything);
    }
  },

  applyChanges(site, changes: StateReader) {
    if (changes.count() === 1) adopt(site, JSON.parse(changes.text()) as SiteDeclared);
    const count = changes.count();
    for (let i = 0; i < count; i++) site.points.get(changes.text())!.applyChanges(changes);
  },

  markCommitted(site) {
    site.declarationChanged = false;
    for (const point of site.points.values()) point.markCommitted();
  },
};

function declare(site: SiteState, event: ProcessorEvent, emit: Emit): void {
  const declaration = event.value as SiteDeclared;
  adopt(site, declaration);
  emit('sites.latest', declaration);
}

/** Takes over a declaration: new points begin empty, known ones keep their history under the new rules. */
function adopt(site: SiteState, declaration: SiteDeclared): void {
  site.declaration = declaration;
  site.declarationChanged = true;
  for (const declared of declaration.points) {
    const point = site.points.get(declared.pointId);
    if (point) {
      point.declared = declared;
      point.touched = true;
    } else site.points.set(declared.pointId, new PointState(declared));
  }
}

function takeDelivery(site: SiteState, event: ProcessorEvent, emit: Emit, reject: Reject): void {
  const delivery = event.value as ReadingsDelivery;
  if (site.declaration === null) {
    const count = delivery.series.reduce((sum, series) => sum + series.startMs.length, 0);
    reject('SITE_UNKNOWN', `The site ${site.siteId} is not declared.`, { readingCount: count });
    return;
  }
  for (const series of delivery.series) {
    const point = site.points.get(series.pointId);
    if (point) takeReadings(site, point, series, event, emit, reject);
    else
      reject('POINT_UNKNOWN', `The site does not declare the point ${series.pointId}.`, {
        pointId: series.pointId,
        readingCount: series.startMs.length,
      });
  }
}
