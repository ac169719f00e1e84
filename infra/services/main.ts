/** `npm run services`: brings the services that a pilot may need up on this machine, and down again. */
import { Command } from 'commander';
import { IflexError } from '../../streams/errors.ts';
import { errorText } from '../cli/error-text.ts';
import { isRoot } from '../embedded-postgres-files.ts';
import { runInForeground } from './foreground.ts';
import { down, install, type ServiceStatus, statusOf, up } from './lifecycle.ts';
import { SERVICES } from './list.ts';
import { openPlace, serviceNames } from './place.ts';
import { lackingPrerequisite, PREREQUISITES, runTool } from './tool.ts';
import { SERVICE_NAMES, VERSIONS } from './versions.ts';

const HELP = `
Services (all of them where none is named)
${SERVICE_NAMES.map((name) => `  ${name.padEnd(12)} ${VERSIONS[name].product} ${VERSIONS[name].version}, port ${VERSIONS[name].ports[0]}`).join('\n')}

They need a Debian-like Linux with apt, and for kafka and apicurio Java and Maven (\`npm run services prerequisites\` as root).
The first \`up\` downloads some 400 MB. Servers listen on this machine only, and keep their data when they are stopped.

Environment
  IFLEX_SERVICES_STATE       folder of data, configuration, logs and process ids
  IFLEX_SERVICES_CACHE       folder of what was downloaded; may be deleted while nothing runs
  IFLEX_SERVICES_PORT_SHIFT  added to every port, to run a second set beside the first
  JAVA_HOME                  the Java to use, if not the one on the path

Examples
  npm run services up
  npm run services up timescaledb mosquitto
  npm run services status
  npm run services down kafka
  eval "$(npm run -s services env)"       # sets DATABASE_URL, KAFKA_BROKERS and others in this shell`;

const IN_WORDS: Record<ServiceStatus['state'], string> = {
  running: 'running',
  starting: 'starting, not ready',
  foreign: 'running, not started here',
  taken: 'stopped; another program holds its port',
  stopped: 'stopped',
};

function servicesProgram(): Command {
  const program = new Command('services').description('Starts and stops the services that a pilot may need.').addHelpText('after', HELP);
  const say = (line: string) => console.error(line);
  const of = (name: string, description: string) => program.command(`${name} [services...]`).description(description);
  of('up', 'Download what is missing, start, and wait until all are ready.').action(async (given: string[]) => {
    const names = serviceNames(given);
    for (const name of names) await up(openPlace(say), name);
  });
  of('down', 'Stop what was started here; data stay.').action(async (given: string[]) => {
    for (const name of serviceNames(given).reverse()) await down(openPlace(say), name);
  });
  of('status', 'Tell how they are.')
    .option('--json', 'as JSON')
    .action(async (given: string[], { json }: { json?: boolean }) => {
      const place = openPlace(say);
      const all = await Promise.all(serviceNames(given).map((name) => statusOf(place, name)));
      if (json) console.log(JSON.stringify(all, null, 2));
      else for (const each of all) console.log(lineOf(each));
    });
  of('env', 'Print what clients need as shell variables; one holds a password.').action((given: string[]) => {
    const place = openPlace(say);
    for (const name of serviceNames(given)) {
      for (const [variable, value] of Object.entries(SERVICES[name].clientSettings(place))) console.log(`export ${variable}='${value}'`);
    }
  });
  of('install', 'Only download and unpack.').action(async (given: string[]) => {
    for (const name of serviceNames(given)) say(`${name}: in ${await install(openPlace(say), name)}.`);
  });
  program
    .command('run <service>')
    .description('Run one in the foreground until it is told to end, as containers do.')
    .action(async (given: string) => {
      process.exitCode = await runInForeground(openPlace(say), serviceNames([given])[0]);
    });
  program
    .command('check <service>')
    .description('End with status 0 where it is ready, else 1.')
    .action(async (given: string) => {
      const [name] = serviceNames([given]);
      if (!(await SERVICES[name].isReady(openPlace(say)))) throw new IflexError('SERVICE_NOT_STARTED', `${name} is not ready.`);
    });
  program
    .command('prerequisites')
    .description('Install Java and Maven from Debian where they are missing; needs root then.')
    .action(() => prerequisites(say));
  return program;
}

function lineOf({ name, product, version, state, pid, ports, log }: ServiceStatus): string {
  const process = pid === undefined ? '' : ` (process ${pid}, log ${log})`;
  return `${name.padEnd(12)} ${`${product} ${version}`.padEnd(32)} 127.0.0.1:${String(ports[0]).padEnd(6)} ${IN_WORDS[state]}${process}`;
}

async function prerequisites(say: (line: string) => void): Promise<void> {
  const lacking = await lackingPrerequisite();
  if (lacking === undefined) return say(`${PREREQUISITES.join(' and ')} are there already.`);
  say(lacking);
  if (!isRoot()) throw new IflexError('CONFIG_INVALID', `Only root may install: sudo apt-get install ${PREREQUISITES.join(' ')}`);
  say(`Installing ${PREREQUISITES.join(' and ')} with apt-get.`);
  await runTool('apt-get', ['-q', 'update'], 'The lists of packages cannot be fetched');
  await runTool('apt-get', ['-q', '-y', '--no-install-recommends', 'install', ...PREREQUISITES], 'Java and Maven cannot be installed');
  const still = await lackingPrerequisite();
  if (still !== undefined) throw new IflexError('SERVICE_NOT_INSTALLABLE', `They were installed, but still: ${still}`);
}

try {
  await servicesProgram().parseAsync();
} catch (error) {
  console.error(errorText(error, process.env.IFLEX_DEBUG === '1'));
  process.exitCode = 1;
}
