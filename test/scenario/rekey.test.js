'use strict';
// New keys under load: the core exchanges them every so many bytes, and neither
// side loses, doubles or reorders one.
const { createHash, randomBytes } = require('node:crypto');
const t = require('tap');
const { internal, pairUp } = require('../lib/pair.js');
const { echo } = require('../lib/net.js');

const MiB = 1 << 20;
const ciphers = [
  'aes256-gcm@openssh.com',
  'aes128-gcm@openssh.com',
  'chacha20-poly1305@openssh.com',
];

/** Sends `total` bytes through an echo and compares what comes back. */
async function roundTrip(stream, total) {
  const piece = randomBytes(100003); // no multiple of anything
  const sent = createHash('sha256');
  const got = createHash('sha256');
  let count = 0;
  const done = new Promise((resolve, reject) => {
    stream.on('data', (chunk) => {
      got.update(chunk);
      count += chunk.length;
    });
    stream.once('end', resolve).once('error', reject);
  });
  for (let left = total; left > 0; left -= piece.length) {
    const chunk = piece.subarray(0, Math.min(left, piece.length));
    sent.update(chunk);
    if (!stream.write(chunk)) {
      await new Promise((resolve) => stream.once('drain', resolve));
    }
  }
  stream.end();
  await done;
  return { same: sent.digest('hex') === got.digest('hex'), count };
}

async function run(t, { ciphers: list, client, server, total }) {
  const target = await echo(t);
  const options = (rekeyBytes) => ({ ...(rekeyBytes ? { rekeyBytes } : {}) });
  const pair = await pairUp(t, {
    server: { [internal]: options(server) },
    tunnel: {
      reconnect: false,
      [internal]: { ...options(client), ...(list ? { ciphers: list } : {}) },
    },
  });
  const streams = await Promise.all(
    [1, 2, 3].map(() => pair.tunnel.open(`127.0.0.1:${target.port}`)),
  );
  const results = await Promise.all(
    streams.map((one) => roundTrip(one, total)),
  );
  for (const { same, count } of results) {
    t.equal(count, total);
    t.ok(same, 'byte by byte');
  }
  t.equal(pair.tunnel.state, 'up');
  return pair;
}

t.test('the client asks', (t) => run(t, { client: MiB, total: 6 * MiB }));
t.test('the server asks', (t) => run(t, { server: MiB, total: 6 * MiB }));
t.test('both ask', (t) => run(t, { client: MiB, server: MiB, total: 6 * MiB }));

for (const one of ciphers) {
  t.test(one, (t) =>
    run(t, { ciphers: one, client: MiB, server: 2 * MiB, total: 3 * MiB }),
  );
}

t.test('channels opened and closed while keys change', async (t) => {
  const target = await echo(t);
  const { tunnel } = await pairUp(t, {
    server: { [internal]: { rekeyBytes: MiB } },
    tunnel: { reconnect: false, [internal]: { rekeyBytes: MiB } },
  });
  const bulk = tunnel
    .open(`127.0.0.1:${target.port}`)
    .then((stream) => roundTrip(stream, 12 * MiB));
  let over = false;
  bulk.then(() => (over = true));
  let small = 0;
  while (!over) {
    const stream = await tunnel.open(`127.0.0.1:${target.port}`);
    const { same } = await roundTrip(stream, 5000);
    if (!same) t.fail('a small one differs');
    small += 1;
  }
  t.ok((await bulk).same);
  t.ok(small > 3, `${small} channels beside it`);
});

t.test(
  'a session between loads changes keys, and they cost bytes',
  async (t) => {
    const sentWith = async (rekeyBytes) => {
      const { server, tunnel } = await pairUp(t, {
        tunnel: { reconnect: false, [internal]: { rekeyBytes } },
      });
      server.on('connection', (stream) => stream.pipe(stream));
      for (let i = 0; i < 20; i++) {
        const stream = await tunnel.open('wraith-control');
        t.ok((await roundTrip(stream, 40000)).same);
      }
      return tunnel.stats().bytesOut;
    };
    const many = await sentWith(64 * 1024);
    const none = await sentWith(1024 * MiB);
    // At least five exchanges of a kilobyte and more each.
    t.ok(many - none > 5000, `${many - none} bytes more`);
  },
);
