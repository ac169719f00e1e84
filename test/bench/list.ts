import type { Benchmark } from './benchmark.ts';

/** All benchmarks. One more is its file, its rows in targets.ts, and a line here. */
export const BENCHMARKS: readonly Benchmark[] = [];
