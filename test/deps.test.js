'use strict';
// The logic of deps/build.js: no network, nothing compiled.
const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const t = require('tap');
const { PACKAGES, LINK_ORDER, RECIPE } = require('../deps/packages');
const version = require('../deps/lib/version');
const aptsources = require('../deps/lib/aptsources');
const apt = require('../deps/lib/apt');
const cache = require('../deps/lib/cache');
const key = require('../deps/lib/key');
const localsrc = require('../deps/lib/localsrc');
const outputs = require('../deps/lib/outputs');
const sources = require('../deps/lib/sources');
const tools = require('../deps/lib/tools');
const unpack = require('../deps/lib/unpack');
const { parseArgs } = require('../deps/lib/cli');

const BUILD = path.join(__dirname, '..', 'deps', 'build.js');
const MIRROR = 'http://mirror.example/debian';

function build(env, ...args) {
  return spawnSync(process.execPath, [BUILD, ...args], {
    encoding: 'utf8',
    env: { HOME: '/nonexistent', ...env },
  });
}

t.test('versions compare as dpkg compares them', async (t) => {
  const ordered = ['1.2~rc1', '1.2', '1.2a', '1.2+dfsg', '1.2.1', '1.10'];
  for (let i = 1; i < ordered.length; i++) {
    const [low, high] = [ordered[i - 1], ordered[i]];
    t.ok(version.compareVersions(low, high) < 0, `${low} < ${high}`);
    t.ok(version.compareVersions(high, low) > 0, `${high} > ${low}`);
  }
  t.equal(version.compareVersions('3.5.0', '3.5.0'), 0);
  t.equal(version.compareVersions('3.05', '3.5'), 0);
  t.equal(version.upstream('1:3.5.7-1~deb13u2'), '3.5.7');
  t.equal(version.upstream('1.2-3-4'), '1.2-3');
  t.equal(version.upstream('0.12.2'), '0.12.2');
});

t.test('a range is lowest version and exclusive upper bound', async (t) => {
  const range = { min: '3.5.0', below: '3.6' };
  t.equal(version.rangeProblem('3.5.0', range), null);
  t.equal(version.rangeProblem('3.5.21', range), null);
  t.equal(version.rangeProblem('3.4.9', range), 'too old');
  t.equal(version.rangeProblem('3.6.0', range), 'too new');
  t.equal(version.rangeProblem('9.0', { min: '1' }), null);
  t.equal(version.rangeText(range), '>= 3.5.0, < 3.6');
});

t.test('one-line source files', async (t) => {
  const entries = aptsources.parseList(
    [
      '# deb http://commented.example/debian bookworm main',
      `deb ${MIRROR} bookworm main contrib # trailing`,
      `deb-src [arch=amd64 signed-by=/k/a.gpg,/k/b.gpg trusted=yes] ${MIRROR}/ bookworm main`,
      'deb http://flat.example/ ./',
      'nonsense',
    ].join('\n'),
  );
  t.strictSame(entries[0], {
    types: ['deb'],
    uris: [MIRROR],
    suites: ['bookworm'],
    components: ['main', 'contrib'],
    options: {},
  });
  t.strictSame(entries[1].options, {
    'Signed-By': '/k/a.gpg /k/b.gpg',
    Trusted: 'yes',
  });
  t.strictSame(entries[2].components, []);
  t.equal(entries.length, 3);
});

t.test('deb822 source files', async (t) => {
  const entries = aptsources.parseDeb822(
    [
      '# a comment alone',
      '',
      'Types: deb deb-src',
      '# a comment within',
      `URIs: ${MIRROR} http://second.example/debian`,
      'Suites: bookworm',
      ' bookworm-updates',
      'Components: main',
      'Signed-By:',
      ' -----BEGIN PGP PUBLIC KEY BLOCK-----',
      ' .',
      ' abc',
      '',
      'Enabled: no',
      'Types: deb',
      'URIs: http://off.example/debian',
      'Suites: bookworm',
      'Components: main',
    ].join('\n'),
  );
  t.equal(entries.length, 1, 'a disabled entry is left out');
  t.strictSame(entries[0].suites, ['bookworm', 'bookworm-updates']);
  t.strictSame(entries[0].uris, [MIRROR, 'http://second.example/debian']);
  t.match(entries[0].options['Signed-By'], /BEGIN PGP[^]*\n \.\n abc/);
  const text = apt.sourcesText(
    { uri: MIRROR, options: entries[0].options },
    's',
  );
  const again = aptsources.parseDeb822(text);
  t.strictSame(again[0].options, entries[0].options, 'a key survives the copy');
});

