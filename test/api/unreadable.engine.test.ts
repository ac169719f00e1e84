/** What comes over the line and is no request at all is answered like any other mistake. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { it } from 'node:test';
import { openFixture } from './fixture.ts';

const { app } = await openFixture();
const { port } = new URL(await app.listen({ port: 0, host: '127.0.0.1' }));

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
