/**
 * Access tokens: a claim and its HMAC-SHA256, both as base64url, "iflex_<claim>.<signature>". The signature proves that
 * we issued it; the list in the database (token-list.ts) says whether it still counts.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { IflexError } from '../errors.ts';
import { DAY_MS, HOUR_MS, MAX_TOKEN_BYTES, MAX_TOKEN_SCOPE, MAX_TOKEN_SPAN_MS, MINUTE_MS } from '../limits.ts';
import { ROLES, type Role, type Subject } from './decide.ts';

export interface TokenClaim extends Subject {
  issuedAtMs: number;
  /** Exclusive. */
  expiresAtMs: number;
}

const PREFIX = 'iflex_';
const UNIT_MS: Record<string, number> = { m: MINUTE_MS, h: HOUR_MS, d: DAY_MS };

/** Makes a claim with a fresh id; throws CONFIG_INVALID where role, scope and span do not make sense together. */
export function newClaim(
  wish: { role: string; pilots: readonly string[]; sites: readonly string[]; spanMs: number },
  nowMs: number,
): TokenClaim {
  const { role, pilots, sites, spanMs } = wish;
  if (!ROLES.includes(role as Role)) throw new IflexError('CONFIG_INVALID', `There is no role "${role}". Roles are ${ROLES.join(', ')}.`);
  if (role === 'resident' && sites.length === 0)
    throw new IflexError('CONFIG_INVALID', 'A token of a resident needs the sites that it is for: add --site SITE.');
  if (pilots.length > MAX_TOKEN_SCOPE || sites.length > MAX_TOKEN_SCOPE)
    throw new IflexError('CONFIG_INVALID', `A token names at most ${MAX_TOKEN_SCOPE} sites and as many pilots. Use --pilot for more.`);
  if (!(spanMs > 0 && spanMs <= MAX_TOKEN_SPAN_MS))
    throw new IflexError('CONFIG_INVALID', `A token lasts at most ${MAX_TOKEN_SPAN_MS / DAY_MS} days.`);
  return {
    tokenId: randomBytes(12).toString('base64url'),
    role: role as Role,
    pilots: pilots.length > 0 ? pilots : null,
    sites: sites.length > 0 ? sites : null,
    issuedAtMs: nowMs,
    expiresAtMs: nowMs + spanMs,
  };
}

/** Span in ms of "30d", "12h" or "45m"; throws CONFIG_INVALID. */
export function spanOf(text: string): number {
  const match = /^([1-9]\d{0,5})([mhd])$/.exec(text);
  if (!match) throw new IflexError('CONFIG_INVALID', `"${text}" is not a span: write 45m, 12h or 30d.`);
  return Number(match[1]) * UNIT_MS[match[2]];
}

export function signToken(claim: TokenClaim, secret: Uint8Array): string {
  const body = Buffer.from(JSON.stringify(claim)).toString('base64url');
  return `${PREFIX}${body}.${signature(body, secret)}`;
}

/** The claim of a token that we signed and that has not expired, else null. Takes the same time for every wrong signature. */
export function verifyToken(token: string, secret: Uint8Array, nowMs: number): TokenClaim | null {
  if (token.length > MAX_TOKEN_BYTES || !token.startsWith(PREFIX)) return null;
  const [body, given, ...rest] = token.slice(PREFIX.length).split('.');
  if (given === undefined || rest.length > 0) return null;
  // Compared as text, so that a signature has one spelling.
  const expected = Buffer.from(signature(body, secret));
  const presented = Buffer.from(given);
  if (presented.length !== expected.length || !timingSafeEqual(presented, expected)) return null;
  const claim = claimOf(body);
  return claim && nowMs < claim.expiresAtMs ? claim : null;
}

function signature(body: string, secret: Uint8Array): string {
  return createHmac('sha256', secret).update(PREFIX).update(body).digest('base64url');
}

/** Signed by us, and still checked: an older version of the code may have signed something else. */
function claimOf(body: string): TokenClaim | null {
  let claim: Partial<TokenClaim> | null;
  try {
    claim = JSON.parse(Buffer.from(body, 'base64url').toString());
  } catch {
    return null;
  }
  const isList = (list: unknown) => list === null || (Array.isArray(list) && list.every((name) => typeof name === 'string'));
  const good =
    typeof claim?.tokenId === 'string' &&
    ROLES.includes(claim.role as Role) &&
    isList(claim.pilots) &&
    isList(claim.sites) &&
    Number.isSafeInteger(claim.issuedAtMs) &&
    Number.isSafeInteger(claim.expiresAtMs);
  return good ? (claim as TokenClaim) : null;
}