t.test('the Debian archive is found among others', async (t) => {
  const dir = t.testdir({
    'sources.list': 'deb cdrom:[x]/ bookworm main\n',
    'sources.list.d': {
      'a.list': [
        'deb [signed-by=/k/other.gpg] http://other.example/deb bookworm main',
        'deb http://nocomponent.example/debian bookworm stable',
      ].join('\n'),
      'debian.sources': [
        'Types: deb',
        `URIs: ${MIRROR}/ http://second.example/debian`,
        'Suites: bookworm bookworm-updates',
        'Components: main',
        'Signed-By: /k/debian-archive-keyring.gpg',
        '',
        'Types: deb',
        'URIs: http://mirror.example/debian-security',
        'Suites: bookworm-security',
        'Components: main',
      ].join('\n'),
      'off.sources.disabled-by-admin': `Types: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n`,
    },
  });
  const found = aptsources.findArchives(
    aptsources.readSources(dir),
    'bookworm',
  );
  t.strictSame(
    found.filter((one) => !one.security).map((one) => one.uri),
    [`${MIRROR}/`, 'http://second.example/debian', 'http://other.example/deb'],
  );
  t.strictSame(
    found.filter((one) => one.security).map((one) => one.uri),
    ['http://mirror.example/debian-security'],
  );
  t.equal(found[0].options['Signed-By'], '/k/debian-archive-keyring.gpg');
  t.strictSame(aptsources.findArchives([], 'bookworm'), []);
  t.strictSame(aptsources.readSources(path.join(dir, 'none')), []);
  const osRelease = 'ID=debian\nVERSION_CODENAME=bookworm\n';
  t.equal(aptsources.codenameOf(osRelease), 'bookworm');
  t.equal(aptsources.codenameOf('ID=debian\n'), null);
});

t.test(
  'the scratch configuration keeps apt within its directory',
  async (t) => {
    const text = apt.configText('/c/apt', true);
    t.match(text, 'Dir::State::Lists "/c/apt/lists"');
    t.match(text, '#clear APT::Update::Post-Invoke;');
    t.match(text, 'APT::Sandbox::User "root"');
    t.notMatch(apt.configText('/c/apt', false), 'Sandbox');
  },
);

t.test('output of --print-uris', async (t) => {
  const found = apt.parseUris(
    [
      'Reading package lists...',
      `'${MIRROR}/pool/x_1.2%2bdfsg.orig.tar.xz' x_1.2+dfsg.orig.tar.xz 42 SHA256:abc`,
      `'${MIRROR}/pool/x_1.2.orig.tar.xz.asc' x_1.2.orig.tar.xz.asc 4 SHA256:def`,
      `'${MIRROR}/pool/x_1.2-1.dsc' x_1.2-1.dsc 4 SHA256:def`,
    ].join('\n'),
  );
  t.equal(found[0].file, 'x_1.2+dfsg.orig.tar.xz');
  t.equal(found[0].version, '1.2+dfsg');
  t.equal(found[0].sha256, 'abc');
  t.notOk(found.some((one) => one.file.endsWith('.dsc')));
});

t.test('versions in the output of showsrc', async (t) => {
  const text = ['1.9-1', '1.10-1', '1.9-1', '1.10~rc1-1']
    .map((one) => `Package: p\nVersion: ${one}\nFormat: 3.0 (quilt)\n`)
    .join('\n');
  t.strictSame(apt.parseVersions(text), ['1.10-1', '1.10~rc1-1', '1.9-1']);
  t.strictSame(apt.parseVersions(''), []);
});

