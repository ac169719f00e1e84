/** Questions to servers over their own protocols, small enough to need no client: is it there, and is it what it should be? */
import { connect } from 'node:net';
import { PROBE_WITHIN_MS } from './versions.ts';

/** Sends bytes and gives what comes back first; undefined: nobody listens, or nothing came in time. */
export function askOverTcp(port: number, question: Buffer): Promise<Buffer | undefined> {
  return new Promise((done) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const end = (answer: Buffer | undefined) => {
      done(answer);
      socket.destroy();
    };
    socket.setTimeout(PROBE_WITHIN_MS, () => end(undefined));
    socket.on('error', () => end(undefined)).on('close', () => end(undefined));
    socket.on('connect', () => socket.write(question)).on('data', end);
  });
}

/** Whether any program listens on the port of this machine. */
export function isPortTaken(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.setTimeout(PROBE_WITHIN_MS, () => socket.destroy());
    socket.on('connect', () => {
      done(true);
      socket.destroy();
    });
    socket.on('error', () => done(false)).on('close', () => done(false));
  });
}

/** Kafka's ApiVersions, version 0: size, api key 18, version 0, correlation id, client id. */
const API_VERSIONS = Buffer.from('\0\0\0\x0f\0\x12\0\0\0\0\0\x07\0\x05iflex', 'latin1');

/** A broker answers with the correlation id and no error. */
export async function answersAsKafka(port: number): Promise<boolean> {
  const answer = await askOverTcp(port, API_VERSIONS);
  return answer !== undefined && answer.length >= 10 && answer.readInt32BE(4) === 7 && answer.readInt16BE(8) === 0;
}

/** MQTT 3.1.1 CONNECT, clean session, an empty client id. */
const CONNECT = Buffer.from('\x10\x0c\0\x04MQTT\x04\x02\0\x0a\0\0', 'latin1');

/** A broker answers CONNACK; 0 accepts. */
export async function answersAsMqtt(port: number): Promise<boolean> {
  const answer = await askOverTcp(port, CONNECT);
  return answer !== undefined && answer.length >= 4 && answer[0] === 0x20 && answer[3] === 0;
}

/** The answer of an HTTP server as JSON; undefined where none or another comes. */
export async function getJson(url: string): Promise<unknown> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(PROBE_WITHIN_MS) });
    return answer.ok ? await answer.json() : undefined;
  } catch {
    return undefined;
  }
}
