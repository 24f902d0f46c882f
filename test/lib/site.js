'use strict';
// Servers behind TLS: certificates made on the spot, and clients that trust them.
const { createHash, X509Certificate } = require('node:crypto');
const { once } = require('node:events');
const net = require('node:net');
const tls = require('node:tls');
const { selfSigned } = require('../../lib/acme.js');
const { clientOptions, startServer, wraith } = require('./pair.js');
const { listen } = require('./net.js');

const NAMES = ['127.0.0.1', 'site.example'];

/** SHA-256 of the public key in base64, as a pin has it. */
function pinOf(cert) {
  const key = new X509Certificate(cert).publicKey;
  const der = key.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(der).digest('base64');
}

const fingerprintOf = (cert) => new X509Certificate(cert).fingerprint256;

/** A listener of TLS, with a certificate of its own in `server.own`. */
async function startTls(t, options = {}) {
  const own = selfSigned(NAMES);
  const server = await startServer(t, {
    transport: 'tls',
    tlsCert: own.cert,
    tlsKey: own.key,
    ...options,
  });
  return Object.assign(server, { own });
}

const startStealth = (t, options) => startTls(t, { stealth: true, ...options });

/** Options of a tunnel that comes in by TLS and trusts the certificate. */
function tlsOptions(server, options = {}) {
  return clientOptions(server, {
    transport: 'tls',
    tlsCa: server.own.cert,
    reconnect: false,
    ...options,
  });
}

function tlsTunnel(t, server, options = {}) {
  const given = tlsOptions(server, options);
  if (given.tlsCa === null) delete given.tlsCa;
  const tunnel = wraith.createTunnel(given);
  t.teardown(() => {
    tunnel.destroy();
    return tunnel.close();
  });
  return tunnel;
}

/** A visitor's TLS connection; its certificate is not looked at. */
async function visit(t, server, options = {}) {
  const socket = tls.connect({
    port: server.addresses[0].port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    ...options,
  });
  t.teardown(() => socket.destroy());
  await once(socket, 'secureConnect');
  socket.on('error', () => {});
  return socket;
}

/** Ends TLS in front of the server: what comes is plain. */
async function plainFront(t, server) {
  const { port } = await listen(t, (socket) => {
    const inner = tls.connect({
      port: server.addresses[0].port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
    });
    inner.on('error', () => socket.destroy());
    inner.on('close', () => socket.destroy());
    socket.on('close', () => inner.destroy());
    socket.pipe(inner).pipe(socket);
  });
  return port;
}

/** Like net.connect(), of whatever the bytes are. */
async function plain(t, server) {
  const socket = net.connect(server.addresses[0].port, '127.0.0.1');
  socket.on('error', () => {});
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

module.exports = {
  NAMES,
  fingerprintOf,
  pinOf,
  plain,
  plainFront,
  startStealth,
  startTls,
  tlsOptions,
  tlsTunnel,
  visit,
};
