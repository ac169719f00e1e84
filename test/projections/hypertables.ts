/** The hypertables that there must be on TimescaleDB, under review as the tables of schema.txt are: their column of time and chunk size. */
const FINE = { time: 'start_at', chunk: '30 days' };
const COARSE = { time: 'start_at', chunk: '90 days' };

export const HYPERTABLES: Readonly<Record<string, { time: string; chunk: string }>> = {
  forecast: FINE,
  notice: { time: 'known_at', chunk: '30 days' },
  rejected: { time: 'known_at', chunk: '30 days' },
  series_15m: COARSE,
  series_15m_history: COARSE,
  series_5m: FINE,
  series_5m_history: FINE,
  series_60m: COARSE,
  series_60m_history: COARSE,
};

/** Rows as a query of hypertables gives them, in the order of names, where each projection has these builds. */
export function hypertablesOfBuilds(builds: (table: string) => readonly number[]): { name: string; time: string; chunk: string }[] {
  return Object.entries(HYPERTABLES)
    .flatMap(([table, how]) => builds(table).map((build) => ({ name: `${table}_b${build}`, ...how })))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
