import type { Benchmark } from './benchmark.ts';
import { fileToRows } from './file-to-rows.ts';
import { compressionBenchmark } from './kafka-compression.ts';
import { endToEndBenchmark } from './kafka-end-to-end.ts';
import { EXACTLY_ONCE_BENCHMARKS } from './kafka-exactly-once.ts';
import { kafkaKillBenchmark } from './kafka-kill.ts';
import { twoMembersBenchmark } from './kafka-two-members.ts';
import { killBenchmark } from './kill.ts';
import { LOG_BENCHMARKS } from './log-throughput.ts';
import { rebuildBenchmark } from './rebuild.ts';
import { RESAMPLE_BENCHMARKS } from './resample.ts';
import { upsertHypertable } from './upsert-hypertable.ts';

/** All benchmarks. One more is its file, its rows in targets.ts, and a line here. */
export const BENCHMARKS: readonly Benchmark[] = [
  ...RESAMPLE_BENCHMARKS,
  ...LOG_BENCHMARKS,
  killBenchmark,
  fileToRows,
  rebuildBenchmark,
  upsertHypertable,
  ...EXACTLY_ONCE_BENCHMARKS,
  twoMembersBenchmark,
  kafkaKillBenchmark,
  endToEndBenchmark,
  compressionBenchmark,
];
