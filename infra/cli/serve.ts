/** `iflex serve`: the API of a namespace whose pipeline runs elsewhere, or has run. */
import { type Command, InvalidArgumentError } from 'commander';
import { IflexError } from '../../streams/errors.ts';
import type { Backend } from '../backend.ts';
import { DEFAULT_NAMESPACE, untilInterrupted, withEngine } from './existing-log.ts';

interface Options {
  host: string;
  port: number;
  namespace: string;
  allowRemote?: boolean;
}

const HELP = `
Requests need a token: \`iflex token new --help\`.

Examples
  iflex serve
  iflex serve --namespace demo --port 8081
  iflex serve --host 0.0.0.0 --allow-remote`;

export function registerServe(program: Command): void {
  program
    .command('serve')
    .description('Serve the API of a namespace until interrupted.')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <number>', 'port to listen on', portOf, 8080)
    .option('--namespace <name>', 'namespace to serve', DEFAULT_NAMESPACE)
    .option('--allow-remote', 'let --host be an address that other machines can reach')
    .addHelpText('after', HELP)
    .action((options: Options) => {
      checkHost(options.host, options.allowRemote === true);
      return withEngine((backend) => serve(backend, options));
    });
}

async function serve(backend: Backend, { host, port, namespace }: Options): Promise<void> {
  // Loaded here, as the web framework would make every other command start later.
  const { serveApi } = await import('../serve-api.ts');
  const interrupted = untilInterrupted();
  const server = await serveApi({ backend, namespace, host, port });
  console.log(`Serving ${namespace} at ${server.address} (reference: ${server.address}/reference/). Ctrl-C stops.`);
  await new Promise((resolve) => interrupted.signal.addEventListener('abort', resolve, { once: true }));
  await server.stop();
}

/** Tokens and household data would cross the network in the clear, so that is a choice, not an accident. */
export function checkHost(host: string, allowRemote: boolean): void {
  if (isLoopback(host)) return;
  const warning = `Other machines can reach ${host}, and the connection is not encrypted: put a TLS proxy before it.`;
  if (!allowRemote) throw new IflexError('CONFIG_INVALID', `${warning} Add --allow-remote to do it all the same.`);
  console.error(`Warning: ${warning}`);
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** For options: throws what commander shows beside the option. */
export function portOf(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new InvalidArgumentError('A port is a number from 0 to 65535.');
  return port;
}
