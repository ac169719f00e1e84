/** The secret that signs access tokens: a file of the operator's, or one that we make in the state folder. */
import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IflexError } from '../streams/errors.ts';
import { makeFolders } from '../streams/make-folders.ts';
import { defaultStateFolder } from './embedded-postgres.ts';
import { PROJECT_FOLDER } from './engine.ts';

const SECRET_BYTES = 32;

/** IFLEX_TOKEN_SECRET_FILE, else "token-secret" in the state folder. Throws CONFIG_INVALID where others could read our own. */
export function tokenSecret(stateFolder = defaultStateFolder(PROJECT_FOLDER)): Buffer {
  const given = process.env.IFLEX_TOKEN_SECRET_FILE;
  if (given) return readSecret(given);
  const path = join(stateFolder, 'token-secret');
  try {
    makeFolders(stateFolder);
    makeOnce(path);
  } catch (error) {
    const why = `The secret of the tokens cannot be made in the state folder ${stateFolder}: ${(error as Error).message}.`;
    throw new IflexError('CONFIG_INVALID', `${why} Set IFLEX_STATE to a folder that can be used, or IFLEX_TOKEN_SECRET_FILE.`, {}, error);
  }
  if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0)
    throw new IflexError('CONFIG_INVALID', `Others can read ${path}. Run \`chmod 600\` on it, or delete it, which ends all tokens.`);
  return readSecret(path);
}

function readSecret(path: string): Buffer {
  let secret: Buffer;
  try {
    secret = readFileSync(path);
  } catch (error) {
    throw new IflexError('CONFIG_INVALID', `The secret of the tokens cannot be read: ${(error as Error).message}.`, {}, error);
  }
  if (secret.length < SECRET_BYTES)
    throw new IflexError('CONFIG_INVALID', `The secret in ${path} has ${secret.length} bytes; it needs at least ${SECRET_BYTES}.`);
  return secret;
}

/** Written aside and linked, so that nobody reads half of it, and of several processes the first one wins. */
function makeOnce(path: string): void {
  if (existsSync(path)) return;
  const aside = `${path}.${process.pid}`;
  rmSync(aside, { force: true });
  writeFileSync(aside, randomBytes(SECRET_BYTES), { mode: 0o600, flag: 'wx' });
  try {
    linkSync(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(aside);
  }
}
