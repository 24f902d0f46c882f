'use strict';
// Orders, against a small directory and with a clock of our own.
const t = require('tap');
const { X509Certificate, createPrivateKey } = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const x509 = require('@peculiar/x509');
const { State } = require('../../lib/acme/state.js');
const { ProxyAgent } = require('../../lib/dial.js');
const { names, withDirectory } = require('../lib/acme.js');
const { Problem } = require('../lib/acme-directory.js');
const { startProxy } = require('../lib/upstream.js');

const HOUR_MS = 3600_000;
const DAY_MS = 24 * HOUR_MS;

const files = (dir) =>
  fs
    .readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.path, entry.name));

const modeOf = (file) => fs.statSync(file).mode & 0o777;

t.test('a certificate for several names, kept on the disk', async (t) => {
  const { clock, directory, dir, start } = await withDirectory(t);
  const { listener, records } = await start({ email: 'me@one.example' });
  const [first] = listener.certificates;
  t.equal(first.selfSigned, true);
  const own = new X509Certificate(first.cert);
  t.ok(own.verify(own.publicKey), 'self-signed until the order is through');
  const { cert, key } = await listener.issued();
  await clock.asleep();
  const leaf = new X509Certificate(cert);
  t.match(leaf.subjectAltName, /DNS:one\.example, DNS:two\.example/);
  t.ok(leaf.checkPrivateKey(createPrivateKey(key)));
  t.equal(key, first.key, 'both are of one key');
  t.match(cert, /END[^]*BEGIN CERTIFICATE/, 'with the chain');
  t.strictSame(listener.seen.sort(), names);
  t.equal(listener.up.size, 0, 'no challenge is left up');
  t.strictSame([...directory.accounts.values()][0].contact, [
    'mailto:me@one.example',
  ]);
  t.strictSame(records, [
    {
      level: 'INFO',
      message: 'acme issued',
      fields: {
        domains: 'one.example,two.example',
        expires: new Date(leaf.validTo).toISOString(),
      },
    },
  ]);
  t.equal(modeOf(dir), 0o700);
  t.equal(files(dir).length, 3, 'key, account, certificate; no drafts');
  for (const file of files(dir)) t.equal(modeOf(file), 0o600, file);
});

t.test('a restart asks for nothing', async (t) => {
  const { clock, directory, start } = await withDirectory(t);
  const before = await start();
  const { cert, key } = await before.listener.issued();
  await before.acme.stop();
  const orders = directory.orders.length;
  const { listener, records } = await start();
  t.strictSame(listener.certificates, [{ cert, key, selfSigned: false }]);
  await clock.asleep();
  t.equal(directory.orders.length, orders);
  t.equal(directory.accounts.size, 1);
  t.strictSame(records, []);
});

t.test('other names are another certificate of the same key', async (t) => {
  const { directory, start } = await withDirectory(t);
  const before = await start();
  await before.listener.issued();
  await before.acme.stop();
  const { listener } = await start({ domains: [...names, 'three.example'] });
  t.equal(listener.certificates[0].selfSigned, true);
  const { cert, key } = await listener.issued();
  t.match(new X509Certificate(cert).subjectAltName, /three\.example/);
  t.equal(key, before.listener.certificates[0].key);
  t.equal(directory.accounts.size, 1);
});

t.test('the profile for addresses, where there is one', async (t) => {
  const meta = { profiles: { classic: 'x', shortlived: 'y' } };
  const { directory, start } = await withDirectory(t, { meta });
  const domains = ['one.example', '192.0.2.7', '2001:db8::7'];
  const { listener } = await start({ domains });
  const { cert } = await listener.issued();
  const [order] = directory.orders;
  t.equal(order.profile, 'shortlived');
  t.strictSame(order.identifiers, [
    { type: 'dns', value: 'one.example' },
    { type: 'ip', value: '192.0.2.7' },
    { type: 'ip', value: '2001:db8::7' },
  ]);
  const leaf = new X509Certificate(cert);
  for (const one of domains.slice(1)) t.equal(leaf.checkIP(one), one);
  t.ok(listener.seen.includes('7.2.0.192.in-addr.arpa'));
  t.ok(listener.seen.some((one) => one.endsWith('8.b.d.0.1.0.0.2.ip6.arpa')));
});

