'use strict';
// Clients that stop in the middle of every stage while another one connects and
// works; and thousands that never log in.
const net = require('node:net');
const t = require('tap');
const { startChild } = require('../lib/child.js');
const {
  clientOptions,
  keys,
  lines,
  pairUp,
  startServer,
  startTunnel,
  until,
  wraith,
} = require('../lib/pair.js');
const { dial, echo, listen, readAll, socks5 } = require('../lib/net.js');

/** Records the chunks that a client sends until it is logged in. */
async function recordLogin(t, server) {
  const chunks = [];
  const front = await listen(t, (near) => {
    const far = net.connect({
      port: server.addresses[0].port,
      host: '127.0.0.1',
    });
    far.on('error', () => {});
    t.teardown(() => far.destroy());
    near.on('data', (chunk) => chunks.push(chunk.length));
    near.pipe(far);
    far.pipe(near);
  });
  const tunnel = startTunnel(t, { addresses: [{ port: front.port }] });
  await tunnel.ready();
  return chunks;
}

/** A client whose bytes stop for ever after the first `limit`. */
async function stallingClient(t, server, limit) {
  let sent = 0;
  const front = await listen(t, (near) => {
    const far = net.connect({
      port: server.addresses[0].port,
      host: '127.0.0.1',
    });
    far.on('error', () => {}).on('close', () => near.destroy());
    t.teardown(() => far.destroy());
    near.on('data', (chunk) => {
      const part = chunk.subarray(0, Math.max(0, limit - sent));
      sent += part.length;
      if (part.length > 0) far.write(part);
    });
    far.pipe(near);
  });
  const tunnel = wraith.createTunnel(
    clientOptions({ addresses: [{ port: front.port }] }, { reconnect: false }),
  );
  t.teardown(() => tunnel.close());
  return {
    tunnel,
    stalled: () => sent >= limit,
    over: new Promise((resolve) => tunnel.once('close', resolve)),
  };
}

t.test('at every stage of the handshake', async (t) => {
  const measured = await recordLogin(t, await startServer(t));
  const total = measured.reduce((sum, n) => sum + n, 0);
  // Nothing; within the version line; and within and after each thing that a
  // client says: KEXINIT, its key, NEWKEYS, the service, the offer, the proof.
  const limits = new Set([0, 5]);
  let at = 0;
  for (const length of measured) {
    limits.add(at + (length >> 1));
    at += length;
    if (at < total) limits.add(at);
  }
  limits.delete(total);
  for (const last of [total - 300, total - 150, total - 20]) limits.add(last);
  const stages = [...limits].filter((n) => n >= 0 && n < total - 5);
  t.ok(stages.length >= 8, `${stages.length} stages`);

  const server = await startServer(t, { loginGraceTime: 1500 });
  server.on('connection', (stream) => stream.pipe(stream));
  const began = Date.now();
  const stuck = await Promise.all(
    stages.map((limit) => stallingClient(t, server, limit)),
  );
  await until(() => stuck.every((one) => one.stalled()), 'all stall');
  t.ok(server.stats().startups >= stages.length - 3, 'they wait in the login');
  const tunnel = startTunnel(t, server);
  await tunnel.ready();
  const stream = await tunnel.open('wraith-control');
  stream.end('works');
  t.equal((await readAll(stream)).toString(), 'works');
  t.ok(Date.now() - began < 1500, 'while they are there');
  await Promise.all(stuck.map((one) => one.over));
  await until(() => server.stats().startups === 0, 'they are gone');
  t.ok(Date.now() - began < 10000);
  t.equal(tunnel.state, 'up');
});

t.test('at every stage of a SOCKS request', async (t) => {
  const target = await echo(t);
  const { tunnel } = await pairUp(t);
  const { port } = await tunnel.socks5({ port: 0 });
  const halves = [
    [],
    [5],
    [5, 1],
    [5, 3, 0],
    [5, 1, 0, 5],
    [5, 1, 0, 5, 1, 0, 3, 9],
    [4],
    [4, 1, 0, 80, 0, 0, 0, 1, 120, 0, 104],
  ];
  const texts = [
    'C',
    'CONNECT host',
    'CONNECT a:1 HTTP/1.1\r\nHost',
    'GET http://a/ HTTP/1.1\r\n',
  ];
  const sockets = [];
  for (const bytes of [
    ...halves.map(Buffer.from),
    ...texts.map((x) => Buffer.from(x)),
  ]) {
    const socket = await dial(t, port);
    socket.resume();
    socket.write(bytes);
    sockets.push(socket);
  }
  const good = await socks5(t, port, 'localhost', target.port);
  t.equal(good.reply, 0);
  good.socket.end('works');
  t.equal((await readAll(good.socket)).toString(), 'works');
  t.ok(
    sockets.every((socket) => !socket.destroyed),
    'the slow ones are still there',
  );
});

t.test(
  '5,000 that never log in, and one who works on',
  { timeout: 90000 },
  async (t) => {
    const batch = 500;
    const child = await startChild(t, 'server-child.js', {
      hostKey: keys().host.privateKey.toString(),
      authorizedKeys: `${lines(keys().user)}\n`,
      listen: '127.0.0.1:0',
      loginGraceTime: 60000,
      penaltyTime: 0,
    });
    const { port } = child.ready;
    const tunnel = startTunnel(
      t,
      { addresses: [{ port }] },
      { reconnect: false },
    );
    await tunnel.ready();
    const works = async () => {
      const stream = await tunnel.open('wraith-control');
      stream.end('works');
      return (await readAll(stream)).toString();
    };
    const stats = async () => (await child.ask('stats')).stats;
    const settled = async () => {
      while ((await stats()).startups > 0 || (await stats()).channels > 0)
        await new Promise(setImmediate);
      return child.ask('memory');
    };
    const flood = async (i) => {
      const sockets = Array.from({ length: batch }, () =>
        net.connect(port, '127.0.0.1'),
      );
      // The greeting of the server shows that it has a session for each.
      await Promise.all(
        sockets.map((socket, n) => {
          socket.on('error', () => {});
          if (n % 2) socket.write('SSH-2.0-loris\r\n');
          return new Promise((resolve) => socket.once('data', resolve));
        }),
      );
      t.equal((await stats()).startups, batch);
      t.equal(await works(), 'works', `beside batch ${i}`);
      for (const socket of sockets) socket.destroy();
    };
    await flood(0); // what is taken once for all is taken now
    const before = await settled();
    for (let i = 1; i < 10; i++) await flood(i);
    const after = await settled();
    t.equal((await stats()).connections, 5001);
    t.equal(after.blocks, before.blocks, 'every block is back');
    t.ok(after.rss < before.rss * 1.05, `${before.rss} then ${after.rss}`);
  },
);

t.test('more than may be: turned away, those inside work on', async (t) => {
  const server = await startServer(t, {
    maxStartups: { start: 50, rate: 100, full: 50 },
  });
  server.on('connection', (stream) => stream.pipe(stream));
  const tunnel = startTunnel(t, server, { reconnect: false });
  await tunnel.ready();
  const { port } = server.addresses[0];
  const sockets = Array.from({ length: 200 }, () => {
    const socket = net.connect(port, '127.0.0.1');
    t.teardown(() => socket.destroy());
    return socket.on('error', () => {});
  });
  await until(() => server.stats().rejected === 150);
  t.equal(server.stats().startups, 50);
  const stream = await tunnel.open('wraith-control');
  stream.end('works');
  t.equal((await readAll(stream)).toString(), 'works');
  for (const socket of sockets) socket.destroy();
  await until(() => server.stats().startups === 0);
});
