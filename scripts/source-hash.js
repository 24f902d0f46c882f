'use strict';
// A SHA-256 over everything the addon is made from. It tells whether a
// prebuilt addon belongs to this tree.
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { root } = require('./util/paths.js');
const { walk } = require('./util/proc.js');

// Left-overs of editors and patch runs are no sources.
const isSource = (file) =>
  !/(^|\/)(\.|node_modules\/)|~$|\.(orig|rej|swp|md)$/.test(file);

function sourceFiles(dir = root) {
  const under = (folder) =>
    walk(path.join(dir, folder), isSource).map((f) => `${folder}/${f}`);
  const files = [...under('csrc'), ...under('deps')];
  if (fs.existsSync(path.join(dir, 'binding.gyp'))) files.push('binding.gyp');
  return files.sort();
}

function fileHash(file) {
  return crypto
    .createHash('sha256')
    .update(fs.readFileSync(file))
    .digest('hex');
}

function sourceHash(dir = root) {
  const hash = crypto.createHash('sha256');
  for (const file of sourceFiles(dir)) {
    hash.update(`${fileHash(path.join(dir, file))}  ${file}\n`);
  }
  return hash.digest('hex');
}

module.exports = { sourceHash, sourceFiles, fileHash };
if (require.main === module) process.stdout.write(`${sourceHash()}\n`);
