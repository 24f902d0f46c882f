'use strict';
// The reference agrees with the software: its programs run, and the page of the
// command line is what --help says.
const t = require('tap');
const fs = require('node:fs');
const path = require('node:path');
const { spawn } = require('node:child_process');
const root = path.join(__dirname, '..');

const page = (name) =>
  fs.readFileSync(path.join(root, 'docs', 'reference', name), 'utf8');

// Resolves with what a program printed and its exit code.
function run(t, args) {
  const child = spawn(process.execPath, args, { cwd: root });
  t.teardown(() => child.kill('SIGKILL'));
  let out = '';
  child.stdout.on('data', (data) => (out += data));
  child.stderr.on('data', (data) => (out += data));
  return new Promise((resolve) => {
    child.on('close', (code) => resolve({ code, out }));
  });
}

const expected = [
  /^socks5h:\/\/127\.0\.0\.1:\d+\nhello\n$/,
  /^welcome, alice\nand good-bye\n$/,
  /^over a socket of ours\n$/,
  /^42\n$/,
];

t.test('the programs of api.md', async (t) => {
  const programs = [...page('api.md').matchAll(/```js\n(.*?)```/gs)];
  t.equal(programs.length, expected.length);
  const dir = t.testdir();
  for (const [i, [, text]] of programs.entries()) {
    const file = path.join(dir, `program-${i}.js`);
    fs.writeFileSync(file, text);
    const { code, out } = await run(t, [file]);
    t.equal(code, 0);
    t.match(out, expected[i]);
  }
});

t.test('cli.md is what --help says', async (t) => {
  const text = page('cli.md');
  for (const command of ['serve', 'connect', 'keygen', 'demo', 'policy']) {
    const { out } = await run(t, ['bin/wraith.js', command, '--help']);
    const own = out.slice(0, out.indexOf('Common flags'));
    t.ok(text.includes(own.trimEnd()), command);
    t.ok(text.includes(out.slice(out.indexOf('Common flags')).trimEnd()));
  }
});
