'use strict';
// What a prober can do with a ClientHello: one that it has seen, of a tunnel, and
// ones of its own. Nothing of it is the beginning of a connection.
const net = require('node:net');
const tls = require('node:tls');
const { once } = require('node:events');
const { createTunnel } = require('../../lib/index.js');
const { capture } = require('../interop/lib/client-hello.js');

/** All that the client of a tunnel sends, until it is open and ends. */
async function recordTunnel(guest) {
  const chunks = [];
  const server = net.createServer((near) => {
    const [host, port] = guest.server.split(':');
    const far = net.connect({ host, port });
    near.on('data', (chunk) => chunks.push(chunk));
    near.on('error', () => {});
    far.on('error', () => {});
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
    near.pipe(far).pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  const tunnel = createTunnel({ ...guest, server: `127.0.0.1:${port}` });
  try {
    await tunnel.ready();
    await tunnel.close();
  } finally {
    tunnel.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
  return Buffer.concat(chunks);
}

// Where the record that begins at `at` ends.
const endOf = (bytes, at) => at + 5 + bytes.readUInt16BE(at + 3);

/** The first `n` records. */
function records(bytes, n) {
  let end = 0;
  for (let i = 0; i < n; i += 1) end = endOf(bytes, end);
  return bytes.subarray(0, end);
}

// The first record of Node's own client with these options.
const hello = (options) =>
  capture((port) =>
    tls
      .connect({
        host: '127.0.0.1',
        port,
        servername: 'example.test',
        ...options,
      })
      .on('error', () => {}),
  );

const only = (version) => ({
  minVersion: version,
  maxVersion: version,
  ciphers: 'DEFAULT:@SECLEVEL=0',
});

const older12 = only('TLSv1.2');
const p256 = { ecdhCurve: 'P-256:X25519:P-384' };
// What servers like best is what this client likes least.
const names = ['AES128-GCM-SHA256', 'CHACHA20-POLY1305', 'AES256-GCM-SHA384'];
const backwards12 = {
  ...older12,
  ciphers: names.map((name) => `ECDHE-RSA-${name}`).join(':'),
};
const backwards = {
  ciphers:
    'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:' +
    'TLS_AES_256_GCM_SHA384',
};

const hex = (text) => Buffer.from(text.replaceAll(' ', ''), 'hex');

function record(type, body) {
  const head = Buffer.from([type, 3, 3, body.length >> 8, body.length & 0xff]);
  return Buffer.concat([head, body]);
}

// The same message in records of at most `size` bytes.
function split(bytes, size) {
  const parts = [];
  for (let at = 5; at < bytes.length; at += size) {
    parts.push(record(22, bytes.subarray(at, at + size)));
  }
  return Buffer.concat(parts);
}

// With other versions in the record and in the hello.
function withVersion(bytes, minor) {
  const copy = Buffer.from(bytes);
  copy[2] = minor;
  copy[10] = minor;
  return copy;
}

const SERVER_HELLO = '\x16\x03\x03';
const garbage = Buffer.alloc(40, 'g');

const probe = (name, ...steps) => ({ name, steps, tls: false, records: true });
const send = (...parts) => ({ send: Buffer.concat(parts) });
const end = { end: true };
const answered = { until: SERVER_HELLO };

/** @param {Buffer} bytes what a tunnel's client has sent */
function replays(bytes) {
  const first = records(bytes, 1);
  const rest = bytes.subarray(first.length);
  const finished = records(bytes, 3).subarray(first.length);
  const again = (name, ...steps) => probe(`replay: ${name}`, ...steps);
  return [
    again('hello', send(first)),
    again('hello, then FIN', send(first), answered, end),
    again('hello and FIN at once', send(first), end),
    again('hello, then garbage', send(first), answered, send(garbage)),
    again('hello and garbage at once', send(first, garbage)),
    again(
      'hello, then a sealed record of garbage',
      ...[send(first), answered, send(record(23, garbage))],
    ),
    again('hello twice', send(first, first)),
    again('hello twice, one by one', send(first), answered, send(first)),
    again('up to Finished', send(first), answered, send(finished)),
    again('all at once', send(bytes)),
    again('all', send(first), answered, send(rest)),
    again('all, then FIN', send(first), answered, send(rest), end),
    again('all but the hello', send(rest)),
    again('hello less a byte', send(first.subarray(0, -1))),
    again('hello less a byte, then FIN', send(first.subarray(0, -1)), end),
    again('hello in pieces', { slowly: first, by: 50, every: 5 }),
    again('hello in small records', send(split(first, 50))),
  ];
}

/** Of clients that every web server knows. */
async function strangers() {
  const now = await hello({});
  const older = await hello(older12);
  const old = await hello(only('TLSv1.1'));
  const oldest = await hello(only('TLSv1'));
  const own = (name, ...steps) => probe(`hello: ${name}`, ...steps);
  return [
    own('TLS 1.3', send(now)),
    own('TLS 1.2', send(older)),
    own('TLS 1.1', send(old)),
    own('TLS 1.0', send(oldest)),
    own('SSL 3', send(withVersion(oldest, 0))),
    own('SSL 2', send(hex('80 2e 01 00 02 00 15 00 00 00 10'), garbage)),
    own('TLS 1.4', send(withVersion(older, 5))),
    own('TLS 1.3, other ciphers first', send(await hello(backwards))),
    own('TLS 1.2, other ciphers first', send(await hello(backwards12))),
    own('TLS 1.3, P-256 first', send(await hello(p256))),
    own('TLS 1.2, P-256 first', send(await hello({ ...older12, ...p256 }))),
    own('TLS 1.3, P-384 only', send(await hello({ ecdhCurve: 'P-384' }))),
    own('ALPN', send(await hello({ ALPNProtocols: ['h2', 'http/1.1'] }))),
    own(
      'ALPN, backwards',
      send(await hello({ ALPNProtocols: ['http/1.1', 'h2'] })),
    ),
    own('no name', send(await hello({ servername: '' }))),
    own('another name', send(await hello({ servername: 'other.test' }))),
    own('one byte', send(now.subarray(0, 1))),
    own('head of a record', send(now.subarray(0, 5))),
    own('head of a message', send(now.subarray(0, 9))),
    own('half', send(now.subarray(0, 150))),
    own('half, then FIN', send(now.subarray(0, 150)), end),
    own('half, then garbage', send(now.subarray(0, 150), Buffer.alloc(600))),
    own('byte by byte', { slowly: older, every: 2 }),
    own('slower than the time limit', { slowly: older, every: 400 }),
    own('in records of a byte', send(split(older, 1))),
    own('in small records', send(split(now, 50))),
    own('TLS 1.3, then garbage', send(now, garbage)),
    own('TLS 1.2, then garbage', send(older, garbage)),
    own('TLS 1.3, then an unknown record', send(now, record(99, garbage))),
    own('TLS 1.2, then an unknown record', send(older, record(99, garbage))),
    own('TLS 1.2, then a sealed record', send(older, record(23, garbage))),
    own('TLS 1.3, then a close', send(now, record(21, hex('01 00')))),
    own('TLS 1.2, then a close', send(older, record(21, hex('01 00')))),
    own('TLS 1.2, then an alert', send(older, record(21, hex('02 28')))),
    own('TLS 1.2 twice', send(older, older)),
    own('empty records in front', send(record(22, hex('')), older)),
    own('a heartbeat in front', send(record(24, hex('01 40 00')), older)),
  ];
}

module.exports = { recordTunnel, replays, strangers };
