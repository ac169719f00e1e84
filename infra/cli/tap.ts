/** `iflex tap`: the events of a topic as rows, from any place in the log, and as they come. */
import { once } from 'node:events';
import { type Command, Option } from 'commander';
import { type TapPlace, tap } from '../../replay/tap.ts';
import { headerLine, rowLine, TAP_FORMATS, type TapFormat } from '../../replay/tap-format.ts';
import { rowForm } from '../../replay/tap-rows.ts';
import { currentSchemas } from '../../schemas/files.ts';
import { IflexError } from '../../streams/errors.ts';
import { findTopic } from '../../streams/topics.ts';
import { DEFAULT_NAMESPACE, type ExistingLog, instantOf, untilInterrupted, withEngine, withExistingLog } from './existing-log.ts';

interface TapCommand {
  namespace: string;
  from?: string;
  to?: string;
  follow?: boolean;
  format: TapFormat;
  headers?: boolean;
  key?: string;
  limit?: number;
}

const HELP = `
A row is one reading, one window of a series, one step of a forecast; any other event is one row, with what is nested in
it as JSON. Every row ends with its place: knownAt, appended, partition, offset, id, and on request with the headers of
its event (ce_id, ce_source, ce_type, ce_time …, what caused it and in which run). An event that cannot be decoded is
a row with a "problem". Rows come in the order in which they were appended.

PLACE is one of
  1200                an offset, the same in every partition
  2026-03-29          a day in UTC, or a time with its zone (2026-03-29T01:00+02:00): when the event was appended to the
                      log, which for imported readings is the time of the import, not of the reading
  end                 what is appended from now on

Examples
  iflex tap resampled.15m --format csv > series.csv
  iflex tap meter.readings --key 5f0c2a | head
  iflex tap rejected --follow --from end
  iflex tap forecasts --namespace trial --limit 96 --format csv
  iflex tap resampled.15m --headers --limit 5`;

export function registerTap(program: Command): void {
  program
    .command('tap <topic>')
    .description('Print the events of a topic as rows; `iflex topics` lists the topics.')
    .option('--namespace <name>', 'log to read', DEFAULT_NAMESPACE)
    .option('--from <place>', 'where to begin (default: the oldest event)')
    .option('--to <place>', 'where to end, exclusive (default: the latest event)')
    .option('--follow', 'go on with what is appended, until interrupted')
    .addOption(new Option('--format <format>', 'one JSON object a line, or CSV').choices(TAP_FORMATS).default('ndjson'))
    .option('--headers', 'with the headers of each event, as CloudEvents names them in its Kafka binding')
    .option('--key <key>', 'only this key, e.g. the id of a site')
    .option('--limit <rows>', 'end after so many rows', countOf)
    .addHelpText('after', HELP)
    .action(async (topic: string, options: TapCommand) => {
      const { places, schemaText } = checked(topic, options);
      await withEngine((backend) =>
        withExistingLog(backend, options.namespace, (existing) => printRows(topic, options, places, schemaText, existing)),
      );
    });
}

interface Places {
  from: TapPlace;
  to: TapPlace;
}

/** Options are refused before anything is started. */
function checked(topic: string, { from, to, follow, key }: TapCommand): { places: Places; schemaText: string } {
  const row = findTopic(topic);
  if (!row) throw new IflexError('TOPIC_UNKNOWN', `There is no topic "${topic}". \`iflex topics\` lists them.`);
  if (row.draft) throw new IflexError('CONFIG_INVALID', `The topic ${topic} is a draft: nothing writes it yet.`);
  if (follow && to !== undefined) throw new IflexError('CONFIG_INVALID', '--follow has no end: leave out --to, or --follow.');
  if (from === 'end' && !follow)
    throw new IflexError('CONFIG_INVALID', '--from end: nothing lies after it yet. Add --follow to wait for it.');
  if (key !== undefined && row.key === 'partition' && !(/^\d{1,9}$/.test(key) && Number(key) < row.partitions))
    throw new IflexError('CONFIG_INVALID', `--key ${key}: the keys of ${topic} are its partitions, 0 to ${row.partitions - 1}.`);
  const places: Places = {
    from: from === undefined ? { offset: 0 } : placeOf(from, '--from'),
    to: to === undefined ? 'end' : placeOf(to, '--to'),
  };
  if (isAfter(places.from, places.to)) throw new IflexError('CONFIG_INVALID', `--from ${from} is after --to ${to}: nothing lies between.`);
  return { places, schemaText: currentSchemas().get(row.schema)! };
}

/** Whether a place surely lies after another, whatever the log holds. */
function isAfter(from: TapPlace, to: TapPlace): boolean {
  if (from === 'end' || to === 'end') return false;
  if ('offset' in from && 'offset' in to) return from.offset > to.offset;
  return 'appendedMs' in from && 'appendedMs' in to && from.appendedMs > to.appendedMs;
}

function placeOf(text: string, option: string): TapPlace {
  if (text === 'end') return 'end';
  if (/^\d{1,15}$/.test(text)) return { offset: Number(text) };
  if (!/^\d{4}-/.test(text))
    throw new IflexError(
      'CONFIG_INVALID',
      `${option} ${text} is not a place. Write an offset (1200), a day in UTC (2026-03-29), a time with its zone (2026-03-29T01:00+02:00), or end.`,
    );
  return { appendedMs: instantOf(text, option) };
}

function countOf(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new IflexError('CONFIG_INVALID', `--limit ${text} is not a whole number above 0.`);
  return Number(text);
}

async function printRows(
  topic: string,
  options: TapCommand,
  places: Places,
  schemaText: string,
  { log, codec }: ExistingLog,
): Promise<void> {
  const { format, headers, key, follow = false, limit = Number.POSITIVE_INFINITY } = options;
  const { columns, rowsOf } = rowForm(codec, topic, schemaText, headers);
  const interrupted = untilInterrupted();
  const output = new Output(interrupted);
  await output.write(headerLine(format, columns));
  let left = limit;
  for await (const records of tap({ log, topic, ...places, follow, key, signal: interrupted.signal })) {
    let text = '';
    for (const record of records) {
      const rows = rowsOf(record).slice(0, left);
      left -= rows.length;
      for (const row of rows) text += rowLine(format, columns, row);
      if (left === 0) break;
      if (text.length < OUTPUT_CHARACTERS) continue;
      await output.write(text);
      text = '';
    }
    await output.write(text);
    if (left === 0 || interrupted.signal.aborted) return;
  }
}

const OUTPUT_CHARACTERS = 64 * 1024;

/** Standard output that waits for its reader, and ends the command quietly where the reader has gone (`| head`). */
class Output {
  private readonly interrupted: AbortController;

  constructor(interrupted: AbortController) {
    this.interrupted = interrupted;
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      interrupted.abort();
    });
  }

  async write(text: string): Promise<void> {
    const { signal } = this.interrupted;
    if (text === '' || signal.aborted || process.stdout.write(text)) return;
    await once(process.stdout, 'drain', { signal }).catch((error: NodeJS.ErrnoException) => {
      if (!signal.aborted && error.code !== 'EPIPE') throw error;
    });
  }
}
