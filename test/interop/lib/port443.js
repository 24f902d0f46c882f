'use strict';
// Servers of ours behind TLS, as users would start them.
const crypto = require('node:crypto');
const tls = require('node:tls');
const { once } = require('node:events');
const { exchange, sha256 } = require('./net.js');
const { makeCertificate } = require('./tls.js');
const peers = require('../../../scripts/peers.js');

const NAME = 'site.test';
const ALT = `DNS:${NAME},IP:127.0.0.1`;
const PAGE = '<h1>a site like others</h1>\n';
const data = crypto.randomBytes(1024 * 1024);

// server.tls is its certificate.
async function serveTls(lab, { args = [], ...options } = {}) {
  const made = makeCertificate(lab, { name: 'server', alt: ALT });
  const server = await lab.serve({
    ...options,
    args: [
      ...['--transport', 'tls', '--tls-cert', made.certFile],
      ...['--tls-key', made.keyFile, ...args],
    ],
  });
  return Object.assign(server, { tls: made });
}

// With a folder as its site.
function serveSite(lab, { args = [], ...options } = {}) {
  lab.subdir('site');
  lab.file('site/index.html', PAGE);
  const site = ['--stealth', '--decoy', lab.file('site')];
  return serveTls(lab, { ...options, args: [...site, ...args] });
}

// A client with a forward to an echo: client.echo is that, client.check() shows
// that it carries data.
async function tunnel(t, lab, server, args, options = {}) {
  const echo = await lab.target('echo');
  const client = await lab.connect(server, {
    ...options,
    args: [...args, '--forward', `127.0.0.1:0:${echo.spec}`],
  });
  const [forward] = client.summary.forwards;
  client.echo = echo;
  client.forward = forward;
  client.check = async (what) =>
    t.equal(sha256(await exchange(forward, data)), sha256(data), what);
  return client;
}

const trusting = ({ tls: { certFile } }) => ['--tls-ca', certFile];
const overTls = (server) => ['--transport', 'tls', ...trusting(server)];
const overWss = (server, path = '/live') => [
  ...['--transport', 'wss', '--ws-path', path, ...trusting(server)],
];

// What a client of it needs that comes by way of something else.
const asClientOf = ({ key, summary }) => ({
  key,
  pin: summary.hostKeyFingerprint,
});

// As a browser would ask; `flags` as ['--http2'].
async function visit(t, lab, server, flags, path = '/') {
  const { code, stdout, stderr } = await lab.run(peers.path('curl'), [
    ...['-sS', '--max-time', '60', '-w', '%{http_code} %{http_version}'],
    ...['--noproxy', '*', '--cacert', server.tls.certFile, ...flags],
    ...['--resolve', `${NAME}:${server.port}:127.0.0.1`],
    `https://${NAME}:${server.port}${path}`,
  ]);
  t.equal(code, 0, stderr);
  return stdout;
}

async function seesSite(t, lab, server) {
  const one = await visit(t, lab, server, ['--http1.1']);
  t.equal(one, `${PAGE}200 1.1`, 'the site over HTTP/1.1');
  const two = await visit(t, lab, server, ['--http2']);
  t.equal(two, `${PAGE}200 2`, 'the site over HTTP/2');
}

// A connection as of a visitor who has not said anything yet.
async function connectTls(server, options = {}) {
  const socket = tls.connect({
    ...{ host: '127.0.0.1', port: server.port, servername: NAME },
    ...{ rejectUnauthorized: false, ...options },
  });
  await once(socket, 'secureConnect');
  return socket;
}

// What the end sends before it hangs up; each part is a record of its own, which
// the server reads on its own.
async function answerTo(server, ...parts) {
  const socket = await connectTls(server);
  const chunks = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  for (const part of parts) {
    await new Promise((resolve) => socket.write(part, resolve));
  }
  await once(socket, 'end');
  socket.destroy();
  return Buffer.concat(chunks).toString();
}

module.exports = {
  ALT,
  NAME,
  PAGE,
  answerTo,
  asClientOf,
  connectTls,
  data,
  overTls,
  overWss,
  seesSite,
  serveSite,
  serveTls,
  trusting,
  tunnel,
  visit,
};
