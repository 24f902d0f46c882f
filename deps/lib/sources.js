'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { DepsError } = require('./errors');
const { step } = require('./progress');
const { tempDir } = require('./cache');
const { findProgram } = require('./tools');
const { sha256File } = require('./key');
const { rangeProblem, rangeText } = require('./version');
const { readSources, codenameOf, findArchives } = require('./aptsources');
const { Archive, fetchFirst, requireApt } = require('./apt');

// Downloaded tarballs are kept, so that a change of flags or patches builds
// the same version again without the network.

function recordFile(paths, pkg) {
  return path.join(paths.sources, pkg.name, 'source.json');
}

/** A tarball kept from an earlier run, if it is intact and in range. */
function keptSource(paths, pkg) {
  let source;
  try {
    source = JSON.parse(fs.readFileSync(recordFile(paths, pkg), 'utf8'));
  } catch {
    return null;
  }
  const file = path.join(paths.sources, pkg.name, source.file);
  if (rangeProblem(source.version, pkg) || !fs.existsSync(file)) return null;
  if (sha256File(file) !== source.sha256) return null;
  return { ...source, path: file };
}

function keepSource(paths, pkg, source, from) {
  const dir = path.join(paths.sources, pkg.name);
  fs.rmSync(dir, { recursive: true, force: true });
  fs.mkdirSync(dir, { recursive: true });
  const file = path.join(dir, source.file);
  fs.renameSync(path.join(from, source.file), file);
  const record = {
    origin: 'apt',
    file: source.file,
    version: source.version,
    suite: source.suite,
    sha256: sha256File(file),
  };
  // Written last: a record means that the file is complete.
  fs.writeFileSync(
    recordFile(paths, pkg),
    `${JSON.stringify(record, null, 2)}\n`,
  );
  return { ...record, path: file };
}

function osRelease() {
  try {
    return fs.readFileSync('/etc/os-release', 'utf8');
  } catch {
    return '';
  }
}

/** The machine's Debian mirrors, ready to fetch from. */
function machineArchives(paths, etc = '/etc/apt') {
  requireApt(findProgram);
  const found = findArchives(readSources(etc), codenameOf(osRelease()));
  if (!found.some((archive) => !archive.security)) {
    throw new DepsError(
      `no entry for the main Debian archive was found in ${etc}/sources.list and ${etc}/sources.list.d. Add one, or put the release tarballs into a directory and set WRAITH_DEPS_SRC to it.`,
    );
  }
  const log = path.join(paths.logs, 'apt.log');
  fs.rmSync(log, { force: true });
  return found.map(
    (archive, i) => new Archive(archive, path.join(paths.apt, String(i)), log),
  );
}

function noSourceMessage(pkg, problems, log) {
  const lines = problems.map(
    ({ suite, problem }) => `    ${suite}: ${problem}`,
  );
  return [
    `no suite offers a source of ${pkg.name} (${rangeText(pkg)}) that can be downloaded:`,
    ...lines,
    `The whole log is ${log}. Try again later, or put the release tarball of ${pkg.name} (and of the other packages) into a directory and set WRAITH_DEPS_SRC to it.`,
  ].join('\n');
}

async function fetchSource(paths, pkg, archives) {
  const into = tempDir(paths, `get-${pkg.name}`);
  const problems = [];
  const onProblem = (suite, problem) => {
    problems.push({ suite, problem });
    step(`${pkg.name}: not from ${suite} (${problem.slice(0, 120)})`);
  };
  const source = await fetchFirst(archives, pkg, into, onProblem);
  if (!source) {
    const log = path.join(paths.logs, 'apt.log');
    throw new DepsError(noSourceMessage(pkg, problems, log));
  }
  step(`${pkg.name}: downloaded ${source.version} from ${source.suite}`);
  return keepSource(paths, pkg, source, into);
}

/** Sources of all `pkgs` as a map from name, kept ones or downloaded. */
async function obtainSources(paths, pkgs) {
  const sources = new Map();
  let archives = null;
  for (const pkg of pkgs) {
    let source = keptSource(paths, pkg);
    if (!source) {
      archives = archives || machineArchives(paths);
      step(`${pkg.name}: looking for ${rangeText(pkg)}`);
      source = await fetchSource(paths, pkg, archives);
    }
    sources.set(pkg.name, source);
  }
  return sources;
}

module.exports = { keptSource, keepSource, noSourceMessage, obtainSources };
