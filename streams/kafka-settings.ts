/** How a Kafka cluster is reached, from the environment. */
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { IflexError } from './errors.ts';
import { COMPRESSIONS, type Compression } from './kafka-records.ts';
import { tlsFiles } from './tls-files.ts';

export interface KafkaSettings {
  /** host:port of some of the brokers. */
  brokers: string[];
  tls?: TlsOptions;
  /** Of what we write. */
  compression?: Compression;
  /** A process that shares the tasks and is not heard of for this long is taken for dead: others take its tasks over. */
  sessionMs?: number;
  /** false: a pipeline ends no transaction that hangs, but tells of it. */
  repairHanging?: boolean;
  sasl?: { mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'; username: string; password: string };
}

/** Beyond the longest one a process that died would be missed by nobody for too long; brokers have bounds of their own. */
const SESSION_MS = { least: 2_000, most: 600_000 };
const MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;

/** Undefined where `KAFKA_BROKERS` is not set. Throws CONFIG_INVALID, without showing a password. */
export function kafkaSettings(env: NodeJS.ProcessEnv = process.env): KafkaSettings | undefined {
  if (!env.KAFKA_BROKERS) return undefined;
  const brokers = env.KAFKA_BROKERS.split(',').map((each) => each.trim());
  for (const broker of brokers) brokerOf(broker);
  return { brokers, ...compressionOf(env), ...sessionOf(env), ...repairOf(env), ...tlsOf(env), ...saslOf(env) };
}

/** Throws CONFIG_INVALID for what is not host:port; a host in brackets is an IPv6 address. */
export function brokerOf(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port < 1 || port > 65_535)
    throw new IflexError('CONFIG_INVALID', `KAFKA_BROKERS must look like host:port,host:port; "${text}" does not.`);
  return { host: match[1] ?? match[2], port };
}

function compressionOf({ KAFKA_COMPRESSION: given }: NodeJS.ProcessEnv): Pick<KafkaSettings, 'compression'> {
  if (given === undefined) return {};
  const compression = COMPRESSIONS.find((each) => each === given);
  if (!compression) throw new IflexError('CONFIG_INVALID', `KAFKA_COMPRESSION must be one of ${COMPRESSIONS.join(', ')}.`);
  return { compression };
}

function sessionOf({ KAFKA_SESSION_TIMEOUT_MS: given }: NodeJS.ProcessEnv): Pick<KafkaSettings, 'sessionMs'> {
  if (given === undefined) return {};
  const sessionMs = /^\d+$/.test(given) ? Number(given) : 0;
  const { least, most } = SESSION_MS;
  if (sessionMs < least || sessionMs > most)
    throw new IflexError('CONFIG_INVALID', `KAFKA_SESSION_TIMEOUT_MS must be a whole number of milliseconds from ${least} to ${most}.`);
  return { sessionMs };
}

function repairOf({ KAFKA_REPAIR_HANGING: given }: NodeJS.ProcessEnv): Pick<KafkaSettings, 'repairHanging'> {
  if (given === undefined) return {};
  if (!['true', 'false'].includes(given)) throw new IflexError('CONFIG_INVALID', 'KAFKA_REPAIR_HANGING must be true or false.');
  return { repairHanging: given === 'true' };
}

function tlsOf(env: NodeJS.ProcessEnv): Pick<KafkaSettings, 'tls'> {
  const { KAFKA_TLS: on, KAFKA_TLS_CA_FILE: ca, KAFKA_TLS_CERT_FILE: cert, KAFKA_TLS_KEY_FILE: key } = env;
  if (on !== undefined && !['true', 'false'].includes(on)) throw new IflexError('CONFIG_INVALID', 'KAFKA_TLS must be true or false.');
  if (on !== 'true') {
    if (ca ?? cert ?? key) throw new IflexError('CONFIG_INVALID', 'KAFKA_TLS_… files are given, but KAFKA_TLS is not true.');
    return {};
  }
  return { tls: tlsFiles('KAFKA_TLS', env) };
}

function saslOf(env: NodeJS.ProcessEnv): Pick<KafkaSettings, 'sasl'> {
  const { KAFKA_SASL_MECHANISM: given, KAFKA_USERNAME: username, KAFKA_PASSWORD: password } = env;
  if (given === undefined && username === undefined && password === undefined) return {};
  const mechanism = MECHANISMS.find((each) => each === given);
  if (!mechanism || !username || !password)
    throw new IflexError(
      'CONFIG_INVALID',
      `KAFKA_SASL_MECHANISM (${MECHANISMS.join(', ')}), KAFKA_USERNAME and KAFKA_PASSWORD go together.`,
    );
  return { sasl: { mechanism, username, password } };
}
