/** One site's forecaster without a pipeline: told of windows and ticks, it collects what is issued. */
import { forecaster } from '../../../processors/forecast/forecaster.ts';
import { SLOT_MS } from '../../../processors/forecast/recent-slots.ts';
import type { ForecastIssued, ResampledWindows, SiteDeclared } from '../../../schemas/types.ts';
import type { ProcessorEvent } from '../../../streams/processor.ts';
import { StateWriter } from '../../../streams/state-bytes.ts';

export const ZONE = 'Europe/Copenhagen';
const SITE = 'site-1';
const POINT = 'point-1';

export function declaration(forecast = true, timeZone = ZONE): SiteDeclared {
  const point = { pointId: POINT, name: 'grid', kind: 'MEAN_POWER' as const, carrier: 'ELECTRICITY' as const, forecast };
  const rules = { intervalMs: SLOT_MS, maxHoldMs: SLOT_MS, deliveryDelayMs: 0, registerModulusMilliWh: null, registerJitterMilliWh: 0 };
  const points = [{ ...point, ...rules, mayExport: false }];
  return { siteId: SITE, knownAtMs: 0, pilotId: 'p', timeZone, kind: 'HOME', origin: 'SIMULATED', personalData: null, points };
}

function windows(startMs: number, means: readonly number[], coveredMs = SLOT_MS): ResampledWindows {
  const same = (value: number) => means.map(() => value);
  return {
    siteId: SITE,
    knownAtMs: startMs + means.length * SLOT_MS,
    widthMs: SLOT_MS,
    series: [
      {
        pointId: POINT,
        hasEnergy: true,
        startMs: means.map((_, i) => (i === 0 ? startMs : SLOT_MS)),
        energyMilliWh: means.map((mean) => Math.round(mean * 250)),
        mean: [...means],
        min: [...means],
        max: [...means],
        last: [...means],
        readingCount: same(1),
        coveredMs: same(coveredMs),
        measuredMs: same(coveredMs),
        quality: new Uint8Array(means.length),
        flags: new Uint8Array(means.length),
        revision: same(0),
        reason: new Uint8Array(means.length),
      },
    ],
  };
}

/** One site's forecaster, told of slots and ticks in order; collects what it issues. */
export class Told {
  readonly issued: ForecastIssued[] = [];
  readonly state = forecaster.initialState(SITE);
  private readonly emit = (_: string, value: unknown) => this.issued.push(value as ForecastIssued);

  constructor(declared = declaration()) {
    this.event('sites', declared);
  }

  private event(topic: string, value: { knownAtMs: number }): void {
    const event: ProcessorEvent = { topic, key: SITE, value, knownAtMs: value.knownAtMs, streamTimeMs: value.knownAtMs };
    forecaster.onEvent(this.state, event, this.emit, () => {});
  }

  slots(startMs: number, means: readonly number[], coveredMs?: number): this {
    for (let i = 0; i < means.length; i += 96)
      this.event('resampled.15m', windows(startMs + i * SLOT_MS, means.slice(i, i + 96), coveredMs));
    return this;
  }

  tick(atMs: number): ForecastIssued[] {
    const before = this.issued.length;
    forecaster.onTick(this.state, atMs, this.emit);
    return this.issued.slice(before);
  }

  get stateBytes(): number {
    const out = new StateWriter();
    forecaster.encodeChanges(this.state, out, true);
    return out.finish().length;
  }
}

export function startsOf(issue: ForecastIssued): number[] {
  let startMs = 0;
  return issue.startMs.map((step) => (startMs += step));
}
