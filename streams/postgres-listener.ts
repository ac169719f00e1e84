/** Notifications of a channel of PostgreSQL, over a connection of its own that is made again where it breaks. */
import { EventEmitter } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { openClient } from './postgres.ts';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;

export class Listener {
  private readonly url: string;
  private readonly channel: string;
  private readonly heard = new EventEmitter().setMaxListeners(0);
  private readonly closing = new AbortController();
  private client: Awaited<ReturnType<typeof openClient>> | undefined;
  private reopening: Promise<void> = Promise.resolve();

  private constructor(url: string, channel: string) {
    this.url = url;
    this.channel = channel;
  }

  /** `channel` is an identifier. Throws where the server cannot be reached now. */
  static async open(url: string, channel: string): Promise<Listener> {
    const listener = new Listener(url, channel);
    await listener.connect();
    return listener;
  }

  private async connect(): Promise<void> {
    const client = await openClient(this.url, `listen ${this.channel}`);
    client.on('notification', () => this.heard.emit('heard'));
    client.once('end', () => {
      this.client = undefined;
      this.reopening = this.reopen();
    });
    try {
      await client.query(`LISTEN ${this.channel}`);
    } catch (error) {
      client.removeAllListeners('end');
      await client.end().catch(() => {});
      throw error;
    }
    this.client = client;
  }

  private async reopen(): Promise<void> {
    const { signal } = this.closing;
    for (let pauseMs = FIRST_PAUSE_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      try {
        await this.connect();
        if (signal.aborted) await this.end();
        // Whatever was said while nobody listened counts as said now.
        this.heard.emit('heard');
        return;
      } catch {
        await pause(pauseMs, undefined, { signal }).catch(() => {});
      }
    }
  }

  /** Resolves with the next notification, after the time-out, or when aborted. */
  wait(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted || this.closing.signal.aborted) return Promise.resolve();
    // Not by AbortSignal.any of a time-out: such a time-out may be garbage-collected, and then never comes (nodejs/node#57736).
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.heard.off('heard', done);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.heard.on('heard', done);
      signal?.addEventListener('abort', done);
    });
  }

  async close(): Promise<void> {
    this.closing.abort();
    this.heard.emit('heard');
    await this.end();
    await this.reopening;
  }

  private async end(): Promise<void> {
    const { client } = this;
    this.client = undefined;
    client?.removeAllListeners('end');
    await client?.end().catch(() => {});
  }
}
