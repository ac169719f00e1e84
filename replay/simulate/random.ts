/** Seeded randomness: each purpose draws from a stream of its own, so that adding one leaves all others as they were. */
import { hash } from 'node:crypto';

export interface Random {
  /** Evenly in [0, 1). */
  uniform(): number;
  between(low: number, high: number): number;
  /** Whole number in [low, high]. */
  integer(low: number, high: number): number;
  /** Standard normal. */
  normal(): number;
  chance(probability: number): boolean;
  /** A new array in random order. */
  shuffled<T>(items: readonly T[]): T[];
}

/** xoshiro128** 1.1 (Blackman and Vigna 2018, "Scrambled linear pseudorandom number generators"), seeded by SHA-256 of the names. */
export function randomOf(...names: readonly (string | number)[]): Random {
  const seed = Buffer.from(hash('sha256', names.join('\0')), 'hex');
  let [a, b, c, d] = [0, 4, 8, 12].map((at) => seed.readUInt32LE(at));
  const next = (): number => {
    const result = Math.imul(rotated(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotated(d, 11);
    return result;
  };
  const uniform = () => next() / 2 ** 32;
  const integer = (low: number, high: number) => low + Math.floor(uniform() * (high - low + 1));
  return {
    uniform,
    integer,
    between: (low, high) => low + uniform() * (high - low),
    // Box and Muller (1958); the argument of the logarithm is never 0.
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    chance: (probability) => uniform() < probability,
    shuffled(items) {
      const mixed = [...items];
      for (let i = mixed.length - 1; i > 0; i--) {
        const j = integer(0, i);
        [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
      }
      return mixed;
    },
  };
}

const rotated = (word: number, by: number) => (word << by) | (word >>> (32 - by));

/** An id that tells nothing of what it names: 16 hexadecimal digits. */
export function pseudonym(...names: readonly (string | number)[]): string {
  return hash('sha256', ['pseudonym', ...names].join('\0')).slice(0, 16);
}
