/** What each service brings: how it is installed, set up, started and asked. One file for each, listed in `list.ts`. */
import type { ServicesPlace } from './place.ts';
import type { Launch } from './process.ts';
import type { ServiceName } from './versions.ts';

export interface Service {
  name: ServiceName;
  /** Asks it to end in good order. */
  stopSignal: NodeJS.Signals;
  /** Downloads and unpacks into the folder given, which is empty; throws SERVICE_NOT_INSTALLABLE. */
  install(place: ServicesPlace, folder: string): Promise<void>;
  /** Writes its configuration, sets its data up on first use, and says how to run it. */
  prepare(place: ServicesPlace, folder: string): Promise<Launch>;
  /** Whether it answers as it should over its own protocol. */
  isReady(place: ServicesPlace): Promise<boolean>;
  /** Once it is ready after a start: what only a running server can set up. */
  settle?(place: ServicesPlace): Promise<void>;
  /** Environment variables that clients of it use. */
  clientSettings(place: ServicesPlace): Record<string, string>;
}
