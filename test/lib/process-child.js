'use strict';
// Runs one of the cases below and then has nothing more to do: it ends when the
// loop lets it. What it prints is what the test looks at.
const wraith = require('../../lib/index.js');
const { once } = require('node:events');
const net = require('node:net');
const { duplexPair } = require('node:stream');

const [name] = process.argv.slice(2);
const say = (text) => process.stdout.write(`${text}\n`);
const host = wraith.generateKeyPair();
const user = wraith.generateKeyPair();

const startServer = (options) =>
  wraith.serve({
    hostKey: host.privateKey,
    authorizedKeys: Buffer.from(user.publicKey),
    listen: '127.0.0.1:0',
    ...options,
  });

const client = (port, more = {}) => ({
  server: `127.0.0.1:${port}`,
  identity: user.privateKey,
  hostKey: host.fingerprint,
  user: 'u',
  ...more,
});

async function both() {
  const server = await startServer();
  server.on('connection', (stream) => stream.pipe(stream));
  const tunnel = wraith.createTunnel(client(server.addresses[0].port));
  await tunnel.ready();
  return { server, tunnel };
}

process.on('exit', (code) => say(`exit ${code}`));

const cases = {
  // Loaded, and nothing done.
  nothing: () => {},
  keys: () => wraith.buildInfo() && say('made'),
  async closed() {
    const { server, tunnel } = await both();
    await tunnel.close();
    await server.close();
  },
  async disposed() {
    const { server, tunnel } = await both();
    await tunnel[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  },
  async unref() {
    const { server, tunnel } = await both();
    (await tunnel.socks5({ port: 0 })).unref();
    (await tunnel.remoteForward('0:localhost:1')).unref();
    (await tunnel.open('wraith-control')).unref();
    server.unref().on('connection', (stream) => stream.unref());
    tunnel.unref();
    // The server's end of the channel was made before: it is closed here.
    await server.close({ drain: 0 });
  },
  // With somebody who is connected and asks nothing.
  async 'unref-metrics'() {
    const server = await startServer({ metrics: '0' });
    const { host, port } = server.metricsAddress;
    const socket = net.connect({ host, port });
    await once(socket, 'connect');
    socket.unref();
    server.unref();
  },
  async 'server-holds'() {
    await startServer();
    say('listening');
  },
  async 'tunnel-holds'() {
    wraith.createTunnel(client(9, { minDelay: 20 }));
    say('trying');
  },
  async 'unref-trying'() {
    wraith
      .createTunnel(client(9, { minDelay: 60000, maxDelay: 60000 }))
      .unref();
  },
  async 'connect-unref'() {
    const server = await startServer();
    server.on('connection', (stream) => stream.unref());
    server.unref();
    const stream = await wraith.connect(client(server.addresses[0].port));
    stream.unref();
    say('connected');
  },
  async 'connect-ends'() {
    const server = await startServer();
    server.on('connection', (stream) => stream.resume().end('bye'));
    const stream = await wraith.connect(client(server.addresses[0].port));
    stream.end();
    for await (const chunk of stream) say(chunk);
    await server.close();
  },
  async 'exit-in-transfer'() {
    const { tunnel } = await both();
    const stream = await tunnel.open('wraith-control');
    stream.write(Buffer.alloc(10 << 20));
    stream.once('data', () => process.exit(3));
  },
  async 'refused-key'() {
    const server = await startServer();
    const { privateKey } = wraith.generateKeyPair();
    wraith.createTunnel(
      client(server.addresses[0].port, { identity: privateKey }),
    );
    server.unref();
  },
  async 'all-fails'() {
    // No listener of 'error' anywhere, and no promise looked at but these.
    const { server, tunnel } = await both();
    const stream = await tunnel.open('wraith-control');
    stream.write(Buffer.alloc(1 << 20));
    const [near, far] = duplexPair();
    server.accept(far);
    near.end('junk\n');
    near.resume();
    await server.close({ drain: 0 });
    stream.write('late');
    tunnel.destroy(new Error('enough'));
    stream.destroy(new Error('enough'));
  },
  async dropped() {
    // Handles that nobody keeps are collected without harm.
    for (let i = 0; i < 20; i++) {
      const { server, tunnel } = await both();
      (await tunnel.open('wraith-control')).end('x');
      globalThis.gc();
      await tunnel.close();
      await server.close({ drain: 0 });
    }
    globalThis.gc();
  },
};

Promise.resolve(cases[name]()).then(() => say('done'));
