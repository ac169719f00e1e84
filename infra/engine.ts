/** The database that everything runs on: `DATABASE_URL`, or the PostgreSQL that came with the dependencies. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { IflexError } from '../streams/errors.ts';
import { kafkaSettings } from '../streams/kafka-settings.ts';
import { Patience } from '../streams/retry.ts';
import { type Backend, backendOf } from './backend.ts';
import { defaultStateFolder, type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts';

export const PROJECT_FOLDER = join(dirname(fileURLToPath(import.meta.url)), '..');

export interface Engine extends Backend {
  /** In words, for people. */
  description: string;
  stop(): Promise<void>;
}

/** An embedded server that is started again wherever it ends, at the same address. */
export interface KeptServer {
  server(): EmbeddedPostgres;
  stop(): Promise<void>;
}

export async function openEngine(log: (line: string) => void = () => {}): Promise<Engine> {
  const given = process.env.DATABASE_URL;
  if (given) return { ...backendOf(given), description: described(`PostgreSQL at ${databaseUrl(given).host}`), stop: async () => {} };
  const kept = await keepServer(defaultStateFolder(PROJECT_FOLDER), log);
  const { url, adopted, dataFolder } = kept.server();
  const description = described(`embedded PostgreSQL (${adopted ? 'was running' : 'started'}; data in ${dataFolder})`);
  return { ...backendOf(url), description, stop: kept.stop };
}

function described(database: string): string {
  const kafka = kafkaSettings();
  return kafka ? `Kafka at ${kafka.brokers.join(', ')}, ${database}` : database;
}

/** Throws CONFIG_INVALID, without showing what was given: it may hold a password. */
export function databaseUrl(text: string, variable = 'DATABASE_URL'): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // libpq takes several hosts; the client that we use knows one, whose name may move to another server.
  if (/^postgres(ql)?:\/\/[^/?]*,/.test(text))
    throw new IflexError('CONFIG_INVALID', `${variable} may name one host only. Use a name or address that moves to the server in charge.`);
  if (url !== undefined && (url.protocol === 'postgres:' || url.protocol === 'postgresql:')) return url;
  throw new IflexError('CONFIG_INVALID', `${variable} must look like postgres://user:password@host:5432/name.`);
}

/**
 * Starts or adopts the server of a state folder, and does so again on the same port whenever it ends before `stop`:
 * after a crash of the server, connections to the same address succeed again. Every process that needs the server
 * watches it; whichever comes first starts it, the others adopt it.
 */
export async function keepServer(stateFolder: string, log: (line: string) => void = () => {}): Promise<KeptServer> {
  let server = await startEmbeddedPostgres({ stateFolder, log });
  const { url } = server;
  const port = Number(new URL(url).port);
  const stopping = new AbortController();
  const { signal } = stopping;
  const again = async (): Promise<EmbeddedPostgres> => {
    const started = await startEmbeddedPostgres({ stateFolder, log, port });
    if (started.url !== url) log(`PostgreSQL has moved from ${new URL(url).host} to ${new URL(started.url).host}; restart this program.`);
    return started;
  };
  const watch = async () => {
    const patience = new Patience();
    for (;;) {
      await server.ended;
      while (!signal.aborted) {
        log('PostgreSQL has ended; starting it again.');
        const restarted = await again().catch((error) => patience.afterFailure(error, signal));
        if (!restarted) continue;
        server = restarted;
        patience.afterSuccess();
        break;
      }
      if (signal.aborted) return;
    }
  };
  const watching = watch().catch((error) => log(`PostgreSQL could not be started again: ${(error as Error).message}`));
  const stop = async () => {
    stopping.abort();
    const known = server;
    await known.stop();
    // A restart that was under way may have brought another one.
    await watching;
    if (server !== known) await server.stop();
  };
  return { server: () => server, stop };
}
