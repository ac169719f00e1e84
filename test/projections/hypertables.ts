/** The hypertables that there must be on TimescaleDB, under review as the tables of schema.txt are: their column of time and chunk size. */
const SERIES = { time: 'start_at', chunk: '30 days' };

export const HYPERTABLES: Readonly<Record<string, { time: string; chunk: string }>> = {
  forecast: { time: 'start_at', chunk: '30 days' },
  notice: { time: 'known_at', chunk: '30 days' },
  rejected: { time: 'known_at', chunk: '30 days' },
  series_15m: SERIES,
  series_15m_history: SERIES,
  series_5m: SERIES,
  series_5m_history: SERIES,
  series_60m: SERIES,
  series_60m_history: SERIES,
};

/** Rows as a query of hypertables gives them, in the order of names, where each projection has these builds. */
export function hypertablesOfBuilds(builds: (table: string) => readonly number[]): { name: string; time: string; chunk: string }[] {
  return Object.entries(HYPERTABLES)
    .flatMap(([table, how]) => builds(table).map((build) => ({ name: `${table}_b${build}`, ...how })))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
