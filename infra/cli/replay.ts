/** `iflex replay`: what a pipeline did, checked step by step, or done again beside it. */
import type { Command } from 'commander';
import { IflexError } from '../../streams/errors.ts';
import type { Backend } from '../backend.ts';
import { DEFAULT_NAMESPACE, instantOf, withEngine } from './existing-log.ts';
import { fileReplay } from './replay-files.ts';
import { verifyNamespace } from './replay-verify.ts';
import { type Existing, replayIntoNamespace } from './replay-what-if.ts';

interface ReplayCommand {
  source?: string;
  fromPostgres?: boolean;
  pilot?: string;
  mapping?: string;
  verify?: boolean;
  whatIf?: boolean;
  namespace?: string;
  from?: string;
  to?: string;
  speed?: string;
  replace?: boolean;
  resume?: boolean;
  compareWith?: string;
}

const HELP = `
Two modes
  --what-if   (default) takes the facts of the source in the order in which they became known (ticks after facts of the
              same time, then by topic, source and number) and runs the whole pipeline on them in a namespace of its own.
              It has no actuators, so nothing leaves it. Reloaded days are not copied: they are answers to requests of
              tasks, which ask anew. At the end, what came out is compared with the source (or --compare-with). A
              difference is a finding, not a failure: the source may have learnt of things in another order.
  --verify    follows the journal of every task, which says in which order it took its facts, through fresh processors,
              and compares what they emit with what the log holds: key, Avro body, schema and derived id of every event.
              Writes nothing. Begins with the first step, or with --from at each task's latest matching snapshot of before
              that time, and says which. Status 1 and the first difference with its causes, where there is one.

Files are replayed as a what-if too: the pilot is declared and the files are read as by iflex import, at any speed, into a
namespace of their own.

Neither touches the source: a pipeline may run on it meanwhile. What is appended there later is not part of the replay.

--from and --to are times at which facts became known (not when they were appended). In a what-if the declarations of
sites and pilots of before --from are taken too; readings are not, so series begin with what the first readings cover.

Examples
  iflex replay --verify
  iflex replay --namespace again
  iflex replay --namespace spring --from 2026-03-01 --to 2026-04-01T00:00+02:00 --speed 3600
  iflex replay --namespace again2 --compare-with again
  iflex replay readings.csv.gz --pilot our-pilot --mapping our-mapping.yaml --namespace trial --speed 3600
  iflex replay --from-postgres --namespace main
  iflex namespaces drop again --yes`;

export function registerReplay(program: Command): void {
  program
    .command('replay [file...]')
    .description('Run recorded facts again: verify what a log holds, or see what would come of them in another namespace.')
    .option('--source <namespace>', `log to replay (default: ${DEFAULT_NAMESPACE}, where no files are given)`)
    .option(
      '--from-postgres',
      'what-if: the source is in PostgreSQL, though KAFKA_BROKERS puts the target in Kafka: how a pilot moves there',
    )
    .option('--pilot <folder>', 'with files: the declared pilot whose sites they are of')
    .option('--mapping <mapping>', 'with files: what their columns mean, a mapping file or a preset of iflex import')
    .option('--what-if', 'into another namespace, by when facts became known')
    .option('--verify', 'in memory, by the journals of the tasks')
    .option('--namespace <name>', 'what-if: where to; made by the replay, and its own')
    .option('--from <time>', 'facts known at or after; --verify: begin at the latest snapshot of before (default: all)')
    .option('--to <time>', 'what-if: facts known before (default: all)')
    .option('--speed <factor>', 'what-if: event time per wall time: max, or a number such as 60 or 1 (default: max)')
    .option('--replace', 'what-if: drop the namespace first, if an earlier replay made it')
    .option('--resume', 'what-if: go on with the same replay that was interrupted')
    .option('--compare-with <namespace>', 'what-if: compare with this instead of the source; status 1 where they differ')
    .addHelpText('after', HELP)
    .action(async (files: string[], options: ReplayCommand) => {
      if (options.verify) {
        refuseWithVerify(files, options);
        const fromMs = options.from === undefined ? null : instantOf(options.from, '--from');
        await withEngine((backend) => verifyNamespace(backend, options.source ?? DEFAULT_NAMESPACE, fromMs));
      } else await withEngine(files.length > 0 ? withFiles(files, options) : withLog(options));
    });
}

