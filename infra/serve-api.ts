/** Serves the API of a namespace: connections, tokens and metrics brought together, and the port opened. */
import { isIPv6 } from 'node:net';
import { type ApiDeps, buildServer } from '../api/server.ts';
import { TOPOLOGY } from '../processors/topology.ts';
import { openReadPool } from '../projections/queries/read-pool.ts';
import { heldSchemas } from '../streams/confluent-registry.ts';
import { IflexError } from '../streams/errors.ts';
import { openPool } from '../streams/postgres.ts';
import type { Subject } from '../streams/security/decide.ts';
import { verifyToken } from '../streams/security/token.ts';
import { createTokenList, tokenCounts } from '../streams/security/token-list.ts';
import { type Backend, findNamespace, openLog } from './backend.ts';
import { codeVersion } from './code-version.ts';
import { createService } from './metrics.ts';
import { tokenSecret } from './token-secret.ts';

export interface ApiServer {
  /** http://127.0.0.1:8080 */
  address: string;
  stop(): Promise<void>;
}

export interface ServeOptions {
  backend: Backend;
  namespace: string;
  host: string;
  /** 0: any free one. */
  port: number;
  logger?: ApiDeps['logger'];
}

/** Opens what the API of an existing namespace needs; throws NOT_FOUND where there is no such namespace. */
export async function openApi(options: Pick<ServeOptions, 'backend' | 'namespace' | 'logger'> & { secret?: Uint8Array }) {
  const { backend, namespace, logger = { level: 'warn' }, secret = tokenSecret() } = options;
  await findNamespace(backend, namespace);
  const pool = await openReadPool(backend.url, namespace);
  const access = await openPool(backend.url, 'access', 1);
  await createTokenList(access).finally(() => access.end());
  const log = await openLog(backend, namespace);
  const subjectOf = async (token: string): Promise<Subject | null> => {
    const claim = verifyToken(token, secret, Date.now());
    return claim !== null && (await tokenCounts(pool, claim.tokenId)) ? claim : null;
  };
  const service = createService({ log, pool, taskTopics: taskTopics(), nowMs: Date.now });
  const schemas = backend.registry && heldSchemas(backend.registry);
  const app = await buildServer({ pool, ...(schemas && { schemas }), subjectOf, service, version: codeVersion(), logger });
  const close = async () => {
    await app.close();
    await Promise.all([pool.end(), log.close()]);
  };
  return { app, close };
}

/** Serves until stopped. Throws CONFIG_INVALID where the port is taken. */
export async function serveApi({ host, port, ...options }: ServeOptions): Promise<ApiServer> {
  const { app, close } = await openApi(options);
  try {
    await app.listen({ host, port });
  } catch (error) {
    await close();
    const { code, message } = error as NodeJS.ErrnoException;
    const cure = code === 'EADDRINUSE' ? 'Stop what uses it, or give another --port.' : 'Check --host and --port.';
    throw new IflexError('CONFIG_INVALID', `The API cannot listen on ${host}:${port}: ${message}. ${cure}`, {}, error);
  }
  const bound = app.server.address() as { port: number };
  return { address: `http://${isIPv6(host) ? `[${host}]` : host}:${bound.port}`, stop: close };
}

/** What tasks take in: the topics that processors read and none of them writes, and the ticks. */
function taskTopics(): string[] {
  const written = new Set(TOPOLOGY.flatMap(({ writes }) => writes));
  const read = new Set(TOPOLOGY.flatMap(({ reads }) => reads));
  return [...read].filter((topic) => !written.has(topic)).concat('ticks');
}
