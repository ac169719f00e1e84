/** Runs the `iflex` command. Errors leave as one line with a code; IFLEX_DEBUG=1 adds where they come from. */

import { errorText } from './error-text.ts';
import { iflexProgram } from './program.ts';

try {
  await iflexProgram().parseAsync();
} catch (error) {
  console.error(errorText(error, process.env.IFLEX_DEBUG === '1'));
  process.exitCode = 1;
}
