/** How a schema registry of others is reached, from the environment. */
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { IflexError } from './errors.ts';
import { tlsFiles } from './tls-files.ts';

export interface RegistrySettings {
  /** Root of the Confluent API, without user and password. */
  url: string;
  auth?: { username: string; password: string };
  tls?: TlsOptions;
}

/** Undefined where `SCHEMA_REGISTRY_URL` is not set. Throws CONFIG_INVALID, without showing a password. */
export function registrySettings(env: NodeJS.ProcessEnv = process.env): RegistrySettings | undefined {
  if (!env.SCHEMA_REGISTRY_URL) return undefined;
  const url = URL.parse(env.SCHEMA_REGISTRY_URL);
  if (!url || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '')
    throw new IflexError('CONFIG_INVALID', 'SCHEMA_REGISTRY_URL must look like http://host:port/path or https://host/path.');
  const auth = authOf(env, url);
  url.username = '';
  url.password = '';
  return { url: url.href.replace(/\/+$/, ''), ...(auth && { auth }), ...tlsOf(env, url) };
}

function authOf(env: NodeJS.ProcessEnv, url: URL): RegistrySettings['auth'] {
  const { SCHEMA_REGISTRY_USERNAME: username, SCHEMA_REGISTRY_PASSWORD: password } = env;
  if ((username === undefined) !== (password === undefined))
    throw new IflexError('CONFIG_INVALID', 'SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD go together.');
  if (username !== undefined && password !== undefined) return { username, password };
  if (url.username === '' && url.password === '') return undefined;
  try {
    return { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
  } catch (error) {
    throw new IflexError('CONFIG_INVALID', 'The user or password in SCHEMA_REGISTRY_URL is not percent-encoded.', {}, error);
  }
}

function tlsOf(env: NodeJS.ProcessEnv, url: URL): Pick<RegistrySettings, 'tls'> {
  const tls = tlsFiles('SCHEMA_REGISTRY_TLS', env);
  if (url.protocol === 'https:') return { tls };
  if (Object.keys(tls).length > 0)
    throw new IflexError('CONFIG_INVALID', 'SCHEMA_REGISTRY_TLS_… files are given, but SCHEMA_REGISTRY_URL does not begin with https.');
  return {};
}
