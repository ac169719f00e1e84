/** UTC epoch milliseconds of a timestamptz expression, exact. */
export const epochMs = (expression: string): string => `(extract(epoch FROM ${expression}) * 1000)::bigint`;

/** A timestamptz of a parameter that holds UTC epoch milliseconds, or null. */
export const instant = (parameter: number): string => `to_timestamp($${parameter}::float8 / 1000.0)`;
