'use strict';
// The project's own scripts: each check has to catch what it is there for.
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const t = require('tap');
const includes = require('../scripts/check-includes.js');
const style = require('../scripts/check-style.js');
const symbols = require('../scripts/check-symbols.js');
const { sourceHash } = require('../scripts/source-hash.js');
const { nodeDir } = require('../scripts/build.js');
const { choose } = require('../scripts/demo.js');
const peers = require('../scripts/peers.js');
const tap = require('../scripts/util/tap.js');
const { Failure, which } = require('../scripts/util/proc.js');

const root = path.resolve(__dirname, '..');
const present = () => true;

function write(dir, files) {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(dir, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
  }
}

t.test('includes: the tree as it is', async (t) => {
  t.strictSame(includes.check(), []);
});

t.test('includes: a planted upward include', async (t) => {
  const dir = t.testdir({
    base: { 'a.c': '#include "base/a.h"\n#include "net/link.h"\n', 'a.h': '' },
    net: { 'link.h': '#include "base/a.h"\n' },
  });
  const problems = includes.check(dir);
  t.equal(problems.length, 1);
  t.match(problems[0], /^csrc\/base\/a\.c:2: .*base\/ may not include net\//);
});

t.test('includes: neighbours, napi and unknown folders', async (t) => {
  const bad = (file, line) =>
    includes.checkFile(file, line, present).length === 1;
  t.ok(bad('ssh/a.c', '#include "quic/conn.h"'));
  t.ok(bad('proxy/a.c', '#include "iroh/id.h"'));
  t.ok(bad('app/a.c', '#include "napi/binding.h"'));
  t.ok(bad('net/a.c', '#include "link.h"'), 'not from csrc/');
  t.ok(bad('other/a.c', ''), 'not a layer');
  t.notOk(bad('app/a.c', '#include "ssh/session.h"'));
  t.notOk(bad('net/a.c', '  #  include "base/buf.h"'));
});

t.test('includes: third-party headers stay in their folder', async (t) => {
  const bad = (file, name) =>
    includes.checkFile(file, `#include <${name}>`, present).length === 1;
  t.ok(bad('base/a.c', 'uv.h'));
  t.ok(bad('app/a.c', 'libssh/libssh.h'));
  t.ok(bad('proxy/a.c', 'openssl/evp.h'));
  t.ok(bad('net/tcp.c', 'openssl/ssl.h'));
  t.ok(bad('ssh/a.c', 'node_api.h'));
  t.ok(bad('base/a.c', 'sys/socket.h'), 'base is plain C');
  t.ok(bad('net/a.c', 'glib.h'), 'unknown');
  t.notOk(bad('net/tls.c', 'openssl/ssl.h'));
  t.notOk(bad('ssh/a.c', 'libssh/callbacks.h'));
  t.notOk(bad('loop/a.c', 'uv.h'));
  t.notOk(bad('napi/a.c', 'node_api.h'));
  t.notOk(bad('base/a.c', 'stdint.h'));
});

t.test('includes: libuv is called in few layers', async (t) => {
  const call = '  uv_read_start(&s, a, b);';
  const of = (file, line) => includes.checkFile(file, line, present).length;
  t.equal(of('ssh/a.c', call), 1);
  t.equal(of('app/a.c', call), 1);
  t.equal(of('net/a.c', call), 0);
  t.equal(of('ssh/a.c', '  puts(uv_strerror(UV_EOF));'), 0);
});

t.test('includes: a header that does not exist', async (t) => {
  const found = includes.checkFile(
    'net/a.c',
    '#include "net/b.h"',
    () => false,
  );
  t.match(found[0], /does not exist/);
});

t.test('symbols', { skip: !which('gcc') && 'no gcc' }, async (t) => {
  const dir = t.testdir({
    'a.map':
      '{ global: napi_register_module_v1; ' +
      'node_api_module_get_api_version_v1; local: *; };',
  });
  const entry =
    'void napi_register_module_v1(void);\n' +
    'int node_api_module_get_api_version_v1(void);\n' +
    'int node_api_module_get_api_version_v1(void) { return 9; }\n';
  const compile = (name, body, flags) => {
    const source = path.join(dir, `${name}.c`);
    fs.writeFileSync(source, entry + body);
    const out = path.join(dir, `${name}.node`);
    const args = ['-shared', '-fPIC', source, '-o', out, ...flags];
    const r = spawnSync('gcc', args, { encoding: 'utf8' });
    t.equal(r.status, 0, r.stderr);
    return symbols.check(out);
  };
  const hidden = [
    `-Wl,--version-script=${path.join(dir, 'a.map')}`,
    '-Wl,-z,nodelete',
    '-Wl,-z,now',
  ];
  const uses = (name) =>
    `int ${name}(void);\n` +
    `void napi_register_module_v1(void) { ${name}(); }\n`;
  t.strictSame(compile('good', uses('uv_version'), hidden).problems, []);
  const foreign = compile('foreign', uses('SSL_new'), hidden);
  t.equal(foreign.problems.length, 1);
  t.match(foreign.problems[0], /^undefined.*: SSL_new$/);
  const open = compile(
    'open',
    uses('getpid') + 'int SSL_free(void) ' + '{ return 1; }\n',
    ['-Wl,-z,nodelete', '-Wl,-z,now'],
  );
  t.match(open.problems[0], /^exported.*: SSL_free$/);
  t.match(open.glibc, /^GLIBC_2/);
  const soft = compile('soft', uses('napi_a'), hidden.slice(0, 1));
  t.match(soft.problems.join(' '), /nodelete.*now/);
});

t.test('symbols: a file that is not there', async (t) => {
  t.throws(() => symbols.check('/nonexistent.node'), {
    message: '/nonexistent.node is not there',
  });
});

t.test('style: banned functions', async (t) => {
  const bad = (line, file = 'csrc/net/a.c') =>
    style.checkFile(file, `${line}\n`).length;
  t.equal(bad('  strcpy(a, b);'), 1);
  t.equal(bad('  p = malloc(3);'), 1);
  t.equal(bad('  free(p);'), 1);
  t.equal(bad('  p = malloc(3);', 'csrc/base/mem.c'), 0);
  t.equal(bad('  wr_free(mem, p);'), 0);
  t.equal(bad('  ops->free(p);'), 0);
  t.equal(bad('  snprintf(a, 3, "x");'), 0);
  t.equal(bad('  f("strcpy(a)"); /* gets(x) */'), 0);
});

t.test('style: long functions and files', async (t) => {
  const body = '  a();\n';
  const fn = (n) => `static int f(int a,\n    int b) {\n${body.repeat(n)}}\n`;
  t.strictSame(style.checkFile('csrc/net/a.c', fn(97)), []);
  t.match(style.checkFile('csrc/net/a.c', fn(120))[0], /a function of 12\d/);
  const table = `static const int x[] = {\n${'  1,\n'.repeat(300)}};\n`;
  t.strictSame(style.checkFile('csrc/net/a.c', table), []);
  t.match(style.checkFile('lib/a.js', 'a;\n'.repeat(801))[0], /801 lines/);
  const reason = '/* file-length: one generated table. */\n';
  t.strictSame(style.checkFile('lib/a.js', reason + 'a;\n'.repeat(801)), []);
});

t.test('style: unfinished work and paths of a machine', async (t) => {
  const todo = ['TO', 'DO'].join('');
  const home = ['', 'home', 'me'].join('/');
  const bad = (text) => style.checkFile('lib/a.js', `${text}\n`).length;
  t.equal(bad(`// ${todo}: later`), 1);
  t.equal(bad(`// ${todo}(#12): later`), 0);
  t.equal(bad(`const a = '${home}';`), 1);
  t.equal(bad('a; '), 1, 'space at the end');
});

t.test('style: the lock file names no host', async (t) => {
  const lock = fs.readFileSync(path.join(root, 'package-lock.json'), 'utf8');
  t.strictSame(style.checkLock(lock), []);
  t.equal(style.checkLock('{\n  "resolved": "x"\n}').length, 1);
  t.equal(style.checkLock('{ "url": "ftp://a" }').length, 1);
});

t.test('source hash: stable, and sees every change', async (t) => {
  const dir = t.testdir({ csrc: { 'a.c': 'a' }, deps: { 'b.js': 'b' } });
  const before = sourceHash(dir);
  t.equal(sourceHash(dir), before);
  write(dir, { 'csrc/a.c~': 'x', 'csrc/.a.swp': 'x', 'lib/c.js': 'x' });
  t.equal(sourceHash(dir), before, 'files that are no sources');
  const changes = {
    'csrc/net/new.c': 'n',
    'deps/patches/libssh/0001-x.patch': 'p',
    'binding.gyp': '{}',
    'csrc/a.c': 'A',
  };
  const seen = new Set([before]);
  for (const [name, text] of Object.entries(changes)) {
    write(dir, { [name]: text });
    seen.add(sourceHash(dir));
  }
  t.equal(seen.size, 5);
});

t.test('demo: which addon it runs', async (t) => {
  const crypto = require('node:crypto');
  const dir = t.testdir({ csrc: { 'a.c': 'a' } });
  const files = {
    root: dir,
    addon: () => path.join(dir, 'built.node'),
    stamp: path.join(dir, 'stamp'),
    prebuilt: path.join(dir, 'pre.node'),
    manifest: path.join(dir, 'manifest.json'),
  };
  const hash = sourceHash(dir);
  const fail = async () => {
    throw new Failure('no compiler');
  };
  const manifest = (sources) => {
    const sha256 = crypto.createHash('sha256').update('pre').digest('hex');
    write(dir, {
      'pre.node': 'pre',
      'manifest.json': JSON.stringify({ sources, sha256 }),
    });
  };
  await t.rejects(choose(files, fail), /no compiler/, 'nothing to run');
  t.equal(await choose(files, async () => 'new'), 'new', 'builds');
  manifest(hash);
  t.equal(await choose(files, fail), files.prebuilt, 'prebuilt fits');
  write(dir, { 'built.node': 'b', stamp: `${hash}\n` });
  t.equal(await choose(files, fail), files.addon(), 'built one fits');
  write(dir, { stamp: 'other\n' });
  manifest('other');
  t.equal(await choose(files, async () => 'new'), 'new', 'neither fits');
  const errors = t.capture(process.stderr, 'write', () => true);
  t.equal(await choose(files, fail), files.prebuilt, 'better than nothing');
  const said = errors()
    .map(({ args }) => String(args[0]))
    .join('');
  t.match(said, /^warning: no compiler; .*\n$/);
  write(dir, { 'pre.node': 'damaged' });
  await t.rejects(choose(files, fail), /no compiler/, 'not a damaged one');
});

t.test('build: headers of the running Node', async (t) => {
  const dir = t.testdir({ bin: { node: '' } });
  const node = path.join(dir, 'bin', 'node');
  t.throws(() => nodeDir(node), { message: /headers of Node v\d.*install/ });
  write(dir, { 'include/node/node_api.h': '' });
  t.equal(nodeDir(node), fs.realpathSync(dir));
});

t.test('build: an unknown variant is one line', async (t) => {
  const script = path.join(root, 'scripts', 'build.js');
  const args = [script, '--variant', 'fast'];
  const r = spawnSync(process.execPath, args, { encoding: 'utf8' });
  t.equal(r.status, 1);
  t.match(r.stderr, /^build: --variant is one of release, sanitize[^\n]*\n$/);
});

function count(text, options, end = { code: 0 }) {
  const counter = new tap.Counter(options);
  text.split('\n').forEach((line) => counter.line(line));
  return counter.end(end);
}

t.test('TAP of a C program', async (t) => {
  const c = count(
    'TAP version 14\nok 1 - a\nnot ok 2 - b\n' + 'ok 3 - c # SKIP why\n1..3\n',
    {},
    { code: 1 },
  );
  t.match(c, { passed: 1, failed: 1, skipped: 1 });
  t.strictSame(c.skips, ['c (why)']);
  t.equal(tap.summary(c), '1 passed, 1 failed, 1 skipped');
});

t.test('TAP that ends badly is a failure', async (t) => {
  t.match(count('ok 1 - a\n1..1\n', {}, { code: 3 }), { failed: 1 });
  t.match(count('ok 1 - a\n1..1\n', {}, { signal: 'SIGSEGV' }), { failed: 1 });
  t.match(count('ok 1 - a\n', {}), { failed: 1 }, 'no plan');
  t.match(count('ok 1 - a\n1..2\n', {}), { failed: 1 }, 'plan too long');
  t.match(count('', {}), { failed: 1 }, 'nothing at all');
});

t.test("TAP of tap's runner", async (t) => {
  const text = [
    '# Subtest: test/a.test.js',
    '    # Subtest: x',
    '        ok 1 - inner',
    `        not ok 2 - inner # ${['TO', 'DO'].join('')} one day`,
    '        1..2',
    '    ok 1 - x # time=4ms',
    '    ok 2 - y # SKIP no reason',
    '    1..2',
    'ok 1 - test/a.test.js # time=9ms',
    '# Subtest: test/b.test.js',
    '    not ok 1 - z',
    '      ---',
    '      source: |',
    'ok 7 - text inside of a YAML block',
    '      ...',
    '    1..1',
    'not ok 2 - test/b.test.js # time=9ms',
    '# Subtest: test/c.test.js',
    '    1..0 # no tests found',
    'not ok 3 - test/c.test.js # time=9ms',
    'ok 4 - test/d.test.js # SKIP no network',
    '1..4',
  ].join('\n');
  const c = count(text, { depth: 1 }, { code: 1 });
  t.match(c, { passed: 1, failed: 2, skipped: 2 });
  t.strictSame(c.failures, ['z', 'test/c.test.js (file)']);
});

t.test('totals of several suites', async (t) => {
  const total = tap.emptyTotal();
  const part = { ...tap.emptyTotal(), passed: 2, failed: 1, failures: ['a'] };
  tap.add(total, part, 'c');
  tap.add(total, { ...tap.emptyTotal(), passed: 3 }, 'js');
  t.equal(tap.summary(total), '5 passed, 1 failed');
  t.strictSame(total.failures, ['c: a']);
});

t.test('a missing peer: skipped here, run in CI', async (t) => {
  const { peers: table } = peers;
  table['no-such-program'] = { package: 'nothing' };
  t.teardown(() => delete table['no-such-program']);
  const before = process.env.CI;
  t.teardown(() => {
    if (before === undefined) delete process.env.CI;
    else process.env.CI = before;
  });
  delete process.env.CI;
  t.match(peers.skip('no-such-program'), /no-such-program \(nothing\)/);
  process.env.CI = 'true';
  t.equal(peers.skip('no-such-program'), false);
  t.throws(() => peers.path('no-such-program'), /package nothing/);
  t.throws(() => peers.find('other'), /no such peer/);
});

t.test('test.js: an unknown suite is one line', async (t) => {
  const args = [path.join(root, 'scripts', 'test.js'), 'everything'];
  const r = spawnSync(process.execPath, args, { encoding: 'utf8' });
  t.equal(r.status, 1);
  t.match(r.stderr, /^test: no suite everything; there are [^\n]*\n$/);
});

t.test('package: what npm would publish', async (t) => {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const r = spawnSync('npm', args, { cwd: root, encoding: 'utf8' });
  t.equal(r.status, 0, r.stderr);
  const files = JSON.parse(r.stdout)[0].files.map((f) => f.path);
  t.notOk(files.some((f) => /^(csrc|deps|test|scripts)\/|gyp/.test(f)));
  t.ok(files.includes('LICENSE'));
  const { scripts } = JSON.parse(
    fs.readFileSync(path.join(root, 'package.json'), 'utf8'),
  );
  for (const name of ['install', 'preinstall', 'postinstall', 'prepare']) {
    t.notOk(name in scripts, `no ${name} script`);
  }
});
