'use strict';
// A worker with a server and a client of its own, and one to a server that the
// test runs elsewhere.
const { parentPort, workerData } = require('node:worker_threads');
const wraith = require('../../lib/index.js');
const { native } = require('../../lib/binding.js');
const { readAll } = require('./net.js');

const host = wraith.generateKeyPair();
const user = wraith.generateKeyPair();

async function echoThrough(tunnel, text) {
  const stream = await tunnel.open('wraith-control');
  stream.end(text);
  return (await readAll(stream)).toString();
}

async function main() {
  const server = await wraith.serve({
    hostKey: host.privateKey,
    authorizedKeys: Buffer.from(user.publicKey),
    listen: '127.0.0.1:0',
  });
  server.on('connection', (stream) => stream.pipe(stream));
  const own = wraith.createTunnel({
    server: `127.0.0.1:${server.addresses[0].port}`,
    identity: user.privateKey,
    hostKey: host.fingerprint,
    user: 'worker',
  });
  const far = wraith.createTunnel(workerData.client);
  await Promise.all([own.ready(), far.ready()]);
  const text = `worker ${workerData.number}`;
  const texts = [await echoThrough(own, text), await echoThrough(far, text)];
  parentPort.postMessage({ texts, blocks: native.memory().blocks });
  if (workerData.then === 'stay') return;
  if (workerData.then === 'exit') process.exit(7);
  await Promise.all([own.close(), far.close()]);
  await server.close({ drain: 0 });
}

main();
