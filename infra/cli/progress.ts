/** How far a command is: a bar on a terminal, a plain line now and then elsewhere (CI, pipes, log files). */
import { Presets, SingleBar } from 'cli-progress';

export interface Progress {
  /** Done so far, in the unit of the total; `note` is a short text beside it. */
  update(done: number, note?: string): void;
  /** Ends the display; it shows as much as was done. */
  finish(): void;
}

export interface ProgressOptions {
  /** What goes on, e.g. "Replaying". */
  label: string;
  /** Whole amount; what is done beyond it counts as all of it. Of nothing, nothing is shown. */
  total: number;
  /** Of the amounts, e.g. "readings". */
  unit: string;
  /** Standard error by default, so that results on standard output stay clean. */
  stream?: NodeJS.WriteStream;
}

const PLAIN_LINE_EVERY_MS = 5_000;

export function showProgress({ label, total, unit, stream = process.stderr }: ProgressOptions): Progress {
  if (total === 0) return { update() {}, finish() {} };
  return stream.isTTY ? bar(label, total, unit, stream) : plainLines(label, total, unit, stream);
}

function bar(label: string, total: number, unit: string, stream: NodeJS.WriteStream): Progress {
  const format = `${label} {bar} {percentage} % | {value} of {total} ${unit} | {eta_formatted} left {note}`;
  const shown = new SingleBar({ format, stream, etaBuffer: 100, hideCursor: true }, Presets.shades_classic);
  shown.start(total, 0, { note: '' });
  return {
    update: (done, note = '') => shown.update(Math.min(done, total), { note }),
    finish: () => shown.stop(),
  };
}

/** The first line comes at once, so that one sees that something happens; further ones only while it takes long. */
function plainLines(label: string, total: number, unit: string, stream: NodeJS.WriteStream): Progress {
  stream.write(`${label}: ${total} ${unit} …\n`);
  let toldMs = performance.now();
  return {
    update(done, note = '') {
      const nowMs = performance.now();
      if (nowMs - toldMs < PLAIN_LINE_EVERY_MS) return;
      toldMs = nowMs;
      const percentage = Math.min(100, Math.floor((100 * done) / total));
      stream.write(`${label}: ${percentage} %, ${Math.min(done, total)} of ${total} ${unit} ${note}`.trimEnd().concat('\n'));
    },
    finish() {},
  };
}