t.test('no profile for names alone, or where there is none', async (t) => {
  const meta = { profiles: { classic: 'x', shortlived: 'y' } };
  const one = await withDirectory(t, { meta });
  await (await one.start()).listener.issued();
  t.equal(one.directory.orders[0].profile, undefined);
  const two = await withDirectory(t);
  await (await two.start({ domains: ['192.0.2.7'] })).listener.issued();
  t.equal(two.directory.orders[0].profile, undefined);
});

t.test('a directory that is down, fails, and comes back', async (t) => {
  const { clock, directory, start } = await withDirectory(t);
  let fault = new Problem(500, 'serverInternal', 'out of order');
  directory.fault = () => fault;
  const failures = [];
  const onFailure = (error) => failures.push(error);
  const { listener, named } = await start({ random: () => 0, onFailure });
  t.equal((await clock.asleep()).ms, 120_000);
  await clock.pass(120_000);
  t.equal((await clock.asleep()).ms, 240_000, 'twice as long');
  fault = new Problem(429, 'rateLimited', 'too many', {
    'Retry-After': '40000',
  });
  await clock.pass(240_000);
  await clock.pass(39_000_000);
  t.match(
    named('acme failed').map(({ level, fields }) => ({ level, ...fields })),
    [
      { level: 'ERROR', reason: 'serverInternal', retry: 120 },
      { level: 'ERROR', reason: 'serverInternal', retry: 240 },
      { level: 'ERROR', reason: 'rateLimited', retry: 40_000 },
    ],
  );
  t.equal(named('acme failed')[0].fields.detail, 'out of order');
  fault = undefined;
  await clock.pass(1_000_000);
  await listener.issued();
  t.strictSame(
    failures.map(({ code, phase, reason }) => ({ code, phase, reason })),
    ['serverInternal', 'serverInternal', 'rateLimited'].map((reason) => ({
      code: 'ERR_WRAITH_ACME_FAILED',
      phase: 'acme',
      reason,
    })),
  );
});

for (const scheme of ['socks5', 'http']) {
  t.test(`through a proxy: ${scheme}`, async (t) => {
    const { clock, directory, start } = await withDirectory(t);
    const { hostname, port } = new URL(directory.url);
    const proxy = await startProxy(t, { names: {}, login: 'ann:word' });
    const url = proxy.url(scheme, 'ann:word');
    const agentOf = (how) => new ProxyAgent(url, how);
    const { listener, named } = await start({ agentOf });
    await clock.asleep();
    t.match(named('acme failed'), [{ fields: { reason: 'unreachable' } }]);
    proxy.names[hostname] = Number(port);
    await clock.pass(4 * 60_000);
    await listener.issued();
    t.ok(proxy.asked.length > 1);
    for (const { host } of proxy.asked) t.equal(host, hostname);
  });
}

t.test('nobody listens where the directory should be', async (t) => {
  const { clock, directory, start } = await withDirectory(t);
  const gone = new URL(directory.url);
  await directory.close();
  directory.close = () => {};
  const { named } = await start({ directory: { url: gone.href } });
  await clock.asleep();
  t.match(named('acme failed')[0].fields, {
    reason: 'unreachable',
    detail: 'ECONNREFUSED',
  });
});

t.test('a directory that nobody has vouched for', async (t) => {
  const { clock, directory, start } = await withDirectory(t);
  const { named } = await start({ ca: undefined });
  await clock.asleep();
  t.match(named('acme failed')[0].fields, {
    reason: 'unreachable',
    detail: /SELF_SIGNED/,
  });
  t.equal(directory.requests.length, 0);
});

