'use strict';
// SSH over a Duplex of the caller's, on either side or on both.
const { Duplex, PassThrough, duplexPair } = require('node:stream');
const { once } = require('node:events');
const net = require('node:net');
const { randomBytes } = require('node:crypto');
const t = require('tap');
const {
  clientOptions,
  keys,
  rejection,
  startServer,
  startTunnel,
  state,
  until,
  wraith,
} = require('../lib/pair.js');
const { closed, dial, listen, readAll } = require('../lib/net.js');

/** As a wire would: if one side goes, the other one learns of it. */
function link(one, other) {
  one.on('close', () => other.destroy());
  other.on('close', () => one.destroy());
}

/** A server that listens nowhere, and a maker of streams to it. */
async function streamServer(t, options = {}) {
  const server = await startServer(t, { listen: [], ...options });
  server.on('connection', (stream) => stream.pipe(stream));
  const made = [];
  const make = () => {
    const [near, far] = duplexPair();
    for (const side of [near, far]) side.on('error', () => {});
    link(near, far);
    made.push({ near, far });
    server.accept(far, { remoteAddress: '192.0.2.7' });
    return near;
  };
  return { server, make, made };
}

t.test('both ends over a pair of streams', async (t) => {
  const { server, make } = await streamServer(t);
  t.strictSame(server.addresses, []);
  const tunnel = startTunnel(t, server, { stream: make() });
  await tunnel.ready();
  t.equal(tunnel.peer, null);
  t.match(server.sessions(), [
    { remoteAddress: '192.0.2.7', authenticated: true },
  ]);
  const data = randomBytes(3 << 20);
  const stream = await tunnel.open('wraith-control');
  stream.end(data);
  t.ok((await readAll(stream)).equals(data));
  await tunnel.close();
  await until(() => server.sessions().length === 0);
});

t.test('connect over a stream', async (t) => {
  const { server, make, made } = await streamServer(t);
  const { minDelay, maxDelay, ...options } = clientOptions(server, {
    stream: make(),
  });
  const stream = await wraith.connect(options);
  stream.end('one');
  t.equal((await readAll(stream)).toString(), 'one');
  if (!stream.closed) await closed(stream);
  if (!made[0].near.closed) await closed(made[0].near);
  t.ok(made[0].near.destroyed, 'the carrier ends with it');
});

t.test('a factory is asked for every try', async (t) => {
  const { server, make, made } = await streamServer(t);
  const tunnel = startTunnel(t, server, { stream: async () => make() });
  await tunnel.ready();
  const remote = await tunnel.accept('wraith-app', (stream) =>
    stream.pipe(stream),
  );
  const back = once(remote, 'listening');
  made[0].near.destroy();
  await state(tunnel, 'reconnecting');
  await tunnel.ready();
  await back;
  t.equal(made.length, 2);
  const stream = await tunnel.open('wraith-control');
  stream.end('second');
  t.equal((await readAll(stream)).toString(), 'second');
});

t.test('a stream that is not a factory is used once', async (t) => {
  const { server, make, made } = await streamServer(t);
  const tunnel = startTunnel(t, server, { stream: make() });
  await tunnel.ready();
  const over = closed(tunnel);
  made[0].near.destroy();
  await over;
  t.equal(tunnel.state, 'closed');
});

t.test('a factory that fails, then does not', async (t) => {
  const { server, make } = await streamServer(t);
  const failures = [
    () => {
      throw new Error('of the factory');
    },
    () => Promise.reject(new Error('of the factory')),
    () => 'not a stream',
    () => null,
  ];
  const tunnel = startTunnel(t, server, {
    stream: () => (failures.length > 0 ? failures.shift()() : make()),
  });
  const reasons = [];
  tunnel.on('state', ({ reason }) => reason && reasons.push(reason));
  await tunnel.ready();
  t.match(reasons, [
    {
      code: 'ERR_WRAITH_CARRIER',
      phase: 'dial',
      cause: { message: 'of the factory' },
    },
    {
      code: 'ERR_WRAITH_CARRIER',
      phase: 'dial',
      cause: { message: 'of the factory' },
    },
    { code: 'ERR_WRAITH_INVALID_ARGUMENT', phase: 'dial' },
    { code: 'ERR_WRAITH_INVALID_ARGUMENT', phase: 'dial' },
  ]);
});

t.test('a factory that never answers, and one that answers late', async (t) => {
  const { server, make } = await streamServer(t);
  let answer;
  const tries = [
    () => new Promise(() => {}),
    () => new Promise((resolve) => (answer = resolve)),
  ];
  const tunnel = startTunnel(t, server, {
    stream: () => (tries.shift() ?? make)(),
    connectTimeout: 1000,
    minDelay: 1,
  });
  const down = () => once(tunnel, 'down').then(([{ error }]) => error);
  const timedOut = { code: 'ERR_WRAITH_TIMEOUT', phase: 'dial' };
  t.match(await down(), timedOut);
  t.match(await down(), timedOut);
  const late = new PassThrough();
  answer(late);
  await once(late, 'close');
  t.equal(late.readableFlowing, null, 'the late one was not used');
  await tunnel.ready();
});

