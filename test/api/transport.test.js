'use strict';
// Tunnels in TLS and in WebSockets: what carries them, whom they trust, and
// which options go together.
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const t = require('tap');
const { selfSigned } = require('../../lib/acme.js');
const { readListen } = require('../../lib/listen.js');
const { Transport } = require('../../lib/transport.js');
const {
  keys,
  rejection,
  startServer,
  startTunnel,
  wraith,
} = require('../lib/pair.js');
const { readN } = require('../lib/net.js');
const {
  pinOf,
  plainFront,
  startStealth,
  startTls,
  tlsTunnel,
} = require('../lib/site.js');

const SECRET = { stealthSecret: 's3cret of the site' };

/** Bytes go both ways, and the server says how they came. */
async function talks(t, server, tunnel, transport) {
  const came = once(server, 'connection');
  const near = await tunnel.open('wraith-control');
  const [far, info] = await came;
  t.equal(info.transport, transport);
  t.equal(info.remoteAddress, '127.0.0.1');
  near.write('ping');
  t.equal((await readN(far, 4)).toString(), 'ping');
  far.end('pong');
  t.equal((await readN(near, 4)).toString(), 'pong');
  near.end();
  await tunnel.close();
}

async function fails(t, server, options, expected) {
  const tunnel = tlsTunnel(t, server, options);
  const error = await rejection(t, tunnel.ready());
  t.match(error, expected, JSON.stringify(options));
  t.equal(tunnel.state, 'closed');
  return error;
}

t.test('tls: SSH in TLS and nothing else', async (t) => {
  const server = await startTls(t);
  t.match(server.addresses[0], { transport: 'tls', host: '127.0.0.1' });
  await talks(t, server, tlsTunnel(t, server), 'tls');
  t.equal(server.stats().visitors, 0);
});

t.test('stealth: each carrier that has its way in', async (t) => {
  const server = await startStealth(t, { wsPath: '/a/b.c' });
  await talks(t, server, tlsTunnel(t, server), 'tls');
  const wss = { transport: 'wss', wsPath: '/a/b.c' };
  await talks(t, server, tlsTunnel(t, server, wss), 'wss');
  const ws = {
    transport: 'ws',
    wsPath: '/a/b.c',
    server: `127.0.0.1:${await plainFront(t, server)}`,
    tlsCa: null,
  };
  await talks(t, server, tlsTunnel(t, server, ws), 'wss');
  t.equal(server.stats().visitors, 0);
});

t.test('stealth without a path: no WebSockets', async (t) => {
  const server = await startStealth(t);
  const refused = { code: 'ERR_WRAITH_WS_REFUSED', phase: 'dial' };
  const error = await fails(t, server, { transport: 'wss' }, refused);
  t.match(error.message, /HTTP 404$/);
  t.equal(server.stats().visitors, 1);
});

t.test('stealthSecret: who knows it', async (t) => {
  const server = await startStealth(t, SECRET);
  for (const transport of ['tls', 'wss']) {
    const tunnel = tlsTunnel(t, server, { transport, ...SECRET });
    await talks(t, server, tunnel, 'wss');
  }
  t.equal(server.stats().visitors, 0);
});

t.test('stealthSecret: who does not', async (t) => {
  const log = [];
  const server = await startStealth(t, {
    ...SECRET,
    log: (record) => log.push(record),
  });
  const wrong = { stealthSecret: 's3cret of another' };
  const refused = { code: 'ERR_WRAITH_WS_REFUSED', phase: 'dial' };
  for (const options of [
    wrong,
    { transport: 'wss', ...wrong },
    { transport: 'wss' },
    { wsPath: '/elsewhere', ...SECRET },
  ]) {
    const error = await fails(t, server, options, refused);
    t.match(error.message, /HTTP 404$/);
    t.notMatch(error.stack, 's3cret');
  }
  // A banner is answered as any nonsense is.
  await fails(t, server, {}, { code: 'ERR_WRAITH_PEER_CLOSED', phase: 'kex' });
  t.equal(server.stats().visitors, 5);
  t.match(server.stats(), { connections: 0, rejected: 0, penalties: 0 });
  t.notOk(log.some((record) => /auth|connection/.test(record.message)));
});

t.test('tlsServerName: what the certificate has to be for', async (t) => {
  const server = await startTls(t);
  for (const tlsServerName of ['site.example', '127.0.0.1', 'SITE.example']) {
    await tlsTunnel(t, server, { tlsServerName }).ready();
  }
  for (const tlsServerName of ['other.example', '127.0.0.2', 'example']) {
    const name = { code: 'ERR_WRAITH_TLS_NAME', phase: 'tls' };
    await fails(t, server, { tlsServerName }, name);
  }
});

