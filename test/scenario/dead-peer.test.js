'use strict';
// A peer that freezes, dies or falls silent: noticed in bounded time, listeners
// kept, remote forwards back in force.
const { once } = require('node:events');
const net = require('node:net');
const t = require('tap');
const { startChild } = require('../lib/child.js');
const {
  keys,
  lines,
  startServer,
  startTunnel,
  state,
  until,
} = require('../lib/pair.js');
const {
  deadPort,
  dial,
  echo,
  listen,
  readAll,
  socks5,
} = require('../lib/net.js');

/** What server-child.js is to serve; plain data, as it goes by a command line. */
function serverOptions(more = {}) {
  return {
    hostKey: keys().host.privateKey.toString(),
    authorizedKeys: `${lines(keys().user)}\n`,
    listen: '127.0.0.1:0',
    ...more,
  };
}

function clientFor(port, more = {}) {
  return {
    server: `127.0.0.1:${port}`,
    identity: keys().user.privateKey.toString(),
    user: 'tester',
    hostKey: keys().host.fingerprint,
    minDelay: 20,
    maxDelay: 100,
    ...more,
  };
}

const at = (port) => ({ addresses: [{ port }] });

async function through(t, port) {
  const socket = await dial(t, port, { allowHalfOpen: true });
  socket.end('through');
  return (await readAll(socket)).toString();
}

t.test('a frozen server is noticed within two intervals', async (t) => {
  const target = await echo(t);
  const child = await startChild(t, 'server-child.js', serverOptions());
  const tunnel = startTunnel(t, at(child.ready.port), {
    keepalive: 1000,
    connectTimeout: 500,
  });
  await tunnel.ready();
  const local = await tunnel.forward({
    bindPort: 0,
    host: '127.0.0.1',
    port: target.port,
  });
  const remote = await tunnel.remoteForward(`0:127.0.0.1:${target.port}`);
  const { port } = remote;
  const stream = await tunnel.open('wraith-control');
  const down = once(tunnel, 'down');
  const began = Date.now();
  child.process.kill('SIGSTOP');
  const [{ error, wasUp, orderly }] = await down;
  const took = Date.now() - began;
  t.ok(took <= 2300, `noticed after ${took} ms`);
  t.ok(took >= 900, 'not before an interval');
  t.match(
    { code: error.code, wasUp, orderly },
    { code: 'ERR_WRAITH_PEER_DEAD', wasUp: true, orderly: false },
  );
  await until(() => stream.destroyed);
  t.equal(stream.errored.code, 'ERR_WRAITH_PEER_DEAD');
  const early = net.connect(local.port, '127.0.0.1').resume();
  const [refusal] = await Promise.race([
    once(early, 'error'),
    once(early, 'close').then(() => [{}]),
  ]).catch((error) => [error]);
  t.not(refusal.code, 'ECONNREFUSED', 'the listener is kept');

  const back = once(remote, 'listening');
  child.process.kill('SIGCONT');
  await tunnel.ready();
  await back;
  t.equal(remote.port, port, 'taken over from the dead predecessor');
  t.equal(await through(t, remote.port), 'through');
  t.equal(await through(t, local.port), 'through');
});

t.test('a server killed and started again on its port', async (t) => {
  const target = await echo(t);
  const port = await deadPort();
  const options = serverOptions({ listen: `127.0.0.1:${port}` });
  const first = await startChild(t, 'server-child.js', options);
  const tunnel = startTunnel(t, at(port));
  await tunnel.ready();
  const socks = await tunnel.socks5({ port: 0 });
  const remote = await tunnel.remoteForward(`0:127.0.0.1:${target.port}`);
  const named = await tunnel.accept('wraith-app', (stream) => stream.end());
  const granted = remote.port;
  const down = state(tunnel, 'reconnecting');
  first.process.kill('SIGKILL');
  const { reason } = await down;
  t.match(reason.code, /^(ERR_WRAITH_\w+|ECONNRESET|EPIPE)$/);
  t.equal((await socks5(t, socks.port, 'localhost', target.port)).reply, 1);
  const back = Promise.all([
    once(remote, 'listening'),
    once(named, 'listening'),
  ]);
  await startChild(t, 'server-child.js', options);
  await tunnel.ready();
  await back;
  t.equal(remote.port, granted);
  t.equal(await through(t, remote.port), 'through');
  t.equal((await socks5(t, socks.port, 'localhost', target.port)).reply, 0);
});

