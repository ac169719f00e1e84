import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import { showProgress } from '../../../infra/cli/progress.ts';

/** A stream that remembers what was written; as wide as a terminal where it is one. */
function recorded(isTTY: boolean): { stream: NodeJS.WriteStream; text: () => string } {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 100, cursorTo() {}, clearLine() {}, moveCursor() {} });
  const text = () => String(stream.read() ?? '');
  return { stream: stream as unknown as NodeJS.WriteStream, text };
}

describe('progress', () => {
  it('is a plain line at once where there is no terminal, and no further one while it is quick', () => {
    const { stream, text } = recorded(false);
    const shown = showProgress({ label: 'Reading', total: 10, unit: 'files', stream });
    for (let done = 0; done <= 10; done++) shown.update(done);
    shown.finish();
    assert.equal(text(), 'Reading: 10 files …\n');
  });

  it('is a bar on a terminal that ends full', () => {
    const { stream, text } = recorded(true);
    const shown = showProgress({ label: 'Reading', total: 10, unit: 'files', stream });
    shown.update(11, 'the last one');
    shown.finish();
    assert.match(text(), /Reading .*100 % \| 10 of 10 files .* the last one/);
  });

  it('is nothing where there is nothing to do', () => {
    const { stream, text } = recorded(true);
    const shown = showProgress({ label: 'Reading', total: 0, unit: 'files', stream });
    shown.update(0);
    shown.finish();
    assert.equal(text(), '');
  });
});
