'use strict';
// Prints `-isystem` for Node's headers and the given folders (binding.gyp).
const path = require('node:path');

const [nodeRoot, ...dirs] = process.argv.slice(2);
const node = path.join(nodeRoot, 'include', 'node');
const flags = [...dirs, node].flatMap((dir) => ['-isystem', dir]);
process.stdout.write(flags.join('\n') + '\n');
