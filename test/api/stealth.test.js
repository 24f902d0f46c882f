'use strict';
// A web site that holds a tunnel: who gets which, certificates that change, and
// how it ends.
const { once } = require('node:events');

const http2 = require('node:http2');
const net = require('node:net');
const path = require('node:path');
const tls = require('node:tls');
const t = require('tap');
const { selfSigned } = require('../../lib/acme.js');
const { native } = require('../../lib/binding.js');
const {
  keys,
  lines,
  rejection,
  startServer,
  startTunnel,
  until,
} = require('../lib/pair.js');
const { listen, readN, readAll, untilClosed } = require('../lib/net.js');
const {
  NAMES,
  fingerprintOf,
  plain,
  startStealth,
  startTls,
  tlsTunnel,
  visit,
} = require('../lib/site.js');

const PAGE = '<p>the owner’s page</p>\n';
const GET = 'GET / HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n';

const withPage = (t, options) =>
  startStealth(t, { decoy: t.testdir({ 'index.html': PAGE }), ...options });

/** The answer to what is sent, up to its end. */
async function answer(t, server, text, options) {
  const socket = await visit(t, server, options);
  const all = readAll(socket);
  for (const part of [text].flat()) socket.write(part);
  return (await all).toString();
}

async function overHttp2(t, server) {
  const { port } = server.addresses[0];
  const session = http2.connect(`https://127.0.0.1:${port}`, {
    rejectUnauthorized: false,
    servername: 'site.example',
  });
  t.teardown(() => session.destroy());
  const request = session.request({ ':path': '/' });
  const [headers] = await once(request, 'response');
  const body = (await readAll(request)).toString();
  session.close();
  return { status: headers[':status'], body };
}

/** Whether a channel of the tunnel takes bytes there and back. */
async function lives(t, server, tunnel) {
  const came = once(server, 'connection');
  const near = await tunnel.open('wraith-control');
  const [far] = await came;
  near.write('ping');
  t.equal((await readN(far, 4)).toString(), 'ping');
  near.destroy();
}

t.test('visitors see the site while a tunnel runs', async (t) => {
  const server = await withPage(t);
  const tunnel = tlsTunnel(t, server);
  await tunnel.ready();
  const text = await answer(t, server, GET, { ALPNProtocols: ['http/1.1'] });
  t.match(text, /^HTTP\/1.1 200 OK\r\nServer: nginx\/1.22.1\r\n/);
  t.ok(text.endsWith(`\r\n\r\n${PAGE}`));
  t.match(await answer(t, server, GET), /^HTTP\/1.1 200 OK\r\n/, 'no ALPN');
  t.strictSame(await overHttp2(t, server), { status: 200, body: PAGE });
  await lives(t, server, tunnel);
  t.match(server.stats(), { visitors: 3, connections: 1, sessions: 1 });
});

t.test('who speaks no TLS is told so', async (t) => {
  const server = await withPage(t);
  const socket = await plain(t, server);
  socket.write(GET);
  const text = (await readAll(socket)).toString();
  t.match(text, /^HTTP\/1.1 400 Bad Request\r\n/);
  t.match(text, 'The plain HTTP request was sent to HTTPS port');
  t.equal(server.stats().visitors, 1);
});

t.test('a plain TLS listener has no site', async (t) => {
  const server = await startTls(t);
  const socket = await visit(t, server);
  t.equal(socket.alpnProtocol, false);
  const banner = await readN(socket, 8);
  t.equal(banner.toString(), 'SSH-2.0-', 'it speaks at once');
  socket.destroy();
  t.equal(server.stats().visitors, 0);
});

t.test('a stealth listener never speaks first', async (t) => {
  const server = await withPage(t);
  const socket = await visit(t, server);
  let spoke = false;
  socket.on('data', () => {
    spoke = true;
  });
  // Whoever came later has been answered long before.
  await answer(t, server, GET);
  t.notOk(spoke);
  socket.removeAllListeners('data');
  const all = readAll(socket);
  socket.write(GET);
  t.match((await all).toString(), /^HTTP\/1.1 200 OK/);
});

/** One byte a record, the first `count` of them. */
function dribble(socket, count) {
  let left = count;
  return (chunk) => {
    const n = Math.min(left, chunk.length);
    left -= n;
    for (let i = 0; i < n; i++) socket.write(chunk.subarray(i, i + 1));
    if (n < chunk.length) socket.write(chunk.subarray(n));
  };
}

/** Ends TLS in front of the server; its first bytes come one by one. */
async function slowFront(t, server, count) {
  const { port } = await listen(t, (socket) => {
    const { port } = server.addresses[0];
    const inner = tls.connect({ port, rejectUnauthorized: false });
    inner.on('error', () => socket.destroy());
    inner.on('close', () => socket.destroy());
    socket.on('close', () => inner.destroy());
    socket.on('data', dribble(inner, count));
    inner.pipe(socket);
  });
  return `127.0.0.1:${port}`;
}

