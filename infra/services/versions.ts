/** The one table of the services: what runs, in which version, on which ports, and how long each may take. */

export const SERVICE_NAMES = ['kafka', 'apicurio', 'timescaledb', 'mosquitto'] as const;
export type ServiceName = (typeof SERVICE_NAMES)[number];

/** Exact versions; `checksums.txt` beside this file holds the SHA-256 of everything that comes from Maven. */
export const KAFKA_VERSION = '4.4.0';
export const APICURIO_VERSION = '2.6.13.Final';
export const TIMESCALEDB_VERSION = '2.19.3';
export const POSTGRESQL_MAJOR = '17';
export const MOSQUITTO_VERSION = '2.0.21';
/** Without it, Kafka 4 logs nothing. */
export const LOG4J_VERSION = '2.25.3';
/** The release of Debian whose packages are unpacked; never a source of the machine's own apt. */
export const DEBIAN_SUITE = 'trixie';
/** Both Kafka 4 and Apicurio 2.6 run on it. */
export const JAVA_LEAST = 17;

/** `ports` are on loopback: the first one is for clients. They differ from the usual ones, so that they meet no other server. */
export const VERSIONS: Record<ServiceName, { product: string; version: string; ports: number[]; readyWithinMs: number }> = {
  kafka: { product: 'Apache Kafka', version: KAFKA_VERSION, ports: [19092, 19093], readyWithinMs: 120_000 },
  apicurio: { product: 'Apicurio Registry', version: APICURIO_VERSION, ports: [18081], readyWithinMs: 120_000 },
  timescaledb: { product: 'TimescaleDB', version: TIMESCALEDB_VERSION, ports: [15432], readyWithinMs: 120_000 },
  mosquitto: { product: 'Eclipse Mosquitto', version: MOSQUITTO_VERSION, ports: [11883], readyWithinMs: 30_000 },
};

/** Heaps of the Java servers, in MB. Kafka holds something of each partition, of which a namespace has some three hundred. */
export const KAFKA_HEAP_MB = 768;
export const APICURIO_HEAP_MB = 256;
/** A server that was asked to end is ended the hard way after this. */
export const STOP_WITHIN_MS = 60_000;
/** Downloading and unpacking one service. */
export const INSTALL_WITHIN_MS = 10 * 60_000;
/** One question to a server about its health. */
export const PROBE_WITHIN_MS = 2_000;
/** A log file is moved aside at the next start once it is larger. */
export const SERVICE_LOG_LIMIT_BYTES = 10 * 1024 * 1024;
