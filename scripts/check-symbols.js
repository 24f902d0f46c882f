'use strict';
// What the addon takes from outside and what it shows. Anything undefined that
// is not N-API, libuv or libc would be taken from Node, which exports an
// OpenSSL of its own, without a word. Usage: check-symbols.js [file]
const fs = require('node:fs');
const paths = require('./util/paths.js');
const { Failure, output, say, start } = require('./util/proc.js');

const entryPoints = [
  'napi_register_module_v1',
  'node_api_module_get_api_version_v1',
];

const libraries = [
  /^libc\.so\.6$/,
  /^libm\.so\.6$/,
  /^libpthread\.so\.0$/,
  /^libdl\.so\.2$/,
  /^librt\.so\.1$/,
  /^ld-linux-[a-z0-9-]+\.so\.\d$/,
];

// Put in by the compiler; weak, and nothing defines them.
const toolchain =
  /^(__gmon_start__|__cxa_finalize|_ITM_(de)?registerTMCloneTable)$/;
const host = /^(napi_|node_api_|uv_)[a-z0-9_]+$/;

function parseSymbols(text) {
  const row =
    /^\s*\d+:\s+[0-9a-f]+\s+\S+\s+(\S+)\s+(\S+)\s+\S+\s+(\S+)\s+(\S+)/;
  return text
    .split('\n')
    .map((line) => row.exec(line))
    .filter((m) => m && m[2] !== 'LOCAL')
    .map(([, type, bind, section, name]) => ({
      type,
      bind,
      defined: section !== 'UND',
      name: name.replace(/@.*/, ''),
      version: name.includes('@') ? name.replace(/^[^@]*@+/, '') : '',
    }));
}

const glibc = (version) => /^GLIBC_[0-9.]+$/.test(version);

function mayBeMissing({ name, version }) {
  return host.test(name) || glibc(version) || toolchain.test(name);
}

function newest(versions) {
  const key = (v) => v.replace('GLIBC_', '').split('.').map(Number);
  return versions
    .filter(glibc)
    .sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      return (
        x[0] - y[0] || (x[1] ?? 0) - (y[1] ?? 0) || (x[2] ?? 0) - (y[2] ?? 0)
      );
    })
    .at(-1);
}

function inspect(file) {
  if (!fs.existsSync(file)) throw new Failure(`${file} is not there`);
  const options = { maxBuffer: 1 << 28 };
  const table = output('readelf', ['-W', '--dyn-syms', file], options);
  const dynamic = output('readelf', ['-W', '-d', file], options);
  if (table === null || dynamic === null) {
    throw new Failure('readelf is missing or failed; install binutils');
  }
  const symbols = parseSymbols(table);
  const named = (list) => list.map((s) => s.name).sort();
  const missing = symbols.filter((s) => !s.defined);
  const needed = [...dynamic.matchAll(/\(NEEDED\).*\[(.+)\]/g)];
  return {
    foreign: named(missing.filter((s) => !mayBeMissing(s))),
    undefined: named(missing),
    exported: named(symbols.filter((s) => s.defined)),
    needed: needed.map((m) => m[1]),
    glibc: newest(missing.map((s) => s.version)) ?? 'none',
    nodelete: /NODELETE/.test(dynamic),
    now: /\bNOW\b/.test(dynamic),
  };
}

function check(file) {
  const found = inspect(file);
  const problems = [];
  const complain = (what, list) => {
    if (list.length > 0) problems.push(`${what}: ${list.join(' ')}`);
  };
  complain('undefined, and neither N-API, libuv nor libc', found.foreign);
  complain(
    'exported, and no entry point',
    found.exported.filter((name) => !entryPoints.includes(name)),
  );
  complain(
    'entry points that are not exported',
    entryPoints.filter((name) => !found.exported.includes(name)),
  );
  complain(
    'needs libraries other than libc',
    found.needed.filter((name) => !libraries.some((l) => l.test(name))),
  );
  if (!found.nodelete) problems.push('is not linked with -z nodelete');
  if (!found.now) problems.push('is not linked with -z now');
  return { ...found, problems };
}

function main([file = paths.addon()]) {
  const result = check(file);
  say(
    `symbols: ${result.exported.length} exported, ${result.undefined.length} ` +
      `undefined, needs ${result.needed.join(' ')}, highest ${result.glibc}`,
  );
  if (result.problems.length === 0) return 0;
  result.problems.forEach((problem) => process.stderr.write(`${problem}\n`));
  say(`all exported:\n  ${result.exported.join('\n  ')}`);
  say(`all undefined:\n  ${result.undefined.join('\n  ')}`);
  return 1;
}

module.exports = { check, inspect };
if (require.main === module) start('check-symbols', main);
