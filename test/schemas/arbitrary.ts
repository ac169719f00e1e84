/** Random values of a schema, for property tests. */
import fc from 'fast-check';
import type { AvroType } from '../../schemas/gate.ts';

const LONG = fc.oneof(
  fc.integer({ min: -(2 ** 52), max: 2 ** 52 - 1 }),
  fc.integer({ min: -200, max: 200 }),
  fc.constantFrom(-(2 ** 52), 2 ** 52 - 1, 2 ** 30, 2 ** 30 - 1, -(2 ** 30), -(2 ** 30) - 1, 2 ** 31, 2 ** 28, 2 ** 27),
);
const PRIMITIVES: Record<string, fc.Arbitrary<unknown>> = {
  int: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  long: LONG,
  double: fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(-0, 0, 1.5, Number.MIN_VALUE)),
  boolean: fc.boolean(),
  string: fc.oneof(fc.string({ unit: 'binary', maxLength: 70 }), fc.string({ maxLength: 70 })),
  bytes: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
};

/** Values that fit the schema: what the codec must accept and give back. */
export function valuesOf(schemaText: string): fc.Arbitrary<unknown> {
  const named = new Map<string, fc.Arbitrary<unknown>>();
  const of = (type: AvroType): fc.Arbitrary<unknown> => {
    if (typeof type === 'string') return named.get(type) ?? PRIMITIVES[type];
    if (Array.isArray(type)) return fc.option(of(type[1]), { nil: null });
    if (type.type === 'array') return fc.array(of(type.items), { maxLength: 5 });
    const made =
      type.type === 'enum'
        ? fc.constantFrom(...type.symbols)
        : fc.record(Object.fromEntries(type.fields.map((field) => [field.name, of(field.type)])), {
            noNullPrototype: true,
          });
    named.set(type.name, made);
    return made;
  };
  return of(JSON.parse(schemaText));
}

/** The value without avsc's prototypes and with all bytes as Buffer, for strict comparison. */
export function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (Array.isArray(value)) return value.map(comparable);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, comparable(field)]));
}

/** How many items all arrays of a value hold together. */
export function itemCount(value: unknown): number {
  if (value instanceof Uint8Array) return value.length;
  if (Array.isArray(value)) return value.length + value.reduce((sum: number, item) => sum + itemCount(item), 0);
  if (value === null || typeof value !== 'object') return 0;
  return Object.values(value).reduce((sum: number, field) => sum + itemCount(field), 0);
}
