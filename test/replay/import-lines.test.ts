import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { LineCutter } from '../../replay/import/lines.ts';
import { fieldsOf, isOmitted } from '../../replay/import/rows.ts';

function cut(content: Buffer, pieces: readonly number[]) {
  const cutter = new LineCutter();
  const lines = [];
  let from = 0;
  for (const size of pieces) {
    lines.push(...cutter.take(content.subarray(from, from + size)));
    from += size;
  }
  lines.push(...cutter.take(content.subarray(from)), ...cutter.end());
  return lines;
}

test('lines are the same however the file comes in pieces', () => {
  const text = fc.array(fc.constantFrom('a', 'ä', ',', '\n', '\r\n', '"', 'xyz'), { maxLength: 60 });
  fc.assert(
    fc.property(text, fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 20 }), (parts, pieces) => {
      const content = Buffer.from(parts.join(''));
      const expected = parts.join('').split('\n');
      if (expected.at(-1) === '') expected.pop();
      const lines = cut(content, pieces);
      assert.deepEqual(
        lines.map(({ bytes }) => bytes.toString()),
        expected.map((line) => line.replace(/\r$/, '')),
      );
      assert.deepEqual(
        lines.map(({ number }) => number),
        expected.map((_, i) => i + 1),
      );
    }),
    { seed: 2, numRuns: 300 },
  );
});

test('a byte-order mark is taken off, and an oversized line leaves its hash, length and first bytes', () => {
  const long = 'x'.repeat(200_000);
  for (const pieces of [[], [10], Array.from({ length: 30 }, () => 7_000)]) {
    const lines = cut(Buffer.from(`\uFEFFa,b\n${long}\nc\n`), pieces);
    assert.deepEqual(
      lines.map(({ bytes }) => bytes.toString()),
      ['a,b', 'x'.repeat(4096), 'c'],
    );
    assert.deepEqual(lines[1].oversized, { byteLength: 200_000, sha256: createHash('sha256').update(long).digest('hex') });
  }
});

test('quotes hold delimiters and doubled quotes; a quote that does not close is no line', () => {
  assert.deepEqual(fieldsOf('a,"b,c","d ""e"""', ','), ['a', 'b,c', 'd "e"']);
  assert.deepEqual(fieldsOf('a;1,5; x ', ';'), ['a', '1,5', ' x ']);
  assert.equal(fieldsOf('a,"b', ','), undefined);
  assert.equal(fieldsOf('a,b"c', ','), undefined);
});

test('spans to leave out include both of their ends', () => {
  const spans = [10, 20, 30, 30];
  assert.deepEqual(
    [9, 10, 15, 20, 21, 29, 30, 31].map((ms) => isOmitted(spans, ms)),
    [false, true, true, true, false, false, true, false],
  );
  assert.equal(isOmitted([], 5), false);
});
