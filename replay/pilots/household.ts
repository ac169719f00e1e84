/** The real household of the bundled pilot: its slice of the source, and the facts that an import makes of it. */
import { join } from 'node:path';
import type { SiteDeclared } from '../../schemas/types.ts';
import { DAY_MS, HOUR_MS } from '../../streams/limits.ts';
import type { Fact } from '../facts.ts';
import { Coverage } from '../import/coverage.ts';
import { factsOf } from '../import/deliveries.ts';
import { contentOf } from '../import/lines.ts';
import { readMapping } from '../import/mapping-file.ts';

export const SLICE_FILE = 'household.csv.gz';
const MAPPING_FILE = 'household.mapping.yaml';
/** kW as the mean of the minute, then Wh in the minute. */
export const SLICE_COLUMNS = ['date_time', 'Global_active_power', 'Sub_metering_1', 'Sub_metering_2', 'Sub_metering_3'] as const;
export const SLICE_FIRST_MINUTE = '2007-04-15 00:00:00';
export const SLICE_DAYS = 28;
export const SLICE_MINUTES = SLICE_DAYS * 24 * 60;
/** Midnight of the first day, as the file counts time: at UTC+1 all the year. */
export const SLICE_START_MS = Date.UTC(2007, 3, 15) - HOUR_MS;

/** Deliveries of an hour each in the order in which they became known; minutes without values are left out. */
export async function householdDeliveries(folder: string, site: SiteDeclared): Promise<Fact[]> {
  const path = join(folder, SLICE_FILE);
  const file = { path, ...(await contentOf(path)) };
  const facts: Fact[] = [];
  const context = {
    mapping: readMapping(join(folder, MAPPING_FILE)),
    sites: new Map([[site.siteId, site]]),
    omitted: [],
    // Later than all that the file tells of: nothing in it is from the future.
    importedAtMs: SLICE_START_MS + (SLICE_DAYS + 1) * DAY_MS,
    counts: { lines: 0, blankLines: 0, readings: 0, blank: 0, omitted: 0, rejected: {}, emptyFiles: [], bytes: 0 },
    coverage: new Coverage(),
  };
  for await (const batch of factsOf(file, context)) facts.push(...batch);
  return facts;
}