function refuseWithVerify(files: string[], options: ReplayCommand): void {
  if (files.length > 0) throw new IflexError('CONFIG_INVALID', '--verify checks a log (--source), not files.');
  const given = (
    ['fromPostgres', 'pilot', 'mapping', 'whatIf', 'namespace', 'to', 'speed', 'replace', 'resume', 'compareWith'] as const
  ).filter((name) => options[name] !== undefined);
  if (given.length > 0)
    throw new IflexError(
      'CONFIG_INVALID',
      `--verify checks what --source holds and writes nothing; it does not go with ${given.map(optionName).join(', ')}.`,
    );
}

function optionName(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Options are refused before anything is started. */
function withLog(options: ReplayCommand): (backend: Backend) => Promise<void> {
  const { pilot, mapping, source = DEFAULT_NAMESPACE, namespace, compareWith } = options;
  if (pilot !== undefined || mapping !== undefined)
    throw new IflexError('CONFIG_INVALID', '--pilot and --mapping say what files mean: give files, or leave them out to replay a log.');
  if (namespace === source && !options.fromPostgres)
    throw new IflexError('CONFIG_INVALID', `A replay never writes to its source: give --namespace another name than "${source}".`);
  const common = commonOf(options);
  const { fromPostgres } = options;
  return (backend) => {
    const sourceBackend = fromPostgres ? { url: backend.url } : undefined;
    return replayIntoNamespace({ backend, source, sourceBackend, compareWith, ...common });
  };
}

function withFiles(files: string[], options: ReplayCommand): (backend: Backend) => Promise<void> {
  const { pilot, mapping, source, compareWith } = options;
  if (source !== undefined) throw new IflexError('CONFIG_INVALID', 'A replay has one source: files, or --source.');
  if (pilot === undefined || mapping === undefined)
    throw new IflexError(
      'CONFIG_INVALID',
      'Files need --pilot (the folder of their declared sites) and --mapping (what their columns mean).',
    );
  return fileReplay({ files, pilot, mapping, compareWith, ...commonOf(options) });
}

function commonOf({ namespace, from, to, speed, replace, resume, compareWith }: ReplayCommand) {
  if (namespace === undefined)
    throw new IflexError('CONFIG_INVALID', 'A what-if replay needs --namespace, a name that is free. To check a log itself: --verify.');
  if (compareWith === namespace) throw new IflexError('CONFIG_INVALID', '--compare-with needs another namespace than --namespace.');
  if (replace && resume) throw new IflexError('CONFIG_INVALID', '--replace begins anew and --resume goes on: give one of them.');
  const range = {
    fromMs: from === undefined ? Number.NEGATIVE_INFINITY : instantOf(from, '--from'),
    toMs: to === undefined ? Number.POSITIVE_INFINITY : instantOf(to, '--to'),
  };
  if (range.fromMs >= range.toMs) throw new IflexError('CONFIG_INVALID', `--from ${from} is not before --to ${to}.`);
  const existing: Existing = replace ? 'replace' : resume ? 'resume' : 'refuse';
  return { namespace, range, speed: speedOf(speed ?? 'max'), existing };
}

export function speedOf(text: string): number {
  if (text === 'max') return Number.POSITIVE_INFINITY;
  const factor = /^[x×]?\d+(\.\d+)?$/.test(text) ? Number(text.replace(/^[x×]/, '')) : 0;
  if (factor <= 0)
    throw new IflexError('CONFIG_INVALID', `--speed ${text} is neither max nor a number above 0, e.g. 60 (a minute a second).`);
  return factor;
}
