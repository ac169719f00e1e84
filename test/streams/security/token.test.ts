import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { IflexError } from '../../../streams/errors.ts';
import { DAY_MS, HOUR_MS, MAX_TOKEN_SPAN_MS } from '../../../streams/limits.ts';
import { newClaim, signToken, spanOf, verifyToken } from '../../../streams/security/token.ts';

const SECRET = Buffer.alloc(32, 1);
const NOW_MS = Date.parse('2026-03-01T00:00:00Z');
const wish = { role: 'resident', sites: ['s1'], pilots: [] as string[], spanMs: DAY_MS };
const refused = (error: unknown) => error instanceof IflexError && error.code === 'CONFIG_INVALID';

describe('tokens', () => {
  it('prove their claim until they expire', () => {
    const claim = newClaim(wish, NOW_MS);
    const token = signToken(claim, SECRET);
    assert.deepEqual(verifyToken(token, SECRET, NOW_MS), claim);
    assert.deepEqual(verifyToken(token, SECRET, NOW_MS + DAY_MS - 1), claim);
    assert.equal(verifyToken(token, SECRET, NOW_MS + DAY_MS), null);
  });

  it('prove nothing under another secret', () => {
    const token = signToken(newClaim(wish, NOW_MS), Buffer.alloc(32, 2));
    assert.equal(verifyToken(token, SECRET, NOW_MS), null);
  });

  it('prove nothing once any character is changed', () => {
    const token = signToken(newClaim(wish, NOW_MS), SECRET);
    for (let i = 0; i < token.length; i++)
      for (const other of ['A', 'B'].filter((letter) => letter !== token[i]))
        assert.equal(verifyToken(token.slice(0, i) + other + token.slice(i + 1), SECRET, NOW_MS), null, `character ${i}`);
  });

  it('prove nothing where they are garbage', () => {
    const token = signToken(newClaim(wish, NOW_MS), SECRET);
    const [body] = token.split('.');
    for (const text of [
      '',
      'iflex_',
      'iflex_.',
      `${body}.`,
      body,
      `${token}.`,
      `${token}.x`,
      token.slice(6),
      'x'.repeat(100_000),
      `${token} `,
    ])
      assert.equal(verifyToken(text, SECRET, NOW_MS), null, text.slice(0, 40));
  });

  it('prove nothing where what was signed is no claim', () => {
    for (const claim of [
      null,
      [],
      {},
      { ...newClaim(wish, NOW_MS), role: 'root' },
      { ...newClaim(wish, NOW_MS), sites: 's1' },
      { ...newClaim(wish, NOW_MS), expiresAtMs: 1e99 },
    ])
      assert.equal(verifyToken(signToken(claim as never, SECRET), SECRET, NOW_MS), null, JSON.stringify(claim));
  });

  it('are refused at birth where role, scope and span do not fit', () => {
    const wrong = [
      { role: 'root' },
      { role: 'resident', sites: [] },
      { spanMs: 0 },
      { spanMs: Number.NaN },
      { spanMs: MAX_TOKEN_SPAN_MS + 1 },
      { pilots: Array(101).fill('p') },
    ];
    for (const change of wrong) assert.throws(() => newClaim({ ...wish, ...change }, NOW_MS), refused, JSON.stringify(change));
  });

  it('have ids of their own', () => {
    assert.notEqual(newClaim(wish, NOW_MS).tokenId, newClaim(wish, NOW_MS).tokenId);
  });

  it('last as long as is written', () => {
    assert.equal(spanOf('45m'), 45 * 60_000);
    assert.equal(spanOf('12h'), 12 * HOUR_MS);
    assert.equal(spanOf('30d'), 30 * DAY_MS);
    for (const text of ['', '30', 'd', '0d', '-1d', '1.5h', '1y', '30d ', '9999999d']) assert.throws(() => spanOf(text), refused, text);
  });
});
