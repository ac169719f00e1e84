/** `iflex pilot` and `iflex site`: declared files of an instance, and their way into a log. */
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { declare } from '../../replay/instance/declare.ts';
import { type NewPoint, writeNewPilot, writeNewSite } from '../../replay/instance/new-instance.ts';
import { CARRIERS, POINT_KINDS, SITE_KINDS, SITE_ORIGINS } from '../../replay/instance/pilot-file.ts';
import { readInstance } from '../../replay/instance/read-instance.ts';
import { IflexError } from '../../streams/errors.ts';
import { openCodec, openLog } from '../backend.ts';
import { openEngine } from '../engine.ts';
import { DEFAULT_NAMESPACE } from './existing-log.ts';

const NEW_PILOT_HELP = `
Examples, from nothing to declared sites
  iflex pilot new "Our pilot" --country FI --zone Europe/Helsinki --since 2024-01-01
  iflex site add our-pilot --point grid-import,mean-power,"15 min",electricity
  iflex pilot declare our-pilot`;

const DECLARE_HELP = `
Examples
  iflex pilot declare our-pilot
  iflex pilot declare our-pilot other-pilot --namespace trial`;

const ADD_SITE_HELP = `
Examples
  iflex site add our-pilot --point grid-import,mean-power,"15 min",electricity
  iflex site add our-pilot --kind apartment-building --since 2024-06-01 --point heat,register,"1 h",district-heat
  iflex site add our-pilot --point indoor,temperature,"5 min",none --point pv,interval-energy,"1 h",electricity`;

export function registerInstance(program: Command): void {
  registerPilot(program);
  registerSite(program);
}

function registerPilot(program: Command): void {
  const pilot = program.command('pilot').description('Make and declare pilots.').addHelpText('after', NEW_PILOT_HELP);
  pilot
    .command('new <name>')
    .description('Write the folder of a new pilot.')
    .requiredOption('--country <code>', 'ISO 3166, e.g. FI')
    .requiredOption('--zone <zone>', 'IANA time zone, e.g. Europe/Helsinki')
    .option('--language <tag>', 'language of its people', 'en')
    .option('--bid-zone <zone>', 'market zone of its prices, e.g. FI')
    .option('--since <day>', 'before everything that will be read of it', today())
    .option('--folder <path>', 'where to write it (default: the name in small letters)')
    .addHelpText('after', NEW_PILOT_HELP)
    .action((name: string, options) => {
      const folder = options.folder ?? folderName(name);
      const path = writeNewPilot({ ...options, name, folder, timeZone: options.zone });
      console.log(`${path}\nNext: \`iflex site add ${folder} --point grid-import,mean-power,"15 min",electricity\``);
    });
  pilot
    .command('declare <folder...>')
    .description('Append the declarations of pilots and their sites to a log; what stands there already is left alone.')
    .option('--namespace <name>', 'log to append to; made where there is none', DEFAULT_NAMESPACE)
    .addHelpText('after', DECLARE_HELP)
    .action(async (folders: string[], { namespace }) => declareFolders(folders, namespace));
}

function registerSite(program: Command): void {
  const site = program.command('site').description("Add and check a pilot's sites.").addHelpText('after', ADD_SITE_HELP);
  site
    .command('add <folder>')
    .description("Write the file of one more site into a pilot's folder.")
    .addOption(new Option('--kind <kind>').choices(Object.keys(SITE_KINDS)).default('home'))
    .addOption(new Option('--origin <origin>').choices(Object.keys(SITE_ORIGINS)).default('measured'))
    .option('--zone <zone>', "IANA time zone (default: the pilot's)")
    .option('--since <day>', "before its first reading (default: the pilot's)")
    .requiredOption(
      '--point <name,kind,interval,carrier>',
      `repeatable; kinds: ${Object.keys(POINT_KINDS).join(', ')}; carriers: ${Object.keys(CARRIERS).join(', ')}`,
      (text: string, before: NewPoint[] = []) => [...before, pointOf(text)],
    )
    .addHelpText('after', ADD_SITE_HELP)
    .action((folder: string, { zone, point, ...options }) => {
      const path = writeNewSite({ ...options, folder, timeZone: zone, points: point });
      console.log(`${path}\nNext: \`iflex site check ${folder}\`, then \`iflex pilot declare ${folder}\``);
    });
  site
    .command('check <folder...>')
    .description('Check the files of pilots and their sites.')
    .addHelpText('after', '\nExamples\n  iflex site check our-pilot\n  iflex site check pilots/*')
    .action((folders: string[]) => {
      for (const folder of folders) {
        const { pilot, sites } = readInstance(folder);
        const points = sites.reduce((sum, { points }) => sum + points.length, 0);
        console.log(`${join(folder)}: pilot ${pilot.name}, ${sites.length} sites, ${points} points: good`);
      }
    });
}

/** All folders are read and checked before the first is declared. */
async function declareFolders(folders: string[], namespace: string): Promise<void> {
  const instances = folders.map((folder) => readInstance(folder));
  const engine = await openEngine();
  try {
    const log = await openLog(engine, namespace);
    try {
      const codec = await openCodec(engine, namespace);
      for (const instance of instances) {
        const { appended, unchanged } = await declare(log, codec, instance);
        console.log(`${instance.pilot.name}: ${appended} declared, ${unchanged} unchanged in the namespace "${namespace}"`);
      }
    } finally {
      await log.close();
    }
  } finally {
    await engine.stop();
  }
}

function pointOf(text: string): NewPoint {
  const [name, kind, interval, carrier, ...rest] = text.split(',').map((part) => part.trim());
  if (carrier === undefined || rest.length > 0)
    throw new IflexError(
      'CONFIG_INVALID',
      `--point "${text}" must be name,kind,interval,carrier, e.g. grid-import,mean-power,15 min,electricity.`,
    );
  return { name, kind, interval, carrier };
}

function folderName(name: string): string {
  const words = name.toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu);
  return words?.join('-') ?? 'pilot';
}

function today(): string {
  return new Date().toISOString().slice(0, 10);
}
