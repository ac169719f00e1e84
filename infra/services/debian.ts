/**
 * Packages of one Debian release, unpacked into a folder with the libraries that they were built with: they run on any
 * Debian-like machine, and neither its dpkg nor its apt hears of them. apt checks Debian's signature as always.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IflexError } from '../../streams/errors.ts';
import { runTool } from './tool.ts';
import { DEBIAN_SUITE } from './versions.ts';

export interface DebianPackages {
  /** For messages. */
  name: string;
  /** To be installed with all that they depend on, less `LEFT_OUT`. */
  packages: string[];
  /** A package whose upstream version must be this one. */
  pinned: { package: string; version: string };
  /** Paths of the programs that are run, below the folder. */
  programs: string[];
}

/** Where each architecture has its libraries and its loader, below the folder. */
const LAYOUT: Record<string, { libraries: string; loader: string }> = {
  amd64: { libraries: 'usr/lib/x86_64-linux-gnu', loader: 'usr/lib64/ld-linux-x86-64.so.2' },
  arm64: { libraries: 'usr/lib/aarch64-linux-gnu', loader: 'usr/lib/ld-linux-aarch64.so.1' },
};
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** What packages depend on only to set a system up, and what the servers never load (no compiler at run time). */
const LEFT_OUT =
  /^(libllvm|libz3|perl|libperl|libgdbm|libjson-perl|libipc-run-perl|libio-pty-perl|libtext-|postgresql-common|postgresql-client-common|ssl-cert|openssl$|adduser|passwd|base-passwd|debconf|netbase|sysvinit|init-system|procps|ucf|libdb5|libproc2|libsemanage|libsepol|libpam|libaudit|libbsd|libmd0|libncurses|login|sensible|locales|libc-l10n|libc-bin|readline-common)/;

/** Downloads and unpacks into `folder`, which programs must not leave afterwards. Throws SERVICE_NOT_INSTALLABLE. */
export async function unpackDebian(wanted: DebianPackages, folder: string): Promise<void> {
  const purpose = `${wanted.name} cannot be fetched from Debian`;
  const architecture = (await runTool('dpkg', ['--print-architecture'], purpose)).stdout.trim();
  const layout = LAYOUT[architecture];
  if (!layout) throw new IflexError('SERVICE_NOT_INSTALLABLE', `${purpose}: not prepared for the architecture ${architecture}.`);
  const work = mkdtempSync(join(tmpdir(), 'iflex-apt-'));
  try {
    for (const each of ['state/lists/partial', 'cache/archives/partial', 'sources', 'archives'])
      mkdirSync(join(work, each), { recursive: true });
    writeFileSync(join(work, 'status'), '');
    writeFileSync(join(work, 'sources', 'debian.sources'), source(await mirror(purpose), architecture));
    const apt = (...args: string[]) => runTool('apt-get', [...aptOptions(work, architecture), ...args], purpose, join(work, 'archives'));
    await apt('update');
    const plan = (await apt('-s', 'install', ...wanted.packages, 'patchelf')).stdout;
    const planned = new Map([...plan.matchAll(/^Inst (\S+) \((\S+)/gm)].map(([, name, version]) => [name, version]));
    checkVersion(wanted, planned.get(wanted.pinned.package));
    await apt('download', ...[...planned.keys()].filter((name) => !LEFT_OUT.test(name)));
    for (const archive of readdirSync(join(work, 'archives'))) {
      await runTool('dpkg-deb', ['-x', join(work, 'archives', archive), folder], purpose);
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  await bindPrograms(wanted.programs, layout, folder, purpose);
}

/** "2.19.3+dfsg-1" and "2.0.21-1" are versions 2.19.3 and 2.0.21 of their projects. */
function checkVersion({ pinned }: DebianPackages, found: string | undefined): void {
  if (found?.replace(/^\d+:/, '').split(/[-+~]/)[0] === pinned.version) return;
  const has = found === undefined ? 'does not have it' : `has ${found}`;
  throw new IflexError('SERVICE_NOT_INSTALLABLE', `${pinned.package} ${pinned.version} is needed, and Debian ${DEBIAN_SUITE} ${has}.`);
}

/** Makes the programs use the loader and libraries beside them instead of the machine's. */
async function bindPrograms(
  programs: string[],
  layout: { libraries: string; loader: string },
  folder: string,
  purpose: string,
): Promise<void> {
  const [libraries, loader] = [join(folder, layout.libraries), join(folder, layout.loader)];
  const patch = ['--library-path', libraries, join(folder, 'usr/bin/patchelf')];
  for (const program of programs) {
    await runTool(
      loader,
      [...patch, '--set-interpreter', loader, '--force-rpath', '--set-rpath', libraries, join(folder, program)],
      purpose,
    );
  }
}

/** Settings under which apt knows nothing of this machine's packages and sources. */
function aptOptions(work: string, architecture: string): string[] {
  const settings = {
    'Dir::State': join(work, 'state'),
    'Dir::State::status': join(work, 'status'),
    'Dir::Cache': join(work, 'cache'),
    'Dir::Etc::SourceList': '/dev/null',
    'Dir::Etc::SourceParts': join(work, 'sources'),
    'Dir::Etc::PreferencesParts': '/dev/null',
    'APT::Install-Recommends': 'false',
    'APT::Architecture': architecture,
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
  };
  return ['-q', ...Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])];
}

function source(uri: string, architecture: string): string {
  const lines = { Types: 'deb', URIs: uri, Suites: DEBIAN_SUITE, Components: 'main', Architectures: architecture, 'Signed-By': KEYRING };
  return Object.entries(lines)
    .map(([name, value]) => `${name}: ${value}\n`)
    .join('');
}

/** The mirror of Debian that this machine uses already: as apt knows it, else (before its first update) as its sources say. */
async function mirror(purpose: string): Promise<string> {
  const { stdout } = await runTool(
    'apt-get',
    ['indextargets', '--format', '$(ORIGIN) $(LABEL) $(REPO_URI)', 'Created-By: Packages'],
    purpose,
  );
  const known = stdout.split('\n').find((line) => line.startsWith('Debian Debian '));
  const uri = known?.split(' ')[2] ?? configuredMirror(readSources());
  if (uri !== undefined) return uri;
  throw new IflexError('SERVICE_NOT_INSTALLABLE', `${purpose}: this machine's apt has no mirror of Debian among its sources.`);
}

function readSources(): string {
  const parts = '/etc/apt/sources.list.d';
  const files = ['/etc/apt/sources.list'];
  try {
    files.push(...readdirSync(parts).map((file) => join(parts, file)));
  } catch {
    // A machine may have either, or none.
  }
  return files
    .map((file) => {
      try {
        return readFileSync(file, 'utf8');
      } catch {
        return '';
      }
    })
    .join('\n');
}

/** The first mirror of Debian's main archive in the text of apt's sources, of either form. */
export function configuredMirror(sources: string): string | undefined {
  const uris = [...sources.matchAll(/^(?:URIs:\s*|deb\s+(?:\[[^\]]*\]\s*)?)(\S+)/gm)].map(([, uri]) => uri);
  return uris.find((uri) => /\/debian\/?$/.test(uri));
}
