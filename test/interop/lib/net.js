'use strict';
// Local servers that play the targets, and what talks to them.
const crypto = require('node:crypto');
const http = require('node:http');
const net = require('node:net');
const { once } = require('node:events');
const canary = require('./canary.js');

const sha256 = (data) => crypto.createHash('sha256').update(data).digest('hex');

async function listen(server, where) {
  server.listen(where);
  await once(server, 'listening');
  return server.address();
}

// What a target does with a connection, by name.
const behaviours = {
  echo: (socket) => socket.pipe(socket),
  // Speaks first and ends.
  source: (socket, { data }) => socket.end(data),
  discard: (socket) => socket.resume().on('end', () => socket.end()),
  // Half-close: the answer begins after the end of the question.
  digest(socket) {
    const hash = crypto.createHash('sha256');
    socket.on('data', (chunk) => hash.update(chunk));
    socket.on('end', () => socket.end(`${hash.digest('hex')}\n`));
  },
};

class Target {
  constructor(kind, options) {
    this.sockets = new Set();
    this.connections = 0;
    this.server = net.createServer({ allowHalfOpen: true }, (socket) => {
      this.connections++;
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('error', () => {}); // the other side may go as it likes
      behaviours[kind](socket, options);
    });
  }

  async start({ host = canary.HOST, path }) {
    const place = path ? { path } : { host, port: 0 };
    const address = await listen(this.server, place);
    this.path = path;
    this.host = host;
    this.port = address.port;
    if (path) canary.add(path);
    else canary.addPort(this.port);
    return this;
  }

  get spec() {
    return this.host.includes(':')
      ? `[${this.host}]:${this.port}`
      : `${this.host}:${this.port}`;
  }

  async close() {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

// A web server: { port, requests, close() }.
async function webServer(answer, { host = canary.HOST } = {}) {
  const requests = [];
  const server = http.createServer((request, response) => {
    const { method, url, headers } = request;
    requests.push({ method, url, headers });
    answer(request, response);
  });
  const { port } = await listen(server, { host, port: 0 });
  canary.addPort(port);
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { host, port, requests, close };
}

const given = new Set();

// For programs that cannot choose a port themselves: never the same twice.
async function freePort(host = '127.0.0.1') {
  const server = net.createServer();
  const { port } = await listen(server, { host, port: 0 });
  await new Promise((resolve) => server.close(resolve));
  if (given.has(port)) return freePort(host);
  given.add(port);
  return port;
}

// A port where nobody listens, as a target.
async function closedPort(host = canary.HOST) {
  const port = await freePort(host);
  canary.addPort(port);
  return port;
}

async function connect(place) {
  const socket = net.connect({ allowHalfOpen: true, ...place });
  await once(socket, 'connect');
  return socket;
}

// Until somebody listens there: for programs that do not say so.
async function untilListening(place, alive = () => true) {
  const end = Date.now() + 30_000;
  for (;;) {
    try {
      (await connect(place)).destroy();
      return;
    } catch (error) {
      if (Date.now() > end || !alive()) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function readAll(socket) {
  const chunks = [];
  for await (const chunk of socket) chunks.push(chunk);
  return Buffer.concat(chunks);
}

// Sends everything, ends, and gives what came back.
async function exchange(place, data = '') {
  const socket = place instanceof net.Socket ? place : await connect(place);
  socket.end(data);
  return readAll(socket);
}

const refused = (place) =>
  connect(place).then(
    (socket) => {
      socket.destroy();
      return 'connected';
    },
    (error) => error.code,
  );

// ssh -O cancel says that it is done before the server has heard of it.
async function untilRefused(place) {
  const end = Date.now() + 30_000;
  while ((await refused(place)) === 'connected') {
    if (Date.now() > end) throw new Error('somebody still listens there');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

module.exports = {
  Target,
  closedPort,
  connect,
  exchange,
  freePort,
  readAll,
  refused,
  sha256,
  untilListening,
  untilRefused,
  webServer,
};
