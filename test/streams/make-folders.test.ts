import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeFolders } from '../../streams/make-folders.ts';

const root = mkdtempSync(join(tmpdir(), 'iflex-folders-'));
after(() => rmSync(root, { recursive: true }));

test('folders are made from the outermost missing one inwards, and again none', () => {
  const [a, b] = [join(root, 'a'), join(root, 'a', 'b')];
  assert.deepEqual(makeFolders(b), [a, b]);
  assert.ok(statSync(b).isDirectory());
  assert.deepEqual(makeFolders(b), []);
  assert.deepEqual(makeFolders(join(b, '..', 'c')), [join(a, 'c')]);
});

test('a file in the way is told', () => {
  const file = join(root, 'file');
  writeFileSync(file, '');
  assert.throws(() => makeFolders(file), /file is not a folder/);
  assert.throws(() => makeFolders(join(file, 'a', 'b')), { code: 'ENOTDIR' });
});
