'use strict';
// The WebSocket link against the `ws` package in both roles, behind a real nginx,
// and asked by curl. ws_tool (test/c) is a server and a client of ours.
const crypto = require('node:crypto');
const http = require('node:http');
const { once } = require('node:events');
const { WebSocket, WebSocketServer } = require('ws');
const { nginx, passTo } = require('./lib/fronts.js');
const { lab } = require('./lib/lab.js');
const { connect, sha256 } = require('./lib/net.js');
const peers = require('../../scripts/peers.js');
const { tool } = require('../../scripts/util/suites.js');

const HOST = 'www.example.com';
const SECRET = 'correct horse';
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const MANY = 10_000_000;
const data = crypto.randomBytes(1024 * 1024);
let built; // the path of ws_tool

const wsTool = () => (built ??= tool('ws_tool'));

// Resolves with { port }.
async function serve(lab, ...args) {
  const server = lab.spawn(await wsTool(), ['serve', '/chat', ...args]);
  const [port] = await server.line(/^\d+$/);
  return { port: Number(port) };
}

// What ws_tool tells of sending `bytes` to an echo.
async function send(lab, port, bytes, ...args) {
  const all = ['send', String(port), HOST, '/chat', String(bytes), ...args];
  const { code, stdout, stderr } = await lab.run(await wsTool(), all);
  const [json] = /^\{.*\}$/m.exec(stdout) ?? [];
  if (code !== 0 || !json || /^not ok/m.test(stdout)) {
    throw new Error(`ws_tool: ${code} ${stdout} ${stderr}`);
  }
  return JSON.parse(json);
}

const whole = (bytes) => ({
  ...{ said: 'clean', http: 0, got: bytes, bad: 0, eof: 1 },
});
const refused = (status) => ({
  ...{ said: 'WS_REFUSED', http: status, got: 0, bad: 0, eof: 0 },
});

async function open(port, path = '/chat') {
  const client = new WebSocket(`ws://127.0.0.1:${port}${path}`);
  client.on('error', () => {}); // each test looks at what it expects
  await once(client, 'open');
  return client;
}

// The next `length` bytes of messages.
function read(client, length) {
  return new Promise((resolve, reject) => {
    const parts = [];
    let got = 0;
    const take = (part, binary) => {
      if (!binary) reject(new Error('not a binary message'));
      parts.push(part);
      got += part.length;
      if (got < length) return;
      client.off('message', take);
      resolve(Buffer.concat(parts));
    };
    client.on('message', take);
    client.once('close', (code) => reject(new Error(`closed: ${code}`)));
  });
}

// An echo of the `ws` package.
async function echoServer(lab, { onClient = () => {}, ...options } = {}) {
  const server = new WebSocketServer({
    ...{ host: '127.0.0.1', port: 0, perMessageDeflate: true },
    ...options,
  });
  await once(server, 'listening');
  server.on('connection', (client) => {
    client.on('message', (message) => client.send(message));
    onClient(client);
  });
  lab.defer(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return server.address().port;
}

// nginx in front of a port; resolves with its own.
async function inFront(lab, port) {
  const front = await nginx(lab, passTo(`http://127.0.0.1:${port}`));
  return front.port;
}

const upgrade = [
  'GET /chat HTTP/1.1',
  `Host: ${HOST}`,
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${KEY}`,
];

// The head of the answer to an upgrade, the date left out.
async function answerOf(port) {
  const socket = await connect({ host: '127.0.0.1', port });
  socket.write(`${upgrade.join('\r\n')}\r\n\r\n`);
  let text = '';
  for await (const part of socket) {
    text += part;
    if (text.includes('\r\n\r\n')) break;
  }
  socket.destroy();
  return text.split('\r\n\r\n')[0].replace(/^Date: .*$/m, 'Date: now');
}

lab('a client of the ws package', {}, async (t, lab) => {
  const { port } = await serve(lab);
  const client = await open(port);
  const back = read(client, 2 * data.length);
  client.send(data);
  for (let at = 0; at < data.length; at += 100_000) {
    const part = data.subarray(at, at + 100_000);
    client.send(part, { fin: at + 100_000 >= data.length });
    client.ping(String(at));
  }
  const all = await back;
  t.equal(sha256(all), sha256(Buffer.concat([data, data])));
  client.ping('the last one');
  for (;;) {
    const [payload] = await once(client, 'pong');
    if (payload.toString() === 'the last one') break;
  }
  client.close(4001, 'bye');
  const [code] = await once(client, 'close');
  t.equal(code, 4001, 'the code comes back');
});

lab('what the ws package may not say', {}, async (t, lab) => {
  const { port } = await serve(lab);
  const says = async (say) => {
    const client = await open(port);
    say(client);
    const [code] = await once(client, 'close');
    return code;
  };
  t.equal(await says((c) => c.send('text')), 1003);
  t.equal(await says((c) => c.send(data, { mask: false })), 1002);
  t.equal(await says((c) => c.send(Buffer.alloc(17 * 1024 * 1024))), 1009);
  const elsewhere = new WebSocket(`ws://127.0.0.1:${port}/other`);
  const [err] = await once(elsewhere, 'error');
  t.match(err.message, /404/);
});

