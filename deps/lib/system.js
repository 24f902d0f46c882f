'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { DepsError } = require('./errors');
const { findProgram, installLine } = require('./tools');
const { rangeProblem, rangeText } = require('./version');

// WRAITH_DEPS=system: libraries that pkg-config finds. They have to be static
// archives: Node exports its own OpenSSL symbols, which would silently take
// the place of a shared library's.

function pkgConfig(...args) {
  const result = spawnSync('pkg-config', args, { encoding: 'utf8' });
  return result.status === 0 ? result.stdout.trim() : null;
}

function archiveProblems(pkg, libdir) {
  return pkg.libs
    .filter((lib) => !fs.existsSync(path.join(libdir, lib)))
    .map(
      (lib) =>
        `${pkg.name}: no static library ${lib} (Debian package ${pkg.deb})`,
    );
}

function carrierProblems(pkg, includedir) {
  if (pkg.name !== 'libssh') return [];
  const header = path.join(includedir, 'libssh', 'carrier.h');
  if (fs.existsSync(header)) return [];
  return [
    'libssh: the header libssh/carrier.h is missing: Wraith needs the patches of deps/patches/libssh, which no distribution has. Unset WRAITH_DEPS to build libssh with them.',
  ];
}

/** What pkg-config says about one package: `{ found }` or `{ problems }`. */
function inspect(pkg) {
  const problems = [];
  const versions = pkg.pkgConfig.map((name) => {
    const version = pkgConfig('--modversion', name);
    const wrong = version === null ? 'missing' : rangeProblem(version, pkg);
    if (wrong) {
      problems.push(
        `${name}${version ? ` ${version}` : ''} is ${wrong} (${rangeText(pkg)}; Debian package ${pkg.deb})`,
      );
    }
    return version;
  });
  if (versions.includes(null)) {
    // Installing it would not help; better said now than after that.
    return { problems: problems.concat(carrierProblems(pkg, '/')) };
  }
  const include =
    pkgConfig('--variable=includedir', pkg.pkgConfig[0]) || '/usr/include';
  const libdir = pkgConfig('--variable=libdir', pkg.pkgConfig[0]) || '/usr/lib';
  problems.push(
    ...archiveProblems(pkg, libdir),
    ...carrierProblems(pkg, include),
  );
  const libs = pkg.libs.map((lib) => path.join(libdir, lib));
  return { problems, found: { version: versions[0], include, libs } };
}

function asBuilt(pkg, found) {
  return {
    name: pkg.name,
    prefix: null,
    include: found.include,
    libs: found.libs,
    manifest: {
      name: pkg.name,
      version: found.version,
      origin: 'system',
      file: null,
      sha256: null,
      suite: null,
      patches: [],
    },
  };
}

/** The system's libraries in the form that outputs.js takes. */
function systemPackages(pkgs, variant) {
  if (variant !== 'release') {
    throw new DepsError(
      `WRAITH_DEPS=system has no variant ${variant}: it needs a libssh built for it. Unset WRAITH_DEPS.`,
    );
  }
  if (!findProgram('pkg-config')) {
    throw new DepsError(
      `WRAITH_DEPS=system needs pkg-config. Install it with:\n    ${installLine(['pkg-config'])}`,
    );
  }
  const results = pkgs.map((pkg) => ({ pkg, ...inspect(pkg) }));
  const problems = results.flatMap((result) => result.problems);
  if (problems.length > 0) {
    throw new DepsError(
      `WRAITH_DEPS=system: the system's libraries cannot be used:\n${problems.map((line) => `    ${line}`).join('\n')}`,
    );
  }
  return results.map(({ pkg, found }) => asBuilt(pkg, found));
}

module.exports = { systemPackages };
