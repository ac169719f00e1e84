/** Files of keys and certificates that the environment names: PREFIX_CA_FILE, PREFIX_CERT_FILE and PREFIX_KEY_FILE. */
import { readFileSync } from 'node:fs';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { IflexError } from './errors.ts';

const NAMES = ['ca', 'cert', 'key'] as const;

/** What the files hold; empty where none is named. Throws CONFIG_INVALID. */
export function tlsFiles(prefix: string, env: NodeJS.ProcessEnv): Pick<TlsOptions, (typeof NAMES)[number]> {
  const variable = (name: string) => `${prefix}_${name.toUpperCase()}_FILE`;
  if ((env[variable('cert')] === undefined) !== (env[variable('key')] === undefined))
    throw new IflexError('CONFIG_INVALID', `${variable('cert')} and ${variable('key')} go together.`);
  const options: Pick<TlsOptions, (typeof NAMES)[number]> = {};
  for (const name of NAMES) {
    const path = env[variable(name)];
    if (path === undefined) continue;
    try {
      options[name] = readFileSync(path);
    } catch (error) {
      throw new IflexError('CONFIG_INVALID', `${variable(name)} cannot be read: ${(error as Error).message}`, {}, error);
    }
  }
  return options;
}