t.test('a moment of failure while polling costs no order', async (t) => {
  const { directory, start } = await withDirectory(t);
  let left = 3;
  directory.fault = (path) =>
    path.endsWith('/cert') && left-- > 0 && new Problem(503, 'serverInternal');
  const { listener, named } = await start();
  await listener.issued();
  t.equal(directory.orders.length, 1);
  t.strictSame(named('acme failed'), []);
});

t.test('an answer that is lost costs no certificate', async (t) => {
  const { directory, start } = await withDirectory(t);
  let left = 2;
  directory.fault = (path) =>
    path.endsWith('/finalize') &&
    left-- > 0 &&
    new Problem(503, 'serverInternal');
  directory.onIssue = () => {
    throw new Problem(503, 'serverInternal');
  };
  const { listener, named } = await start();
  await listener.issued();
  t.equal(directory.orders.length, 1);
  t.equal(directory.count('/order/0/finalize'), 3);
  t.strictSame(named('acme failed'), []);
});

t.test('a clock that is set back', async (t) => {
  const { clock, directory, start } = await withDirectory(t);
  directory.fault = () => new Problem(500, 'serverInternal');
  const { listener } = await start();
  const nap = await clock.asleep();
  directory.fault = null;
  clock.time -= 365 * DAY_MS;
  nap.wake();
  await listener.issued();
  t.equal(directory.orders.length, 1);
});

t.test('another address to write to', async (t) => {
  const { clock, directory, start } = await withDirectory(t);
  const before = await start({ email: 'me@one.example' });
  await before.listener.issued();
  await before.acme.stop();
  clock.time += 100 * DAY_MS;
  const { listener } = await start({ email: 'you@one.example' });
  await listener.issued(2);
  const contacts = [...directory.accounts.values()].map((one) => one.contact);
  t.strictSame(contacts, [['mailto:you@one.example']]);
});

t.test('an authority file without a certificate', async (t) => {
  const { start } = await withDirectory(t);
  const option = 'acmeCa';
  await t.rejects(start({ ca: Buffer.from('x') }), {
    code: 'ERR_WRAITH_INVALID_ARGUMENT',
    option,
  });
  await t.rejects(start({ ca: '/nonexistent/ca.pem' }), {
    code: 'ERR_WRAITH_FILE',
    option,
  });
});

t.test('rejected nonces', async (t) => {
  const { directory, start } = await withDirectory(t);
  let turn = 0;
  const real = directory.nonces.delete.bind(directory.nonces);
  directory.nonces.delete = (nonce) => real(nonce) && turn++ % 3 === 0;
  const { listener, named } = await start();
  await listener.issued();
  t.strictSame(named('acme failed'), []);
});

t.test('an account that is gone is replaced once', async (t) => {
  const lifetime = 6 * DAY_MS;
  const { clock, directory, start } = await withDirectory(t, { lifetime });
  const { listener, named } = await start();
  await listener.issued();
  const [account] = directory.accounts.values();
  account.status = 'deactivated';
  await clock.pass(3 * DAY_MS);
  await listener.issued(2);
  t.equal(directory.accounts.size, 2);
  t.match(named('acme account'), [
    { level: 'WARN', fields: { reason: 'unauthorized' } },
  ]);
  directory.accounts.clear();
  await clock.pass(3 * DAY_MS);
  await listener.issued(3);
  t.equal(named('acme account')[1].fields.reason, 'accountDoesNotExist');
  // A directory that knows nobody gets no heap of accounts.
  directory.fault = (path) =>
    path === '/order' && new Problem(400, 'accountDoesNotExist');
  const known = directory.count('/account');
  await clock.pass(4 * DAY_MS);
  t.equal(directory.count('/account'), known + 1);
  t.match(named('acme failed')[0], { level: 'WARN' });
  await clock.pass(3 * DAY_MS);
  t.match(named('acme failed').at(-1), { level: 'ERROR' }, 'it has run out');
});

