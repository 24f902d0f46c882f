'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { execFile } = require('node:child_process');
const { DepsError } = require('./errors');
const { runStatus, toolEnv } = require('./run');
const { upstream, compareVersions, rangeProblem } = require('./version');

// Fetches source packages with a scratch apt configuration: own list of
// suites, own index files, own cache, and none of the machine's hooks. Proxy
// and Acquire settings are inherited, because apt reads the machine's
// configuration first and ours (-c) after it. apt checks the signature of the
// index and the hash of the file.

/** The deb822 stanza of one suite. */
function sourcesText({ uri, options }, suite) {
  const lines = [
    'Types: deb-src',
    `URIs: ${uri}`,
    `Suites: ${suite}`,
    'Components: main',
  ];
  for (const [name, value] of Object.entries(options)) {
    lines.push(`${name}: ${value}`);
  }
  return `${lines.join('\n')}\n`;
}

function configText(dir, isRoot) {
  const lines = [
    `Dir::Etc::SourceList "${dir}/none";`,
    `Dir::Etc::SourceParts "${dir}/sources.d";`,
    `Dir::State::Lists "${dir}/lists";`,
    `Dir::Cache "${dir}/cache";`,
    'Acquire::Languages "none";',
    'Acquire::Retries "2";',
    'Acquire::http::Timeout "60";',
    '#clear APT::Update::Pre-Invoke;',
    '#clear APT::Update::Post-Invoke;',
    '#clear APT::Update::Post-Invoke-Success;',
  ];
  // apt would fetch as the user _apt, who cannot write into our cache.
  if (isRoot) lines.push('APT::Sandbox::User "root";');
  return `${lines.join('\n')}\n`;
}

/** Writes the scratch configuration of one suite; returns its directory. */
function writeScratch(root, archive, suite) {
  const dir = path.join(root, suite);
  fs.rmSync(dir, { recursive: true, force: true });
  for (const sub of ['sources.d', 'lists/partial', 'cache']) {
    fs.mkdirSync(path.join(dir, sub), { recursive: true });
  }
  fs.writeFileSync(
    path.join(dir, 'sources.d', 'wraith.sources'),
    sourcesText(archive, suite),
  );
  const isRoot = !process.getuid || process.getuid() === 0;
  fs.writeFileSync(path.join(dir, 'apt.conf'), configText(dir, isRoot));
  return dir;
}

/** The `E:` lines of apt since `from`, in one line. */
function aptErrors(log, from) {
  const text = fs.readFileSync(log, 'utf8').slice(from);
  const lines = text.split('\n').filter((line) => line.startsWith('E: '));
  return lines.map((line) => line.slice(3)).join(' ') || 'apt-get failed';
}

function logSize(log) {
  return fs.existsSync(log) ? fs.readFileSync(log, 'utf8').length : 0;
}

// A third party that calls its suites like Debian's is not Debian.
function isDebian(dir) {
  const lists = path.join(dir, 'lists');
  const release = fs
    .readdirSync(lists)
    .filter((name) => /_(In)?Release$/.test(name))
    .map((name) => fs.readFileSync(path.join(lists, name), 'utf8'));
  return release.every((text) => /^Origin: Debian( Backports)?$/m.test(text));
}

function aptArgs(dir, ...args) {
  return ['-c', path.join(dir, 'apt.conf'), '-q', ...args];
}

async function aptUpdate(dir, log) {
  const from = logSize(log);
  const args = aptArgs(dir, 'update');
  const status = await runStatus('apt-get', args, { cwd: dir, log });
  if (status !== 0) return aptErrors(log, from);
  if (!isDebian(dir)) return 'this is not the Debian archive';
  return null;
}

/** Files that apt-get would fetch, from the output of --print-uris. */
function parseUris(text) {
  const found = [];
  for (const line of text.split('\n')) {
    const match = line.match(
      /^'[^']+' (([a-z0-9+.-]+)_([^_\s]+)\.orig\.tar\.[a-z0-9]+) (\d+)(?: (\w+):(\w+))?/,
    );
    if (!match) continue;
    found.push({
      file: match[1],
      version: upstream(match[3]),
      size: Number(match[4]),
      sha256: match[5] === 'SHA256' ? match[6] : null,
    });
  }
  return found;
}

function sourceArgs(dir, name, version, ...extra) {
  const only = ['--only-source', '--download-only', '--tar-only'];
  return aptArgs(dir, 'source', ...extra, ...only, `${name}=${version}`);
}