// An apt that offers: one has 0.1, two cannot be downloaded, three is not
// Debian, four has no index, five lists a version that it lacks and works.
const FAKE_APT = `#!/bin/sh
echo "$@" >> "$FAKE_LOG"
case "$*" in *update*)
  case "$PWD" in
  */three) echo "Origin: Somebody" > lists/x_InRelease ;;
  */four) echo "E: no Release file" >&2; exit 100 ;;
  *) echo "Origin: Debian" > lists/x_InRelease ;;
  esac
  exit 0 ;;
esac
case "$*" in *showsrc*)
  case "$PWD" in
  */one) echo "Version: 0.1-1" ;;
  */two) echo "Version: 1.4.0-1" ;;
  *) printf "Version: 1.5.0-1\\n\\nVersion: 1.6.0-1~x\\n" ;;
  esac
  exit 0 ;;
esac
for last; do :; done
v=\${last#p=}
v=\${v%-*}
case "$*" in *--print-uris*)
  echo "'http://mirror.example/p_$v.orig.tar.xz' p_$v.orig.tar.xz 3 SHA256:aa"
  exit 0 ;;
esac
case $v in
1.4.0|1.6.0) echo "E: Failed to fetch: 404 Not Found" >&2; exit 100 ;;
esac
echo tar > p_$v.orig.tar.xz
`;

function fakeArchive(t) {
  const dir = t.testdir({ bin: {}, cache: {} });
  const log = path.join(dir, 'calls');
  for (const name of ['apt-get', 'apt-cache']) {
    fs.writeFileSync(path.join(dir, 'bin', name), FAKE_APT, { mode: 0o755 });
  }
  const saved = process.env.PATH;
  process.env.PATH = `${path.join(dir, 'bin')}:${saved}`;
  process.env.FAKE_LOG = log;
  t.teardown(() => {
    process.env.PATH = saved;
  });
  const paths = cache.cachePaths({ WRAITH_CACHE: path.join(dir, 'cache') });
  cache.makeDirs(paths);
  const options = { 'Signed-By': '/k/d.gpg' };
  const place = { uri: MIRROR, options, security: false };
  const aptLog = path.join(paths.logs, 'apt.log');
  const calls = () => fs.readFileSync(log, 'utf8').trim().split('\n');
  return { paths, calls, archive: new apt.Archive(place, paths.apt, aptLog) };
}

t.test('a failed download falls through to the next suite', async (t) => {
  const { paths, archive, calls } = fakeArchive(t);
  const suites = ['one', 'two', 'x-security', 'three', 'four', 'five'];
  const pkg = { name: 'p', min: '1.0', suites };
  const into = cache.tempDir(paths, 'get');
  const problems = [];
  const source = await apt.fetchFirst([archive], pkg, into, (suite, problem) =>
    problems.push({ suite, problem }),
  );
  t.equal(source.suite, 'five');
  t.equal(source.version, '1.5.0');
  t.equal(problems.length, 4, 'an archive is asked for suites it can have');
  t.match(problems, [
    { suite: 'one', problem: '0.1 is too old' },
    { suite: 'two', problem: '1.4.0: Failed to fetch: 404 Not Found' },
    { suite: 'three', problem: 'not the Debian archive' },
    { suite: 'four', problem: 'no Release file' },
  ]);
  const updates = () =>
    calls().filter((line) => line.includes('update')).length;
  t.equal(updates(), 5);

  const kept = sources.keepSource(paths, pkg, source, into);
  t.equal(sources.keptSource(paths, pkg).version, '1.5.0', 'is kept');
  t.equal(sources.keptSource(paths, { ...pkg, min: '1.6' }), null);
  t.equal(sources.keptSource(paths, { ...pkg, below: '1.5' }), null);
  fs.appendFileSync(kept.path, 'x');
  t.equal(sources.keptSource(paths, pkg), null, 'a damaged file is not used');

  const none = await apt.fetchFirst(
    [archive],
    { ...pkg, suites: ['two', 'one'] },
    into,
    () => {},
  );
  t.equal(none, null);
  t.equal(updates(), 5, 'an index is read once');
  const message = sources.noSourceMessage(pkg, problems, 'the.log');
  t.match(message, /two: 1\.4\.0: Failed to fetch/);
  t.match(message, /WRAITH_DEPS_SRC/);
  t.match(message, /the\.log/);
});

function keyOf(name, variant, change = {}) {
  const pkg = PACKAGES.find((one) => one.name === name);
  return key.buildKey({
    recipe: RECIPE,
    pkg,
    settings: key.settingsFor(pkg, variant),
    patches: [],
    compiler: 'cc 1',
    needs: [],
    origin: 'apt',
    ...change,
  });
}

