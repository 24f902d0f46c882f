'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

function sha256(data) {
  return crypto.createHash('sha256').update(data).digest('hex');
}

function sha256File(file) {
  const hash = crypto.createHash('sha256');
  const fd = fs.openSync(file, 'r');
  const chunk = Buffer.allocUnsafe(1 << 20);
  try {
    for (;;) {
      const got = fs.readSync(fd, chunk, 0, chunk.length, null);
      if (got === 0) return hash.digest('hex');
      hash.update(chunk.subarray(0, got));
    }
  } finally {
    fs.closeSync(fd);
  }
}

/** A hash over names and contents of a directory. */
function sha256Tree(dir) {
  const hash = crypto.createHash('sha256');
  const walk = (sub) => {
    const entries = fs.readdirSync(path.join(dir, sub), {
      withFileTypes: true,
    });
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      if (entry.name === '.git') continue;
      const name = path.join(sub, entry.name);
      if (entry.isDirectory()) walk(name);
      else if (entry.isFile()) {
        hash.update(`${name}\0${sha256File(path.join(dir, name))}\n`);
      }
    }
  };
  walk('');
  return hash.digest('hex');
}

/** The patches of a package in the order in which they are applied. */
function findPatches(root, name) {
  const dir = path.join(root, name);
  if (!fs.existsSync(dir)) return [];
  return fs
    .readdirSync(dir)
    .filter((file) => file.endsWith('.patch'))
    .sort()
    .map((file) => {
      const content = fs.readFileSync(path.join(dir, file));
      return { name: file, content, sha256: sha256(content) };
    });
}

/** What of a package applies in a variant. */
function settingsFor(pkg, variant) {
  const own = (pkg.variants && pkg.variants[variant]) || null;
  return {
    variant: own ? variant : 'release',
    cc: own ? own.cc : undefined,
    cflags: pkg.cflags,
    buildFlags: (own && own.buildFlags) || pkg.buildFlags || [],
    configure: [...pkg.configure, ...((own && own.configure) || [])],
  };
}

/**
 * The key under which a build is cached. It says how a package is built, not
 * which version came out, so that looking it up needs no network.
 */
function buildKey({ recipe, pkg, settings, patches, compiler, needs, origin }) {
  const content = {
    recipe,
    name: pkg.name,
    kind: pkg.recipe,
    min: pkg.min,
    below: pkg.below,
    libs: pkg.libs,
    variant: settings.variant,
    cflags: settings.cflags,
    buildFlags: settings.buildFlags,
    configure: settings.configure,
    patches: patches.map((patch) => [patch.name, patch.sha256]),
    compiler,
    needs,
    origin,
  };
  return sha256(JSON.stringify(content)).slice(0, 16);
}

module.exports = {
  sha256File,
  sha256Tree,
  findPatches,
  settingsFor,
  buildKey,
};