t.test('bytes that come one by one', async (t) => {
  const server = await withPage(t, { wsPath: '/ws' });
  const front = await slowFront(t, server, 600);
  await startTunnel(t, server, { server: front }).ready();
  const ws = { server: front, transport: 'ws' };
  await startTunnel(t, server, ws).ready();
  t.strictSame(
    server
      .sessions()
      .map(({ transport }) => transport)
      .sort(),
    ['tls', 'wss'],
  );
  t.equal(server.stats().visitors, 0);
  for (const text of [GET, `${'\r\n'.repeat(1)}${GET}`]) {
    const slow = await answer(t, server, [...text]);
    t.match(slow, /^HTTP\/1.1 200 OK\r\n/);
    t.ok(slow.endsWith(PAGE));
  }
  const upgrade =
    'GET /other HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n' +
    'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
  const socket = await visit(t, server);
  for (const byte of upgrade) socket.write(byte);
  t.equal((await readN(socket, 12)).toString(), 'HTTP/1.1 404');
  t.equal(server.stats().visitors, 3);
});

t.test('one byte after another, each in a turn of its own', async (t) => {
  const server = await withPage(t);
  const socket = await visit(t, server);
  const all = readAll(socket);
  for (const byte of GET) {
    await new Promise((resolve) => socket.write(byte, resolve));
    await new Promise(setImmediate);
  }
  t.ok((await all).toString().endsWith(PAGE));
  const short = await visit(t, server);
  for (const byte of 'SSH-2.0-x\r\n') {
    await new Promise((resolve) => short.write(byte, resolve));
    await new Promise(setImmediate);
  }
  t.equal((await readN(short, 8)).toString(), 'SSH-2.0-');
  t.equal(server.stats().visitors, 1);
});

t.test('a load balancer in front names the address', async (t) => {
  const server = await withPage(t, { trustProxy: '127.0.0.1' });
  const { port } = server.addresses[0];
  const front = await listen(t, (socket) => {
    const inner = net.connect(port, '127.0.0.1');
    inner.on('error', () => {});
    inner.write('PROXY TCP4 203.0.113.9 192.0.2.1 1 443\r\n');
    socket.on('close', () => inner.destroy());
    inner.on('close', () => socket.destroy());
    socket.pipe(inner).pipe(socket);
  });
  await tlsTunnel(t, server, { server: `127.0.0.1:${front.port}` }).ready();
  t.equal(server.sessions()[0].remoteAddress, '203.0.113.9');
});

const certificateOf = (socket) => socket.getPeerCertificate().fingerprint256;

async function shownBy(t, server) {
  const socket = await visit(t, server);
  const shown = certificateOf(socket);
  socket.destroy();
  return shown;
}

t.test('reload: another certificate', async (t) => {
  const server = await withPage(t);
  const tunnel = tlsTunnel(t, server);
  await tunnel.ready();
  const visitor = await visit(t, server);
  const next = selfSigned(NAMES);
  t.equal(await shownBy(t, server), fingerprintOf(server.own.cert));
  await server.reload({ tlsCert: next.cert, tlsKey: next.key });
  t.equal(await shownBy(t, server), fingerprintOf(next.cert));
  await lives(t, server, tunnel);
  const all = readAll(visitor);
  visitor.write(GET);
  t.ok((await all).toString().endsWith(PAGE), 'who was there stays');
  await tlsTunnel(t, server, { tlsCa: next.cert }).ready();
  const old = tlsTunnel(t, server, { tlsCa: server.own.cert });
  const { code } = await rejection(t, old.ready());
  t.equal(code, 'ERR_WRAITH_TLS_CERTIFICATE');
  t.equal(tunnel.state, 'up');
});

t.test('reload: all of it or nothing', async (t) => {
  const server = await withPage(t);
  const next = selfSigned(NAMES);
  const dir = t.testdir({ next: next.cert, key: next.key, junk: 'junk\n' });
  const of = (name) => path.join(dir, name);
  const authorizedKeys = lines(keys().other);
  const cases = [
    [{ tlsCert: of('junk'), tlsKey: of('key') }, 'tlsCert', of('junk')],
    [{ tlsCert: of('next'), tlsKey: of('junk') }, 'tlsKey', of('junk')],
    [{ tlsCert: of('none'), tlsKey: of('key') }, 'tlsCert', of('none')],
    [{ tlsCert: of('next'), tlsKey: server.own.key }, 'tlsKey', undefined],
    [{ tlsCert: of('next') }, 'tlsKey', undefined],
    [{ tlsKey: of('key') }, 'tlsCert', undefined],
  ];
  for (const [options, option, file] of cases) {
    const error = await rejection(
      t,
      server.reload({ authorizedKeys, ...options }),
    );
    t.match(error, { phase: 'options', option }, Object.keys(options).join());
    t.equal(error.file, file);
  }
  const both = { tlsCert: of('next'), tlsKey: of('key') };
  await t.rejects(server.reload({ ...both, authorizedKeys: of('junk') }), {
    option: 'authorizedKeys',
  });
  t.equal(await shownBy(t, server), fingerprintOf(server.own.cert));
  await tlsTunnel(t, server).ready();
  await server.reload({ ...both, authorizedKeys });
  t.equal(await shownBy(t, server), fingerprintOf(next.cert));
});

