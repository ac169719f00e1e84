/** Commands whose folders cannot be made: each says so in one line and ends. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { PROJECT_FOLDER } from '../../infra/engine.ts';
import { openTestEngine } from '../engine.ts';

const engine = await openTestEngine();
const folder = mkdtempSync(join(tmpdir(), 'iflex-unusable-'));
after(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, 'file'), '');

const unusable: Record<string, string> = {
  'a file': join(folder, 'file'),
  'a place below a file': join(folder, 'file', 'state'),
  // There every folder is said not to exist, however many of those above it one asks for.
  ...(existsSync('/proc/self') && { 'a place below /proc': '/proc/none/state' }),
};

function refusal(place: string, how: { args: string[]; databaseUrl?: string; state?: string }): string {
  const { args, databaseUrl, state = join(folder, 'state') } = how;
  const env = { ...process.env, DATABASE_URL: databaseUrl ?? '', IFLEX_STATE: state };
  const command = spawnSync(process.execPath, [join(PROJECT_FOLDER, 'infra/cli/main.ts'), ...args], { env, timeout: 60_000 });
  const printed = String(command.stderr);
  assert.deepEqual([command.signal, command.status], [null, 1], `${place}: ${printed}`);
  assert.equal(printed.split('\n').length, 2, printed);
  return printed;
}

for (const [what, place] of Object.entries(unusable)) {
  test(`${what} is refused by name as state folder, for the database and for the tokens`, () => {
    const database = refusal(place, { args: ['namespaces', 'list'], state: place });
    assert.ok(database.startsWith(`CONFIG_INVALID: The state folder ${place} cannot be written. Set IFLEX_STATE `), database);
    const args = ['token', 'new', '--role', 'operator', '--expires', '1h'];
    const tokens = refusal(place, { args, databaseUrl: engine.url, state: place });
    assert.ok(tokens.startsWith(`CONFIG_INVALID: The secret of the tokens cannot be made in the state folder ${place}: `), tokens);
    assert.match(tokens, /IFLEX_STATE/);
  });

  test(`${what} is refused by name as folder of a pilot`, () => {
    const args = ['pilot', 'new', 'Our pilot', '--country', 'FI', '--zone', 'Europe/Helsinki', '--folder', place];
    const printed = refusal(place, { args });
    assert.ok(printed.startsWith(`CONFIG_INVALID: ${place}/pilot.yaml cannot be written: `), printed);
  });
}
