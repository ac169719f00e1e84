/** The database that everything runs on: `DATABASE_URL`, or the PostgreSQL that came with the dependencies. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultStateFolder, startEmbeddedPostgres } from './embedded-postgres.ts';

export const PROJECT_FOLDER = join(dirname(fileURLToPath(import.meta.url)), '..');

export interface Engine {
  url: string;
  /** In words, for people. */
  description: string;
  stop(): Promise<void>;
}

export async function openEngine(log: (line: string) => void = () => {}): Promise<Engine> {
  const given = process.env.DATABASE_URL;
  if (given) return { url: given, description: `PostgreSQL at ${new URL(given).host}`, stop: async () => {} };
  const stateFolder = defaultStateFolder(PROJECT_FOLDER);
  const server = await startEmbeddedPostgres({ stateFolder, log });
  return {
    url: server.url,
    description: `embedded PostgreSQL (${server.adopted ? 'was running' : 'started'}; data in ${server.dataFolder})`,
    stop: () => server.stop(),
  };
}
