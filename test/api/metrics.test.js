'use strict';
// serve({ metrics }): what is counted, in which form, and how the port behaves.
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const { once } = require('node:events');
const t = require('tap');
const { parseExposition, valueOf } = require('../lib/exposition.js');
const { dial, listen, untilClosed } = require('../lib/net.js');
const {
  keys,
  lines,
  rejection,
  startServer,
  startTunnel,
  until,
} = require('../lib/pair.js');

const metrics = '0';

/** { status, headers, text } */
function request(server, url, options = {}) {
  const { host, port } = server.metricsAddress;
  return new Promise((resolve, reject) => {
    const call = http.request({ host, port, path: url, ...options });
    call.once('error', reject).end();
    call.once('response', async (response) => {
      let text = '';
      for await (const chunk of response) text += chunk;
      const { statusCode: status, headers } = response;
      resolve({ status, headers, text });
    });
  });
}

/** A connection that is closed at once, perhaps before it was up. */
function turnedAway(port) {
  const socket = net.connect(port, '127.0.0.1').on('error', () => {});
  return untilClosed(socket);
}

async function scrape(server) {
  const { text } = await request(server, '/metrics');
  return parseExposition(text);
}

t.test('what has happened is counted', async (t) => {
  const server = await startServer(t, {
    metrics,
    maxStartups: 1,
    policy: [{ deny: 'wraith-nobody' }],
  });
  server.on('connection', (stream) => stream.end());
  const tunnel = startTunnel(t, server);
  await tunnel.ready();
  await tunnel.remoteForward('0:localhost:1');
  await tunnel.open('wraith-control');
  await t.rejects(tunnel.open('wraith-nobody'));
  const identity = keys().other.privateKey;
  const stranger = startTunnel(t, server, { identity, reconnect: false });
  await t.rejects(stranger.ready());
  await until(() => server.stats().startups === 0);
  await dial(t, server.addresses[0].port);
  await until(() => server.stats().startups === 1);
  await turnedAway(server.addresses[0].port);

  const families = await scrape(server);
  const is = (name, value, ...rest) =>
    t.equal(valueOf(families, name, ...rest), value, name);
  const stats = server.stats();
  is('wraith_sessions', 2);
  is('wraith_sessions_unauthenticated', 1);
  is('wraith_remote_forwards', 1);
  is('wraith_channels', stats.channels);
  is('wraith_channels_opened_total', 1);
  is('wraith_channels_refused_total', 1);
  is('wraith_connections_total', 3);
  is('wraith_connections_rejected_total', 1, { reason: 'max-startups' });
  is('wraith_authentications_total', 1, { result: 'accept' });
  is('wraith_authentications_total', 1, { result: 'reject' });
  is('wraith_authentications_rejected_total', 1, { reason: 'unknown-key' });
  is('wraith_received_bytes_total', stats.bytesIn);
  is('wraith_sent_bytes_total', stats.bytesOut);
  is('wraith_handshake_duration_seconds', 2, {}, '_count');
  is('wraith_login_duration_seconds', 1, {}, '_count');
  is('wraith_login_duration_seconds', stats.login.sum, {}, '_sum');
  t.ok(stats.bytesIn > 0 && stats.bytesOut > 0);
  t.ok(valueOf(families, 'wraith_memory_bytes') > 0);
  const began = Date.now() / 1000 - process.uptime();
  const start = valueOf(families, 'process_start_time_seconds');
  t.ok(Math.abs(start - began) < 60, 'the start of the process');
  const [{ labels, value }] = families.get('wraith_build_info').samples;
  t.equal(value, 1);
  t.match(labels, { version: /^\d+\.\d+/, libssh: /^\d/, openssl: /^\d/ });

  await server.reload({ authorizedKeys: lines(keys().other) });
  const ended = { reason: 'key-removed' };
  const after = await scrape(server);
  t.equal(valueOf(after, 'wraith_sessions_ended_total', ended), 1);
});

t.test('stats() holds the same by reason', async (t) => {
  const server = await startServer(t, { loginGraceTime: 10000 });
  const tunnel = startTunnel(t, server);
  await tunnel.ready();
  const { authentications, handshake, login, ...stats } = server.stats();
  t.strictSame(authentications, { accepted: 1, rejected: {} });
  t.strictSame(stats.connectionsRejected, {});
  t.strictSame(stats.sessionsEnded, {});
  for (const { count, sum, buckets } of [handshake, login]) {
    t.equal(count, 1);
    t.ok(sum >= 0 && sum < 10);
    t.strictSame(buckets.at(-1), [30, 1]);
    t.ok(buckets.every(([le, n]) => n === (sum <= le ? 1 : 0)));
  }
  t.equal(server.metricsAddress, undefined, 'not asked for');
});

