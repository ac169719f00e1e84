/** The API of the crash suite: served by a child that may die while it answers, and asked by the test all the while. */
import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { openApi } from '../../infra/serve-api.ts';
import { DAY_MS } from '../../streams/limits.ts';
import { openPool } from '../../streams/postgres.ts';
import { newClaim, signToken } from '../../streams/security/token.ts';
import { createTokenList, listToken } from '../../streams/security/token-list.ts';
import type { FailPoints } from './fail-points.ts';
import type { Place } from './roles.ts';
import { SCENARIO_FROM_MS } from './scenario.ts';

export interface ApiAccess {
  /** Hexadecimal; signs the token, so the server needs it. */
  secret: string;
  token: string;
}

/** A token for the API of any namespace on the server. */
export async function grantAccess(url: string): Promise<ApiAccess> {
  const secret = randomBytes(32);
  const access = await openPool(url, 'crash access', 1);
  try {
    await createTokenList(access);
    const claim = newClaim({ role: 'operator', pilots: [], sites: [], spanMs: DAY_MS }, Date.now());
    await listToken(access, claim);
    return { secret: secret.toString('hex'), token: signToken(claim, secret) };
  } finally {
    await access.end();
  }
}

/** Serves until the signal. `port` 0: any free one; the address goes to `onListening`. */
export async function serveWithFailPoints(
  { backend, namespace }: Place,
  options: { secret: string; port: number; points: FailPoints; signal: AbortSignal; onListening: (port: number) => void },
): Promise<void> {
  const { secret, port, points, signal, onListening } = options;
  const { app, close } = await openApi({ backend, namespace, secret: Buffer.from(secret, 'hex'), logger: false });
  app.server.prependListener('request', (_, response) => dieWhileAnswering(points, response));
  await app.listen({ host: '127.0.0.1', port });
  onListening((app.server.address() as { port: number }).port);
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  await close();
}

/** Makes the request at the fail point the last one: nothing, half, or all of its answer has been sent then. */
function dieWhileAnswering(points: FailPoints, response: ServerResponse): void {
  const when = points.atRequest();
  if (when === 'after') response.once('finish', () => points.die());
  if (when !== 'answering') return;
  const end = response.end.bind(response);
  response.end = ((body?: string | Buffer, ...rest: unknown[]) => {
    const bytes = Buffer.from(body ?? '');
    if (bytes.length < 2) return end(body, ...(rest as []));
    // Under its full length, so that whoever reads it sees that the rest is missing.
    response.write(bytes.subarray(0, bytes.length >> 1), () => points.die());
    return response;
  }) as typeof response.end;
}

const spanned = (days: number) => `from=${SCENARIO_FROM_MS_TEXT}&to=${new Date(SCENARIO_FROM_MS + days * DAY_MS).toISOString()}`;
const SCENARIO_FROM_MS_TEXT = new Date(SCENARIO_FROM_MS).toISOString();

/** What the API is asked: every table of the projections answers something. */
export function questionsOf({ scenario: { sites, days } }: Pick<Place, 'scenario'>): string[] {
  const questions = ['/v1/sites', '/v1/rejected?limit=500', '/v1/notices?limit=500'];
  for (let site = 0; site < Math.min(sites, 2); site++) {
    const at = `/v1/sites/site-${site}`;
    questions.push(`${at}/points`, `${at}/latest?format=csv`);
    for (let point = 0; point < 2; point++) {
      const series = `${at}/points/point-${site}-${point}/series`;
      questions.push(`${series}?resolution=5m&limit=2000&${spanned(days)}`, `${series}?resolution=15m&format=csv&${spanned(days)}`);
      questions.push(`${series}?resolution=day&${spanned(days)}`);
      questions.push(`${series}?resolution=60m&asOf=${new Date(SCENARIO_FROM_MS + DAY_MS).toISOString()}&${spanned(days)}`);
    }
    questions.push(`${at}/points/point-${site}-0/forecasts?issues=all&${spanned(days + 1)}`);
  }
  return questions;
}

/** The whole answer, by its status, tag and body; throws where the connection broke before its end. */
export async function ask(port: number, { token }: ApiAccess, question: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}${question}`, { headers: { authorization: `Bearer ${token}` } });
  return `${response.status} ${response.headers.get('etag')}\n${await response.text()}`;
}
