/** The tokens that were issued, in the database of the engine: what is not listed, or is revoked, does not count. */
import { IflexError } from '../errors.ts';
import { inTransaction, type Pool } from '../postgres.ts';
import type { Role } from './decide.ts';
import type { TokenClaim } from './token.ts';

const TABLE = `
CREATE SCHEMA IF NOT EXISTS iflex_access;
CREATE TABLE IF NOT EXISTS iflex_access.token (
  token_id text COLLATE "C" PRIMARY KEY, role text NOT NULL, pilots text[], sites text[],
  issued_at timestamptz NOT NULL, expires_at timestamptz NOT NULL, revoked_at timestamptz);`;

export interface ListedToken {
  tokenId: string;
  role: Role;
  pilots: string[] | null;
  sites: string[] | null;
  issuedAt: Date;
  expiresAt: Date;
  revokedAt: Date | null;
}

export async function createTokenList(pool: Pool): Promise<void> {
  await inTransaction(pool, async (client) => {
    await client.query("SELECT pg_advisory_xact_lock(hashtext('iflex access'))");
    await client.query(TABLE);
  });
}

export async function listToken(pool: Pool, claim: TokenClaim): Promise<void> {
  await pool.query(
    `INSERT INTO iflex_access.token (token_id, role, pilots, sites, issued_at, expires_at)
     VALUES ($1, $2, $3, $4, to_timestamp($5 / 1000.0), to_timestamp($6 / 1000.0))`,
    [claim.tokenId, claim.role, claim.pilots, claim.sites, claim.issuedAtMs, claim.expiresAtMs],
  );
}

/** Whether the token was issued here and is not revoked. */
export async function tokenCounts(pool: Pool, tokenId: string): Promise<boolean> {
  const { rows } = await pool.query({
    name: 'token-counts',
    text: 'SELECT FROM iflex_access.token WHERE token_id = $1 AND revoked_at IS NULL',
    values: [tokenId],
  });
  return rows.length > 0;
}

/** Newest first. */
export async function listedTokens(pool: Pool): Promise<ListedToken[]> {
  const { rows } = await pool.query(
    `SELECT token_id AS "tokenId", role, pilots, sites, issued_at AS "issuedAt", expires_at AS "expiresAt", revoked_at AS "revokedAt"
     FROM iflex_access.token ORDER BY issued_at DESC, token_id`,
  );
  return rows;
}

/** Counts at once, also in servers that run. Throws NOT_FOUND; revoking twice changes nothing. */
export async function revokeToken(pool: Pool, tokenId: string): Promise<void> {
  const { rowCount } = await pool.query(
    'UPDATE iflex_access.token SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE token_id = $1',
    [tokenId],
  );
  if (rowCount === 0) throw new IflexError('NOT_FOUND', `No token has the id ${tokenId}. \`iflex token list\` shows them.`);
}
