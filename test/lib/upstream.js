'use strict';
// A proxy of our own, SOCKS5 and HTTP CONNECT: it records what it is asked, and
// knows names that no resolver does.
const net = require('node:net');
const { listen, readN } = require('./net.js');

const ADDRESS = { 1: 4, 4: 16 };
const OK = Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);

async function readSocksLogin(socket) {
  const [, length] = await readN(socket, 2);
  const user = (await readN(socket, length)).toString();
  const [passwordLength] = await readN(socket, 1);
  const password = passwordLength
    ? (await readN(socket, passwordLength)).toString()
    : '';
  return `${user}:${password}`;
}

async function readSocksTarget(socket) {
  const [, , , type] = await readN(socket, 4);
  const length = ADDRESS[type] ?? (await readN(socket, 1))[0];
  const bytes = await readN(socket, length);
  const port = (await readN(socket, 2)).readUInt16BE(0);
  if (type === 3) return { host: bytes.toString(), port, byName: true };
  const host =
    type === 1
      ? bytes.join('.')
      : bytes.toString('hex').replace(/(.{4})(?=.)/g, '$1:');
  return { host, port, byName: false };
}

async function serveSocks5(proxy, socket) {
  const [, count] = await readN(socket, 2);
  const methods = await readN(socket, count);
  const method = proxy.login ? 2 : 0;
  if (!methods.includes(method)) {
    socket.end(Buffer.from([5, 255]));
    return;
  }
  socket.write(Buffer.from([5, method]));
  if (proxy.login) {
    const right = (await readSocksLogin(socket)) === proxy.login;
    socket.write(Buffer.from([1, right ? 0 : 1]));
    if (!right) return;
  }
  const target = await readSocksTarget(socket);
  answer(proxy, socket, target, {
    fine: OK,
    failed: Buffer.from([5, proxy.reply, 0, 1, 0, 0, 0, 0, 0, 0]),
  });
}

async function readHead(socket) {
  let head = '';
  while (!head.endsWith('\r\n\r\n')) {
    head += (await readN(socket, 1)).toString('latin1');
  }
  return head;
}

async function serveHttp(proxy, socket) {
  const head = await readHead(socket);
  const [, host, port] = /^CONNECT (\S+):(\d+) HTTP\/1\.1\r\n/.exec(head);
  const [, given = ''] =
    /^Proxy-Authorization: Basic (.*)\r$/m.exec(head) ?? [];
  if (proxy.login && Buffer.from(given, 'base64').toString() !== proxy.login) {
    socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
    return;
  }
  const byName = net.isIP(host.replace(/[[\]]/g, '')) === 0;
  answer(
    proxy,
    socket,
    { host, port: Number(port), byName },
    {
      fine: 'HTTP/1.1 200 Connection established\r\n\r\n',
      failed: `HTTP/1.1 ${proxy.status} No\r\n\r\n`,
    },
  );
}

/** Connects and joins the two, or says that it could not. */
function answer(proxy, socket, target, { fine, failed }) {
  proxy.asked.push(target);
  const place = proxy.names[target.host];
  if (!place) {
    socket.end(failed);
    return;
  }
  const far = net.connect({ host: '127.0.0.1', port: place });
  far.on('error', () => socket.destroy());
  socket.on('close', () => far.destroy());
  far.once('connect', () => {
    socket.write(fine);
    socket.pipe(far).pipe(socket);
  });
}

async function serve(proxy, socket) {
  const [first] = await readN(socket, 1);
  socket.unshift(Buffer.from([first]));
  await (first === 5 ? serveSocks5 : serveHttp)(proxy, socket);
}

/**
 * { port, asked, url(scheme, login) }. names: host → port of this machine; what
 * is not among them gets `reply` (SOCKS5) or `status` (HTTP). login:
 * 'user:password'.
 */
async function startProxy(t, options = {}) {
  const proxy = { names: {}, reply: 5, status: 502, ...options, asked: [] };
  const { port } = await listen(t, (socket) => {
    serve(proxy, socket).catch(() => socket.destroy());
  });
  proxy.port = port;
  proxy.url = (scheme, login) =>
    `${scheme}://${login ? `${login}@` : ''}127.0.0.1:${port}`;
  return proxy;
}

module.exports = { startProxy };