/** The list of the system's authorities, for a while. */
function systemRoots(t, file) {
  const before = process.env.SSL_CERT_FILE;
  process.env.SSL_CERT_FILE = file;
  t.teardown(() => {
    if (before === undefined) delete process.env.SSL_CERT_FILE;
    else process.env.SSL_CERT_FILE = before;
  });
}

t.test('an authority that is not trusted', async (t) => {
  const server = await startTls(t);
  const dir = t.testdir({ other: selfSigned(['a.example']).cert });
  systemRoots(t, path.join(dir, 'other'));
  const unknown = { code: 'ERR_WRAITH_TLS_CERTIFICATE', phase: 'tls' };
  await fails(t, server, { tlsCa: null }, unknown);
  await fails(t, server, { tlsCa: selfSigned(['a.example']).cert }, unknown);
});

t.test('the authorities of the system', async (t) => {
  const server = await startTls(t);
  const dir = t.testdir({ roots: server.own.cert });
  systemRoots(t, path.join(dir, 'roots'));
  await tlsTunnel(t, server, { tlsCa: null }).ready();
  process.env.SSL_CERT_FILE = path.join(dir, 'absent');
  const none = { code: 'ERR_WRAITH_TLS_ROOTS', option: 'tlsCa' };
  const error = await fails(t, server, { tlsCa: null }, none);
  t.match(error.message, 'this system has no list of authorities');
  await fails(t, server, { tlsCa: Buffer.alloc(0) }, none);
});

t.test('a certificate out of its time', async (t) => {
  const now = Date.now() - 20 * 365 * 24 * 3600_000;
  const { cert, key } = selfSigned(['127.0.0.1'], { now });
  const server = await startTls(t, { tlsCert: cert, tlsKey: key });
  const expired = { code: 'ERR_WRAITH_TLS_EXPIRED', phase: 'tls' };
  await fails(t, server, { tlsCa: cert }, expired);
  const tlsPin = pinOf(cert);
  await tlsTunnel(t, server, { tlsCa: null, tlsPin }).ready();
});

t.test('tlsPin: neither authority nor name count', async (t) => {
  const server = await startTls(t);
  const right = pinOf(server.own.cert);
  const wrong = pinOf(selfSigned(['a.example']).cert);
  const only = { tlsCa: null, tlsServerName: 'other.example' };
  for (const tlsPin of [
    right,
    `sha256//${right}`,
    `sha256//${wrong};sha256//${right}`,
    [wrong, `sha256//${right}`],
  ]) {
    await tlsTunnel(t, server, { ...only, tlsPin }).ready();
  }
  const mismatch = { code: 'ERR_WRAITH_TLS_PIN', phase: 'tls' };
  for (const more of [only, { insecure: true, tlsCa: null }, {}]) {
    for (const tlsPin of [wrong, [`sha256//${wrong}`, wrong]]) {
      await fails(t, server, { ...more, tlsPin }, mismatch);
    }
  }
});

t.test('insecure: of TLS only', async (t) => {
  const server = await startTls(t);
  const dir = t.testdir({ other: selfSigned(['a.example']).cert });
  systemRoots(t, path.join(dir, 'other'));
  const blind = { tlsCa: null, insecure: true, tlsServerName: 'a.example' };
  await tlsTunnel(t, server, blind).ready();
  const other = { ...blind, hostKey: keys().other.fingerprint };
  await fails(t, server, other, {
    code: 'ERR_WRAITH_HOST_KEY_MISMATCH',
    phase: 'hostkey',
  });
  await fails(
    t,
    server,
    { tlsCa: null, insecure: false },
    { code: 'ERR_WRAITH_TLS_CERTIFICATE' },
  );
});

t.test('tlsCa: a file that is none', async (t) => {
  const server = await startTls(t);
  const roots = t.testdir({ good: server.own.cert });
  systemRoots(t, path.join(roots, 'good'));
  const dir = path.join(roots, 'named');
  fs.mkdirSync(dir);
  fs.writeFileSync(path.join(dir, 'junk'), 'no certificate\n');
  fs.writeFileSync(path.join(dir, 'empty'), '');
  for (const name of ['junk', 'empty', 'absent']) {
    const tlsCa = path.join(dir, name);
    const error = await fails(
      t,
      server,
      { tlsCa },
      { phase: 'options', option: 'tlsCa', file: tlsCa },
    );
    const file = name === 'absent';
    t.equal(error.code, `ERR_WRAITH_${file ? 'FILE' : 'TLS_ROOTS'}`);
    t.ok(error.message.includes(tlsCa), error.message);
  }
  const { option, file } = await fails(
    t,
    server,
    { tlsCa: 'contents\n' },
    { code: 'ERR_WRAITH_TLS_ROOTS' },
  );
  t.strictSame([option, file], ['tlsCa', undefined]);
});

