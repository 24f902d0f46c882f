'use strict';
// A SOCKS client that shows the reply codes.
const net = require('node:net');
const { once } = require('node:events');

// Exactly n bytes, without taking more.
async function take(socket, n) {
  for (;;) {
    const got = socket.read(n);
    if (got && got.length === n) return got;
    if (got || socket.readableEnded) throw new Error('the proxy hung up');
    await Promise.race([once(socket, 'readable'), once(socket, 'end')]);
  }
}

function address(host) {
  if (net.isIPv4(host)) return Buffer.from([1, ...host.split('.').map(Number)]);
  if (host === '::1') return Buffer.from([4, ...new Array(15).fill(0), 1]);
  const name = Buffer.from(host);
  return Buffer.from([3, name.length, ...name]);
}

const bigEndian = (port) => Buffer.from([port >> 8, port & 255]);

async function login(socket, { user, password }) {
  const method = user === undefined ? 0 : 2;
  socket.write(Buffer.from([5, 1, method]));
  const [, chosen] = await take(socket, 2);
  if (chosen !== method) return { method: chosen };
  if (method === 0) return { method };
  const [name, word] = [Buffer.from(user), Buffer.from(password)];
  socket.write(Buffer.from([1, name.length, ...name, word.length, ...word]));
  const [, status] = await take(socket, 2);
  return { method, status };
}

const lengths = { 1: 4, 4: 16 };

// { method, status?, reply?, socket }: reply 0 is a stream to the target.
async function socks5(proxy, host, port, auth = {}) {
  const socket = net.connect({ ...proxy, allowHalfOpen: true });
  await once(socket, 'connect');
  const greeting = await login(socket, auth);
  if (greeting.method === 255 || greeting.status) {
    socket.destroy();
    return { ...greeting, socket };
  }
  socket.write(
    Buffer.concat([Buffer.from([5, 1, 0]), address(host), bigEndian(port)]),
  );
  const [, reply, , type] = await take(socket, 4);
  await take(socket, lengths[type] + 2);
  if (reply !== 0) socket.destroy();
  return { ...greeting, reply, socket };
}

// SOCKS4a: 90 is granted.
async function socks4a(proxy, host, port) {
  const socket = net.connect({ ...proxy, allowHalfOpen: true });
  await once(socket, 'connect');
  socket.write(
    Buffer.concat([
      Buffer.from([4, 1]),
      bigEndian(port),
      Buffer.from([0, 0, 0, 1, 0]),
      Buffer.from(`${host}\0`),
    ]),
  );
  const [, reply] = await take(socket, 8);
  if (reply !== 90) socket.destroy();
  return { reply, socket };
}

module.exports = { socks4a, socks5 };
