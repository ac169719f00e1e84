/** Requests as people and programs mistype them. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { statusOf } from '../../api/problems.ts';
import type { ErrorCode } from '../../streams/errors.ts';
import { revokeToken } from '../../streams/security/token-list.ts';
import { openFixture } from './fixture.ts';

const { access, token, get } = await openFixture();
const SERIES = '/v1/sites/site-a1/points/grid/series';

type Answer = Awaited<ReturnType<typeof get>>;
type Told = { detail: string; errors?: { in: string; detail: string }[] };

async function isProblem(answer: Answer, code: ErrorCode): Promise<Told> {
  assert.match(String(answer.headers['content-type']), /^application\/problem\+json/, answer.body);
  const problem = answer.json();
  assert.deepEqual([problem.code, problem.status, answer.statusCode], [code, statusOf(code), statusOf(code)], answer.body);
  return problem;
}

it('requests are told all that is wrong with them at once, up to ten parts, and how many more there are', async () => {
  const both = await isProblem(await get(`${SERIES}?limit=0&quality=best`), 'REQUEST_INVALID');
  assert.deepEqual(both.errors?.map((error) => error.in).sort(), ['querystring.limit', 'querystring.quality']);
  const unknown = Array.from({ length: 25 }, (_, i) => `p${i}=1`).join('&');
  const many = await isProblem(await get(`${SERIES}?${unknown}`), 'REQUEST_INVALID');
  assert.equal(many.errors?.length, 10);
  assert.match(many.detail, /the parameter "p9" is not known; and 15 more$/);
});

it('requests are told of odd queries, types and tags, and of tokens that were revoked', async () => {
  for (const [query, code] of [
    ['?tz=UTC&tz=UTC', 'REQUEST_INVALID'],
    ['?limit=1&limit=2', 'REQUEST_INVALID'],
    ['?from[]=2025-10-24', 'REQUEST_INVALID'],
    ['?limit=', 'REQUEST_INVALID'],
    ['?limit=99999999999999999999', 'REQUEST_INVALID'],
    ['?=x', 'REQUEST_INVALID'],
    ['?__proto__=1', 'REQUEST_INVALID'],
    ['?tz=', 'REQUEST_INVALID'],
    ['?tz=+02:00', 'REQUEST_INVALID'],
    ['?unit=', 'UNIT_UNKNOWN'],
    ['?unit=kW,', 'UNIT_UNKNOWN'],
    ['?unit=__proto__', 'UNIT_UNKNOWN'],
    ['?from=2016-12-31T23:59:60Z', 'REQUEST_INVALID'],
    ['?asOf=2025-10-24T00:00:00%2B99:00', 'REQUEST_INVALID'],
    ['?cursor=', 'REQUEST_INVALID'],
  ] as const)
    await isProblem(await get(SERIES + query), code);
  for (const url of ['/v1/sites/%FF', '/v1/rejected/-1/0', '/v1/rejected/0/99999999999999999999', '/v1/runs?limit=-1'])
    await isProblem(await get(url), 'REQUEST_INVALID');
  for (const url of ['/v1/sites/%2e%2e/x', '//v1/sites', '/V1/Sites', '/reference/..%2f..%2fetc'])
    await isProblem(await get(url), 'NOT_FOUND');
  for (const accept of ['application/json;q=0, text/csv;q=0', 'application/problem+json', ';;;,,q='])
    await isProblem(await get('/v1/sites', { accept }), 'NOT_ACCEPTABLE');
  assert.equal((await get('/v1/sites', { accept: '' })).statusCode, 200);
  // What will be known is what is known now, where nothing more comes.
  assert.deepEqual((await get(`${SERIES}?asOf=2199-01-01`)).json().rows, (await get(SERIES)).json().rows);
  const tag = String((await get('/v1/sites')).headers.etag);
  for (const [known, status] of [
    [`"a,b", "x", W/${tag}`, 304],
    ['*', 304],
    [`${tag}x, "`, 200],
  ] as const)
    assert.equal((await get('/v1/sites', { 'if-none-match': known })).statusCode, status, known);
  const revoked = await token('operator');
  assert.equal((await get('/v1/sites', {}, revoked.token)).statusCode, 200);
  await revokeToken(access, revoked.claim.tokenId);
  await isProblem(await get('/v1/sites', {}, revoked.token), 'UNAUTHENTICATED');
  await isProblem(await get(`/v1/sites?access_token=${revoked.token}`, {}, null), 'UNAUTHENTICATED');
});