t.test('external account binding', async (t) => {
  const eab = { kid: 'kid-1', hmacKey: 'c2VjcmV0LXNlY3JldA' };
  const { clock, directory, start } = await withDirectory(t, { eab });
  const without = await start();
  await clock.asleep();
  t.match(without.named('acme failed')[0].fields, {
    reason: 'externalAccountRequired',
  });
  await without.acme.stop();
  const { listener, records } = await start({ eab });
  await listener.issued();
  t.equal(directory.accounts.size, 1);
  t.notMatch(JSON.stringify(records), eab.hmacKey);
});

t.test('a challenge that fails is told and taken down', async (t) => {
  const { clock, directory, start } = await withDirectory(t);
  directory.challengeError = {
    type: 'urn:ietf:params:acme:error:connection',
    detail: '192.0.2.1: Connection refused',
  };
  const { listener, named } = await start();
  await clock.asleep();
  t.match(named('acme failed')[0].fields, {
    reason: 'connection',
    detail: 'tls-alpn-01 for one.example: 192.0.2.1: Connection refused',
  });
  t.equal(listener.seen.length, 1);
  t.equal(listener.up.size, 0);
});

t.test('names that are proved already, or not like this', async (t) => {
  const { clock, directory, start } = await withDirectory(t);
  directory.kinds = ['dns-01'];
  const { listener, named } = await start();
  await clock.asleep();
  t.match(named('acme failed')[0].fields, {
    reason: 'challenge-not-offered',
    detail: 'tls-alpn-01 for one.example',
  });
  directory.isTrusting = true;
  await clock.pass(150_000);
  await listener.issued();
  t.strictSame(listener.seen, []);
});

t.test('what is not for the key and the names is not used', async (t) => {
  const { clock, directory, start } = await withDirectory(t);
  const one = [{ type: 'dns', value: 'one.example' }];
  const mistakes = [
    { key: directory.keys.publicKey },
    { names: new x509.SubjectAlternativeNameExtension(one) },
  ];
  directory.mistake = mistakes.shift();
  const { listener, named } = await start({
    onFailure: () => (directory.mistake = mistakes.shift()),
  });
  await clock.asleep();
  await clock.pass(1000_000);
  await listener.issued();
  t.match(named('acme failed'), [
    { fields: { reason: 'certificate' } },
    { fields: { reason: 'certificate' } },
  ]);
});

t.test('directories do not mix', async (t) => {
  const { clock, dir, start } = await withDirectory(t);
  const before = await start();
  await before.listener.issued();
  const other = await withDirectory(t);
  const { listener } = await other.start({ dir });
  t.equal(listener.certificates[0].selfSigned, true);
  await listener.issued();
  t.equal(other.directory.accounts.size, 1);
  await clock.asleep();
});

t.test('stopped in the middle of an order', async (t) => {
  const { directory, start } = await withDirectory(t);
  let stopped;
  const reached = new Promise((resolve) => {
    directory.fault = (path) => path.endsWith('/challenge') && resolve();
  });
  const { acme, listener, records } = await start();
  await reached.then(() => (stopped = acme.stop()));
  await stopped;
  t.equal(listener.up.size, 0);
  t.strictSame(records, []);
  t.equal(listener.certificates.length, 1);
});

function get(port, path, method = 'GET') {
  const at = { host: '127.0.0.1', port, path, method, agent: false };
  return new Promise((resolve, reject) => {
    const request = http.request(at, async (response) => {
      let body = '';
      for await (const chunk of response) body += chunk;
      resolve({ status: response.statusCode, body });
    });
    request.on('error', reject).end();
  });
}

t.test('stopped while it polls', async (t) => {
  const { clock, directory, start } = await withDirectory(t);
  const reached = new Promise((resolve) => {
    directory.fault = (path) => path.endsWith('/cert') && resolve();
  });
  const { acme, records } = await start();
  const before = clock.time;
  await reached;
  await acme.stop();
  t.equal(clock.time, before, 'nothing is waited for');
  t.strictSame(records, []);
});

