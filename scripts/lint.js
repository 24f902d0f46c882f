'use strict';
// Every check that needs no build. All of them run, also after a failure.
const fs = require('node:fs');
const path = require('node:path');
const paths = require('./util/paths.js');
const { run, say, start } = require('./util/proc.js');

function tool(name, bin = name) {
  const file = require.resolve(`${name}/package.json`);
  const { bin: bins } = JSON.parse(fs.readFileSync(file, 'utf8'));
  const rel = typeof bins === 'string' ? bins : bins[bin];
  return path.join(path.dirname(file), rel);
}

const steps = [
  ['eslint', () => [tool('eslint'), '.', '--max-warnings', '0']],
  ['prettier', () => [tool('prettier'), '--check', '--log-level=warn', '.']],
  ['includes', () => [paths.at('scripts/check-includes.js')]],
  ['style', () => [paths.at('scripts/check-style.js')]],
  ['C format', () => [paths.at('scripts/format-c.js')]],
  ['types', () => [tool('typescript', 'tsc'), '-p', 'test/types']],
];

async function main() {
  const failed = [];
  for (const [name, args] of steps) {
    const result = await run(process.execPath, args());
    if (result.code !== 0) failed.push(name);
  }
  if (failed.length > 0) say(`lint: failed in ${failed.join(', ')}`);
  else say('lint: clean');
  return failed.length > 0 ? 1 : 0;
}

if (require.main === module) start('lint', main);