t.test('a server that speaks no TLS', async (t) => {
  const plain = await startServer(t);
  const tunnel = startTunnel(t, plain, { transport: 'tls', insecure: true });
  const [{ error }] = await once(tunnel, 'down');
  t.match(error, { code: /^ERR_WRAITH_TLS/, phase: 'tls' });
});

const address = '127.0.0.1:1';
const pin = 'A'.repeat(43) + '=';
const unfitClient = [
  [{ tlsServerName: 'a' }, 'tlsServerName', 'tls or wss'],
  [{ tlsCa: 'a' }, 'tlsCa', 'tls or wss'],
  [{ tlsPin: pin }, 'tlsPin', 'tls or wss'],
  [{ insecure: true }, 'insecure', 'tls or wss'],
  [{ transport: 'ws', tlsCa: 'a' }, 'tlsCa', 'tls or wss'],
  [{ transport: 'tcp', insecure: true }, 'insecure', 'tls or wss'],
  [{ stealthSecret: 's' }, 'stealthSecret', 'tls, wss or ws'],
  [{ wsPath: '/a' }, 'wsPath', 'tls, wss or ws'],
  [{ transport: 'tls', wsPath: '/a' }, 'wsPath', 'with stealthSecret'],
  [{ transport: 'tls', tlsPin: 'short' }, 'tlsPin[0]', 'sha256//'],
  [{ transport: 'tls', tlsPin: [pin, `x${pin}`] }, 'tlsPin[1]', 'sha256//'],
  [{ transport: 'tls', tlsPin: `${pin};` }, 'tlsPin[0]', 'sha256//'],
  [{ transport: 'wss', tlsPin: [], wsPath: 'a' }, 'wsPath', 'path'],
  [{ transport: 'tls', server: '127.0.0.1:0' }, 'server', 'port 0'],
  [{ transport: 'tls', tlsServerName: '' }, 'tlsServerName', 'empty'],
  [{ transport: 'tls', insecure: 'yes' }, 'insecure', 'true or false'],
  [{ transport: 'tls', stealthSecret: '' }, 'stealthSecret', 'empty'],
  [{ transport: 'tls', tlsCa: 7 }, 'tlsCa', 'path'],
  [{ transport: 'http' }, 'transport', 'must be one of'],
];

t.test('options of a client that do not fit together', async (t) => {
  const base = { server: address, hostKey: keys().host.fingerprint };
  for (const [options, option, text] of unfitClient) {
    const shown = JSON.stringify(options);
    let error = {};
    try {
      wraith.createTunnel({ ...base, ...options }).destroy();
    } catch (thrown) {
      error = thrown;
    }
    t.match(error, { code: 'ERR_WRAITH_INVALID_ARGUMENT', option }, shown);
    t.equal(error.phase, 'options', shown);
    t.ok(error.message.startsWith(`${option}: `), shown);
    t.ok(error.message.includes(text), `${shown}: ${error.message}`);
  }
  const stream = () => {};
  for (const transport of ['tls', 'wss', 'ws']) {
    const { hostKey } = base;
    const make = () => wraith.createTunnel({ hostKey, stream, transport });
    t.throws(make, { option: 'stream', phase: 'options' }, transport);
  }
  wraith.createTunnel({ ...base, insecure: false }).destroy();
});

t.test('ports that a client takes by default', (t) => {
  const expected = { tcp: 2222, tls: 443, wss: 443, ws: 80 };
  for (const [transport, port] of Object.entries(expected)) {
    const one = new Transport({ transport, server: 'a.example' });
    t.strictSame(one.server, { host: 'a.example', port });
    one.close();
  }
  const other = new Transport({ transport: 'tls', server: '[::1]:7' });
  t.strictSame(other.server, { host: '::1', port: 7 });
  other.close();
  t.end();
});

