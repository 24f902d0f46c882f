'use strict';
// A web server behind both servers. It writes its answers by hand, and shows
// in them what it was asked.
const net = require('node:net');

const answer = (status, fields, body = '') =>
  `HTTP/1.1 ${status}\r\nServer: origin\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n${fields}\r\n${body}`;

const sized = (status, body, fields = '') =>
  answer(status, `${fields}Content-Length: ${body.length}\r\n`, body);

const chunks =
  'Content-Type: text/html; charset=utf-8\r\nX-First: 1\r\n' +
  'Transfer-Encoding: chunked\r\nETag: "abc"\r\nSet-Cookie: a=1\r\n' +
  'Set-Cookie: b=2\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n';

const pages = {
  '/chunked': () =>
    answer('200 Fine', chunks, '5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n'),
  '/close': () =>
    answer('200 OK', 'Content-Type: text/plain\r\n', 'until the end'),
  '/redirect': (port) =>
    sized('302 Found', '', `Location: http://127.0.0.1:${port}/next?x\r\n`),
  '/elsewhere': () =>
    sized('302 Found', '', 'Location: https://other.test/\r\n'),
  '/missing': () => sized('404 Gone Fishing', 'not here', 'X-Own: 1\r\n'),
  '/204': () => answer('204 No Content', 'X-Own: 1\r\n'),
  '/304': () => answer('304 Not Modified', 'ETag: "abc"\r\n'),
  '/drop': () => '',
  '/garbage': () => 'what is this\r\n\r\n',
};

function respond(socket, head, body, port) {
  const [, path] = head.split(' ');
  if (path === '/ws') {
    const fields = 'Connection: Upgrade\r\nUpgrade: websocket\r\nX-Own: 1\r\n';
    socket.write(answer('101 Switching Protocols', fields));
    socket.pipe(socket);
    return;
  }
  const page = pages[path];
  if (page) socket.end(page(port));
  else {
    const text = `${head}\r\n\r\n${body}`;
    const shown = head.startsWith('HEAD ') ? '' : text;
    const type = `Content-Type: text/plain\r\nContent-Length: ${text.length}\r\n`;
    socket.end(answer('200 OK', type, shown));
  }
}

function serve(socket, port) {
  let text = '';
  const onData = (chunk) => {
    text += chunk.toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    if (end === -1) return;
    const head = text.slice(0, end);
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    if (text.length < end + 4 + length) return;
    socket.removeListener('data', onData);
    respond(socket, head, text.slice(end + 4), port);
  };
  socket.on('data', onData);
  socket.on('error', () => {});
}

async function startOrigin() {
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    serve(socket, server.address().port);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: server.address().port,
    stop: async () => {
      sockets.forEach((socket) => socket.destroy());
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

module.exports = { startOrigin };
