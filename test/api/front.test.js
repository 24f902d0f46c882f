'use strict';
// A listener for a web server in front: WebSockets and a site, without TLS.
const http = require('node:http');
const { once } = require('node:events');
const tls = require('node:tls');
const t = require('tap');
const { selfSigned } = require('../../lib/acme.js');
const { listen, readAll } = require('../lib/net.js');
const { rejection, startServer, startTunnel } = require('../lib/pair.js');
const { plain } = require('../lib/site.js');

const SECRET = 'of the owner';
const WS = { listen: 'ws=127.0.0.1:0' };

async function startWs(t, options = {}) {
  const records = [];
  const log = (record) => records.push(record);
  const server = await startServer(t, { ...WS, log, ...options });
  return Object.assign(server, { records });
}

/** What a request gets: { status, headers, body }. */
async function ask(server, path, headers = {}) {
  const { port } = server.addresses[0];
  const host = '127.0.0.1';
  const request = http.get({ port, host, path, headers, agent: false });
  const [response] = await once(request, 'response');
  const body = String(await readAll(response));
  return { status: response.statusCode, headers: response.headers, body };
}

/** The first bytes of the answer to an upgrade with these fields. */
async function upgrade(t, server, fields = []) {
  const socket = await plain(t, server);
  const lines = [
    'GET /ws HTTP/1.1',
    ...['Host: a.test', 'Upgrade: websocket', 'Connection: upgrade'],
    ...['Sec-WebSocket-Version: 13'],
    ...['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', ...fields],
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  const [answer] = await once(socket, 'data');
  socket.destroy();
  return String(answer);
}

const opened = ({ records }) =>
  records.filter(({ message }) => message === 'connection opened');

t.test('a tunnel in WebSocket frames', async (t) => {
  const server = await startWs(t);
  t.match(server.addresses, [{ transport: 'ws', host: '127.0.0.1' }]);
  const tunnel = startTunnel(t, server, { transport: 'ws', reconnect: false });
  await tunnel.ready();
  t.match(opened(server), [{ transport: 'ws', remote_addr: '127.0.0.1' }]);
  t.match(server.sessions(), [{ transport: 'ws' }]);
});

t.test('a secret is asked for', async (t) => {
  const server = await startWs(t, { stealthSecret: SECRET, wsPath: '/live' });
  const over = (options) =>
    startTunnel(t, server, { transport: 'ws', reconnect: false, ...options });
  const wrong = over({ stealthSecret: 'another', wsPath: '/live' });
  t.match(await rejection(t, wrong.ready()), { code: 'ERR_WRAITH_WS_REFUSED' });
  t.match(server.stats(), { visitors: 1, knocksFailed: 1, connections: 0 });
  t.strictSame(opened(server), []);
  await over({ stealthSecret: SECRET, wsPath: '/live' }).ready();
  t.match(server.stats(), { visitors: 1, knocksFailed: 1, connections: 1 });
});

t.test('all others see the site', async (t) => {
  const decoy = t.testdir({ 'index.html': 'a page', sub: { f: 'x' } });
  const server = await startWs(t, { decoy });
  t.match(await ask(server, '/'), { status: 200, body: 'a page' });
  const moved = await ask(server, '/sub');
  t.equal(moved.status, 301);
  t.equal(moved.headers.location, '/sub/', 'the front knows who it is');
  const socket = await plain(t, server);
  socket.write('SSH-2.0-OpenSSH_9.2\r\n');
  t.match(String(await readAll(socket)), /^HTTP\/1\.1 400 Bad Request/);
  t.match(server.stats(), { visitors: 3, knocksFailed: 0, connections: 0 });
});

t.test('without a decoy there is nothing', async (t) => {
  const server = await startWs(t);
  t.equal((await ask(server, '/')).status, 404);
});

t.test('an origin learns what the front spoke', async (t) => {
  const seen = [];
  const origin = http.createServer(({ headers }, response) => {
    seen.push([headers['x-forwarded-proto'], headers['x-forwarded-for']]);
    response.end();
  });
  const { port } = await listen(t, (s) => origin.emit('connection', s));
  const server = await startWs(t, { decoy: `http://127.0.0.1:${port}` });
  await ask(server, '/');
  await ask(server, '/', {
    'X-Forwarded-Proto': 'https',
    'X-Forwarded-For': '203.0.113.7',
  });
  t.strictSame(seen, [
    ['http', '127.0.0.1'],
    ['https', '203.0.113.7, 127.0.0.1'],
  ]);
});

t.test('X-Forwarded-For of whom is trusted', async (t) => {
  const field = ['X-Forwarded-For: 198.51.100.1, 203.0.113.7'];
  const cases = [
    [['127.0.0.1'], '203.0.113.7'],
    [['127.0.0.0/8', '203.0.113.0/24'], '198.51.100.1'],
    [['127.0.0.2'], '127.0.0.1'],
    [undefined, '127.0.0.1'],
  ];
  for (const [trustProxy, address] of cases) {
    const server = await startWs(t, { trustProxy });
    t.match(await upgrade(t, server, field), /^HTTP\/1\.1 101 /);
    t.match(opened(server), [{ transport: 'ws', remote_addr: address }]);
  }
});

t.test('limits hold for whom the front speaks for', async (t) => {
  const server = await startWs(t, {
    trustProxy: ['127.0.0.1'],
    maxConnectionsPerIp: 1,
  });
  const tunnel = startTunnel(t, server, { transport: 'ws', reconnect: false });
  await tunnel.ready();
  const refused = startTunnel(t, server, { transport: 'ws', reconnect: false });
  await rejection(t, refused.ready());
  const other = ['X-Forwarded-For: 203.0.113.7'];
  t.match(await upgrade(t, server, other), /^HTTP\/1\.1 101 /);
  t.match(server.stats(), { connections: 2, rejected: 1 });
});

t.test('beside TLS it does not change how that looks', async (t) => {
  const { cert, key } = selfSigned(['127.0.0.1']);
  const server = await startWs(t, {
    listen: ['tls=127.0.0.1:0', 'ws=127.0.0.1:0'],
    tlsCert: cert,
    tlsKey: key,
  });
  const socket = tls.connect({
    ...{ port: server.addresses[0].port, host: '127.0.0.1' },
    ...{ rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] },
  });
  t.teardown(() => socket.destroy());
  await once(socket, 'secureConnect');
  t.equal(socket.alpnProtocol, false, 'no web server');
});
