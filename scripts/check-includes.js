'use strict';
// csrc/: a folder is a layer and includes only point down; third-party headers
// stay in the folders that may know them. Usage: check-includes.js [dir]
const fs = require('node:fs');
const path = require('node:path');
const paths = require('./util/paths.js');
const { say, start, walk } = require('./util/proc.js');

// base <- loop <- net <- {quic, ssh} <- {iroh, proxy} <- app <- napi
const below = {
  base: [],
  loop: ['base'],
  net: ['base', 'loop'],
  quic: ['base', 'loop', 'net'],
  ssh: ['base', 'loop', 'net'],
  iroh: ['base', 'loop', 'net', 'quic'],
  proxy: ['base', 'loop', 'net', 'ssh'],
  app: ['base', 'loop', 'net', 'quic', 'ssh', 'iroh', 'proxy'],
  napi: ['base', 'loop', 'net', 'quic', 'ssh', 'iroh', 'proxy', 'app'],
};

// Which files may include a third-party header (by the start of their path).
const thirdParty = [
  // For its error codes; calls are another matter, see below.
  [
    /^uv\.h$|^uv\//,
    ['loop/', 'net/', 'quic/', 'ssh/', 'iroh/', 'proxy/', 'app/', 'napi/'],
  ],
  [/^libssh\//, ['ssh/']],
  [/^openssl\//, ['ssh/', 'quic/', 'net/tls']],
  [/^(ngtcp2|nghttp3)\//, ['quic/']],
  // Written by deps/build.js.
  [/^versions\.h$/, ['napi/info.c']],
  [/^(node_api|js_native_api)(_types)?\.h$/, ['napi/']],
];

// libuv is called in these layers only; all others go through loop/ and net/,
// but for work on its thread pool (key decryption).
const callsUv = new Set(['loop', 'net', 'quic', 'napi']);
const uvCall =
  /(?<!\w)(uv_(?!strerror|err_name|queue_work|cancel)[a-z0-9_]+)\s*\(/;

const c11 = new Set(
  (
    'assert complex ctype errno fenv float inttypes iso646 limits locale ' +
    'math setjmp signal stdalign stdarg stdatomic stdbool stddef stdint ' +
    'stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype'
  )
    .split(' ')
    .map((name) => `${name}.h`),
);

const system = new RegExp(
  '^(arpa|linux|net|netinet|sys)/[a-z0-9_]+\\.h$|' +
    '^(dirent|dlfcn|endian|fcntl|fnmatch|glob|grp|ifaddrs|libgen|netdb|poll|' +
    'pthread|pwd|resolv|sched|spawn|strings|syslog|termios|unistd|wchar)\\.h$',
);

function quoted(layer, name, exists) {
  const target = name.split('/')[0];
  if (!name.includes('/') || !(target in below)) {
    return `"${name}": write the path from csrc/, as "base/buf.h"`;
  }
  if (!exists(name)) return `"${name}" does not exist`;
  if (target === layer || below[layer].includes(target)) return null;
  return `"${name}": ${layer}/ may not include ${target}/`;
}

function angled(layer, file, name) {
  const rule = thirdParty.find(([pattern]) => pattern.test(name));
  if (rule) {
    if (rule[1].some((prefix) => file.startsWith(prefix))) return null;
    return `<${name}> is allowed in ${rule[1].join(', ')} only`;
  }
  if (c11.has(name)) return null;
  if (layer === 'base') return `<${name}>: base/ uses the C library only`;
  if (system.test(name)) return null;
  return `<${name}> is not a header this project knows`;
}

// Problems of one file; `exists` tells whether a path under csrc/ is there.
function checkFile(file, text, exists) {
  const layer = file.split('/')[0];
  if (!(layer in below)) return [`${file}: ${layer}/ is not a layer`];
  const problems = [];
  text.split('\n').forEach((line, i) => {
    const call = !callsUv.has(layer) && uvCall.exec(line);
    if (call) {
      problems.push(
        `csrc/${file}:${i + 1}: ${layer}/ may not call ${call[1]}()`,
      );
    }
    const m = /^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>|(\S.*))/.exec(line);
    if (!m) return;
    const why = m[1]
      ? quoted(layer, m[1], exists)
      : m[2]
        ? angled(layer, file, m[2])
        : 'an include has to name its file';
    if (why) problems.push(`csrc/${file}:${i + 1}: ${why}`);
  });
  return problems;
}

function check(dir = paths.csrc) {
  const exists = (name) => fs.existsSync(path.join(dir, name));
  return walk(dir, (file) => /\.[ch]$/.test(file)).flatMap((file) =>
    checkFile(file, fs.readFileSync(path.join(dir, file), 'utf8'), exists),
  );
}

function main([dir]) {
  const problems = check(dir);
  problems.forEach((problem) => process.stderr.write(`${problem}\n`));
  if (problems.length > 0) return 1;
  say('includes: only downwards');
  return 0;
}

module.exports = { check, checkFile };
if (require.main === module) start('check-includes', main);
