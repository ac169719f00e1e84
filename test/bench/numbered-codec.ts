/** Schemas without a registry, for benchmarks. */
import { Codec } from '../../schemas/codec.ts';
import { currentSchemas } from '../../schemas/files.ts';

/** A codec without a registry, and the ids that it gave to schemas. */
export function numberedCodec(): { codec: Codec; idOf: (name: string) => number } {
  const current = [...currentSchemas()];
  const codec = new Codec(current.map(([, schema]) => schema));
  current.forEach(([, schema], i) => {
    codec.register({ id: i + 1, schema });
  });
  return { codec, idOf: (name) => current.findIndex(([each]) => each === name) + 1 };
}
