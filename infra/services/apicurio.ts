/** Apicurio Registry: schemas by the Confluent API, kept in a file of its own. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fetchAlone } from './maven.ts';
import { clientPort, serviceFolder, writeConfiguration } from './place.ts';
import { getJson } from './probe.ts';
import type { Service } from './service.ts';
import { findJava, runTool } from './tool.ts';
import { APICURIO_HEAP_MB, APICURIO_VERSION } from './versions.ts';

const ARTIFACT = `io.apicurio:apicurio-registry-app:${APICURIO_VERSION}:tar.gz:all`;

export const apicurio: Service = {
  name: 'apicurio',
  stopSignal: 'SIGTERM',
  async install(place, folder) {
    await findJava();
    await fetchAlone(place, 'apicurio', ARTIFACT, folder);
    const archive = join(folder, `apicurio-registry-app-${APICURIO_VERSION}-all.tar.gz`);
    await runTool('tar', ['-xzf', archive, '-C', folder, '--no-same-owner'], 'apicurio cannot be unpacked');
    rmSync(archive);
  },
  async prepare(place, folder) {
    const dataFolder = serviceFolder(place, 'apicurio', 'data');
    const values = { host: place.host, port: clientPort(place, 'apicurio'), dataFolder };
    const configuration = writeConfiguration(place, 'apicurio', 'apicurio.properties', values);
    const options = [`-Xmx${APICURIO_HEAP_MB}m`, ...place.jvmOptions, `-Dquarkus.config.locations=${configuration}`];
    return { command: await findJava(), args: [...options, '-jar', join(folder, `apicurio-registry-app-${APICURIO_VERSION}-runner.jar`)] };
  },
  async isReady(place) {
    const root = `http://127.0.0.1:${clientPort(place, 'apicurio')}`;
    const health = (await getJson(`${root}/health/ready`)) as { status?: string } | undefined;
    const info = (await getJson(`${root}/apis/registry/v2/system/info`)) as { version?: string } | undefined;
    return health?.status === 'UP' && info?.version === APICURIO_VERSION;
  },
  clientSettings: (place) => ({ SCHEMA_REGISTRY_URL: `http://127.0.0.1:${clientPort(place, 'apicurio')}/apis/ccompat/v7` }),
};
