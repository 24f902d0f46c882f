'use strict';
// What the ACME side is made of: names, options, times, certificates.
const t = require('tap');
const { execFileSync, spawnSync } = require('node:child_process');
const { X509Certificate, createPrivateKey, webcrypto } = require('node:crypto');
const { once } = require('node:events');
const fs = require('node:fs');
const https = require('node:https');
const os = require('node:os');
const path = require('node:path');
const x509 = require('@peculiar/x509');
const {
  createAcme,
  parseAcmeOptions,
  selfSigned,
} = require('../../lib/acme.js');
const names = require('../../lib/acme/names.js');
const times = require('../../lib/acme/times.js');
const { Transport } = require('../../lib/acme/transport.js');
const { renewalId } = require('../../lib/acme/x509.js');
const peers = require('../../scripts/peers.js');

const DAY_MS = 24 * 3600_000;

t.test('names in their one form', async (t) => {
  for (const [text, expected] of [
    ['Example.COM', 'example.com'],
    ['example.com.', 'example.com'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['localhost', 'localhost'],
    ['192.0.2.1', '192.0.2.1'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['fe80::1%eth0', null],
    ['192.0.2', null],
    ['0x7f.1', null],
    ['a b', null],
    ['-a.example', null],
    ['a..example', null],
    ['a/b', null],
    ['a:443', null],
    ['.', null],
    [`${'a'.repeat(64)}.example`, null],
    [`${'a.'.repeat(127)}example`, null],
  ]) {
    t.equal(names.normalizeName(text), expected, text);
  }
});

t.test('the server name for an address (RFC 8738 6)', async (t) => {
  t.equal(names.serverNameOf('one.example'), 'one.example');
  t.equal(names.serverNameOf('192.0.2.7'), '7.2.0.192.in-addr.arpa');
  t.equal(
    names.serverNameOf('2001:db8::1'),
    `1.${'0.'.repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa`,
  );
  t.equal(names.serverNameOf('::'), `${'0.'.repeat(32)}ip6.arpa`);
});

t.test('options', async (t) => {
  t.equal(parseAcmeOptions({ listen: ['x'] }), null);
  const hmacKey = 'c2VjcmV0';
  t.match(
    parseAcmeOptions({
      acmeDomain: ['Two.example', 'two.example', '192.0.2.1'],
      acmeDirectory: 'https://ca.example/dir',
      acmeEmail: 'me@two.example',
      acmeDir: '/state',
      acmeChallenge: 'http-01',
      acmeHttpListen: ':8080',
      acmeEabKid: 'kid',
      acmeEabHmacKey: `${hmacKey}==`,
      listen: ['other options are not looked at'],
    }),
    {
      domains: ['two.example', '192.0.2.1'],
      directory: 'https://ca.example/dir',
      email: 'me@two.example',
      dir: '/state',
      challenge: 'http-01',
      httpListen: { host: undefined, port: 8080 },
      eab: { kid: 'kid', hmacKey },
    },
  );
  t.match(parseAcmeOptions({ acmeDomain: 'a.example' }), {
    domains: ['a.example'],
    directory: /^https:\/\/acme-v02\./,
    dir: /wraith.acme$/,
    challenge: 'tls-alpn-01',
    eab: undefined,
  });
});

t.test('options that are wrong', async (t) => {
  const acmeDomain = 'a.example';
  const many = Array.from({ length: 101 }, (_, i) => `n${i}.example`);
  for (const [options, option] of [
    [{ acmeDomain: [] }, 'acmeDomain'],
    [{ acmeDomain: ['*.example'] }, 'acmeDomain[0]'],
    [{ acmeDomain: ['a b'] }, 'acmeDomain[0]'],
    [{ acmeDomain: many }, 'acmeDomain'],
    [{ acmeEmail: 'me@a.example' }, 'acmeEmail'],
    [{ acmeDomain, acmeEmail: 'me' }, 'acmeEmail'],
    [{ acmeDomain, acmeDirectory: 'http://a.example' }, 'acmeDirectory'],
    [{ acmeDomain, acmeDirectory: 'https://u:p@a.example' }, 'acmeDirectory'],
    [{ acmeDomain, acmeDirectory: 'letsencrypt' }, 'acmeDirectory'],
    [{ acmeDomain, acmeChallenge: 'dns-01' }, 'acmeChallenge'],
    [{ acmeDomain, acmeHttpListen: ':80' }, 'acmeHttpListen'],
    [{ acmeDomain, acmeHttpListen: 'x:y' }, 'acmeHttpListen'],
    [{ acmeDomain, acmeDir: 'a\nb' }, 'acmeDir'],
    [{ acmeDomain, acmeEabKid: 'kid' }, 'acmeEabHmacKey'],
    [{ acmeDomain, acmeEabHmacKey: 'c2Vj' }, 'acmeEabKid'],
    [{ acmeDomain, acmeEabKid: 'k', acmeEabHmacKey: '#!' }, 'acmeEabHmacKey'],
    [{ acmeDomain, acmeCa: 7 }, 'acmeCa'],
  ]) {
    const code = 'ERR_WRAITH_INVALID_ARGUMENT';
    t.throws(() => parseAcmeOptions(options), { code, option });
  }
  t.throws(() => parseAcmeOptions({ acmeOther: 1 }), {
    code: 'ERR_WRAITH_UNKNOWN_OPTION',
  });
  t.throws(() => createAcme({}), { option: 'onCertificate' });
  t.throws(() => createAcme({ onCertificate() {} }), { option: 'onChallenge' });
});

t.test('a self-signed certificate', async (t) => {
  const now = Date.parse('2045-06-01T00:00:00Z');
  const list = ['one.example', '192.0.2.7', '2001:db8::7'];
  const { cert, key } = selfSigned(list, { now });
  const leaf = new X509Certificate(cert);
  t.ok(leaf.verify(leaf.publicKey));
  t.ok(leaf.checkPrivateKey(createPrivateKey(key)));
  t.equal(leaf.subject, 'CN=one.example');
  t.equal(leaf.checkHost('one.example'), 'one.example');
  t.equal(leaf.checkIP('192.0.2.7'), '192.0.2.7');
  t.equal(leaf.checkIP('2001:db8::7'), '2001:db8::7');
  t.equal(Date.parse(leaf.validFrom), now);
  t.ok(Date.parse(leaf.validTo) > Date.parse('2055-01-01'), 'beyond 2050 too');
  t.not(selfSigned(list).cert, selfSigned(list).cert);
  const much = Array.from({ length: 100 }, (_, i) => `name-${i}.example`);
  const { cert: large } = selfSigned(much);
  t.equal(new X509Certificate(large).checkHost(much[99]), much[99]);
  const longest = `${'a'.repeat(63)}.${'b'.repeat(63)}.example`;
  const { cert: long } = selfSigned([longest]);
  t.equal(new X509Certificate(long).checkHost(longest), longest);
});

t.test(
  'OpenSSL takes it as its own authority',
  { skip: peers.skip('openssl') },
  async (t) => {
    const dir = t.testdir();
    const file = path.join(dir, 'cert.pem');
    fs.writeFileSync(file, selfSigned(['one.example', '192.0.2.7']).cert);
    const verify = ['verify', '-x509_strict', '-CAfile', file];
    const env = peers.env();
    const out = execFileSync(
      peers.path('openssl'),
      [...verify, '-verify_hostname', 'one.example', file],
      { env, encoding: 'utf8' },
    );
    t.match(out, /: OK/);
  },
);

t.test('the renewal id of RFC 9773 4.1', async (t) => {
  const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  x509.cryptoProvider.set(webcrypto);
  const keys = await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify']);
  const make = (extensions) =>
    x509.X509CertificateGenerator.createSelfSigned({
      name: 'CN=x',
      keys,
      signingAlgorithm: EC,
      serialNumber: '0087654321',
      extensions,
    });
  const keyId = '69885b6b87464041e1b37b847ba0ae2cde01c8d4';
  const own = await make([new x509.AuthorityKeyIdentifierExtension(keyId)]);
  t.equal(
    renewalId(new X509Certificate(own.toString('pem'))),
    'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE',
  );
  const none = await make([new x509.BasicConstraintsExtension(false)]);
  t.equal(renewalId(new X509Certificate(none.toString('pem'))), null);
});

t.test('times', async (t) => {
  const long = { from: 0, until: 90 * DAY_MS };
  t.equal(times.renewalTime(long, 0), 60 * DAY_MS);
  t.equal(times.renewalTime(long, 1), 55.5 * DAY_MS);
  t.equal(times.renewalTime({ from: 0, until: 6 * DAY_MS }, 0), 3 * DAY_MS);
  t.equal(times.backoff(1, 0), 120_000);
  t.equal(times.backoff(3, 1), 600_000);
  t.equal(times.backoff(1e6, 0), 6 * 3600_000);
  const window = (start, end) =>
    times.readWindow({ suggestedWindow: { start, end } });
  t.equal(window('2026-01-02T00:00:00Z', '2026-01-01T00:00:00Z'), null);
  t.equal(window('x', 'y'), null);
  t.equal(times.readWindow(null), null);
  t.equal(times.timeWithin({ start: 10, end: 20 }, 0.5), 15);
  t.equal(times.renewalInfoAge(0), 6 * 3600_000);
  t.equal(times.renewalInfoAge(1), 60_000);
  t.equal(times.renewalInfoAge(1e12), DAY_MS);
});

t.test('requests have bounds', async (t) => {
  const own = selfSigned(['127.0.0.1']);
  const server = https.createServer(own, (request, response) => {
    if (request.url === '/long') response.end('x'.repeat(1001));
    else if (request.url === '/cut') response.destroy();
    else if (request.url === '/drip') response.write('x');
    else if (request.url === '/moved') {
      response.writeHead(302, { Location: 'https://127.0.0.1:1/' }).end();
    } else if (request.url !== '/silent') response.end('x'.repeat(1000));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  t.teardown(() => server.closeAllConnections());
  const base = `https://127.0.0.1:${server.address().port}`;
  const options = { ca: own.cert, now: Date.now, maxBytes: 1000 };
  const patient = new Transport(options);
  t.teardown(() => patient.close());
  const hasty = new Transport({ ...options, requestMs: 20 });
  t.teardown(() => hasty.close());
  t.match(await patient.request(`${base}/`, 'get'), { status: 200 });
  t.match(await patient.request(`${base}/moved`, 'get'), { status: 302 });
  const code = 'ERR_WRAITH_ACME_FAILED';
  const unreachable = { code, reason: 'unreachable', transient: true };
  await t.rejects(patient.request(`${base}/long`, 'get'), unreachable);
  await t.rejects(patient.request(`${base}/cut`, 'get'), unreachable);
  await t.rejects(hasty.request(`${base}/silent`, 'get'), unreachable);
  await t.rejects(hasty.request(`${base}/drip`, 'get'), unreachable);
  await t.rejects(patient.request('http://127.0.0.1:1/', 'get'), {
    code,
    reason: 'protocol',
  });
});

// A copy of the package where node_modules is not above it.
function copyWith(t, library, below = '') {
  const top = fs.mkdtempSync(path.join(os.tmpdir(), 'wr-'));
  t.teardown(() => fs.rmSync(top, { recursive: true }));
  const dir = path.join(top, below);
  fs.cpSync(path.join(__dirname, '../../lib'), path.join(dir, 'lib'), {
    recursive: true,
  });
  if (library) {
    const place = path.join(dir, 'node_modules', 'acme-client');
    fs.mkdirSync(place, { recursive: true });
    fs.writeFileSync(path.join(place, 'index.js'), library);
  }
  const program = `
    const { createAcme, selfSigned } = require('./lib/acme.js');
    selfSigned(['one.example']);
    createAcme({ domains: ['one.example'], directory: 'https://[::1]/',
      dir: 'state', onCertificate() {}, onChallenge() {} })
      .start()
      .catch(({ code, message }) => console.log(code, message));`;
  const { stdout } = spawnSync(process.execPath, ['-e', program], {
    cwd: dir,
    encoding: 'utf8',
  });
  return stdout;
}

t.test('without its library, or with another', async (t) => {
  const wanted = 'npm install acme-client@^5.4.0';
  const absent = copyWith(t);
  t.match(absent, /^ERR_WRAITH_ACME_LIBRARY ACME needs the package/);
  t.match(absent, wanted);
  const globally = copyWith(t, undefined, 'lib/node_modules/wraith');
  t.match(globally, /npm install --global --prefix \S+wr-\w+ acme-client@/);
  const inProject = copyWith(t, undefined, 'app/node_modules/wraith');
  t.match(inProject, wanted);
  const broken = copyWith(t, 'throw new Error("x")');
  t.match(broken, /^ERR_WRAITH_ACME_LIBRARY .* does not load/);
  for (const other of [
    'exports.Client = class {}',
    'exports.crypto = { createAlpnCertificate() {} }; exports.Client = class {}',
  ]) {
    t.match(copyWith(t, other), /^ERR_WRAITH_ACME_LIBRARY .*version/);
  }
});
