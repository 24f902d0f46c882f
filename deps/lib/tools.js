'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const { DepsError } = require('./errors');
const { toolEnv } = require('./run');

// Program -> Debian package.
const PROGRAMS = {
  make: 'make',
  cmake: 'cmake',
  perl: 'perl',
  patch: 'patch',
  tar: 'tar',
  gzip: 'gzip',
  xz: 'xz-utils',
  ar: 'binutils',
  flock: 'util-linux',
};

// perl-base has a perl without the modules that OpenSSL's Configure uses.
const PERL_PROBE = [
  '-MFindBin',
  '-MIPC::Cmd',
  '-MFile::Compare',
  '-MPod::Usage',
  '-e',
  '1',
];

/** Full path of a program on PATH, or null. */
function findProgram(name, searchPath = process.env.PATH || '') {
  const candidates = name.includes('/')
    ? [name]
    : searchPath.split(':').map((dir) => path.join(dir || '.', name));
  for (const file of candidates) {
    try {
      fs.accessSync(file, fs.constants.X_OK);
      if (fs.statSync(file).isFile()) return file;
    } catch {
      // Not here.
    }
  }
  return null;
}

function succeeds(command, args, input) {
  const result = spawnSync(command, args, { input, env: toolEnv() });
  return result.status === 0;
}

/** The C compiler of a package in a variant. */
function compilerFor(settings, env = process.env) {
  return settings.cc || env.CC || 'gcc';
}

// The sanitizers' run-time libraries are a package of their own under clang.
function probeClang(cc, flags, missing) {
  const source = 'int main(void) { return 0; }';
  const args = [...flags, '-x', 'c', '-', '-o', '/dev/null'];
  if (!succeeds(cc, args, source)) missing.add(clangRuntime(cc));
}

function clangRuntime(cc) {
  const out = spawnSync(cc, ['--version'], { encoding: 'utf8' }).stdout || '';
  const match = out.match(/version (\d+)/);
  return `libclang-rt-${match ? match[1] : '14'}-dev`;
}

function probeCompiler(cc, flags, missing) {
  if (!findProgram(cc)) {
    if (/clang/.test(cc)) {
      missing.add('clang').add('libclang-rt-14-dev');
    } else {
      missing.add('gcc').add('libc6-dev');
    }
    return;
  }
  if (!succeeds(cc, ['-E', '-x', 'c', '-'], '#include <stdlib.h>\n')) {
    missing.add('libc6-dev');
  } else if (/clang/.test(cc)) {
    probeClang(cc, flags, missing);
  }
}

/** Debian packages to install before `settings` can be built. */
function missingPackages(settings) {
  const missing = new Set();
  for (const one of settings) {
    const flags = (one.buildFlags || []).filter((flag) =>
      flag.startsWith('-fsanitize='),
    );
    probeCompiler(compilerFor(one), flags, missing);
  }
  for (const [program, deb] of Object.entries(PROGRAMS)) {
    if (!findProgram(program)) missing.add(deb);
  }
  if (!missing.has('perl') && !succeeds('perl', PERL_PROBE))
    missing.add('perl');
  return [...missing];
}

function installLine(packages) {
  const asRoot = process.getuid && process.getuid() !== 0 ? 'sudo ' : '';
  return `${asRoot}apt-get install ${packages.join(' ')}`;
}

/** Throws one message that names everything that has to be installed. */
function checkTools(settings) {
  const missing = missingPackages(settings);
  if (missing.length === 0) return;
  throw new DepsError(
    `tools for building the dependencies are missing. Install them with:\n    ${installLine(missing)}`,
  );
}

const compilerIds = new Map();

/** Identifies a compiler in the cache key. */
function compilerId(cc) {
  if (!compilerIds.has(cc)) {
    const ask = (flag) =>
      (spawnSync(cc, [flag], { encoding: 'utf8' }).stdout || '').split('\n')[0];
    compilerIds.set(cc, `${ask('--version')} ${ask('-dumpmachine')}`);
  }
  return compilerIds.get(cc);
}

module.exports = {
  findProgram,
  compilerFor,
  missingPackages,
  installLine,
  checkTools,
  compilerId,
};
