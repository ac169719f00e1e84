/** Serves the API of a namespace: connections, tokens and metrics brought together, and the port opened. */
import { isIPv6 } from 'node:net';
import { type ApiDeps, buildServer } from '../api/server.ts';
import { TOPOLOGY } from '../processors/topology.ts';
import { openReadPool } from '../projections/queries/read-pool.ts';
import { heldSchemas } from '../streams/confluent-registry.ts';
import { IflexError } from '../streams/errors.ts';
import { openPool } from '../streams/postgres.ts';
import { topicsOf } from '../streams/processor.ts';
import type { Subject } from '../streams/security/decide.ts';
import { verifyToken } from '../streams/security/token.ts';
import { createTokenList, tokenCounts } from '../streams/security/token-list.ts';
import { type Backend, findNamespace, openLog } from './backend.ts';
import { codeVersion } from './code-version.ts';
import { createService, type ServiceDeps } from './metrics.ts';
import { openReplicaPool, readReplicaUrl } from './read-replica.ts';
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
  /** Address of a read-only copy of the database for all questions; default: that of DATABASE_READ_URL, if any. */
  replicaUrl?: string;
  /** For the metrics: how many transactions that hung this process has ended, or left, by outcome. */
  hanging?: ServiceDeps['hanging'];
}

/** Opens what the API of an existing namespace needs; throws NOT_FOUND where there is no such namespace. */
export async function openApi(
  options: Pick<ServeOptions, 'backend' | 'namespace' | 'logger' | 'replicaUrl' | 'hanging'> & { secret?: Uint8Array },
) {
  const { backend, namespace, hanging, logger = { level: 'warn' }, secret = tokenSecret(), replicaUrl = readReplicaUrl() } = options;
  await findNamespace(backend, namespace);
  // Tokens are asked of the database itself: one that was revoked counts no more at once, however late a replica is.
  const own = await openReadPool(backend.url, namespace);
  const pool = replicaUrl === undefined ? own : await openReplicaPool(replicaUrl, namespace);
  const access = await openPool(backend.url, 'access', 1);
  await createTokenList(access).finally(() => access.end());
  const log = await openLog(backend, namespace);
  const subjectOf = async (token: string): Promise<Subject | null> => {
    const claim = verifyToken(token, secret, Date.now());
    return claim !== null && (await tokenCounts(own, claim.tokenId)) ? claim : null;
  };
  const service = createService({
    log,
    pool,
    isReplica: pool !== own,
    taskTopics: topicsOf(TOPOLOGY).inputs,
    nowMs: Date.now,
    ...(hanging && { hanging }),
  });
  const schemas = backend.registry && heldSchemas(backend.registry);
  const app = await buildServer({ pool, ...(schemas && { schemas }), subjectOf, service, version: codeVersion(), logger });
  const close = async () => {
    await app.close();
    await Promise.all([own.end(), pool === own ? undefined : pool.end(), log.close()]);
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
