/**
 * Resampling against bare decoding. Every run is a process of its own over the same seeded readings (readings-generator.ts,
 * resample-run.ts): fifty points a site, ticks once a minute, all rules on. What is measured is the drive of a task with
 * the resampler: decoding each delivery, finding its site and point, taking it in, and closing windows of 5, 15 and 60
 * minutes, whose values are handed over. Making records for the log of them (encoding, hashing, ids) is not part of it;
 * its rate stands beside the others as `with outputs encoded`. The peer decodes the same readings, one by one, with avsc.
 * Ours is held against the generator's truth once: energy of every point at every width, every reading and double counted.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Benchmark, median, pairs } from './benchmark.ts';
import type { RunOptions, RunResult } from './resample-run.ts';

const POINTS_PER_SITE = 50;
const FEW = 1_000;
const MANY = 100_000;
const PAIRS = 3;
/**
 * 252 hours of 1,000 points and 2 hours of 100,000 are 15 M and 12 M readings, so that compiling while it runs, which is
 * over after some 2 M, weighs little; the hot state is full after six hours.
 */
const MINUTES = { few: 252 * 60, many: 2 * 60, full: 7 * 60 };
const QUICK = { few: 10 * 60, many: 60, full: 60 };
const RUN_LIMIT_MS = 30 * 60_000;

function runOnce(options: Partial<RunOptions> & Pick<RunOptions, 'work' | 'points' | 'minutes'>): RunResult {
  const whole: RunOptions = { pointsPerSite: POINTS_PER_SITE, readingsPerDelivery: 1, check: false, ...options };
  const script = fileURLToPath(new URL('resample-run.ts', import.meta.url));
  const child = spawnSync(process.execPath, [script, JSON.stringify(whole)], { encoding: 'utf8', timeout: RUN_LIMIT_MS });
  if (child.status !== 0) throw new Error(`The run failed (${child.signal ?? child.status}): ${child.stderr}`);
  return JSON.parse(child.stdout) as RunResult;
}

const rate = async (options: Parameters<typeof runOnce>[0]) => runOnce(options).readingsPerCpuSecond;

/** Readings per CPU second of ours against the peer's, one reading or sixty a delivery. */
function againstDecoding(name: string, readingsPerDelivery: 1 | 60): Benchmark {
  return {
    targets: [name],
    async run({ quick }) {
      const minutes = quick ? QUICK.few : MINUTES.few;
      runOnce({ work: 'resample', points: FEW, readingsPerDelivery, minutes: QUICK.few, check: true });
      runOnce({ work: 'peer', points: FEW, readingsPerDelivery, minutes: QUICK.few, check: true });
      const measured = await pairs(
        quick ? 1 : PAIRS,
        () => rate({ work: 'resample', points: FEW, readingsPerDelivery, minutes }),
        () => rate({ work: 'peer', points: FEW, readingsPerDelivery, minutes }),
      );
      const encoded = await rate({ work: 'publish', points: FEW, readingsPerDelivery, minutes });
      return {
        ratios: { [name]: measured.ratio },
        figures: {
          'ours, readings per CPU second': measured.ours,
          'avsc decode, readings per CPU second': measured.peer,
          'ours with outputs encoded, readings per CPU second': encoded,
          'points a site': POINTS_PER_SITE,
        },
      };
    },
  };
}

const manyPoints: Benchmark = {
  targets: ['resample-100k-points'],
  async run({ quick }) {
    const minutes = quick ? QUICK : MINUTES;
    const measured = await pairs(
      quick ? 1 : PAIRS,
      () => rate({ work: 'resample', points: MANY, minutes: minutes.many }),
      () => rate({ work: 'resample', points: FEW, minutes: minutes.few }),
    );
    return {
      ratios: { 'resample-100k-points': measured.ratio },
      figures: { '100,000 points, readings per CPU second': measured.ours, '1,000 points, readings per CPU second': measured.peer },
    };
  },
};

/** Peak memory of a whole process above that of one that only decodes the same deliveries, once the hot state is full. */
function memory(name: string, points: number): Benchmark {
  return {
    targets: [name],
    async run({ quick }) {
      const minutes = quick ? QUICK.full : MINUTES.full;
      const peaks = (work: 'resample' | 'decode') =>
        median(Array.from({ length: quick ? 1 : PAIRS }, () => runOnce({ work, points, minutes }).peakMegabytes));
      const ours = peaks('resample');
      const decoding = peaks('decode');
      return {
        ratios: { [name]: ours - decoding },
        figures: { 'peak MB': ours, 'peak MB of decoding alone': decoding, 'minutes of readings': minutes },
      };
    },
  };
}

export const RESAMPLE_BENCHMARKS: readonly Benchmark[] = [
  againstDecoding('resample-single', 1),
  againstDecoding('resample-batched', 60),
  manyPoints,
  memory('resample-memory-1k', FEW),
  memory('resample-memory-100k', MANY),
];
