'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { DepsError } = require('./errors');
const { run, runStatus } = require('./run');
const { rangeProblem, rangeText } = require('./version');

/** The version that a source tree says it is, or null. */
function readVersion(tree, pkg) {
  let text;
  try {
    text = fs.readFileSync(path.join(tree, pkg.versionFile), 'utf8');
  } catch {
    return null;
  }
  if (pkg.recipe === 'openssl') {
    const part = (name) =>
      (text.match(new RegExp(`^${name}=(\\d+)`, 'm')) || [])[1];
    const parts = [part('MAJOR'), part('MINOR'), part('PATCH')];
    return parts.includes(undefined) ? null : parts.join('.');
  }
  const match = text.match(/^\s*project\s*\(\s*\w+\s+VERSION\s+([\d.]+)/m);
  return match ? match[1] : null;
}

function checkVersion(tree, pkg, source) {
  const version = readVersion(tree, pkg);
  const problem = version ? rangeProblem(version, pkg) : 'not recognised';
  if (!problem) return;
  throw new DepsError(
    `${source.file}: the source tree says it is ${pkg.name} ${version || '(no version)'}, which is ${problem}; ${rangeText(pkg)} is needed`,
  );
}

/** Puts a fresh copy of the source into `tree`. */
async function unpack(pkg, source, tree, log) {
  fs.mkdirSync(tree, { recursive: true });
  const options = { cwd: tree, log };
  if (source.origin === 'tree') {
    const args = ['-R', '--preserve=mode,timestamps', `${source.path}/.`, tree];
    await run(`${pkg.name}: copying the source`, 'cp', args, options);
  } else {
    const args = [
      '-xf',
      source.path,
      '--strip-components=1',
      '--no-same-owner',
    ];
    await run(`${pkg.name}: unpacking`, 'tar', args, options);
  }
  checkVersion(tree, pkg, source);
}

function patchArgs(patch, ...extra) {
  return [
    '-p1',
    '--batch',
    '--no-backup-if-mismatch',
    ...extra,
    '-i',
    patch.path,
  ];
}

// A tree of the user's own may have our patches already.
async function isApplied(patch, options) {
  const args = patchArgs(patch, '--reverse', '--dry-run', '--force');
  return (await runStatus('patch', args, options)) === 0;
}

async function applyPatches(pkg, source, patches, tree, log) {
  const options = { cwd: tree, log };
  for (const patch of patches) {
    if (source.origin === 'tree' && (await isApplied(patch, options))) continue;
    await run(
      `${pkg.name} ${source.version}: patch ${patch.name}`,
      'patch',
      patchArgs(patch, '--forward'),
      options,
    );
  }
}

/** Headers for others that the patches add, such as libssh/carrier.h. */
function addedHeaders(patches) {
  const found = new Set();
  for (const patch of patches) {
    const text = patch.content.toString();
    const added = /^--- \/dev\/null.*\n\+\+\+ [^/\s]+\/include\/(\S+\.h)/gm;
    for (const [, header] of text.matchAll(added)) {
      if (!/_priv\.h$/.test(header)) found.add(header);
    }
  }
  return [...found];
}

module.exports = { readVersion, unpack, applyPatches, addedHeaders };
