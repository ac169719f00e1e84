/** What every command has in common, whichever there are: help with examples that are right, and usage errors that help on. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { errorText } from '../../../infra/cli/error-text.ts';
import { commandsOf, iflexProgram } from '../../../infra/cli/program.ts';
import { databaseUrl, PROJECT_FOLDER } from '../../../infra/engine.ts';
import { IflexError } from '../../../streams/errors.ts';

const program = iflexProgram();
const commands = new Map(commandsOf(program));
const readme = readFileSync(join(PROJECT_FOLDER, 'README.md'), 'utf8');

function helpOf(name: string): string {
  let text = '';
  const command = commands.get(name)!;
  command.configureOutput({ writeOut: (part) => (text += part) });
  command.outputHelp();
  return text;
}

/** The longest beginning of the words that is a command. */
function commandOf(words: readonly string[]): [string, number] {
  for (let length = words.length; length > 0; length--) {
    const name = words.slice(0, length).join(' ');
    if (commands.has(name)) return [name, length];
  }
  throw new Error(`${words.join(' ')} is no command`);
}

describe('every command', () => {
  it('is found', () => assert.ok(commands.size >= 25, [...commands.keys()].join()));

  for (const name of commands.keys())
    it(`shows examples of commands and options that there are: ${name}`, () => {
      const help = helpOf(name);
      const examples = help.split(/^Examples.*$/m)[1];
      assert.ok(examples, `${name} --help has no examples`);
      const lines = examples.split('\n').flatMap((line) => /(?:^ {2}|npx )(iflex [^|>)]+)/.exec(line)?.[1] ?? []);
      assert.ok(lines.length > 0, examples);
      for (const line of lines) {
        const words = line.trim().split(/\s+/);
        const [found, length] = commandOf(words);
        const known = [...commands.get(found)!.options.map(({ long }) => long), '--help'];
        for (const word of words.slice(length))
          if (word.startsWith('--')) assert.ok(known.includes(word), `${line}: ${found} has no ${word}`);
      }
    });

  it('stands in the README', () => {
    const table = readme.split('\n## Commands\n')[1].split('\n## ')[0];
    for (const [name, command] of commands)
      if (command.commands.length === 0)
        assert.ok(table.includes(`\`${name}`) || table.includes(`, \`${name}`), `${name} is not in the table`);
  });

  it('tells what is wrong with its options, and where its own help is', async () => {
    for (const [args, message] of [
      [['import'], /^CONFIG_INVALID: missing required argument 'mapping'\n+`iflex import --help` shows/],
      [['token', 'new'], /^CONFIG_INVALID: required option '--role <role>' not specified\n+`iflex token new --help` shows/],
      [['tap', 'ticks', '--fron', 'end'], /^CONFIG_INVALID: unknown option '--fron'\n\(Did you mean --from\?\)\n+`iflex tap --help` shows/],
      [['tapp'], /^CONFIG_INVALID: unknown command 'tapp'\n\(Did you mean tap\?\)\n+`iflex --help` shows/],
    ] as const) {
      const fresh = iflexProgram();
      let text = '';
      for (const [, command] of commandsOf(fresh)) command.exitOverride().configureOutput({ writeErr: (part) => (text += part) });
      await assert.rejects(fresh.parseAsync([...args], { from: 'user' }), { name: 'CommanderError' });
      assert.match(text, message);
    }
  });
});

describe('errors on the terminal', () => {
  it('are one line with a code; where they come from is told where it is asked for', () => {
    assert.equal(errorText(new IflexError('NOT_FOUND', 'There is no such thing.'), false), 'NOT_FOUND: There is no such thing.');
    assert.equal(errorText(new TypeError('x is not a function'), false), 'INTERNAL: x is not a function');
    assert.match(errorText(new TypeError('x'), true), /^INTERNAL: x\nTypeError: x\n {4}at /);
  });

  it('move no cursor', () => assert.equal(errorText(new Error('a\u001b[2Jb\u0000\nc'), false), 'INTERNAL: a\\u001b[2Jb\\u0000\nc'));
});

describe('DATABASE_URL', () => {
  it('is an address of PostgreSQL, or refused without being shown', () => {
    assert.equal(databaseUrl('postgres://user:secret@host:5432/name').host, 'host:5432');
    assert.equal(databaseUrl('postgresql://host/name').host, 'host');
    for (const text of ['foo', '', 'mysql://user:secret@host/name', 'localhost:5432', 'http://host'])
      assert.throws(() => databaseUrl(text), {
        code: 'CONFIG_INVALID',
        message: 'DATABASE_URL must look like postgres://user:password@host:5432/name.',
      });
  });
});
