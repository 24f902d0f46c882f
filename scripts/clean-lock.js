'use strict';
// Takes every address out of package-lock.json: `resolved` would tie installs
// to one registry, `funding` is of no use here. Run it after `npm install`.
const fs = require('node:fs');
const { at } = require('./util/paths.js');

const file = at('package-lock.json');
const lock = JSON.parse(fs.readFileSync(file, 'utf8'));
for (const entry of Object.values(lock.packages)) {
  delete entry.resolved;
  delete entry.funding;
  if (/:\/\//.test(entry.deprecated ?? '')) entry.deprecated = 'yes';
}
fs.writeFileSync(file, JSON.stringify(lock, null, 2) + '\n');
