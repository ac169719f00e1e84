/** What comes over the line and is no request at all is answered like any other mistake. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { METHODS } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { it } from 'node:test';
import { openFixture } from './fixture.ts';

const { app, token: tokenOf } = await openFixture();
const { port } = new URL(await app.listen({ port: 0, host: '127.0.0.1' }));

const token = (await tokenOf('operator')).token;

async function answerTo(bytes: string): Promise<{ head: string; problem: Record<string, unknown> }> {
  const socket = connect(Number(port), '127.0.0.1');
  await once(socket, 'connect');
  socket.write(bytes);
  const [head, body] = (await text(socket)).split('\r\n\r\n');
  return { head, problem: JSON.parse(body) };
}

it('bytes that are not HTTP, and headers that are too long, get a problem document with a code', async () => {
  for (const [bytes, status, code] of [
    ['GARBAGE\r\n\r\n', 400, 'REQUEST_INVALID'],
    ['FOO /v1/sites HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'REQUEST_INVALID'],
    ['GET /v1/sites\0 HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'REQUEST_INVALID'],
    [`GET /${'a'.repeat(40_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 413, 'REQUEST_TOO_LARGE'],
  ] as const) {
    const { head, problem } = await answerTo(bytes);
    assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} \\w+`));
    assert.match(head, /content-type: application\/problem\+json/);
    assert.deepEqual([problem.status, problem.code, problem.type], [status, code, `/errors/${code}`]);
  }
  assert.deepEqual((await fetch(`http://127.0.0.1:${port}/health`)).status, 200);
});

it('what Node would refuse without a word gets a problem document too, or the answer that it asks for', async () => {
  const { head: connected, problem: tunnel } = await answerTo('CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n');
  assert.match(connected, /^HTTP\/1\.1 405 /);
  assert.match(connected, /\r\nallow: GET, HEAD\r\n/);
  assert.equal(tunnel.code, 'METHOD_NOT_ALLOWED');
  const { problem } = await answerTo('GET /v1/sites HTTP/1.1\r\nConnection: close\r\n\r\n');
  assert.deepEqual([problem.code, problem.detail], ['REQUEST_INVALID', 'The request has no Host header.']);
  const asOperator = `Authorization: Bearer ${token}\r\nConnection: close\r\n\r\n`;
  for (const start of ['GET /v1/sites HTTP/1.0\r\n', 'GET /v1/sites HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n'])
    assert.match((await answerTo(start + asOperator)).head, /^HTTP\/1\.1 200 /);
});

it('every method that there is, but for reading, is refused where it is not known, with those that are', async () => {
  for (const method of METHODS.filter((name) => !['GET', 'HEAD', 'CONNECT'].includes(name)))
    for (const path of ['/v1/sites', '/health', '/reference/']) {
      const asOperator = `Host: x\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`;
      const { head, problem } = await answerTo(`${method} ${path} HTTP/1.1\r\n${asOperator}`);
      assert.deepEqual([problem.code, problem.status], ['METHOD_NOT_ALLOWED', 405], `${method} ${path}`);
      assert.match(head, /\r\nallow: GET, HEAD/);
    }
});
