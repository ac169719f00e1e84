/** The guard without a database: what cannot be registered, and what is answered before anything is looked up. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import Fastify from 'fastify';
import { guardRoutes } from '../../api/access.ts';
import { sendProblem } from '../../api/problems.ts';
import { IflexError } from '../../streams/errors.ts';

function guarded() {
  const app = Fastify();
  app.setErrorHandler(sendProblem);
  guardRoutes(app, { subjectOf: async () => null, findSite: async () => null });
  return app;
}
const refused = (error: unknown) => error instanceof IflexError && error.code === 'CONFIG_INVALID';

describe('the guard', () => {
  it('lets no route be registered that does not declare what it reads', async () => {
    const app = guarded();
    assert.throws(() => app.get('/a', async () => 'a'), refused);
    assert.throws(() => app.get('/b', { config: {} }, async () => 'b'), refused);
    assert.throws(() => app.get('/c', { config: { access: { action: 'read', kind: 'everything' } } } as never, async () => 'c'), refused);
    assert.throws(() => app.get('/d', { config: { access: { action: 'eat', kind: 'sites' } } } as never, async () => 'd'), refused);
    assert.throws(() => app.post('/e', async () => 'e'), refused);
    await assert.rejects(async () => app.register(async (scope) => scope.get('/f', async () => 'f')), refused);
    await app.close();
  });

  it('asks for a token, and tells what other methods there are only after one', async () => {
    const app = guarded();
    app.get('/open', { config: { access: { action: 'read', kind: 'liveness' } } }, async () => 'open');
    app.get('/closed', { config: { access: { action: 'read', kind: 'sites' } } }, async () => 'closed');
    assert.equal((await app.inject('/open')).body, 'open');
    assert.equal((await app.inject({ method: 'HEAD', url: '/open' })).statusCode, 200);
    const closed = await app.inject('/closed');
    assert.equal(closed.statusCode, 401);
    assert.equal(closed.headers['www-authenticate'], 'Bearer realm="iflex"');
    assert.equal((await app.inject({ method: 'HEAD', url: '/closed' })).statusCode, 401);
    assert.equal((await app.inject({ method: 'DELETE', url: '/closed' })).statusCode, 401);
    const post = await app.inject({ method: 'POST', url: '/open', payload: { a: 1 } });
    assert.equal(post.statusCode, 405);
    assert.equal(post.headers.allow, 'GET, HEAD');
    await app.close();
  });
});
