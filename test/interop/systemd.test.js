'use strict';
// The units in docs/systemd: systemd takes every line of them, and they shut in
// what they start.
const fs = require('node:fs');
const path = require('node:path');
const { lab } = require('./lib/lab.js');
const { wraithRun } = require('./lib/wraith.js');
const peers = require('../../scripts/peers.js');

const UNITS = path.join(__dirname, '../../docs/systemd');
const PROGRAM = '/usr/local/bin/wraith';
const needs = { peers: ['systemd-analyze'] };

const read = (name) => fs.readFileSync(path.join(UNITS, name), 'utf8');

// systemd looks whether the program exists.
function copyUnits(t, lab) {
  return fs.readdirSync(UNITS).map((name) => {
    const text = read(name);
    if (name.endsWith('.service')) t.ok(text.includes(PROGRAM), name);
    return lab.file(name, text.replaceAll(PROGRAM, process.execPath));
  });
}

lab('systemd takes the units as they are', needs, async (t, lab) => {
  const analyze = peers.path('systemd-analyze');
  const files = copyUnits(t, lab);
  t.equal(files.length, 2);
  const verify = await lab.run(analyze, ['verify', ...files]);
  t.match({ ...verify }, { code: 0, stdout: '', stderr: '' });
  // From 0 (shut in) to 100; above 90 without any of it.
  const limits = ['--offline=true', '--threshold=20'];
  const service = files.find((file) => file.endsWith('.service'));
  const { code, stdout } = await lab.run(analyze, [
    ...['security', '--no-pager', ...limits, service],
  ]);
  t.equal(code, 0, stdout.split('\n').at(-2));
});

lab('the flags in it are those of the server', {}, async (t, lab) => {
  const [command] = /^ExecStart=(?:.*\\\n)*.*$/m.exec(read('wraith.service'));
  const flags = command.match(/--[a-z-]+/g);
  t.ok(flags.length > 2);
  const { stdout } = await wraithRun(lab.dir, ['serve', '--help']);
  for (const flag of flags) t.match(stdout, `  ${flag} <`, flag);
});
