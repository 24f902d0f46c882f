'use strict';
// The one test command. Builds what is missing, then runs the suites:
//   node scripts/test.js [suite]... [--filter name]...
// Suites: c, js, interop, probe, sanitize, fuzz.
// Without a suite: c, js and interop. The last line adds them up.
const { parseArgs } = require('node:util');
const paths = require('./util/paths.js');
const tap = require('./util/tap.js');
const suites = require('./util/suites.js');
const peers = require('./peers.js');
const { Failure, say, start, isCI } = require('./util/proc.js');

const names = ['c', 'js', 'interop', 'probe', 'sanitize', 'fuzz'];
const needPeers = new Set(['js', 'interop', 'probe', 'sanitize']);

// A suite that cannot run at all (no compiler, say) is one failure.
async function runSuite(name, options) {
  const began = Date.now();
  say(`# ${name}`);
  try {
    const part = await suites[name](options);
    const seconds = ((Date.now() - began) / 1000).toFixed(1);
    say(`# ${name}: ${tap.summary(part)} (${seconds} s)`);
    return part;
  } catch (err) {
    const text = err instanceof Failure ? err.message : err.stack;
    say(`# ${name}: ${text}`);
    return { passed: 0, failed: 1, skipped: 0, failures: [text], skips: [] };
  }
}

// Missing peers are named once; each counts as a skip, in CI as a failure.
async function checkPeers(total) {
  const absent = await peers.ensure();
  for (const name of absent) {
    const text = `${name} (package ${peers.peers[name].package}) is missing`;
    say(`# peer ${text}`);
    if (!isCI()) continue;
    tap.add(total, { passed: 0, failed: 1, skipped: 0, failures: [text] });
  }
}

async function main(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { filter: { type: 'string', multiple: true, default: [] } },
  });
  const wrong = positionals.find((name) => !names.includes(name));
  if (wrong)
    throw new Failure(`no suite ${wrong}; there are ${names.join(', ')}`);
  const chosen = positionals.length > 0 ? positionals : ['c', 'js', 'interop'];
  process.chdir(paths.root);
  const total = tap.emptyTotal();
  if (chosen.some((name) => needPeers.has(name))) await checkPeers(total);
  for (const name of chosen) {
    tap.add(total, await runSuite(name, values), name);
  }
  if (total.skips.length > 0) say('# skipped:');
  total.skips.forEach((name) => say(`#   ${name}`));
  if (total.failures.length > 0) say('# failed:');
  total.failures.forEach((name) => say(`#   ${name}`));
  if (total.passed + total.failed === 0) {
    say('# nothing ran');
    total.failed = 1;
  }
  say(tap.summary(total));
  return total.failed === 0 ? 0 : 1;
}

if (require.main === module) start('test', main);
