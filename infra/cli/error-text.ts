/** Errors as text for the terminal. */
import { IflexError } from '../../streams/errors.ts';

/** "CODE: message", with what else than letters may steer a terminal written out; with the stack where it is asked for. */
export function errorText(error: unknown, withStack: boolean): string {
  const message = error instanceof Error ? error.message || error.name : String(error);
  const text = `${error instanceof IflexError ? error.code : 'INTERNAL'}: ${message}`;
  const stack = withStack && error instanceof Error ? `\n${error.stack}` : '';
  return legible(text + stack);
}

function legible(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