t.test('reload: where there is no TLS', async (t) => {
  const server = await startServer(t);
  const { cert, key } = selfSigned(NAMES);
  await t.rejects(server.reload({ tlsCert: cert, tlsKey: key }), {
    code: 'ERR_WRAITH_INVALID_ARGUMENT',
    option: 'tlsCert',
  });
});

t.test('reload: the last certificate asked for is in force', async (t) => {
  const server = await startTls(t);
  const certs = [selfSigned(NAMES), selfSigned(NAMES), selfSigned(NAMES)];
  await Promise.all(
    certs.map(({ cert, key }) => server.reload({ tlsCert: cert, tlsKey: key })),
  );
  t.equal(await shownBy(t, server), fingerprintOf(certs[2].cert));
});

/** What a client may come back with: asked for with a request. */
async function ticketOf(t, server, options) {
  const socket = await visit(t, server, options);
  let session = socket.getSession(); // TLS 1.2 has it already
  socket.on('session', (one) => {
    session = one;
  });
  const all = readAll(socket);
  socket.write(GET);
  await all;
  return session;
}

t.test('tickets are good after a reload', async (t) => {
  const server = await withPage(t);
  for (const maxVersion of ['TLSv1.3', 'TLSv1.2']) {
    const session = await ticketOf(t, server, { maxVersion });
    const { cert, key } = selfSigned(NAMES);
    await server.reload({ tlsCert: cert, tlsKey: key });
    const socket = await visit(t, server, { maxVersion, session });
    t.equal(socket.getProtocol(), maxVersion);
    t.ok(socket.isSessionReused(), maxVersion);
    const all = readAll(socket);
    socket.write(GET);
    t.ok((await all).toString().endsWith(PAGE));
  }
  const other = await withPage(t);
  const session = await ticketOf(t, server);
  const socket = await visit(t, other, { session });
  t.notOk(socket.isSessionReused(), 'of this server only');
});

/** Everybody who could be there. */
async function crowd(t, server) {
  const { port } = server.addresses[0];
  const silent = await plain(t, server);
  const half = await plain(t, server);
  half.write(Buffer.from([0x16, 3, 1, 2, 0, 1]));
  const undecided = await visit(t, server);
  undecided.write('GET / HT');
  const idle = await visit(t, server, { ALPNProtocols: ['http/1.1'] });
  idle.write(GET.replace('close', 'keep-alive'));
  await readN(idle, 15);
  idle.resume();
  const session = http2.connect(`https://127.0.0.1:${port}`, {
    rejectUnauthorized: false,
  });
  session.on('error', () => {});
  t.teardown(() => session.destroy());
  await once(session, 'remoteSettings');
  const tunnel = tlsTunnel(t, server);
  await tunnel.ready();
  return { sockets: [silent, half, undecided, idle, session], tunnel };
}

for (const drain of [0, 60000]) {
  t.test(`the end, with everybody there: drain ${drain}`, async (t) => {
    const before = native.memory().blocks;
    const server = await withPage(t);
    const { sockets, tunnel } = await crowd(t, server);
    const gone = sockets.map((one) => new Promise((r) => one.once('close', r)));
    const began = Date.now();
    await server.close({ drain });
    t.ok(Date.now() - began < 5000, 'at once');
    await Promise.all(gone);
    await tunnel.close();
    await until(() => native.memory().blocks <= before, 'nothing left');
    t.equal(native.memory().blocks, before);
  });
}

t.test('the end, as visitors come', async (t) => {
  const before = native.memory().blocks;
  for (let i = 0; i < 5; i++) {
    const server = await withPage(t);
    const { port } = server.addresses[0];
    const gone = Array.from({ length: 8 }, () => {
      const socket = tls.connect({ port, rejectUnauthorized: false });
      socket.on('error', () => {});
      socket.once('secureConnect', () => socket.write(GET));
      return untilClosed(socket);
    });
    await until(() => server.stats().visitors >= i);
    await server.close({ drain: 0 });
    await Promise.all(gone);
  }
  await until(() => native.memory().blocks <= before, 'nothing left');
  t.equal(native.memory().blocks, before);
});

t.test('nothing of the site lies open after a failed start', async (t) => {
  const before = native.memory().blocks;
  const { cert, key } = selfSigned(NAMES);
  const busy = await listen(t, () => {});
  const error = await rejection(
    t,
    startServer(t, {
      listen: `tls=127.0.0.1:${busy.port}`,
      tlsCert: cert,
      tlsKey: key,
      stealth: true,
    }),
  );
  t.equal(error.code, 'EADDRINUSE');
  await until(() => native.memory().blocks <= before, 'nothing left');
});
