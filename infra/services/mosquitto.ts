/** Eclipse Mosquitto: the MQTT broker. */
import { join } from 'node:path';
import { unpackDebian } from './debian.ts';
import { clientPort, serviceFolder, writeConfiguration } from './place.ts';
import { answersAsMqtt } from './probe.ts';
import type { Service } from './service.ts';
import { MOSQUITTO_VERSION } from './versions.ts';

const PROGRAM = 'usr/sbin/mosquitto';

export const mosquitto: Service = {
  name: 'mosquitto',
  stopSignal: 'SIGTERM',
  install: (_place, folder) =>
    unpackDebian(
      { name: 'mosquitto', packages: ['mosquitto'], pinned: { package: 'mosquitto', version: MOSQUITTO_VERSION }, programs: [PROGRAM] },
      folder,
    ),
  async prepare(place, folder) {
    const dataFolder = serviceFolder(place, 'mosquitto', 'data');
    const values = { host: place.host, port: clientPort(place, 'mosquitto'), dataFolder };
    return { command: join(folder, PROGRAM), args: ['-c', writeConfiguration(place, 'mosquitto', 'mosquitto.conf', values)] };
  },
  isReady: (place) => answersAsMqtt(clientPort(place, 'mosquitto')),
  clientSettings: (place) => ({ MQTT_URL: `mqtt://127.0.0.1:${clientPort(place, 'mosquitto')}` }),
};
