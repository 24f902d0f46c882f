'use strict';
// The long-lived handle: states, listeners that stay, remote forwards that come
// back, an end that is one.
const { once } = require('node:events');
const { randomBytes } = require('node:crypto');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const t = require('tap');
const {
  addressOf,
  clientOptions,
  keys,
  pairUp,
  startServer,
  startTunnel,
  state,
  wraith,
} = require('../lib/pair.js');
const {
  closed,
  deadPort,
  dial,
  echo,
  readAll,
  readN,
  socks5,
} = require('../lib/net.js');

t.test('states from the first to the last', async (t) => {
  const port = await deadPort();
  const tunnel = startTunnel(t, { addresses: [{ port }] });
  const seen = [];
  tunnel.on('state', (event) => seen.push(event));
  t.equal(tunnel.state, 'connecting');
  const first = await state(tunnel, 'reconnecting');
  t.equal(first.attempt, 1);
  t.ok(
    first.retryIn >= 10 && first.retryIn <= 20,
    'between half and all of minDelay',
  );
  t.equal(first.reason.code, 'ECONNREFUSED');
  const second = await state(tunnel, 'reconnecting');
  t.equal(second.attempt, 2);
  const server = await startServer(t, { listen: `127.0.0.1:${port}` });
  await tunnel.ready();
  t.equal(tunnel.state, 'up');
  t.match(tunnel.peer, { host: '127.0.0.1', port });
  await Promise.all([
    state(tunnel, 'reconnecting'),
    server.close({ drain: 0 }),
  ]);
  t.equal(tunnel.state, 'reconnecting');
  await tunnel.close();
  t.equal(tunnel.state, 'closed');
  const names = seen.map((event) => event.state);
  t.equal(names.at(-1), 'closed');
  t.equal(names.filter((name) => name === 'closed').length, 1);
});

t.test('reconnect: false', async (t) => {
  const { server, tunnel } = await pairUp(t, { tunnel: { reconnect: false } });
  const over = new Promise((resolve) => tunnel.once('close', resolve));
  await server.close({ drain: 0 });
  const error = await over;
  t.match(error.code, /^ERR_WRAITH_/);
  t.equal(tunnel.state, 'closed');
});

t.test('down tells whether the end was in order', async (t) => {
  const { server, tunnel } = await pairUp(t);
  const down = once(tunnel, 'down');
  await server.close({ drain: 0 });
  t.match((await down)[0], { wasUp: true, orderly: true });
});

t.test('close is graceful, and the same for all who ask', async (t) => {
  const { server, tunnel } = await pairUp(t);
  const [id] = server.sessions().map((one) => one.sessionId);
  const gone = once(server, 'sessionClose');
  const seen = [];
  tunnel.on('close', (error) => seen.push(error));
  await Promise.all([tunnel.close(), tunnel.close()]);
  t.equal((await gone)[0], id);
  await tunnel.close();
  tunnel.destroy(new Error('late'));
  t.strictSame(seen, [null]);
});

t.test('destroy hands its error on', async (t) => {
  const { tunnel } = await pairUp(t);
  const reason = new Error('enough');
  const over = new Promise((resolve) => tunnel.once('close', resolve));
  tunnel.destroy(reason);
  t.equal(await over, reason);
  await t.rejects(tunnel.ready(), reason);
  await t.rejects(tunnel.open('h:1'), reason);
});

t.test('destroy before anything has begun', async (t) => {
  const server = await startServer(t);
  const tunnel = wraith.createTunnel(clientOptions(server));
  const waiting = t.rejects(tunnel.ready(), { code: 'ERR_WRAITH_CLOSED' });
  tunnel.destroy();
  await waiting;
  await tunnel.close();
  t.equal(server.stats().connections, 0);
});

t.test('async disposal', async (t) => {
  const server = await startServer(t);
  const tunnel = wraith.createTunnel(clientOptions(server));
  await tunnel.ready();
  const listener = await tunnel.socks5({ port: 0 });
  await listener[Symbol.asyncDispose]();
  await t.rejects(dial(t, listener.port), { code: 'ECONNREFUSED' });
  await tunnel[Symbol.asyncDispose]();
  t.equal(tunnel.state, 'closed');
  await server[Symbol.asyncDispose]();
  t.equal(server.stats(), null);
});