t.test('what a client tells of the host', async (t) => {
  const cases = [
    [{ transport: 'ws', server: 'a.example' }, 'a.example'],
    [{ transport: 'ws', server: 'a.example:443' }, 'a.example:443'],
    [{ transport: 'ws', server: '[::1]:8080' }, '[::1]:8080'],
    [{ transport: 'ws', server: '::1' }, '[::1]'],
    [{ transport: 'wss', server: 'a.example', insecure: true }, 'a.example'],
  ];
  for (const [options, wsHost] of cases) {
    const one = new Transport(options);
    const told = await one.dialOptions();
    t.strictSame([told.wsHost, told.wsPath], [wsHost, '/ws']);
    one.close();
  }
  const named = new Transport({
    transport: 'wss',
    server: '192.0.2.1:8443',
    tlsServerName: 'b.example',
    insecure: true,
  });
  t.match(await named.dialOptions(), {
    tlsName: 'b.example',
    wsHost: 'b.example:8443',
    host: '192.0.2.1',
    port: 8443,
  });
  named.close();
});

t.test('wsPath: only what no web server stumbles over', async (t) => {
  const server = { server: address, hostKey: keys().host.fingerprint };
  const make = (wsPath) =>
    wraith.createTunnel({ ...server, transport: 'wss', wsPath }).destroy();
  for (const good of ['/', '/a', '/a/', '/a/b-c_d~e.f', '/.well-known', '/...'])
    t.doesNotThrow(() => make(good), good);
  for (const bad of [
    ...['', 'a', '//', '/a//b', '/.', '/..', '/a/../b', '/a/.', '/./a'],
    ...['/a b', '/a?b', '/a#b', '/%61', '/ä', `/${'a'.repeat(255)}`, '/a\n'],
  ]) {
    t.throws(() => make(bad), { option: 'wsPath', phase: 'options' }, bad);
  }
});

const own = selfSigned(['127.0.0.1']);
const cert = { tlsCert: own.cert, tlsKey: own.key };
const unfitServer = [
  [{ ...cert }, 'tlsCert', 'needs transport tls'],
  [{ tlsKey: own.key }, 'tlsKey', 'needs transport tls'],
  [{ stealth: true }, 'stealth', 'needs transport tls'],
  [{ transport: 'ws', stealth: true }, 'stealth', 'needs transport tls'],
  [{ transport: 'tls', tlsCert: own.cert }, 'tlsKey', 'is needed'],
  [
    { transport: 'tls', ...cert, decoy: '/' },
    'decoy',
    'needs stealth or transport ws',
  ],
  [{ transport: 'tls', ...cert, ...SECRET }, 'stealthSecret', 'needs stealth'],
  [{ transport: 'tls', ...cert, wsPath: '/a' }, 'wsPath', 'needs stealth'],
  [{ decoy: '/' }, 'decoy', 'needs stealth'],
  [{ listen: 'udp=127.0.0.1:0' }, 'listen', 'no transport udp'],
  [{ listen: 'tls=127.0.0.1:x', ...cert }, 'listen', 'host:port'],
  [{ listen: 'tls=a.example', ...cert }, 'listen', 'is not an address'],
  [{ transport: ['tcp', 'tls'], ...cert }, 'listen', 'one of tcp=, tls='],
  [{ transport: 'wss', ...cert }, 'transport[0]', 'must be one of'],
];

t.test('TLS needs a certificate', async (t) => {
  for (const more of [{}, { tlsKey: own.key }]) {
    const starting = startServer(t, { transport: 'tls', ...more });
    const error = await rejection(t, starting);
    t.match(error, { code: 'ERR_WRAITH_NO_CERTIFICATE', option: 'tlsCert' });
    t.match(error.message, /is needed for transport tls, .* or acmeDomain/);
  }
});

t.test('options of a server that do not fit together', async (t) => {
  for (const [options, option, text] of unfitServer) {
    const shown = Object.keys(options).join(' ');
    const error = await rejection(t, startServer(t, options), shown);
    t.match(error, { code: 'ERR_WRAITH_INVALID_ARGUMENT', option }, shown);
    t.equal(error.phase, 'options', shown);
    t.ok(error.message.includes(text), `${shown}: ${error.message}`);
  }
  for (const name of ['h3', 'iroh']) {
    const listen = `${name}=127.0.0.1:0`;
    const error = await rejection(t, startServer(t, { listen }), name);
    t.match(error, { code: 'ERR_WRAITH_UNSUPPORTED', option: 'listen' });
  }
  const stealth = { transport: 'tls', ...cert, stealth: true };
  for (const decoy of [path.join(t.testdir(), 'none'), 'http://a.example/b']) {
    const error = await rejection(t, startServer(t, { ...stealth, decoy }));
    t.match(error, { option: 'decoy', phase: 'options' });
  }
});

