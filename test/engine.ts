/** The embedded engine for tests: one server for all test files, a namespace of its own for each that asks. */
import { randomBytes } from 'node:crypto';
import { after } from 'node:test';
import { defaultStateFolder, startEmbeddedPostgres } from '../infra/embedded-postgres.ts';
import { PROJECT_FOLDER } from '../infra/engine.ts';
import { dropNamespace } from '../streams/postgres-log.ts';

export interface TestEngine {
  url: string;
  /** A name that no other test uses; dropped with all it holds when the file ends. */
  namespace(): string;
  /** A name from elsewhere is dropped likewise. */
  drop(namespace: string): void;
}

/** Starts (or joins) the server of the tests, apart from the data of people; leaves it when the test file ends. */
export async function openTestEngine(): Promise<TestEngine> {
  const server = await startEmbeddedPostgres({ stateFolder: `${defaultStateFolder(PROJECT_FOLDER)}-test` });
  const made: string[] = [];
  after(async () => {
    for (const name of made) await dropNamespace(server.url, name);
    await server.stop();
  });
  return {
    url: server.url,
    namespace() {
      const name = `t${randomBytes(6).toString('hex')}`;
      made.push(name);
      return name;
    },
    drop: (namespace) => void made.push(namespace),
  };
}
