'use strict';
// Several contexts in one process, each with its own core: they work side by
// side, and go one by one.
const { once } = require('node:events');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const t = require('tap');
const {
  addressOf,
  keys,
  pairUp,
  startServer,
  until,
} = require('../lib/pair.js');
const { readAll } = require('../lib/net.js');

const file = path.join(__dirname, '../lib/worker.js');

function start(server, number, then) {
  return new Worker(file, {
    workerData: {
      number,
      then,
      client: {
        server: addressOf(server),
        identity: keys().user.privateKey.toString(),
        hostKey: keys().host.fingerprint,
        user: `worker${number}`,
      },
    },
  });
}

async function echoServer(t) {
  const server = await startServer(t);
  server.on('connection', (stream) => stream.pipe(stream));
  return server;
}

t.test('eight at once', async (t) => {
  const server = await echoServer(t);
  const workers = Array.from({ length: 8 }, (_, i) => start(server, i));
  const ended = workers.map((worker) => once(worker, 'exit'));
  const messages = await Promise.all(
    workers.map((worker) => once(worker, 'message')),
  );
  for (const [i, [{ texts }]] of messages.entries()) {
    t.strictSame(texts, [`worker ${i}`, `worker ${i}`]);
  }
  for (const [code] of await Promise.all(ended)) t.equal(code, 0);
  await until(() => server.sessions().length === 0);
});

t.test('one after the other: loaded, used, gone', async (t) => {
  const server = await echoServer(t);
  for (let i = 0; i < 5; i++) {
    const worker = start(server, i);
    const ended = once(worker, 'exit');
    await once(worker, 'message');
    t.equal((await ended)[0], 0);
  }
  t.equal(server.stats().authAccepted, 5);
});

t.test('terminated with everything open', async (t) => {
  const server = await echoServer(t);
  const workers = Array.from({ length: 4 }, (_, i) => start(server, i, 'stay'));
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  t.equal(server.sessions().length, 4);
  await Promise.all(workers.map((worker) => worker.terminate()));
  await until(() => server.sessions().length === 0);
});

t.test('a worker that exits says goodbye', async (t) => {
  const server = await echoServer(t);
  const worker = start(server, 1, 'exit');
  const [code] = await once(worker, 'exit');
  t.equal(code, 7);
  await until(() => server.sessions().length === 0);
});

t.test('the main context goes on', async (t) => {
  const { server, tunnel } = await pairUp(t);
  server.on('connection', (stream) => stream.pipe(stream));
  const worker = start(server, 1, 'stay');
  const bulk = Buffer.alloc(4 << 20, 'b');
  const stream = await tunnel.open('wraith-control');
  stream.end(bulk);
  const got = readAll(stream);
  await once(worker, 'message');
  await worker.terminate();
  t.ok((await got).equals(bulk));
  t.equal(tunnel.state, 'up');
});
