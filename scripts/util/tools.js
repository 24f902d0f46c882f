'use strict';
// What building needs, by program or file, and the Debian package it is in.
const fs = require('node:fs');
const { Failure, which, output } = require('./proc.js');
const apt = require('./apt.js');

const tools = {
  addon: [
    ['gcc', 'gcc'],
    ['/usr/include/stdio.h', 'libc6-dev'],
    ['make', 'make'],
    ['python3', 'python3'],
    ['cmake', 'cmake'],
    ['perlmodules', 'perl'],
    ['patch', 'patch'],
    ['xz', 'xz-utils'],
    ['readelf', 'binutils'],
    ['flock', 'util-linux'],
  ],
  c: [
    ['pkg-config', 'pkg-config'],
    ['pkgconfig:libuv', 'libuv1-dev'],
  ],
  fuzz: [
    ['clang', 'clang'],
    ['clangrt', 'libclang-rt-14-dev'],
  ],
};

// The runtime libraries of clang have no fixed place; ask the compiler.
function clangRuntime() {
  const dir = output('clang', ['-print-file-name=libclang_rt.fuzzer-x86_64.a']);
  const lib = '/usr/lib/clang';
  return (
    (dir !== null && dir.startsWith('/') && fs.existsSync(dir)) ||
    (fs.existsSync(lib) &&
      fs.readdirSync(lib, { recursive: true }).some((f) => /fuzzer/.test(f)))
  );
}

function present(what) {
  if (what.startsWith('pkgconfig:')) {
    const name = what.slice('pkgconfig:'.length);
    return output('pkg-config', ['--exists', name]) !== null;
  }
  // perl-base has a perl without the modules that OpenSSL's Configure uses.
  if (what === 'perlmodules') {
    const probe = ['-MFindBin', '-MIPC::Cmd', '-MPod::Usage', '-e', '1'];
    return output('perl', probe) !== null;
  }
  if (what === 'clangrt') return Boolean(which('clang')) && clangRuntime();
  return which(what) !== null;
}

function missing(...groups) {
  return groups
    .flatMap((group) => tools[group])
    .filter(([what]) => !present(what))
    .map(([, name]) => name);
}

// Returns with everything there, or throws with the one line to type.
async function ensure(...groups) {
  let names = missing(...groups);
  if (names.length === 0) return;
  if (apt.mayInstall()) {
    await apt.install(names, 'for building');
    names = missing(...groups);
  }
  if (names.length > 0) {
    throw new Failure(
      `building needs packages that are missing; as root: ` +
        `apt-get install ${names.join(' ')}`,
    );
  }
}

module.exports = { ensure, missing };
