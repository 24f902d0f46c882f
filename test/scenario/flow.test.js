'use strict';
// Bytes through SOCKS and forwards: who speaks first, halves, both ways at once
// with one side asleep, one stuck among many.
const { randomBytes } = require('node:crypto');

const t = require('tap');
const { pairUp } = require('../lib/pair.js');
const { dial, listen, readAll, readN, socks5 } = require('../lib/net.js');

const MiB = 1 << 20;

/** Every way to a target through one tunnel, as [name, (port) => socket]. */
async function ways(t, tunnel, target) {
  const socks = await tunnel.socks5({ port: 0 });
  const local = await tunnel.forward({
    bindPort: 0,
    host: '127.0.0.1',
    port: target,
  });
  const remote = await tunnel.remoteForward(`0:127.0.0.1:${target}`);
  const plain = (port) => dial(t, port, { allowHalfOpen: true });
  return [
    [
      'SOCKS5',
      async () => (await socks5(t, socks.port, '127.0.0.1', target)).socket,
    ],
    ['local forward', () => plain(local.port)],
    ['remote forward', () => plain(remote.port)],
    ['stream', () => tunnel.open(`127.0.0.1:${target}`)],
  ];
}

t.test('a server that speaks first, on the first channel', async (t) => {
  for (const way of [0, 1, 2, 3]) {
    const greeter = await listen(t, (socket) => socket.end('220 hello\r\n'));
    const { tunnel } = await pairUp(t);
    const [name, open] = (await ways(t, tunnel, greeter.port))[way];
    const socket = await open();
    t.equal((await readAll(socket)).toString(), '220 hello\r\n', name);
    socket.destroy();
  }
});

t.test('half-close: 1 MiB of reply after the end of the request', async (t) => {
  const reply = randomBytes(MiB);
  const asked = [];
  const target = await listen(
    t,
    async (socket) => {
      asked.push((await readAll(socket)).toString());
      socket.end(reply);
    },
    { allowHalfOpen: true },
  );
  const { tunnel } = await pairUp(t);
  for (const [name, open] of await ways(t, tunnel, target.port)) {
    const socket = await open();
    socket.end(`by ${name}`);
    t.ok((await readAll(socket)).equals(reply), name);
    t.equal(asked.pop(), `by ${name}`);
  }
});

t.test(
  'half-close the other way: a request after the end of the reply',
  async (t) => {
    const request = randomBytes(MiB);
    let got = null;
    const target = await listen(
      t,
      (socket) => {
        socket.end('that is all');
        got = readAll(socket);
      },
      { allowHalfOpen: true },
    );
    const { tunnel } = await pairUp(t);
    for (const [name, open] of await ways(t, tunnel, target.port)) {
      const socket = await open();
      t.equal((await readAll(socket)).toString(), 'that is all', name);
      socket.end(request);
      t.ok((await got).equals(request), `${name}: the target got it`);
    }
  },
);

t.test('8 MiB both ways, one reader asleep', async (t) => {
  const there = randomBytes(8 * MiB);
  const back = randomBytes(8 * MiB);
  let far = null;
  const target = await listen(
    t,
    (socket) => {
      socket.pause();
      socket.end(back);
      far = socket;
    },
    { allowHalfOpen: true, pauseOnConnect: true },
  );
  const { tunnel } = await pairUp(t);
  for (const [name, open] of await ways(t, tunnel, target.port)) {
    far = null;
    const socket = await open();
    socket.end(there);
    // The near side reads all while the far side sleeps.
    t.ok((await readAll(socket)).equals(back), `${name}: while it sleeps`);
    t.ok((await readAll(far)).equals(there), `${name}: when it wakes up`);
  }
});

t.test('one stuck channel among 100', async (t) => {
  const data = randomBytes(256 * 1024);
  const stuck = [];
  const target = await listen(
    t,
    async (socket) => {
      const first = await readN(socket, 1);
      if (first[0] === 0) {
        stuck.push(socket.pause());
        return;
      }
      socket.write(first);
      socket.pipe(socket);
    },
    { allowHalfOpen: true },
  );
  const { tunnel } = await pairUp(t);
  const bad = await tunnel.open(`127.0.0.1:${target.port}`);
  bad.on('error', () => {});
  // Fills whatever would be filled: the target never reads it.
  bad.write(Buffer.alloc(32 * MiB));

  const one = async () => {
    const stream = await tunnel.open(`127.0.0.1:${target.port}`);
    const whole = Buffer.concat([Buffer.from([1]), data]);
    stream.end(whole);
    return (await readAll(stream)).equals(whole);
  };
  const all = await Promise.all(Array.from({ length: 99 }, one));
  t.equal(all.filter(Boolean).length, 99, 'the others finish');
  t.equal(stuck.length, 1);
  t.notOk(bad.destroyed);
  t.ok(bad.writableLength > 0, 'the stuck one still waits');
  // And the other way: nobody reads what comes, and the rest goes on.
  const asleep = await tunnel.open(`127.0.0.1:${target.port}`);
  asleep.on('error', () => {});
  asleep.pause();
  asleep.write(Buffer.alloc(32 * MiB, 1));
  const more = await Promise.all(Array.from({ length: 20 }, one));
  t.equal(more.filter(Boolean).length, 20);
  asleep.destroy();
  bad.destroy();
});
