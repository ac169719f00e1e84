/** Compiles the Java program, in a folder that is never part of the project. Needs Java 17 and Maven, no JDK. */
import assert from 'node:assert/strict';
import { createHash, hash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT_FOLDER } from '../../../infra/engine.ts';
import { openPlace } from '../../../infra/services/place.ts';
import { findJava, runTool } from '../../../infra/services/tool.ts';

const SOURCES = import.meta.dirname;
const COMPILER = /^ecj-/;

export interface PeerProgram {
  java: string;
  classPath: string;
}

/** Makes it where it is not there yet. Throws SERVICE_NOT_INSTALLABLE, or AssertionError where a file is not the recorded one. */
export async function peerProgram(): Promise<PeerProgram> {
  const java = await findJava();
  const sources = readdirSync(SOURCES)
    .filter((file) => /\.(java|xml|txt|properties)$/.test(file))
    .sort();
  const version = hash('sha256', sources.map((file) => `${file}\n${readFileSync(join(SOURCES, file), 'utf8')}`).join('\n')).slice(0, 12);
  const cache = join(PROJECT_FOLDER, 'node_modules', '.cache');
  const folder = join(cache, `peers-kafka-streams-${version}`);
  const program = { java, classPath: `${folder}/classes:${folder}/libraries/*:${SOURCES}` };
  if (existsSync(folder)) return program;
  // Made beside and moved, so that one that was broken off is never taken for whole.
  const making = `${folder}-${process.pid}`;
  mkdirSync(making, { recursive: true });
  const libraries = join(making, 'libraries');
  const repository = join(openPlace(() => {}).cache, 'maven');
  const maven = ['-B', '-q', '--strict-checksums', `-Dmaven.repo.local=${repository}`, '-f', join(SOURCES, 'pom.xml')];
  const copy = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${libraries}`];
  await runTool('mvn', [...maven, ...copy], 'Kafka Streams cannot be fetched from Maven Central', making);
  checkFiles(libraries);
  const compiler = join(libraries, readdirSync(libraries).find((file) => COMPILER.test(file))!);
  const files = sources.filter((file) => file.endsWith('.java')).map((file) => join(SOURCES, file));
  const compile = ['-jar', compiler, '-17', '-nowarn', '-cp', jars(libraries), '-d', join(making, 'classes'), ...files];
  await runTool(java, compile, 'The program for Kafka Streams cannot be compiled', making);
  if (existsSync(folder)) rmSync(making, { recursive: true });
  else renameSync(making, folder);
  return program;
}

function jars(folder: string): string {
  return readdirSync(folder)
    .map((file) => join(folder, file))
    .join(':');
}

function checkFiles(folder: string): void {
  const found = readdirSync(folder)
    .sort()
    .map(
      (file) =>
        `${createHash('sha256')
          .update(readFileSync(join(folder, file)))
          .digest('hex')}  ${file}`,
    );
  const recorded = readFileSync(join(SOURCES, 'checksums.txt'), 'utf8').trim().split('\n');
  assert.deepEqual(
    found,
    recorded.sort((a, b) => (a.slice(66) < b.slice(66) ? -1 : 1)),
    'the files are the recorded ones',
  );
}