t.test('a carrier that fails with an error', async (t) => {
  const { server, make, made } = await streamServer(t);
  const tunnel = startTunnel(t, server, { stream: make, reconnect: false });
  await tunnel.ready();
  const over = new Promise((resolve) => tunnel.once('close', resolve));
  made[0].near.destroy(new Error('cable pulled'));
  t.match((await over).code, /^(ERR_WRAITH_\w+|ECONNRESET)$/);
  await until(() => server.sessions().length === 0);
});

t.test('a carrier that has ended already', async (t) => {
  const { server } = await streamServer(t);
  const gone = new PassThrough();
  gone.destroy();
  const tunnel = startTunnel(t, server, { stream: gone });
  const error = await rejection(t, tunnel.ready());
  t.equal(tunnel.state, 'closed');
  t.match(error.code, /^(ERR_WRAITH_\w+|ECONNRESET)$/);
  server.accept(gone);
  await until(() => server.stats().startups === 0);
});

t.test('a carrier that says nothing, then junk', async (t) => {
  const { server } = await streamServer(t);
  const [near, far] = duplexPair();
  for (const side of [near, far]) side.on('error', () => {});
  link(near, far);
  server.accept(far);
  near.write(randomBytes(100000));
  near.resume();
  if (!near.closed) await closed(near);
  await until(() => server.stats().startups === 0);
  t.equal(server.stats().authAccepted, 0);
});

t.test('sockets of Node as carriers', async (t) => {
  const { server } = await streamServer(t);
  const front = await listen(t, (socket) =>
    server.accept(socket, { remoteAddress: socket.remoteAddress }),
  );
  const tunnel = startTunnel(t, server, {
    stream: () => net.connect(front.port, '127.0.0.1'),
  });
  await tunnel.ready();
  t.match(server.sessions(), [{ remoteAddress: '127.0.0.1' }]);
  const data = randomBytes(2 << 20);
  const stream = await tunnel.open('wraith-control');
  stream.end(data);
  t.ok((await readAll(stream)).equals(data));
  for (const socket of front.sockets) socket.resetAndDestroy();
  await state(tunnel, 'reconnecting');
  await tunnel.ready();
});

t.test('a slow carrier holds the sender back', async (t) => {
  const { server } = await streamServer(t);
  const [near, far] = duplexPair();
  for (const side of [near, far]) side.on('error', () => {});
  let held = 0;
  let go = null;
  // Passes on what comes, or keeps it until told to go on.
  let slow = false;
  const gate = new Duplex({
    read() {
      const chunk = far.read();
      if (chunk !== null) this.push(chunk);
      else far.once('readable', () => this._read());
    },
    write(chunk, encoding, callback) {
      const pass = () => far.write(chunk, encoding, callback);
      if (!slow) {
        pass();
        return;
      }
      held += chunk.length;
      go = pass;
    },
  });
  gate.on('error', () => {});
  far.on('close', () => gate.destroy());
  server.accept(near);
  const tunnel = startTunnel(t, server, { stream: gate, reconnect: false });
  await tunnel.ready();
  const stream = await tunnel.open('wraith-control');
  stream.on('error', () => {});
  slow = true;
  let sent = 0;
  while (sent < 64 << 20 && stream.write(Buffer.alloc(1 << 20)))
    sent += 1 << 20;
  await until(() => go !== null);
  t.ok(sent < 32 << 20, `stopped after ${sent} bytes`);
  t.ok(held < 4 << 20);
  slow = false;
  go();
  stream.resume().end();
  await once(stream, 'end');
});

t.test('a tunnel within a tunnel', async (t) => {
  const outer = await startServer(t);
  const inner = await streamServer(t);
  outer.on('connection', (stream, info) =>
    inner.server.accept(stream, { remoteAddress: info.remoteAddress }),
  );
  const first = startTunnel(t, outer);
  const second = startTunnel(t, inner.server, {
    stream: () => first.open('wraith-control'),
  });
  await second.ready();
  const data = randomBytes(1 << 20);
  const stream = await second.open('wraith-control');
  stream.end(data);
  t.ok((await readAll(stream)).equals(data));
});

t.test('the host of a key is what server says', async (t) => {
  const { server, make } = await streamServer(t);
  let seen;
  const options = {
    stream: make,
    server: 'bastion.test:2200',
    hostKey: (key) => Boolean((seen = key)),
  };
  await startTunnel(t, server, options).ready();
  t.match(seen, {
    host: 'bastion.test',
    port: 2200,
    fingerprint: keys().host.fingerprint,
  });
});

t.test('limits count streams of the caller by their address', async (t) => {
  const { server, make } = await streamServer(t, { maxConnectionsPerIp: 1 });
  const tunnel = startTunnel(t, server, { stream: make() });
  await tunnel.ready();
  const second = make();
  second.resume();
  if (!second.closed) await closed(second);
  t.equal(server.stats().rejected, 1);
  t.equal(tunnel.state, 'up');
});

t.test('closing the server ends the carriers', async (t) => {
  const { server, make } = await streamServer(t);
  const stream = make();
  const tunnel = startTunnel(t, server, { stream, reconnect: false });
  await tunnel.ready();
  await server.close({ drain: 0 });
  if (!stream.closed) await closed(stream);
  const late = await listen(t, (socket) => {
    t.throws(() => server.accept(socket), { code: 'ERR_WRAITH_CLOSED' });
    socket.destroy();
  });
  await closed(await dial(t, late.port));
});
