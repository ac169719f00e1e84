/** `iflex token`: makes, lists and revokes access tokens of the API. */
import type { Command } from 'commander';
import { openReadPool } from '../../projections/queries/read-pool.ts';
import { unknownNames } from '../../projections/queries/unknown-names.ts';
import { openPool, type Pool } from '../../streams/postgres.ts';
import { ROLES, type Scope } from '../../streams/security/decide.ts';
import { newClaim, signToken, spanOf } from '../../streams/security/token.ts';
import { createTokenList, type ListedToken, listedTokens, listToken, revokeToken } from '../../streams/security/token-list.ts';
import { tokenSecret } from '../token-secret.ts';
import { DEFAULT_NAMESPACE, withEngine } from './existing-log.ts';

interface NewOptions {
  role: string;
  site: string[];
  pilot: string[];
  expires: string;
  namespace: string;
}

const UNDEFINED_TABLE = '42P01';

const HELP = `
Only the token goes to standard output. Run it in the project folder, where the server that checks tokens has its secret.

Examples
  TOKEN=$(npx iflex token new --role operator --expires 1d)
  curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/v1/sites
  iflex token new --role resident --site site-0123456789abcdef --expires 12h
  iflex token list`;

const collect = (value: string, earlier: string[]) => [...earlier, value];

export function registerToken(program: Command): void {
  const token = program.command('token').description('Make, list and revoke access tokens of the API.').addHelpText('after', HELP);
  token
    .command('new')
    .description('Make a token and print it; it is shown only this once.')
    .requiredOption('--role <role>', `what it may read: ${ROLES.join(', ')}`)
    .option('--site <id>', 'only this site (may be repeated)', collect, [])
    .option('--pilot <id>', 'only sites of this pilot (may be repeated)', collect, [])
    .option('--expires <span>', 'how long it counts: 45m, 12h, 30d', '30d')
    .addHelpText('after', HELP)
    .option('--namespace <name>', 'where sites and pilots are looked up; the token counts in every one', DEFAULT_NAMESPACE)
    .action((options: NewOptions) => withTokenList((pool, url) => printNewToken(pool, url, options)));
  token
    .command('list')
    .description('List the tokens that were made, without the tokens themselves.')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExamples\n  iflex token list\n  iflex token list --json')
    .action(({ json }: { json?: boolean }) =>
      withTokenList(async (pool) => {
        const tokens = await listedTokens(pool);
        if (json) console.log(JSON.stringify(tokens, null, 2));
        else for (const listed of tokens) console.log(lineOf(listed, Date.now()));
      }),
    );
  token
    .command('revoke <id>')
    .description('End a token at once, also in servers that run.')
    .addHelpText('after', '\nExamples\n  iflex token revoke 1f0c3a52e97b4d68')
    .action((id: string) =>
      withTokenList(async (pool) => {
        await revokeToken(pool, id);
        console.log(`Revoked ${id}.`);
      }),
    );
}

function withTokenList(work: (pool: Pool, url: string) => Promise<void>): Promise<void> {
  return withEngine(async ({ url }) => {
    const pool = await openPool(url, 'token', 1);
    try {
      await createTokenList(pool);
      await work(pool, url);
    } finally {
      await pool.end();
    }
  });
}

/** The token alone goes to standard output, so that a script can take it. */
async function printNewToken(pool: Pool, url: string, { role, site, pilot, expires, namespace }: NewOptions): Promise<void> {
  const claim = newClaim({ role, sites: site, pilots: pilot, spanMs: spanOf(expires) }, Date.now());
  const doubts = await doubtsAbout(claim, url, namespace);
  await listToken(pool, claim);
  console.log(signToken(claim, tokenSecret()));
  console.error(`Token ${claim.tokenId} of role ${claim.role} counts until ${new Date(claim.expiresAtMs).toISOString()}.`);
  for (const doubt of doubts) console.error(`Warning: ${doubt}`);
}

/** What looks misspelt. A token may be made before its sites are declared, so that this is no error. */
async function doubtsAbout(scope: Scope, url: string, namespace: string): Promise<string[]> {
  if (scope.sites === null && scope.pilots === null) return [];
  const pool = await openReadPool(url, namespace);
  try {
    const { sites, pilots } = await unknownNames(pool, scope);
    const doubt = (kind: string) => (id: string) =>
      `the namespace "${namespace}" has no ${kind} "${id}"; the token shows nothing of it until it is declared.`;
    return [...sites.map(doubt('site')), ...pilots.map(doubt('pilot'))];
  } catch (error) {
    if ((error as { code?: string }).code !== UNDEFINED_TABLE) throw error;
    return [`the namespace "${namespace}" has no projections yet, so that its sites and pilots cannot be looked up.`];
  } finally {
    await pool.end();
  }
}

function lineOf({ tokenId, role, pilots, sites, expiresAt, revokedAt }: ListedToken, nowMs: number): string {
  const state = revokedAt ? `revoked ${revokedAt.toISOString()}` : expiresAt.getTime() <= nowMs ? 'expired' : 'counts';
  const scope =
    [...(pilots ?? []).map((pilot) => `pilot ${pilot}`), ...(sites ?? []).map((site) => `site ${site}`)].join(', ') || 'all sites';
  return `${tokenId}  ${role.padEnd(14)} until ${expiresAt.toISOString()}  ${state.padEnd(8)} ${scope}`;
}
