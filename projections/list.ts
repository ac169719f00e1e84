import { dayIndexProjection } from './day-index.ts';
import { forecastsProjection } from './forecasts.ts';
import type { Projection } from './projection.ts';
import { runsProjection } from './runs.ts';
import { seriesProjection } from './series.ts';
import { setAsideProjection } from './set-aside.ts';
import { pilotsProjection, sitesProjection } from './sites.ts';

/** All projections; one more is its file, its SQL, and a line here. */
export const PROJECTIONS: readonly Projection[] = [
  sitesProjection,
  pilotsProjection,
  seriesProjection,
  forecastsProjection,
  setAsideProjection,
  dayIndexProjection,
  runsProjection,
];
