/** What comes from Maven Central, by the machine's own Maven; every file must have its recorded checksum. */
import { createHash } from 'node:crypto';
import { chmodSync, createReadStream, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { IflexError } from '../../streams/errors.ts';
import type { ServicesPlace } from './place.ts';
import { runTool } from './tool.ts';
import type { ServiceName } from './versions.ts';

/** SHA-256 by file name, of all files of a service. */
export function recordedChecksums(name: ServiceName): Map<string, string> {
  const lines = readFileSync(new URL('checksums.txt', import.meta.url), 'utf8').split('\n');
  const own = lines.map((line) => /^([0-9a-f]{64}) {2}(\w+)\/(.+)$/.exec(line)).filter((match) => match?.[2] === name);
  return new Map(own.map((match) => [match![3], match![1]]));
}

/** Fetches artifacts ("group:name:version") with all that they need to run into a folder. */
export async function fetchWithDependencies(place: ServicesPlace, name: ServiceName, artifacts: string[], into: string): Promise<void> {
  const dependency = (artifact: string) => {
    const [group, id, version] = artifact.split(':');
    return `<dependency><groupId>${group}</groupId><artifactId>${id}</artifactId><version>${version}</version></dependency>`;
  };
  const project = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>iflex</groupId><artifactId>${name}</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>${artifacts.map(dependency).join('\n')}</dependencies></project>\n`;
  const file = join(place.cache, `${name}-pom.xml`);
  writeFileSync(file, project);
  await maven(place, ['-f', file, 'dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${into}`], name);
  await checkFiles(name, into);
}

/** Fetches one artifact ("group:name:version:type:classifier") alone into a folder. */
export async function fetchAlone(place: ServicesPlace, name: ServiceName, artifact: string, into: string): Promise<void> {
  await maven(place, ['dependency:copy', `-Dartifact=${artifact}`, `-DoutputDirectory=${into}`], name);
  await checkFiles(name, into);
}

/** What Maven keeps for itself stays in the cache folder too, so that nothing of a user's home is changed. */
async function maven(place: ServicesPlace, args: string[], name: ServiceName): Promise<void> {
  const repository = join(place.cache, 'maven');
  mkdirSync(repository, { recursive: true });
  const options = ['-B', '-q', '--strict-checksums', `-Dmaven.repo.local=${repository}`];
  await runTool('mvn', [...options, ...args], `${name} cannot be fetched from Maven Central`, place.cache);
}

/** Throws SERVICE_NOT_INSTALLABLE unless a folder holds exactly the recorded files. */
async function checkFiles(name: ServiceName, folder: string): Promise<void> {
  const recorded = recordedChecksums(name);
  const found = readdirSync(folder);
  const wrong = [...recorded.keys()].filter((file) => !found.includes(file));
  for (const file of found) {
    const hash = createHash('sha256');
    await pipeline(createReadStream(join(folder, file)), hash);
    if (recorded.get(file) !== hash.digest('hex')) wrong.push(file);
    // The server's user reads them too.
    chmodSync(join(folder, file), 0o644);
  }
  if (wrong.length === 0) return;
  const what = `${wrong.length} files that Maven brought for ${name} are missing or not those of checksums.txt`;
  throw new IflexError('SERVICE_NOT_INSTALLABLE', `${what}: ${wrong.slice(0, 5).join(', ')}.`);
}