t.test(
  'SOCKS5, SOCKS4a, HTTP CONNECT and a plain request on one port',
  async (t) => {
    const target = await echo(t);
    const { tunnel } = await pairUp(t);
    const { port, host, connections } = await tunnel.socks5({ port: 0 });
    t.equal(host, '127.0.0.1');
    t.equal(connections, 0);
    const five = await socks5(t, port, 'localhost', target.port);
    t.equal(five.reply, 0);
    five.socket.end('five');
    t.equal((await readAll(five.socket)).toString(), 'five');
    const four = await dial(t, port, { allowHalfOpen: true });
    four.write(
      Buffer.from([
        4,
        1,
        target.port >> 8,
        target.port & 255,
        0,
        0,
        0,
        1,
        0,
        ...Buffer.from('localhost\0'),
      ]),
    );
    t.equal((await readN(four, 8))[1], 90);
    four.end('four');
    t.equal((await readAll(four)).toString(), 'four');
    const http = await dial(t, port, { allowHalfOpen: true });
    http.write(`CONNECT localhost:${target.port} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const head = await readN(http, 12);
    t.equal(head.toString(), 'HTTP/1.1 200');
    http.end('tail');
    t.match((await readAll(http)).toString(), /\r\n\r\ntail$/);
  },
);

t.test('a SOCKS5 port with a password', async (t) => {
  const target = await echo(t);
  const { tunnel } = await pairUp(t);
  const { port } = await tunnel.socks5({ port: 0, auth: 'user:pa:ss' });
  const login = async (user, password) => {
    const socket = await dial(t, port, { allowHalfOpen: true });
    socket.write(Buffer.from([5, 2, 0, 2]));
    t.strictSame(
      [...(await readN(socket, 2))],
      [5, 2],
      'the password is asked for',
    );
    socket.write(
      Buffer.from([
        1,
        user.length,
        ...Buffer.from(user),
        password.length,
        ...Buffer.from(password),
      ]),
    );
    return [socket, (await readN(socket, 2))[1]];
  };
  const [, refused] = await login('user', 'pa');
  t.not(refused, 0);
  const [socket, accepted] = await login('user', 'pa:ss');
  t.equal(accepted, 0);
  socket.write(
    Buffer.from([
      5,
      1,
      0,
      1,
      127,
      0,
      0,
      1,
      target.port >> 8,
      target.port & 255,
    ]),
  );
  t.equal((await readN(socket, 10))[1], 0);
  const open = await dial(t, port);
  open.write(Buffer.from([5, 1, 0]));
  t.strictSame([...(await readN(open, 2))], [5, 0xff], 'no way without');
});

t.test('local forwards: ports, paths, IPv6', async (t) => {
  const target = await echo(t);
  const dir = t.testdir();
  const { tunnel } = await pairUp(t, {
    server: { allow: [`unix:${dir}/*`, '*:*'] },
  });
  const unix = net.createServer({ allowHalfOpen: true }, (socket) =>
    socket.pipe(socket),
  );
  unix.listen(path.join(dir, 'target'));
  await once(unix, 'listening');
  t.teardown(() => new Promise((resolve) => unix.close(resolve)));
  const to = { host: 'localhost', port: target.port };
  const plain = await tunnel.forward({ bindPort: 0, ...to });
  const v6 = await tunnel.forward({ bindHost: '::1', bindPort: 0, ...to });
  const named = await tunnel.forward({
    bindPath: path.join(dir, 'local'),
    ...to,
  });
  const across = await tunnel.forward({
    bindPath: path.join(dir, 'across'),
    path: path.join(dir, 'target'),
  });
  t.equal(v6.host, '::1');
  t.equal(named.path, path.join(dir, 'local'));
  t.equal(named.port, undefined);
  const ways = [
    { port: plain.port, host: '127.0.0.1' },
    { port: plain.port, host: 'localhost' },
    { port: v6.port, host: '::1' },
    { path: named.path },
    { path: across.path },
  ];
  for (const way of ways) {
    const socket = net.connect({ ...way, allowHalfOpen: true });
    socket.end('through');
    t.equal(
      (await readAll(socket)).toString(),
      'through',
      JSON.stringify(Object.keys(way)),
    );
  }
  await Promise.all([named.close(), across.close()]);
  t.notOk(fs.existsSync(named.path), 'the socket file goes with it');
});

t.test('connections are counted, and end with their listener', async (t) => {
  const target = await echo(t);
  const { tunnel } = await pairUp(t);
  const listener = await tunnel.forward({
    bindPort: 0,
    host: '127.0.0.1',
    port: target.port,
  });
  const sockets = [];
  for (let i = 0; i < 3; i++) {
    const socket = await dial(t, listener.port);
    socket.write('x');
    await readN(socket, 1);
    sockets.push(socket);
  }
  t.equal(listener.connections, 3);
  const gone = Promise.all(sockets.map(closed));
  await listener.close();
  await gone;
  t.equal(listener.connections, 0);
  t.equal(tunnel.state, 'up');
});

t.test('remote forwards: a target, streams, a chosen port', async (t) => {
  const target = await echo(t);
  const { tunnel } = await pairUp(t);
  const plain = await tunnel.remoteForward(`0:127.0.0.1:${target.port}`);
  t.ok(plain.port > 0);
  const socket = await dial(t, plain.port, { allowHalfOpen: true });
  socket.end('back and forth');
  t.equal((await readAll(socket)).toString(), 'back and forth');
  const came = [];
  const streams = await tunnel.remoteForward(
    { bindPort: 0 },
    (stream, info) => {
      came.push(info);
      stream.pipe(stream);
    },
  );
  const other = await dial(t, streams.port, { allowHalfOpen: true });
  const { localPort } = other;
  other.end('stream');
  t.equal((await readAll(other)).toString(), 'stream');
  t.match(came, [
    {
      port: streams.port,
      remoteAddress: '127.0.0.1',
      remotePort: localPort,
    },
  ]);
  await plain.close();
  // Requests are answered in their order: then the server has closed it.
  await tunnel.remoteForward(`0:127.0.0.1:${target.port}`);
  await t.rejects(dial(t, plain.port), { code: 'ECONNREFUSED' });
  t.equal(plain.connections, 0);
});

t.test(
  'listeners stay over a reconnection, remote forwards come back',
  async (t) => {
    const target = await echo(t);
    const { server, tunnel } = await pairUp(t);
    const listen = addressOf(server);
    const local = await tunnel.forward({
      bindPort: 0,
      host: '127.0.0.1',
      port: target.port,
    });
    const socks = await tunnel.socks5({ port: 0 });
    const remote = await tunnel.remoteForward(`0:127.0.0.1:${target.port}`);
    const { port } = remote;
    await Promise.all([
      state(tunnel, 'reconnecting'),
      server.close({ drain: 0 }),
    ]);

    const down = await socks5(t, socks.port, 'localhost', target.port);
    t.equal(down.reply, 1, 'general failure while it is down');
    await t.rejects(tunnel.open('h:1'), {
      code: 'ERR_WRAITH_TUNNEL_DOWN',
      phase: 'channel',
    });
    await t.rejects(dial(t, port), { code: 'ECONNREFUSED' });

    const back = once(remote, 'listening');
    await startServer(t, { listen });
    await tunnel.ready();
    await back;
    t.equal(remote.port, port, 'the same port, for it was free');
    for (const to of [local.port, remote.port]) {
      const socket = await dial(t, to, { allowHalfOpen: true });
      socket.end('again');
      t.equal((await readAll(socket)).toString(), 'again');
    }
    t.equal((await socks5(t, socks.port, 'localhost', target.port)).reply, 0);
  },
);

t.test(
  'a remote forward that is refused later says so and stays',
  async (t) => {
    const { server, tunnel } = await pairUp(t);
    const listen = addressOf(server);
    const remote = await tunnel.remoteForward({ bindPort: 0 }, (stream) =>
      stream.destroy(),
    );
    const refused = once(remote, 'refused');
    await server.close({ drain: 0 });
    const second = await startServer(t, { listen, forwarding: false });
    t.match((await refused)[0], { code: 'ERR_WRAITH_FORWARD_REFUSED' });
    const again = once(remote, 'listening');
    await second.close({ drain: 0 });
    await startServer(t, { listen });
    await again;
  },
);

t.test('what was opened before it was up waits for it', async (t) => {
  const port = await deadPort();
  const target = await echo(t);
  const tunnel = startTunnel(t, { addresses: [{ port }] });
  const local = await tunnel.forward({
    bindPort: 0,
    host: '127.0.0.1',
    port: target.port,
  });
  const opening = tunnel.open(`127.0.0.1:${target.port}`);
  const remote = tunnel.remoteForward(`0:127.0.0.1:${target.port}`);
  await startServer(t, { listen: `127.0.0.1:${port}` });
  const stream = await opening;
  stream.end('early');
  t.equal((await readAll(stream)).toString(), 'early');
  const ports = [local.port, (await remote).port];
  for (const to of ports) {
    const socket = await dial(t, to, { allowHalfOpen: true });
    socket.end('x');
    t.equal((await readAll(socket)).toString(), 'x');
  }
});

t.test('streams of a session end with it, in error', async (t) => {
  const { server, tunnel } = await pairUp(t);
  server.on('connection', (stream) => stream.resume());
  const streams = [];
  for (let i = 0; i < 5; i++) streams.push(await tunnel.open('wraith-control'));
  const gone = Promise.all(streams.map(closed));
  await server.close({ drain: 0 });
  await gone;
  for (const stream of streams) t.match(stream.errored?.code, /^ERR_WRAITH_/);
});

t.test('stats count over sessions', async (t) => {
  const { server, tunnel } = await pairUp(t);
  server.on('connection', (stream) => stream.pipe(stream));
  const data = randomBytes(100000);
  const stream = await tunnel.open('wraith-control');
  t.equal(tunnel.stats().channels, 1);
  stream.end(data);
  await readAll(stream);
  await t.rejects(tunnel.open(`127.0.0.1:${await deadPort()}`));
  const stats = tunnel.stats();
  t.ok(stats.bytesOut >= data.length && stats.bytesIn >= data.length);
  t.equal(stats.channelsOpened + stats.channelsFailed >= 2, true);
  t.ok(stats.rtt > 0, 'a round trip has been measured');
  const listen = addressOf(server);
  await Promise.all([
    state(tunnel, 'reconnecting'),
    server.close({ drain: 0 }),
  ]);
  await startServer(t, { listen });
  await tunnel.ready();
  t.ok(tunnel.stats().bytesOut > stats.bytesOut);
});

t.test('many tunnels at once', async (t) => {
  const server = await startServer(t);
  server.on('connection', (stream) => stream.pipe(stream));
  const tunnels = Array.from({ length: 30 }, () => startTunnel(t, server));
  await Promise.all(tunnels.map((tunnel) => tunnel.ready()));
  t.equal(server.sessions().length, 30);
  const texts = await Promise.all(
    tunnels.map(async (tunnel, i) => {
      const stream = await tunnel.open('wraith-control');
      stream.end(`${i}`);
      return (await readAll(stream)).toString();
    }),
  );
  t.strictSame(texts, Array.from(texts.keys(), String));
});

t.test('an identity that is gone after the first login is kept', async (t) => {
  const file = path.join(t.testdir(), 'id');
  fs.writeFileSync(file, keys().user.privateKey, { mode: 0o600 });
  const { server, tunnel } = await pairUp(t, { tunnel: { identity: file } });
  fs.rmSync(file);
  const listen = addressOf(server);
  await Promise.all([
    state(tunnel, 'reconnecting'),
    server.close({ drain: 0 }),
  ]);
  await startServer(t, { listen });
  await tunnel.ready();
  t.equal(tunnel.state, 'up');
});
