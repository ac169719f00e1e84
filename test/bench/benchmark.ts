/** What a benchmark is, and helpers to measure in alternating pairs. */
export interface Figures {
  [name: string]: number | string;
}

/** One run of a benchmark may serve several rows of targets.ts, by name. */
export interface Measured {
  ratios: Record<string, number>;
  /** What is to be said of a ratio beside it, by name. */
  remarks?: Record<string, string>;
  figures: Figures;
}

export interface Benchmark {
  /** Names of the rows of targets.ts that it measures. */
  targets: readonly string[];
  /** `quick` is for trying it out: fewer readings and pairs, the result does not count. */
  run(options: { quick: boolean }): Promise<Measured>;
}

/** Median of the pairs' ratios ours / peer, measured alternately: ours, peer, peer, ours, ours, peer … */
export async function pairs(
  count: number,
  ours: () => Promise<number>,
  peer: () => Promise<number>,
): Promise<{ ratio: number; ours: number; peer: number; ratios: number[] }> {
  const measured: { ours: number; peer: number }[] = [];
  for (let i = 0; i < count; i++) {
    const pair = { ours: 0, peer: 0 };
    for (const which of i % 2 === 0 ? (['ours', 'peer'] as const) : (['peer', 'ours'] as const))
      pair[which] = await (which === 'ours' ? ours() : peer());
    measured.push(pair);
  }
  const ratios = measured.map((pair) => pair.ours / pair.peer);
  return {
    ratio: median(ratios),
    ours: median(measured.map((pair) => pair.ours)),
    peer: median(measured.map((pair) => pair.peer)),
    ratios,
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