t.test('the cache key', async (t) => {
  const base = keyOf('libssh', 'release');
  t.equal(keyOf('libssh', 'release'), base, 'is stable');
  const patch = { name: '0001-a.patch', path: '/p', sha256: 'aa' };
  const others = {
    variant: keyOf('libssh', 'sanitize'),
    fuzz: keyOf('libssh', 'fuzz'),
    patch: keyOf('libssh', 'release', { patches: [patch] }),
    changed: keyOf('libssh', 'release', {
      patches: [{ ...patch, sha256: 'bb' }],
    }),
    compiler: keyOf('libssh', 'release', { compiler: 'cc 2' }),
    needs: keyOf('libssh', 'release', { needs: ['aa'] }),
    origin: keyOf('libssh', 'release', { origin: 'aa' }),
    recipe: keyOf('libssh', 'release', { recipe: RECIPE + 1 }),
  };
  t.equal(new Set([base, ...Object.values(others)]).size, 9);
  const moved = keyOf('libssh', 'release', {
    patches: [{ ...patch, path: '/elsewhere' }],
  });
  t.equal(moved, others.patch, 'does not depend on where the tree lies');
  for (const name of ['openssl', 'ngtcp2', 'nghttp3']) {
    t.equal(
      keyOf(name, 'sanitize'),
      keyOf(name, 'release'),
      `${name} is shared`,
    );
  }
});

t.test('variants', async (t) => {
  const libssh = PACKAGES.find((one) => one.name === 'libssh');
  const fuzz = key.settingsFor(libssh, 'fuzz');
  t.equal(fuzz.cc, 'clang');
  t.equal(
    fuzz.configure.at(-1),
    '-DWITH_INSECURE_NONE=ON',
    'the last one wins',
  );
  const release = key.settingsFor(libssh, 'release');
  t.notOk(release.configure.includes('-DWITH_INSECURE_NONE=ON'));
  t.ok(release.cflags.includes('-DMAX_BUF_SIZE=65536'));
});

t.test('patches are found in order, and the headers they add', async (t) => {
  const added = (name) =>
    `--- /dev/null\n+++ b/include/libssh/${name}\n@@ -0,0 +1 @@\n+x\n`;
  const dir = t.testdir({
    libssh: {
      '0002-b.patch':
        '--- a/include/libssh/priv.h\n+++ b/include/libssh/priv.h\n',
      '0001-a.patch': added('carrier.h') + added('carrier_priv.h'),
      README: '',
    },
  });
  const patches = key.findPatches(dir, 'libssh');
  t.strictSame(
    patches.map((patch) => patch.name),
    ['0001-a.patch', '0002-b.patch'],
  );
  t.strictSame(unpack.addedHeaders(patches), ['libssh/carrier.h']);
  t.strictSame(key.findPatches(dir, 'openssl'), []);
});

t.test('names of sources at hand', async (t) => {
  const match = (entry, isDir = false) =>
    localsrc.matchName('libssh', entry, isDir);
  t.strictSame(match('libssh-0.12.2.tar.xz'), {
    version: '0.12.2',
    tree: false,
  });
  t.equal(match('libssh_0.12.2.orig.tar.xz').version, '0.12.2');
  t.equal(match('libssh_0.12.2+dfsg.orig.tar.gz').version, '0.12.2+dfsg');
  t.equal(match('libssh-0.12.2', true).tree, true);
  t.equal(match('libssh', true).tree, true);
  t.equal(match('libssh2-1.11.0.tar.gz'), null);
  t.equal(match('libssh_0.12.2-1.debian.tar.xz'), null);
  t.equal(match('libssh_0.12.2.orig.tar.xz.asc'), null);
});

