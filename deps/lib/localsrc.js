'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { DepsError } = require('./errors');
const { sha256File, sha256Tree } = require('./key');
const { readVersion } = require('./unpack');
const { compareVersions, rangeProblem, rangeText } = require('./version');

// WRAITH_DEPS_SRC: a directory with release tarballs or unpacked trees, named
// as upstream or as Debian names them.

const TAR = /^(\.orig)?\.(tar\.(gz|xz|bz2|zst)|tgz|txz)$/;

/** `{ version, tree }` if a file name is a source of `name`, else null. */
function matchName(name, entry, isDir) {
  if (isDir && entry === name) return { version: null, tree: true };
  const match = entry.match(/^(.*?)[-_]v?(\d+(?:\.\d+)+)(.*)$/);
  if (!match || match[1] !== name) return null;
  const [, , version, rest] = match;
  if (isDir) return rest === '' ? { version, tree: true } : null;
  // Debian's +dfsg and the like belong to the version.
  const suffix = rest.match(/^([+~][\w.+~]*?)?((\.orig)?\.t.*)$/);
  if (!suffix || !TAR.test(suffix[2])) return null;
  return { version: version + (suffix[1] || ''), tree: false };
}

function candidates(dir, pkg) {
  const found = [];
  for (const entry of fs.readdirSync(dir)) {
    const file = path.join(dir, entry);
    const isDir = fs.statSync(file).isDirectory();
    const match = matchName(pkg.name, entry, isDir);
    if (!match) continue;
    const version = isDir ? readVersion(file, pkg) : match.version;
    if (version) found.push({ file: entry, path: file, ...match, version });
  }
  return found;
}

/** The highest version in range, or a message for the list of problems. */
function choose(pkg, found) {
  const good = found
    .filter((one) => !rangeProblem(one.version, pkg))
    .sort((a, b) => compareVersions(b.version, a.version));
  if (good.length > 0) return { source: good[0] };
  if (found.length === 0) {
    return {
      problem: `${pkg.name}: neither ${pkg.name}-<version>.tar.* nor an unpacked tree ${pkg.name}-<version> (${rangeText(pkg)})`,
    };
  }
  const seen = found.map(
    (one) => `${one.file} is ${rangeProblem(one.version, pkg)}`,
  );
  return { problem: `${pkg.name} (${rangeText(pkg)}): ${seen.join(', ')}` };
}

function describe(source) {
  return {
    origin: source.tree ? 'tree' : 'file',
    file: source.file,
    version: source.version,
    suite: null,
    sha256: source.tree ? sha256Tree(source.path) : sha256File(source.path),
    path: source.path,
  };
}

/** Sources of all `pkgs` in `dir` as a map from name. */
function localSources(dir, pkgs) {
  if (!fs.existsSync(dir) || !fs.statSync(dir).isDirectory()) {
    throw new DepsError(`WRAITH_DEPS_SRC: ${dir} is not a directory`);
  }
  const sources = new Map();
  const problems = [];
  for (const pkg of pkgs) {
    const { source, problem } = choose(pkg, candidates(dir, pkg));
    if (source) sources.set(pkg.name, describe(source));
    else problems.push(`    ${problem}`);
  }
  if (problems.length > 0) {
    throw new DepsError(
      `WRAITH_DEPS_SRC: ${dir} lacks\n${problems.join('\n')}`,
    );
  }
  return sources;
}

module.exports = { matchName, choose, localSources };
