'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { DEFINES, LINK_ORDER } = require('../packages');

// What the rest of the build reads, below build/deps/. `built` is a list of
// { name, include, libs, manifest } per package.

function inLinkOrder(built) {
  return LINK_ORDER.map((name) => built.find((one) => one.name === name));
}

function includeDirs(built) {
  return [...new Set(inLinkOrder(built).map((one) => one.include))];
}

function libraries(built) {
  return inLinkOrder(built).flatMap((one) => one.libs);
}

/** The manifest without anything that belongs to this machine. */
function manifestOf(built) {
  return inLinkOrder(built).map(({ manifest }) => ({
    name: manifest.name,
    version: manifest.version,
    origin: manifest.origin,
    file: manifest.file,
    sha256: manifest.sha256,
    suite: manifest.suite,
    patches: manifest.patches.map((patch) => patch.name),
  }));
}

function jsonText(variant, built) {
  const packages = {};
  for (const { name, prefix, manifest } of built) {
    packages[name] = { prefix, ...manifest };
  }
  const content = {
    variant,
    include: includeDirs(built),
    libs: libraries(built),
    defines: DEFINES,
    packages,
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

// gyp reads Python literals; strings and lists of JSON are that too.
function gypiText(built) {
  const variables = {
    wraith_deps_include_dirs: includeDirs(built),
    wraith_deps_libraries: libraries(built),
    wraith_deps_defines: DEFINES,
  };
  return `# Written by deps/build.js.\n${JSON.stringify({ variables }, null, 2)}\n`;
}

function cmakeText(built) {
  const set = (name, values) =>
    `set(${name}\n${values.map((value) => `  "${value}"`).join('\n')})\n`;
  const versions = built.map(({ name, manifest }) =>
    set(`WRAITH_DEPS_${name.toUpperCase()}_VERSION`, [manifest.version]),
  );
  return [
    '# Written by deps/build.js.\n',
    set('WRAITH_DEPS_INCLUDE', includeDirs(built)),
    set('WRAITH_DEPS_LIBS', libraries(built)),
    set('WRAITH_DEPS_DEFINES', DEFINES),
    ...versions,
  ].join('');
}

function cString(text) {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

function headerText(built) {
  const lines = built.map(
    ({ name, manifest }) =>
      `#define WR_DEPS_${name.toUpperCase()}_VERSION ${cString(manifest.version)}`,
  );
  // One literal per package, joined by the compiler.
  const rows = manifestOf(built).map((one) => JSON.stringify(one));
  const text = rows.map((row, i) => `${i ? ',' : '['}${row}`);
  text[text.length - 1] += ']';
  const manifest = text.map((row) => `  ${cString(row)}`).join(' \\\n');
  return [
    '/* Written by deps/build.js. */',
    '#ifndef WR_DEPS_VERSIONS_H',
    '#define WR_DEPS_VERSIONS_H',
    '',
    ...lines,
    '',
    '/* A JSON array for buildInfo(). */',
    `#define WR_DEPS_MANIFEST \\\n${manifest}`,
    '',
    '#endif',
    '',
  ].join('\n');
}

/** Map from file name to text. */
function outputFiles(variant, built) {
  const gypi = variant === 'release' ? 'config.gypi' : `${variant}.gypi`;
  return new Map([
    [`${variant}.json`, jsonText(variant, built)],
    [gypi, gypiText(built)],
    [`${variant}.cmake`, cmakeText(built)],
    ['versions.h', headerText(built)],
  ]);
}

function isCurrent(file, text) {
  try {
    return fs.readFileSync(file, 'utf8') === text;
  } catch {
    return false;
  }
}

/** Names of the files below `dir` that are missing or differ. */
function staleOutputs(dir, files) {
  return [...files]
    .filter(([name, text]) => !isCurrent(path.join(dir, name), text))
    .map(([name]) => name);
}

/** Writes what differs, so that make sees no change where there is none. */
function writeOutputs(dir, files) {
  fs.mkdirSync(dir, { recursive: true });
  for (const name of staleOutputs(dir, files)) {
    const temp = path.join(dir, `.${name}.${process.pid}`);
    fs.writeFileSync(temp, files.get(name));
    fs.renameSync(temp, path.join(dir, name));
  }
}

module.exports = { outputFiles, staleOutputs, writeOutputs };
