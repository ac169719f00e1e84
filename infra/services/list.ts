import { apicurio } from './apicurio.ts';
import { kafka } from './kafka.ts';
import { mosquitto } from './mosquitto.ts';
import type { Service } from './service.ts';
import { timescaledb } from './timescaledb.ts';
import type { ServiceName } from './versions.ts';

export const SERVICES: Record<ServiceName, Service> = { kafka, apicurio, timescaledb, mosquitto };