t.test('WRAITH_DEPS_SRC takes the highest version in range', async (t) => {
  const tree = (v) => ({
    'CMakeLists.txt': `project(p VERSION ${v} LANGUAGES C)`,
  });
  const dir = t.testdir({
    'p-1.4': tree('1.4'),
    'p-1.10': tree('1.10'),
    'p-2.0': tree('2.0'),
    'p_1.9.orig.tar.xz': 'x',
    'q-9': tree('9'),
  });
  const pkg = {
    name: 'p',
    min: '1.5',
    below: '2',
    versionFile: 'CMakeLists.txt',
  };
  const source = localsrc.localSources(dir, [pkg]).get('p');
  t.match(source, { file: 'p-1.10', version: '1.10', origin: 'tree' });
  t.match(source.sha256, /^[0-9a-f]{64}$/);
  fs.appendFileSync(path.join(dir, 'p-1.10', 'CMakeLists.txt'), '\n');
  const changed = localsrc.localSources(dir, [pkg]).get('p');
  t.not(changed.sha256, source.sha256, 'content counts');
  const absent = { ...pkg, name: 'absent' };
  const strict = { ...pkg, min: '1.11' };
  t.throws(
    () => localsrc.localSources(dir, [absent]),
    /neither absent-<version>/,
  );
  t.throws(() => localsrc.localSources(dir, [strict]), /p-1\.4 is too old/);
  t.throws(
    () => localsrc.localSources(path.join(dir, 'none'), [pkg]),
    /is not a directory/,
  );
});

t.test('outputs', async (t) => {
  const built = PACKAGES.map((pkg) => ({
    name: pkg.name,
    prefix: `/c/${pkg.name}`,
    include: `/c/${pkg.name}/include`,
    libs: pkg.libs.map((lib) => `/c/${pkg.name}/lib/${lib}`),
    manifest: {
      name: pkg.name,
      version: pkg.min,
      origin: 'apt',
      file: `${pkg.name}.tar`,
      sha256: 'a'.repeat(64),
      suite: 'sid',
      patches: [{ name: '0001-"a".patch', sha256: 'b' }],
    },
  }));
  const files = outputs.outputFiles('release', built);
  const data = JSON.parse(files.get('release.json'));
  t.strictSame(
    data.libs.map((lib) => path.basename(lib)),
    [
      'libssh.a',
      'libngtcp2_crypto_ossl.a',
      'libngtcp2.a',
      'libnghttp3.a',
      'libssl.a',
      'libcrypto.a',
    ],
  );
  t.match(
    files.get('release.cmake'),
    'set(WRAITH_DEPS_OPENSSL_VERSION\n  "3.5.0")',
  );
  const header = files.get('versions.h');
  t.match(header, '#define WR_DEPS_LIBSSH_VERSION "0.12.2"');
  t.notMatch(header, '/c/', 'no path gets into the addon');
  const literals = header
    .split('WR_DEPS_MANIFEST')[1]
    .match(/"(\\.|[^"\\])*"/g);
  const manifest = JSON.parse(
    literals.map((text) => JSON.parse(text)).join(''),
  );
  t.strictSame(
    manifest.map((one) => one.name),
    LINK_ORDER,
  );
  t.equal(manifest[0].patches[0], '0001-"a".patch');
  const sanitize = outputs.outputFiles('sanitize', built);
  t.ok(sanitize.has('sanitize.gypi'));
  t.notOk(sanitize.has('config.gypi'));

  const dir = path.join(t.testdir(), 'out');
  outputs.writeOutputs(dir, files);
  t.strictSame(outputs.staleOutputs(dir, files), []);
  const file = path.join(dir, 'versions.h');
  const before = fs.statSync(file).mtimeMs;
  outputs.writeOutputs(dir, files);
  t.equal(fs.statSync(file).mtimeMs, before, 'left alone when nothing changes');
});

t.test('missing tools are named all at once', async (t) => {
  const dir = t.testdir({ bin: {} });
  const env = {
    PATH: path.join(dir, 'bin'),
    WRAITH_CACHE: path.join(dir, 'c'),
  };
  const result = build(env);
  t.equal(result.status, 1);
  const [line] = result.stderr.match(/^.*apt-get install.*$/m);
  for (const deb of ['gcc', 'libc6-dev', 'make', 'cmake', 'perl', 'patch']) {
    t.match(line, ` ${deb}`);
  }
  t.match(line, / xz-utils/);
  t.notMatch(result.stderr, /^\s+at /m, 'no stack');
  t.notOk(fs.existsSync(path.join(dir, 'c')), 'and nothing is created');
  const fuzz = build(env, '--variant', 'fuzz');
  t.match(fuzz.stderr, /apt-get install.* clang libclang-rt-14-dev/);
  t.equal(tools.findProgram('sh', path.join(dir, 'bin')), null);
});

