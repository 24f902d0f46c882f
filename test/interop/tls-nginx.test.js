'use strict';
// What is no proper handshake is answered as nginx answers it: the same alerts,
// the same end. Lengths of sealed records vary with signatures.
const net = require('node:net');
const tls = require('node:tls');
const { once } = require('node:events');
const { lab } = require('./lib/lab.js');
const { capture } = require('./lib/client-hello.js');
const { makeCertificate } = require('./lib/tls.js');
const { ALT, serve } = require('./lib/tls-tool.js');
const { freePort, untilListening } = require('./lib/net.js');
const peers = require('../../scripts/peers.js');

const config = (lab, port, { keyFile, certFile }) => `
daemon off;
pid ${lab.file('nginx.pid')};
error_log ${lab.file('nginx.log')};
events {}
http {
  access_log off;
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_certificate ${certFile};
    ssl_certificate_key ${keyFile};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
  }
}
`;

async function nginx(lab, keys) {
  const port = await freePort();
  const file = lab.file('nginx.conf', config(lab, port, keys));
  const args = ['-c', file, '-e', lab.file('nginx.log')];
  const server = lab.spawn(peers.path('nginx'), args);
  await untilListening({ host: '127.0.0.1', port }, () => server.running);
  return port;
}

// The first record of Node's own client with these options.
const hello = (options) =>
  capture((port) =>
    tls
      .connect({ host: '127.0.0.1', port, servername: 'a.test', ...options })
      .on('error', () => {}),
  );

const only = (version) => ({
  minVersion: version,
  maxVersion: version,
  ciphers: 'DEFAULT:@SECLEVEL=0',
});

const hex = (text) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const fill = (n) => Buffer.alloc(n, 'g');

async function probes() {
  const now = await hello({});
  const older = await hello(only('TLSv1.2'));
  const old = await hello(only('TLSv1.1'));
  const odd = await hello({ ALPNProtocols: ['imap'] });
  const challenge = await hello({ ALPNProtocols: ['acme-tls/1'] });
  const weak = { ...only('TLSv1.2'), ciphers: 'AECDH-AES128-SHA:@SECLEVEL=0' };
  const anonymous = await hello(weak);
  const all = {
    'a record of garbage': [hex('16 03 01 00 05'), fill(7)],
    'garbage with the high bit': [hex('80'), fill(40)],
    'SSL 2': [hex('80 2e 01 00 02 00 15 00 00 00 10'), fill(37)],
    'a record version of nobody': [hex('16 09 01'), now.subarray(3)],
    'a record too long': [hex('16 03 01 ff ff'), fill(100)],
    'an empty handshake, then an alert': [
      hex('16 03 01 00 02 01 00 15 03 01 00 02 02 28'),
    ],
    'TLS 1.1': [old],
    'a cipher without certificates': [anonymous],
    'an unknown protocol': [odd],
    'a challenge that nobody waits for': [challenge],
    'an extension cut short': [
      hex('16 03 01 00 30 01 00 00 2c 03 03'),
      ...[fill(32), hex('00 00 02 13 01 01 00 00 03 00 00')],
    ],
    'TLS 1.2, then a cipher change too early': [older, hex('140303000101')],
    'TLS 1.2, then an empty key': [older, hex('16 03 03 00 04 10 00 00 00')],
    'TLS 1.3, then garbage': [now, hex('17 03 03 00 20'), fill(32)],
    'TLS 1.3, then plaintext': [now, hex('16 03 03 00 04 01 00 00 00')],
    'the same hello twice': [now, now],
    // These two wait for more, and meet the end.
    'half a hello': [now.subarray(0, 200), 'end'],
    'an empty record': [hex('16 03 01 00 00'), 'end'],
    'a hello and no more': [now, 'end'],
    'nothing at all': ['end'],
  };
  return Object.entries(all);
}

// Types of records, alerts that can be read, and what ended it.
function outline(bytes) {
  const found = [];
  for (let at = 0; at + 5 <= bytes.length;) {
    const end = at + 5 + bytes.readUInt16BE(at + 3);
    const [type] = bytes.subarray(at);
    const alert = type === 21 && end - at === 7;
    const body = alert ? bytes.toString('hex', at + 5, end) : '';
    found.push(`${type}.${bytes.toString('hex', at + 1, at + 3)} ${body}`);
    at = end;
  }
  return found;
}

async function answer(port, parts) {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const chunks = [];
  let error = null;
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', ({ code }) => (error = code));
  socket.on('end', () => socket.end());
  const ended = once(socket, 'close').catch(() => {});
  const bytes = Buffer.concat(parts.filter((part) => part !== 'end'));
  if (bytes.length > 0) socket.write(bytes);
  if (parts.includes('end')) socket.end();
  await ended;
  return { records: outline(Buffer.concat(chunks)), end: error ?? 'end' };
}

lab('as nginx answers', { peers: ['openssl', 'nginx'] }, async (t, lab) => {
  const keys = makeCertificate(lab, { alt: ALT });
  const reference = await nginx(lab, keys);
  const { port } = await serve(lab, keys, 'site');
  for (const [name, parts] of await probes()) {
    const want = await answer(reference, parts);
    t.strictSame(await answer(port, parts), want, name);
  }
});