t.test('where a server listens', (t) => {
  const at = (options) =>
    readListen(options).map(
      ({ transport, host, port, kind }) =>
        `${transport} ${host} ${port} ${kind}`,
    );
  t.strictSame(at({}), ['tcp :: 2222 0']);
  t.strictSame(at({ transport: ['tls'] }), ['tls :: 443 1']);
  t.strictSame(at({ transport: ['tls'], stealth: true }), ['tls :: 443 2']);
  t.strictSame(at({ transport: ['tcp', 'tls'], stealth: true }), [
    'tcp :: 2222 0',
    'tls :: 443 2',
  ]);
  t.strictSame(at({ listen: ['tls=[::1]', 'tcp=127.0.0.1'] }), [
    'tls ::1 443 1',
    'tcp 127.0.0.1 2222 0',
  ]);
  t.strictSame(at({ transport: ['tls'], listen: ['127.0.0.1:1'] }), [
    'tls 127.0.0.1 1 1',
  ]);
  t.strictSame(
    at({ transport: ['tcp', 'tls'], listen: ['tls=127.0.0.1:1'] }),
    ['tls 127.0.0.1 1 1', 'tcp :: 2222 0'],
    'who has no address gets the default one',
  );
  t.end();
});

t.test('one server, plain and in TLS', async (t) => {
  const server = await startServer(t, {
    listen: ['tls=127.0.0.1:0', 'tcp=127.0.0.1:0'],
    ...cert,
  });
  const [tls, tcp] = server.addresses;
  t.equal(tls.transport, 'tls');
  t.equal(tcp.transport, 'tcp');
  t.not(tls.port, tcp.port);
  server.own = own;
  await talks(t, server, tlsTunnel(t, server), 'tls');
  const plain = startTunnel(t, server, { server: `127.0.0.1:${tcp.port}` });
  await talks(t, server, plain, 'tcp');
});

t.test('certificates and keys that a server does not take', async (t) => {
  const { createPrivateKey } = require('node:crypto');
  const encrypted = createPrivateKey(own.key).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'x',
  });
  const dir = t.testdir({
    cert: own.cert,
    key: own.key,
    junk: 'junk\n',
    empty: '',
    other: selfSigned(['127.0.0.1']).key,
    encrypted,
  });
  const of = (name) => path.join(dir, name);
  const cases = [
    ['junk', 'key', 'tlsCert', 'TLS_CHAIN'],
    ['empty', 'key', 'tlsCert', 'TLS_CHAIN'],
    ['key', 'key', 'tlsCert', 'TLS_CHAIN'],
    ['absent', 'key', 'tlsCert', 'FILE'],
    ['cert', 'junk', 'tlsKey', 'KEY_FORMAT'],
    ['cert', 'empty', 'tlsKey', 'KEY_FORMAT'],
    ['cert', 'cert', 'tlsKey', 'KEY_FORMAT'],
    ['cert', 'absent', 'tlsKey', 'FILE'],
    ['cert', 'other', 'tlsKey', 'CERTIFICATE_MISMATCH'],
    ['cert', 'encrypted', 'tlsKey', 'KEY_PASSPHRASE'],
  ];
  const tried = (tlsCert, tlsKey) =>
    rejection(t, startServer(t, { transport: 'tls', tlsCert, tlsKey }));
  for (const [c, k, option, code] of cases) {
    const file = of(option === 'tlsCert' ? c : k);
    const error = await tried(of(c), of(k));
    t.match(error, { code: `ERR_WRAITH_${code}`, phase: 'options', option });
    t.equal(error.file, file);
    t.ok(error.message.startsWith(`${option}: `), error.message);
    t.ok(error.message.includes(file), error.message);
  }
  const error = await tried(own.cert, fs.readFileSync(of('other')));
  t.strictSame([error.option, error.file], ['tlsKey', undefined]);
});

t.test('keys that come as contents and as files', async (t) => {
  const dir = t.testdir({ cert: own.cert, key: own.key });
  const forms = [
    [path.join(dir, 'cert'), path.join(dir, 'key')],
    [Buffer.from(own.cert), Buffer.from(own.key)],
    [own.cert, path.join(dir, 'key')],
  ];
  for (const [tlsCert, tlsKey] of forms) {
    const server = await startTls(t, { tlsCert, tlsKey });
    server.own = own;
    await tlsTunnel(t, server).ready();
    await server.close({ drain: 0 });
  }
});