t.test('wrong use is one message', async (t) => {
  const dir = t.testdir({ empty: {} });
  const env = { PATH: process.env.PATH, WRAITH_CACHE: path.join(dir, 'c') };
  const cases = [
    [{}, ['--frobnicate'], 2, /unknown option --frobnicate/],
    [{}, ['--variant', 'debug'], 2, /release, sanitize, fuzz, not debug/],
    [{}, ['--variant'], 2, /not nothing/],
    [{ WRAITH_DEPS: 'static' }, [], 1, /not "static"/],
    [{ WRAITH_DEPS: 'system', WRAITH_DEPS_SRC: dir }, [], 1, /not both/],
    [{ WRAITH_DEPS: 'system' }, ['--variant', 'fuzz'], 1, /no variant fuzz/],
    [{ WRAITH_CACHE: '/a b' }, [], 1, /has a blank/],
    [{ WRAITH_DEPS_SRC: '/nonexistent' }, [], 1, /is not a directory/],
    [{ WRAITH_DEPS_SRC: path.join(dir, 'empty') }, [], 1, /neither openssl-</],
    [{}, ['--check'], 1, /not built yet/],
  ];
  for (const [extra, args, status, message] of cases) {
    const result = build({ ...env, ...extra }, ...args);
    const name = JSON.stringify([extra, args]).replaceAll(dir, '…');
    t.equal(result.status, status, `${name} ends with ${status}`);
    t.match(result.stderr, message);
    t.notMatch(result.stderr, /^\s+at /m, 'no stack');
  }
  t.strictSame(parseArgs(['--variant=fuzz', '--print=libs']), {
    variant: 'fuzz',
    print: 'libs',
  });
});

// A pkg-config that knows what the file `known` says: name version.
const FAKE_PKG_CONFIG = `#!/bin/sh
d=$(dirname "$0")/..
case "$1" in
--modversion) v=$(sed -n "s/^$2 //p" "$d/known"); [ -n "$v" ] && echo "$v" ;;
--variable=includedir) echo "$d/include" ;;
--variable=libdir) echo "$d/lib" ;;
esac
`;

t.test('system libraries', async (t) => {
  const dir = t.testdir({
    bin: {},
    known: 'openssl 3.0.19\nlibssh 0.12.2\nlibnghttp3 1.15.0\n',
  });
  const program = path.join(dir, 'bin', 'pkg-config');
  fs.writeFileSync(program, FAKE_PKG_CONFIG, { mode: 0o755 });
  const result = build({
    PATH: `${path.join(dir, 'bin')}:${process.env.PATH}`,
    WRAITH_DEPS: 'system',
  });
  t.equal(result.status, 1);
  t.match(result.stderr, /openssl 3\.0\.19 is too old .*package libssl-dev/);
  t.match(result.stderr, /libngtcp2 is missing .*libngtcp2-dev/);
  t.match(result.stderr, /libngtcp2_crypto_ossl is missing/);
  t.match(result.stderr, /no static library libnghttp3\.a/);
  t.match(result.stderr, /libssh\/carrier\.h is missing/);
  t.notMatch(result.stderr, /^\s+at /m, 'no stack');
});

t.test('the lock makes a second run wait', async (t) => {
  const paths = cache.cachePaths({ WRAITH_CACHE: t.testdir() });
  cache.makeDirs(paths);
  const unlock = await cache.takeLock(paths, () => t.fail('nobody has it'));
  const order = [];
  let waiting;
  const waits = new Promise((resolve) => {
    waiting = resolve;
  });
  const second = cache.takeLock(paths, waiting).then((release) => {
    order.push('second');
    release();
  });
  await waits;
  order.push('first');
  unlock();
  await second;
  t.strictSame(order, ['first', 'second']);
});

t.test('disk space is checked before the work', async (t) => {
  const base = t.testdir();
  t.throws(() => cache.checkSpace({ base }, 2 ** 40), /not enough disk space/);
  t.doesNotThrow(() => cache.checkSpace({ base }, 0));
});