// Resolves to what a program printed, or to a problem in its own words.
function answerOf(file, args, dir, otherwise) {
  return new Promise((resolve) => {
    execFile(file, args, { cwd: dir, env: toolEnv() }, (err, out, text) => {
      if (!err) return resolve({ out });
      const reason = text.match(/^E: (.*)$/m);
      resolve({ problem: reason ? reason[1] : otherwise });
    });
  });
}

/** The versions in the output of showsrc, newest first, each once. */
function parseVersions(text) {
  const all = [...text.matchAll(/^Version: (\S+)$/gm)].map((match) => match[1]);
  return [...new Set(all)].sort((a, b) => compareVersions(b, a));
}

// An index can list several versions of one package, and a mirror may have
// the file of an older one only.
async function versionsOf(dir, name) {
  const args = aptArgs(dir, 'showsrc', '--only-source', name);
  const none = 'no such source package';
  const { out, problem } = await answerOf('apt-cache', args, dir, none);
  if (problem) return { problem };
  const versions = parseVersions(out);
  return versions.length > 0 ? { versions } : { problem: none };
}

/** What apt would fetch for a version of a package, or a problem. */
async function ask(dir, name, version) {
  const args = sourceArgs(dir, name, version, '--print-uris');
  const none = 'no upstream tarball';
  const { out, problem } = await answerOf('apt-get', args, dir, none);
  if (problem) return { problem };
  const [offer] = parseUris(out);
  return offer ? { offer } : { problem: none };
}

async function download(dir, name, version, into, log) {
  const from = logSize(log);
  const args = sourceArgs(dir, name, version);
  const status = await runStatus('apt-get', args, { cwd: into, log });
  return status === 0 ? null : aptErrors(log, from);
}

/**
 * Fetches packages from one archive. Index files are read once per suite and
 * run, and only of suites that are asked for.
 */
class Archive {
  #archive;
  #root;
  #log;
  #suites = new Map();

  constructor(archive, root, log) {
    this.#archive = archive;
    this.#root = root;
    this.#log = log;
  }

  async #open(suite) {
    if (!this.#suites.has(suite)) {
      const dir = writeScratch(this.#root, this.#archive, suite);
      const problem = await aptUpdate(dir, this.#log);
      this.#suites.set(suite, { dir, problem });
    }
    return this.#suites.get(suite);
  }

  /** Whether a suite of that name can be there. */
  has(suite) {
    return /-security$/.test(suite) === this.#archive.security;
  }

  /**
   * Resolves to `{ source }`, the newest version in range that arrives, or to
   * `{ problem }`; `into` is an empty directory.
   */
  async fetch(pkg, suite, into) {
    const { dir, problem } = await this.#open(suite);
    if (problem) return { problem };
    const listed = await versionsOf(dir, pkg.name);
    if (listed.problem) return listed;
    const problems = [];
    for (const version of listed.versions) {
      const got = await this.#take(dir, pkg, version, into);
      if (got.source) return { source: { ...got.source, suite } };
      problems.push(got.problem);
    }
    return { problem: problems.join('; ') };
  }

  async #take(dir, pkg, version, into) {
    const wrong = rangeProblem(upstream(version), pkg);
    if (wrong) return { problem: `${upstream(version)} is ${wrong}` };
    const { offer, problem } = await ask(dir, pkg.name, version);
    const failed =
      problem ?? (await download(dir, pkg.name, version, into, this.#log));
    if (failed) return { problem: `${upstream(version)}: ${failed}` };
    if (!fs.existsSync(path.join(into, offer.file))) {
      return { problem: `${offer.version}: ${offer.file} did not arrive` };
    }
    return { source: offer };
  }
}

/**
 * Tries archives and suites in order; resolves to the first source in range.
 * `archives` are objects with a has() and a fetch() like Archive's.
 */
async function fetchFirst(archives, pkg, into, onProblem) {
  for (const suite of pkg.suites) {
    for (const archive of archives.filter((one) => one.has(suite))) {
      const { source, problem } = await archive.fetch(pkg, suite, into);
      if (source) return source;
      onProblem(suite, problem);
    }
  }
  return null;
}

function requireApt(findProgram) {
  if (findProgram('apt-get')) return;
  throw new DepsError(
    'apt-get was not found, so the sources cannot be fetched as Debian source packages. Put the release tarballs of openssl, libssh, ngtcp2 and nghttp3 into a directory and set WRAITH_DEPS_SRC to it.',
  );
}

module.exports = {
  sourcesText,
  configText,
  parseUris,
  parseVersions,
  Archive,
  fetchFirst,
  requireApt,
};
