'use strict';
// The one list of C sources: binding.gyp asks here, CMake globs the same
// folders. Usage: node scripts/sources.js [all|core|napi|headers]
const { at } = require('./util/paths.js');
const { walk } = require('./util/proc.js');

const kinds = {
  all: (file) => file.endsWith('.c'),
  core: (file) => file.endsWith('.c') && !file.startsWith('napi/'),
  napi: (file) => file.endsWith('.c') && file.startsWith('napi/'),
  headers: (file) => file.endsWith('.h'),
};

function sources(kind = 'all', dir = at('csrc')) {
  if (!kinds[kind]) throw new Error(`unknown kind of sources: ${kind}`);
  return walk(dir, kinds[kind]).map((file) => `csrc/${file}`);
}

module.exports = { sources };
if (require.main === module) {
  process.stdout.write(sources(process.argv[2]).join('\n') + '\n');
}