t.test('every name has a line in the documentation', async (t) => {
  const server = await startServer(t, { metrics });
  const file = path.join(__dirname, '../../docs/metrics.md');
  const text = fs.readFileSync(file, 'utf8');
  const listed = [...text.matchAll(/^\| `([a-z_]+)/gm)].map(([, name]) => name);
  const names = [...(await scrape(server)).keys()];
  t.strictSame(listed.sort(), names.sort());
});

t.test('paths and methods', async (t) => {
  const server = await startServer(t, { metrics });
  const good = await request(server, '/metrics');
  t.equal(good.status, 200);
  t.equal(good.headers.connection, 'close');
  t.equal(
    good.headers['content-type'],
    'text/plain; version=0.0.4; charset=utf-8',
  );
  t.equal((await request(server, '/metrics?a=b')).status, 200);
  for (const url of ['/', '/metrics/', '/metrics2', '//metrics', '*']) {
    t.equal((await request(server, url)).status, 404, url);
  }
  for (const method of ['POST', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']) {
    const { status, headers } = await request(server, '/metrics', { method });
    t.equal(status, 405, method);
    t.equal(headers.allow, 'GET');
  }
});

t.test('a port alone is one of loopback', async (t) => {
  const places = {
    0: '127.0.0.1',
    ':0': '127.0.0.1',
    '127.0.0.2:0': '127.0.0.2',
    '[::1]:0': '::1',
    'localhost:0': /^(127\.0\.0\.1|::1)$/,
  };
  for (const [place, host] of Object.entries(places)) {
    const server = await startServer(t, { metrics: place });
    t.match(server.metricsAddress.host, host, place);
    t.equal((await request(server, '/metrics')).status, 200, place);
  }
});

t.test('a port that is taken', async (t) => {
  const { port } = await listen(t, (socket) => socket.end());
  const place = `127.0.0.1:${port}`;
  const error = await rejection(t, startServer(t, { metrics: place }));
  t.match(error, {
    code: 'EADDRINUSE',
    syscall: 'listen',
    option: 'metrics',
    address: '127.0.0.1',
    port,
    message: `metrics: listen EADDRINUSE ${place}: address already in use`,
  });
});

t.test('it ends with the server', async (t) => {
  const server = await startServer(t, { metrics });
  const { port } = server.metricsAddress;
  const idle = await dial(t, port);
  const gone = untilClosed(idle);
  await server.close();
  await gone;
  const [error] = await once(net.connect(port, '127.0.0.1'), 'error');
  t.equal(error.code, 'ECONNREFUSED');
});

t.test('when the server cannot listen, nor do the metrics', async (t) => {
  const [taken, free] = await Promise.all([
    listen(t, () => {}),
    listen(t, () => {}),
  ]);
  await new Promise((resolve) => free.server.close(resolve));
  await t.rejects(
    startServer(t, {
      metrics: String(free.port),
      listen: `127.0.0.1:${taken.port}`,
    }),
    { code: 'EADDRINUSE' },
  );
  const [error] = await once(net.connect(free.port, '127.0.0.1'), 'error');
  t.equal(error.code, 'ECONNREFUSED');
});

t.test('an abort while it begins', async (t) => {
  const controller = new AbortController();
  const { signal } = controller;
  const starting = startServer(t, { metrics, signal });
  // Keys are read and the port is bound in later turns.
  controller.abort();
  await t.rejects(starting, { code: 'ERR_WRAITH_ABORTED' });
});

t.test('few connections, each for a short time', async (t) => {
  const server = await startServer(t, { metrics });
  const { port } = server.metricsAddress;
  const idle = [];
  for (let i = 0; i < 16; i++) idle.push(await dial(t, port));
  const gone = idle.map(untilClosed);
  // Never idle, and never done.
  idle[0].write('GET /metrics HTTP/1.1\r\nHost: x\r\nName: ');
  const trickle = setInterval(() => idle[0].write('x'), 100);
  t.teardown(() => clearInterval(trickle));
  idle[1].write('POST /metrics HTTP/1.1\r\nContent-Length: 9\r\n\r\n');
  const first = once(idle[1], 'data');
  t.equal((await turnedAway(port)).length, 0, 'one more is not taken');
  t.ok(
    idle.slice(2).every((socket) => !socket.closed),
    'while the others are there',
  );
  t.match(`${await first}`, /^HTTP\/1\.1 4\d\d /, 'a body is not awaited');
  await Promise.all(gone);
  t.equal(
    (await request(server, '/metrics')).status,
    200,
    'then there is room',
  );
});
