'use strict';
// What a client of the SOCKS port and of the HTTP proxy hears of a target that
// cannot be had: the cause, in its own words.
const { once } = require('node:events');
const net = require('node:net');
const t = require('tap');
const { startChild } = require('../lib/child.js');
const { internal, pairUp, rejection, state, until } = require('../lib/pair.js');
const {
  deadPort,
  dial,
  echo,
  hello,
  readAll,
  readN,
  socks5,
  socksRequest,
} = require('../lib/net.js');

const NOT_ALLOWED = 2;
const HOST_UNREACHABLE = 4;
const REFUSED = 5;
const TTL_EXPIRED = 6;

async function http(t, port, target) {
  const socket = await dial(t, port, { allowHalfOpen: true });
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
  const head = await readN(socket, 12);
  socket.destroy();
  return Number(head.toString().slice(9));
}

/**
 * A port whose connections hang: its process is frozen, and its queue is full.
 */
async function blackHole(t) {
  const child = await startChild(t, 'listener-child.js');
  child.process.kill('SIGSTOP');
  const { port } = child.ready;
  // Those that still fit are connected by the system; the first that hangs for
  // long enough shows that the queue is full.
  for (let i = 0; i < 10; i++) {
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.on('error', () => {});
    t.teardown(() => socket.destroy());
    const fits = await Promise.race([
      once(socket, 'connect').then(() => true),
      new Promise((resolve) => setTimeout(resolve, 200, false)),
    ]);
    if (!fits) return port;
  }
  throw new Error('the queue never became full');
}

t.test(
  'refused, unresolvable, denied, and what works beside them',
  async (t) => {
    const { tunnel } = await pairUp(t, {
      server: { policy: [{ deny: 'denied.test' }, { deny: '127.0.0.9' }] },
    });
    const { port } = await tunnel.socks5({ port: 0 });
    const dead = await deadPort();
    const good = await echo(t);
    const cases = [
      ['127.0.0.1', dead, REFUSED, 502],
      ['localhost', dead, REFUSED, 502],
      ['nobody.invalid', 80, HOST_UNREACHABLE, 502],
      ['denied.test', 80, NOT_ALLOWED, 403],
      ['127.0.0.9', 80, NOT_ALLOWED, 403],
      ['2130706441', 80, NOT_ALLOWED, 403],
      ['localhost', good.port, 0, 200],
    ];
    for (const [host, number, reply, status] of cases) {
      const name = `${host}:${number}`;
      const got = await socks5(t, port, host, number);
      t.equal(got.reply, reply, `SOCKS5 ${name}`);
      got.socket.destroy();
      t.equal(await http(t, port, name), status, `HTTP ${name}`);
    }
    const { socket } = await socks5(t, port, 'localhost', good.port);
    socket.end('alive');
    t.equal((await readAll(socket)).toString(), 'alive');
  },
);

t.test('too many channels', async (t) => {
  const good = await echo(t);
  const { tunnel } = await pairUp(t, { server: { maxChannels: 1 } });
  const { port } = await tunnel.socks5({ port: 0 });
  t.equal((await socks5(t, port, 'localhost', good.port)).reply, 0);
  t.equal((await socks5(t, port, 'localhost', good.port)).reply, 1);
  t.equal(await http(t, port, `localhost:${good.port}`), 503);
});

t.test('the tunnel is down', async (t) => {
  const { server, tunnel } = await pairUp(t, {
    tunnel: { minDelay: 60000, maxDelay: 60000 },
  });
  const { port } = await tunnel.socks5({ port: 0 });
  await Promise.all([
    state(tunnel, 'reconnecting'),
    server.close({ drain: 0 }),
  ]);
  t.equal((await socks5(t, port, 'localhost', 1)).reply, 1);
  t.equal(await http(t, port, 'localhost:1'), 503);
});

t.test('a black hole: the time-out is told as one', async (t) => {
  const hole = await blackHole(t);
  const good = await echo(t);
  const { tunnel } = await pairUp(t, {
    server: { [internal]: { dialTimeout: 300 } },
  });
  const { port } = await tunnel.socks5({ port: 0 });
  const began = Date.now();
  const five = socks5(t, port, '127.0.0.1', hole);
  const beside = await socks5(t, port, 'localhost', good.port);
  t.equal(beside.reply, 0, 'others do not wait for it');
  t.equal((await five).reply, TTL_EXPIRED);
  t.ok(Date.now() - began >= 290);
  t.equal(await http(t, port, `127.0.0.1:${hole}`), 504);
  const error = await rejection(t, tunnel.open(`127.0.0.1:${hole}`));
  t.match(error, { code: 'ERR_WRAITH_CHANNEL_TIMEOUT', phase: 'channel' });
});

t.test('a client that gives up on a black hole leaves nothing', async (t) => {
  const hole = await blackHole(t);
  const { server, tunnel } = await pairUp(t, {
    server: { [internal]: { dialTimeout: 1000 } },
  });
  const { port } = await tunnel.socks5({ port: 0 });
  const socket = await dial(t, port);
  socket.write(Buffer.concat([hello, socksRequest('127.0.0.1', hole)]));
  await readN(socket, 2);
  await until(() => server.stats().channels === 1);
  socket.destroy();
  await until(() => tunnel.stats().channels === 0);
  const controller = new AbortController();
  const opening = tunnel.open(`127.0.0.1:${hole}`, {
    signal: controller.signal,
  });
  controller.abort();
  await t.rejects(opening, { code: 'ERR_WRAITH_ABORTED' });
});