/** Passes bytes on, until it is told to let nothing through any more. */
async function wire(t, port) {
  const pairs = new Set();
  const front = await listen(t, (near) => {
    const far = net.connect({ port, host: '127.0.0.1' });
    far.on('error', () => {});
    t.teardown(() => far.destroy());
    near.pipe(far);
    far.pipe(near);
    pairs.add([near, far]);
  });
  return {
    port: front.port,
    cut() {
      for (const [near, far] of pairs) {
        near.unpipe(far);
        far.unpipe(near);
        near.pause();
        far.pause();
      }
      pairs.clear();
    },
  };
}

t.test(
  'the way is cut: the same client takes its forwards over at once',
  async (t) => {
    const target = await echo(t);
    // The server itself would not notice for a long time.
    const server = await startServer(t, { keepalive: 600000 });
    const way = await wire(t, server.addresses[0].port);
    const tunnel = startTunnel(t, at(way.port), { keepalive: 200 });
    await tunnel.ready();
    const remote = await tunnel.remoteForward(`0:127.0.0.1:${target.port}`);
    const { port } = remote;
    const back = once(remote, 'listening');
    remote.on('refused', (error) => t.fail(error.message));
    way.cut();
    await back;
    t.equal(remote.port, port);
    t.equal(await through(t, port), 'through');
  },
);

t.test('another client does not take over what is alive', async (t) => {
  const target = await echo(t);
  const server = await startServer(t);
  const first = startTunnel(t, server);
  const second = startTunnel(t, server);
  await Promise.all([first.ready(), second.ready()]);
  const remote = await first.remoteForward(`0:127.0.0.1:${target.port}`);
  await t.rejects(second.remoteForward(`${remote.port}:127.0.0.1:1`), {
    code: 'ERR_WRAITH_FORWARD_REFUSED',
  });
  t.equal(await through(t, remote.port), 'through');
});

t.test(
  'a frozen client: the server ends it, a successor gets its port',
  async (t) => {
    const target = await echo(t);
    const server = await startServer(t, { keepalive: 300 });
    const child = await startChild(t, 'tunnel-child.js', {
      ...clientFor(server.addresses[0].port),
      remote: `0:127.0.0.1:${target.port}`,
    });
    const { port } = child.ready;
    t.equal(await through(t, port), 'through');
    const gone = once(server, 'sessionClose');
    const began = Date.now();
    child.process.kill('SIGSTOP');
    await gone;
    t.ok(Date.now() - began < 1500);
    const successor = startTunnel(t, server);
    await successor.ready();
    const remote = await successor.remoteForward(
      `${port}:127.0.0.1:${target.port}`,
    );
    t.equal(await through(t, port), 'through');
    await successor.close();
    t.equal(remote.port, port);
    // The frozen one comes back, and its forward with it.
    const listening = child.message('listening');
    child.process.kill('SIGCONT');
    t.equal((await listening).port, port);
    t.equal(await through(t, port), 'through');
  },
);

t.test('a client that is killed leaves its port at once', async (t) => {
  const target = await echo(t);
  const server = await startServer(t);
  const child = await startChild(t, 'tunnel-child.js', {
    ...clientFor(server.addresses[0].port),
    remote: `0:127.0.0.1:${target.port}`,
  });
  const { port } = child.ready;
  const gone = once(server, 'sessionClose');
  child.process.kill('SIGKILL');
  await gone;
  const successor = startTunnel(t, server);
  await successor.ready();
  await successor.remoteForward(`${port}:127.0.0.1:${target.port}`);
  t.equal(await through(t, port), 'through');
});

t.test('keepalives alone do not end anything', async (t) => {
  const server = await startServer(t, { keepalive: 50 });
  const tunnel = startTunnel(t, server, { keepalive: 50 });
  await tunnel.ready();
  tunnel.on('down', () => t.fail('it was alive'));
  const { bytesIn } = tunnel.stats();
  await until(() => tunnel.stats().bytesIn > bytesIn + 500);
  t.equal(tunnel.state, 'up');
});
