'use strict';
// Penalties, dropped connections and trusted load balancers, as a program sees
// them.
const { once } = require('node:events');
const net = require('node:net');
const { duplexPair } = require('node:stream');
const t = require('tap');
const { dial } = require('../lib/net.js');
const {
  clientOptions,
  keys,
  rejection,
  startServer,
  startTunnel,
  until,
  wraith,
} = require('../lib/pair.js');

const stranger = () => ({ identity: keys().other.privateKey });

/** A server with its records. */
async function serve(t, options) {
  const records = [];
  const log = (record) => records.push(record);
  const server = await startServer(t, { log, ...options });
  const of = (message) => records.filter((one) => one.message === message);
  return { server, of, port: server.addresses[0].port };
}

/** A login with a key that may not. */
async function fail(t, server) {
  const options = { ...stranger(), reconnect: false };
  return rejection(t, startTunnel(t, server, options).ready());
}

/** Resolves with what the server said first; '' if it closed. */
function greeting(socket) {
  return new Promise((resolve) => {
    socket.once('data', (data) => resolve(data.toString()));
    socket.once('close', () => resolve(''));
  });
}

t.test('who mistypes once or twice is let in', async (t) => {
  const { server, of } = await serve(t);
  for (let i = 0; i < 3; i++) {
    t.match(await fail(t, server), { code: 'ERR_WRAITH_AUTH_REFUSED' });
  }
  await startTunnel(t, server).ready();
  t.equal(of('penalty').length, 0);
  t.equal(server.stats().penalties, 0);
});

t.test('who fails over and over is kept out', async (t) => {
  const { server, of, port } = await serve(t, {
    penaltyTime: 60000,
    penaltyMax: 600000,
  });
  t.match(await fail(t, server), { code: 'ERR_WRAITH_AUTH_REFUSED' });
  await until(() => of('penalty').length === 1, 'the penalty');
  t.match(of('penalty')[0], {
    level: 'WARN',
    remote_addr: '127.0.0.1',
    duration: '60.0',
    reason: 'auth-failed',
  });
  for (let i = 0; i < 5; i++) {
    const socket = net.connect(port, '127.0.0.1').on('error', () => {});
    t.equal(await greeting(socket), '');
  }
  t.match(of('connection rejected'), [{ reason: 'penalty' }]);
  t.equal(of('connection rejected').length, 1);
  t.equal(server.stats().rejected, 5);
  t.equal(server.stats().penalties, 1);
  const elsewhere = net.connect({
    port,
    host: '127.0.0.1',
    localAddress: '127.0.0.2',
  });
  t.teardown(() => elsewhere.destroy());
  t.match(await greeting(elsewhere), /^SSH-2.0-/, 'another address');
  await server.close();
  t.match(of('connections rejected'), [{ reason: 'penalty', count: 4 }]);
});

t.test('exempt networks, and none at all', async (t) => {
  for (const options of [
    { penaltyTime: 60000, penaltyExempt: ['10.0.0.0/8', '127.0.0.0/8'] },
    { penaltyTime: 0 },
  ]) {
    const { server } = await serve(t, options);
    for (let i = 0; i < 5; i++) {
      t.match(await fail(t, server), { code: 'ERR_WRAITH_AUTH_REFUSED' });
    }
    await startTunnel(t, server).ready();
  }
});

t.test('streams of the caller count by the address it names', async (t) => {
  const { server } = await serve(t, { penaltyTime: 60000 });
  const over = async (remoteAddress, options) => {
    const [mine, theirs] = duplexPair();
    theirs.on('close', () => mine.destroy());
    server.accept(theirs, remoteAddress ? { remoteAddress } : {});
    const tunnel = wraith.createTunnel(
      clientOptions(null, { stream: mine, reconnect: false, ...options }),
    );
    t.teardown(() => tunnel.close());
    const outcome = tunnel.ready().then(
      () => 'in',
      (error) => error.code,
    );
    return outcome;
  };
  t.equal(await over('2001:db8::1', stranger()), 'ERR_WRAITH_AUTH_REFUSED');
  await until(() => server.stats().penalties === 1);
  t.not(await over('2001:db8::2'), 'in', 'the same network');
  t.equal(server.stats().rejected, 1);
  t.equal(await over('2001:db8:0:1::1'), 'in');
  for (let i = 0; i < 3; i++) {
    t.equal(await over('', stranger()), 'ERR_WRAITH_AUTH_REFUSED');
  }
});

t.test('maxStartups: some are dropped, then all', async (t) => {
  const { server, of, port } = await serve(t, {
    maxStartups: { start: 1, rate: 50, full: 20 },
    penaltyTime: 0,
  });
  const sockets = Array.from({ length: 400 }, () => {
    const socket = net.connect(port, '127.0.0.1').on('error', () => {});
    t.teardown(() => socket.destroy());
    return socket;
  });
  const words = await Promise.all(sockets.map(greeting));
  const taken = words.filter((text) => text.startsWith('SSH-2.0-')).length;
  t.equal(server.stats().startups, taken);
  t.equal(server.stats().rejected, 400 - taken);
  t.ok(taken > 5 && taken <= 20, `${taken} were taken`);
  t.equal(of('connection rejected').length, 1);
  t.match(of('connection rejected')[0], { reason: 'max-startups' });
  await server.close();
  const summed = of('connections rejected');
  t.equal(summed[0].count, 400 - taken - 1);
});

t.test('a trusted load balancer names the client', async (t) => {
  const { server, of, port } = await serve(t, { trustProxy: '127.0.0.1' });
  const socket = await dial(t, port);
  socket.write('PROXY TCP6 2001:db8::7 ::1 1000 22\r\n');
  t.match(await greeting(socket), /^SSH-2.0-/);
  t.match(server.sessions(), [{ remoteAddress: '2001:db8::7' }]);
  const broken = await dial(t, port);
  broken.write('PROXY nonsense\r\n');
  t.equal(await greeting(broken), '');
  t.match(of('connection rejected'), [
    { remote_addr: '127.0.0.1', transport: 'tcp', reason: 'proxy-header' },
  ]);
  // Without a header it is what it is.
  await startTunnel(t, server).ready();
  const seen = server.sessions().map((session) => session.remoteAddress);
  t.strictSame(seen.sort(), ['127.0.0.1', '2001:db8::7']);
});

t.test('nobody else can', async (t) => {
  const { server, port } = await serve(t, { trustProxy: ['10.0.0.0/8'] });
  const socket = await dial(t, port);
  t.match(await greeting(socket), /^SSH-2.0-/, 'it is greeted at once');
  t.match(server.sessions(), [{ remoteAddress: '127.0.0.1' }]);
  socket.resume().write('PROXY TCP4 10.1.1.1 10.1.1.2 1 2\r\n');
  await once(socket, 'close');
});
