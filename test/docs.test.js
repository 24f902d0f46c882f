'use strict';
// The documents agree with the software: programs run, command lines are taken,
// and the page of the command line is what --help says.
const t = require('tap');
const fs = require('node:fs');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { readArgs } = require('../lib/cli/args.js');
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

const commands = ['serve', 'connect', 'keygen', 'demo', 'policy'];

// Every flag there is, by command.
const flags = Object.fromEntries(
  commands.map((name) => [name, require(`../lib/cli/${name}.js`).flags]),
);
const common = ['help', 'version', 'json', 'log-level', 'log-format'];

// README and all of docs/ with that ending: { file, text }.
function documents(ending) {
  const below = fs.readdirSync(path.join(root, 'docs'), { recursive: true });
  return ['README.md', ...below.map((name) => path.join('docs', name))]
    .filter((name) => name.endsWith(ending))
    .map((file) => ({
      file,
      text: fs.readFileSync(path.join(root, file), 'utf8'),
    }));
}

const program = '(?:node bin/wraith\\.js|(?:/usr/local/bin/)?wraith)';
const begin = `(?:\\$ |ExecStart=)?${program}`;

// What stands in a line of its own, which a backslash continues.
function commandLines(text) {
  const lines = text.replace(/\\\n/g, ' ');
  const pattern = new RegExp(`^[ \\t]*${begin} (.*)$`, 'gm');
  return [...lines.matchAll(pattern)].map(([, line]) => line);
}

const codeSpans = (text) =>
  [...text.matchAll(/`([^`\n]+)`/g)].map(([, span]) => span);

// The words, without a comment, quotes, what is left out, and files of secrets,
// which are not there.
function words(line) {
  const [code] = line.split(/ #|  \|/);
  return [...code.matchAll(/"([^"]*)"|(\S+)/g)]
    .map(([, quoted, plain]) => quoted ?? plain.replace(/^@/, ''))
    .filter((word) => !['...', '…', '[flags]', '<target>...'].includes(word));
}

// Undefined if a command takes them, or what is wrong.
function wrong([command, ...args]) {
  try {
    readArgs(args, flags[command], { positionals: command === 'policy' });
  } catch (error) {
    return error.message;
  }
}

t.test('command lines are taken', async (t) => {
  const found = [...documents('.md'), ...documents('.service')].flatMap(
    ({ file, text }) =>
      commandLines(text)
        .map(words)
        .filter(([command]) => command in flags)
        .map((args) => ({ file, args })),
  );
  t.ok(found.length > 15);
  for (const { file, args } of found) {
    const said = `${file}: wraith ${args.join(' ')}`;
    t.equal(wrong(args), undefined, said);
  }
  t.match(wrong(words('serve --nonsense # x')), /is not a known flag/);
});

// Of other programs: docs about them name their flags too.
const foreign = ['jitless', 'version-all', 'setup', 'dns', 'dns-addr'].concat([
  'bypass',
  'ipv6-enabled',
  'global',
  'prefix',
]);

t.test('flags that are named are there', async (t) => {
  const known = new Set([...common, ...foreign]);
  for (const own of Object.values(flags)) {
    for (const name of Object.keys(own)) known.add(name);
  }
  for (const { file, text } of documents('.md')) {
    const spans = codeSpans(text.replace(/^```[^]*?^```/gm, ''));
    for (const span of spans) {
      if (!/^(--|wraith )/.test(span)) continue;
      for (const [, name] of span.matchAll(/(?:^|\s)--([a-z0-9-]+)/g)) {
        t.ok(known.has(name), `${file}: ${span}`);
      }
    }
  }
});

// GitHub's: in lower case, without marks, words joined by dashes.
function anchors(text) {
  const titles = [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) => title);
  const plain = (title) => title.toLowerCase().replace(/[^\w -]/g, '');
  return titles.map((title) => plain(title).replace(/ /g, '-'));
}

t.test('links lead somewhere', async (t) => {
  for (const { file, text } of documents('.md')) {
    for (const [, link] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue;
      const [name, anchor] = link.split('#');
      const target = path.join(root, path.dirname(file), name);
      const place = name === '' ? path.join(root, file) : target;
      const isThere = fs.existsSync(place);
      t.ok(isThere, `${file}: ${link}`);
      if (!anchor || !isThere) continue;
      const all = anchors(fs.readFileSync(place, 'utf8'));
      t.ok(all.includes(anchor), `${file}: ${link}`);
    }
  }
});
