'use strict';
// Prints the warning flags for binding.gyp; CMake reads the same file.
const fs = require('node:fs');
const path = require('node:path');

process.stdout.write(
  fs.readFileSync(path.join(__dirname, 'warnings.txt'), 'utf8'),
);
