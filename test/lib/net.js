'use strict';
// Plain sockets for the tests: listeners that go with their test, reading by
// length, and the SOCKS requests that no library would send.
const { once } = require('node:events');
const net = require('node:net');

/** A TCP server on loopback; it and its sockets end with the test. */
async function listen(t, onSocket, options = {}) {
  const sockets = new Set();
  const server = net.createServer(options, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    onSocket(socket);
  });
  server.listen(0, options.host ?? '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return { server, port: server.address().port, sockets };
}

/** Sends back what comes, and the end too. */
function echo(t) {
  return listen(t, (socket) => socket.pipe(socket), { allowHalfOpen: true });
}

async function dial(t, port, options = {}) {
  const socket = net.connect({ port, host: '127.0.0.1', ...options });
  socket.on('error', () => {});
  t.teardown(() => socket.destroy());
  await new Promise((resolve, reject) => {
    socket.once('connect', resolve).once('error', reject);
  });
  return socket;
}

/** A port of loopback that nobody listens on. */
async function deadPort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * Everything up to the end; rejects if there is none. An async iterator would
 * destroy the stream then, also the half that is still being written.
 */
function readAll(stream) {
  const chunks = [];
  return new Promise((resolve, reject) => {
    if (stream.readableEnded) resolve(Buffer.alloc(0));
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.once('end', () => resolve(Buffer.concat(chunks)));
    stream.once('error', reject);
    stream.once('close', () => reject(new Error('closed before its end')));
    stream.resume(); // it may have been paused
  });
}

/** Exactly n bytes; what came beyond them is put back. */
function readN(stream, n) {
  return new Promise((resolve, reject) => {
    function settle(act, value) {
      stream.off('readable', tryRead).off('error', fail).off('close', onClose);
      act(value);
    }
    function fail(error) {
      settle(reject, error);
    }
    function onClose() {
      fail(new Error(`ended before ${n} bytes had come`));
    }
    function tryRead() {
      const chunk = stream.read(n);
      if (chunk !== null && chunk.length === n) settle(resolve, chunk);
      else if (chunk !== null) onClose();
    }
    stream.on('readable', tryRead).on('error', fail).on('close', onClose);
    tryRead();
  });
}

/** As once(x, 'close'), which rejects if 'error' comes first. */
function closed(emitter) {
  // A stream says so one tick before the event.
  if (emitter.closed === true) return new Promise(setImmediate);

  return new Promise((resolve) => emitter.once('close', resolve));
}

/** Resolves with the bytes that came before the other side closed. */
function untilClosed(socket) {
  const chunks = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  return new Promise((resolve) => {
    socket.once('close', () => resolve(Buffer.concat(chunks)));
  });
}

const hello = Buffer.from([5, 1, 0]);

function socksRequest(host, port) {
  const name = Buffer.from(host);
  return Buffer.from([
    ...[5, 1, 0, 3, name.length, ...name],
    ...[port >> 8, port & 255],
  ]);
}

/** A SOCKS5 dial by name: the socket, and the reply code (0: connected). */
async function socks5(t, proxyPort, host, port) {
  const socket = await dial(t, proxyPort, { allowHalfOpen: true });
  socket.write(hello);
  await readN(socket, 2);
  socket.write(socksRequest(host, port));
  const head = await readN(socket, 4);
  await readN(socket, head[3] === 4 ? 18 : 6);
  return { socket, reply: head[1] };
}

module.exports = {
  closed,
  deadPort,
  dial,
  echo,
  hello,
  listen,
  readAll,
  readN,
  socks5,
  socksRequest,
  untilClosed,
};