t.test('a certificate that cannot be kept is used', async (t) => {
  const { clock, directory, dir, start } = await withDirectory(t);
  const { certificateFile } = new State({
    dir,
    directory: directory.url,
    domains: names,
  });
  directory.onChallenge = () =>
    fs.mkdirSync(certificateFile, { recursive: true });
  const { listener, named } = await start();
  await listener.issued();
  await clock.asleep();
  t.match(named('acme certificate not saved'), [
    { level: 'ERROR', fields: { reason: 'EISDIR' } },
  ]);
  t.equal(directory.orders.length, 1);
  t.strictSame(named('acme failed'), []);
});

t.test('http-01 answers pending tokens and nothing else', async (t) => {
  const { clock, directory, start } = await withDirectory(t);
  const token = '/.well-known/acme-challenge/a-token';
  let port = 0;
  const answers = [];
  const inspect = async () => {
    answers.push(await get(port, token));
    answers.push(await get(port, token, 'HEAD'));
    for (const [path, method] of [
      [token, 'POST'],
      [`${token}x`, 'GET'],
      ['/.well-known/acme-challenge/', 'GET'],
      ['/', 'GET'],
    ]) {
      answers.push(await get(port, path, method));
    }
  };
  directory.onChallenge = inspect;
  const { acme, listener } = await start({
    challenge: 'http-01',
    domains: ['one.example'],
    httpListen: { host: '127.0.0.1', port: 0 },
    onChallenge: undefined,
  });
  ({ port } = acme.address());
  await listener.issued();
  await clock.asleep();
  t.match(answers[0], { status: 200, body: /^a-token\.[\w-]{43}$/ });
  t.strictSame(answers[1], { status: 200, body: '' });
  t.strictSame(answers.slice(2), Array(4).fill({ status: 404, body: '' }));
  t.equal((await get(port, token)).status, 404, 'it is no longer pending');
  await acme.stop();
  await t.rejects(get(port, token), { code: 'ECONNREFUSED' });
});

t.test('http-01 in front of a site', async (t) => {
  const { start } = await withDirectory(t);
  const { acme } = await start({
    challenge: 'http-01',
    httpListen: { host: '127.0.0.1', port: 0 },
    httpFallback: (_request, response) => response.end('the site'),
  });
  const { port } = acme.address();
  t.strictSame(await get(port, '/'), { status: 200, body: 'the site' });
});

t.test('http-01 where the port is taken', async (t) => {
  const { start } = await withDirectory(t);
  const taken = http.createServer().listen(0, '127.0.0.1');
  t.teardown(() => taken.close());
  await new Promise((resolve) => taken.on('listening', resolve));
  const httpListen = { host: '127.0.0.1', port: taken.address().port };
  await t.rejects(start({ challenge: 'http-01', httpListen }), {
    code: 'EADDRINUSE',
    syscall: 'listen',
    port: httpListen.port,
    message: /^acmeHttpListen: listen EADDRINUSE 127\.0\.0\.1:\d+: /,
  });
});

t.test('files that are damaged or open to others', async (t) => {
  const { dir, start } = await withDirectory(t);
  const { acme, listener } = await start();
  await listener.issued();
  await acme.stop();
  const [account, certificate, key] = ['json', 'e-', 'tls-key'].map((part) =>
    files(dir).find((file) => path.basename(file).includes(part)),
  );
  for (const file of [account, certificate, key]) {
    const before = fs.readFileSync(file);
    fs.writeFileSync(file, '{ "key": "secret');
    const error = await start().then(
      () => t.fail(`${file} is accepted`),
      (error) => error,
    );
    t.match(error, { code: 'ERR_WRAITH_ACME_STATE', file });
    t.notMatch(`${error.stack}${error.cause?.stack}`, 'secret');
    fs.writeFileSync(file, before);
  }
  fs.chmodSync(key, 0o640);
  await t.rejects(start(), { code: 'ERR_WRAITH_KEY_MODE', file: key });
  fs.chmodSync(key, 0o600);
  // The way to a new key.
  fs.rmSync(key);
  const after = await start();
  t.equal(after.listener.certificates[0].selfSigned, true);
  const fresh = await after.listener.issued();
  t.not(fresh.key, listener.certificates[0].key);
});