lab('a server of the ws package', {}, async (t, lab) => {
  let pongs = 0;
  const port = await echoServer(lab, {
    onClient(client) {
      client.on('message', () => client.ping());
      client.on('pong', () => pongs++);
    },
  });
  t.strictSame(await send(lab, port, MANY, '', '1'), whole(MANY));
  t.ok(pongs > 0, 'pings were answered');
  t.strictSame(await send(lab, port, 1), whole(1));
});

lab('a server that says no', {}, async (t, lab) => {
  const server = http.createServer((request, response) => {
    response.writeHead(426).end('upgrade to something else');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  lab.defer(() => server.close());
  const { port } = server.address();
  t.strictSame(await send(lab, port, 10), refused(426));
  const verifyClient = (info, done) => done(false, 401, 'no');
  const other = await echoServer(lab, { verifyClient });
  t.strictSame(await send(lab, other, 10), refused(401));
});

lab('the knock', {}, async (t, lab) => {
  const { port } = await serve(lab, SECRET);
  t.strictSame(await send(lab, port, 100_000, SECRET), whole(100_000));
  t.strictSame(await send(lab, port, 10, 'another'), refused(404));
  t.strictSame(await send(lab, port, 10), refused(404));
});

lab('behind nginx', { peers: ['nginx'] }, async (t, lab) => {
  const { port } = await serve(lab, SECRET, '20');
  const front = await inFront(lab, port);
  const sent = await send(lab, front, MANY, SECRET, '20');
  t.strictSame(sent, whole(MANY));
  t.strictSame(await send(lab, front, 10, 'another'), refused(404));
});

lab('the answer is that of nginx', { peers: ['nginx'] }, async (t, lab) => {
  const { port } = await serve(lab);
  const front = await inFront(lab, await echoServer(lab));
  const ours = await answerOf(port);
  const theirs = await answerOf(front);
  t.match(theirs, /^HTTP\/1\.1 101 /);
  const version = /nginx\/[\d.]+/;
  t.equal(ours.replace(version, 'nginx'), theirs.replace(version, 'nginx'));
});

lab('curl', { peers: ['curl'] }, async (t, lab) => {
  // curl shows the head of an answer once something follows it: our pings.
  const { port } = await serve(lab, '', '20');
  const fields = upgrade.slice(1).flatMap((line) => ['-H', line]);
  const ask = [...fields, '-sSiN', '--http1.1', `http://127.0.0.1:${port}`];
  const [url, ...flags] = [ask.pop(), ...ask];
  const curl = lab.spawn(peers.path('curl'), [...flags, `${url}/chat`]);
  await curl.line(/^HTTP\/1\.1 101 Switching Protocols/);
  await curl.line(/^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/);
  const { stdout } = await lab.run(peers.path('curl'), [
    ...[...flags, '--max-time', '60', `${url}/other`],
  ]);
  t.match(stdout, /^HTTP\/1\.1 404 Not Found/);
});
