/** Issues a day-ahead forecast at 15 minutes, every day at noon of the site, for each point that asks for one. */
import type { ForecastIssued, ResampledWindows, SiteDeclared } from '../../schemas/types.ts';
import { DAY_MS, HOUR_MS } from '../../streams/limits.ts';
import type { Emit, Processor } from '../../streams/processor.ts';
import { startOfLocalDayMs, utcOffsetMs } from '../../streams/time.ts';
import { RecentSlots, SLOT_MS } from './recent-slots.ts';
import { forecastDay } from './seasonal-naive.ts';

const ISSUE_HOUR = 12;
const MODEL = 'seasonal-naive@1';

interface SiteForecasts {
  siteId: string;
  timeZone: string;
  /** Points that ask for forecasts. */
  wanted: Set<string>;
  /** Start of the local day on which the last issue was made (ms). */
  issuedDayMs: number;
  points: Map<string, RecentSlots>;
}

export const forecaster: Processor<SiteForecasts> = {
  name: 'forecaster',
  version: 1,
  reads: ['sites', 'resampled.15m'],
  writes: ['forecasts'],

  initialState(siteId) {
    return { siteId, timeZone: 'UTC', wanted: new Set(), issuedDayMs: Number.NEGATIVE_INFINITY, points: new Map() };
  },

  onEvent(site, event) {
    if (event.topic === 'sites') {
      const { timeZone, points } = event.value as SiteDeclared;
      site.timeZone = timeZone;
      site.wanted = new Set(points.filter((point) => point.forecast).map((point) => point.pointId));
    } else if (site.wanted.size > 0) learn(site, event.value as ResampledWindows);
  },

  onTick(site, tickMs, emit) {
    if (site.wanted.size === 0) return;
    const todayMs = startOfLocalDayMs(site.timeZone, tickMs);
    if (todayMs <= site.issuedDayMs || localHours(site.timeZone, tickMs) < ISSUE_HOUR) return;
    site.issuedDayMs = todayMs;
    issue(site, tickMs, todayMs, emit);
  },

  encodeChanges(site, out, everything) {
    out.text(site.timeZone);
    out.double(site.issuedDayMs);
    out.count(site.wanted.size);
    for (const pointId of site.wanted) out.text(pointId);
    const points = [...site.points].filter(([, recent]) => everything || recent.touched);
    out.count(points.length);
    for (const [pointId, recent] of points) {
      out.text(pointId);
      recent.encodeChanges(out, everything);
    }
  },

  applyChanges(site, changes) {
    site.timeZone = changes.text();
    site.issuedDayMs = changes.double();
    site.wanted = new Set(Array.from({ length: changes.count() }, () => changes.text()));
    const count = changes.count();
    for (let i = 0; i < count; i++) recentOf(site, changes.text()).applyChanges(changes);
  },

  markCommitted(site) {
    for (const recent of site.points.values()) recent.markCommitted();
  },
};

function recentOf(site: SiteForecasts, pointId: string): RecentSlots {
  let recent = site.points.get(pointId);
  if (!recent) site.points.set(pointId, (recent = new RecentSlots()));
  return recent;
}

/** Keeps the mean power of windows that are at least half covered. */
function learn(site: SiteForecasts, windows: ResampledWindows): void {
  for (const series of windows.series) {
    if (!site.wanted.has(series.pointId)) continue;
    const recent = recentOf(site, series.pointId);
    let startMs = 0;
    for (let i = 0; i < series.startMs.length; i++) {
      startMs += series.startMs[i];
      recent.set(startMs / SLOT_MS, 2 * series.coveredMs[i] >= windows.widthMs ? series.mean[i] : Number.NaN);
    }
  }
}

function localHours(timeZone: string, atMs: number): number {
  return Math.floor(((((atMs + utcOffsetMs(timeZone, atMs)) % DAY_MS) + DAY_MS) % DAY_MS) / HOUR_MS);
}

/** All slots of the next local day: 92 or 100 of them where the clocks change. */
function issue(site: SiteForecasts, tickMs: number, todayMs: number, emit: Emit): void {
  const { timeZone } = site;
  const tomorrowMs = startOfLocalDayMs(timeZone, todayMs + DAY_MS + DAY_MS / 2);
  const endMs = startOfLocalDayMs(timeZone, tomorrowMs + DAY_MS + DAY_MS / 2);
  const starts: number[] = [];
  for (let startMs = Math.ceil(tomorrowMs / SLOT_MS) * SLOT_MS; startMs < endMs; startMs += SLOT_MS) starts.push(startMs);
  const offsets = new Map<number, number>();
  const offsetAt = (atMs: number) => {
    let offset = offsets.get(atMs);
    if (offset === undefined) offsets.set(atMs, (offset = utcOffsetMs(timeZone, atMs)));
    return offset;
  };
  const localShift = (slotMs: number, days: number) => {
    const sameUtcMs = slotMs - days * DAY_MS;
    return sameUtcMs + offsetAt(slotMs) - offsetAt(sameUtcMs);
  };
  for (const pointId of site.wanted) {
    const recent = site.points.get(pointId);
    const forecast = recent ? forecastDay(recent, starts, localShift) : null;
    if (!forecast) continue;
    const issued: ForecastIssued = {
      siteId: site.siteId,
      pointId,
      knownAtMs: tickMs,
      widthMs: SLOT_MS,
      model: MODEL,
      method: forecast.method,
      startMs: starts.map((startMs, i) => (i === 0 ? startMs : startMs - starts[i - 1])),
      q10W: forecast.q10W,
      q50W: forecast.q50W,
      q90W: forecast.q90W,
      residualCount: forecast.residualCount,
    };
    emit('forecasts', issued);
  }
}
