'use strict';
// createDecoy(): what a visitor may see and what not, how much of it at once,
// and where its answers come from. That they are nginx's is in test/probe.
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const http2 = require('node:http2');
const https = require('node:https');
const path = require('node:path');
const { once } = require('node:events');
const { PassThrough } = require('node:stream');
const t = require('tap');
const { createDecoy } = require('../../lib/decoy.js');
const { HpackDecoder } = require('../../lib/decoy/hpack-decoder.js');
const { encodeHead } = require('../../lib/decoy/hpack.js');
const { HeadParser } = require('../../lib/decoy/head-parser.js');
const peers = require('../../scripts/peers.js');
const { makeCertificate } = require('../probe/site.js');
const { dial, listen, untilClosed } = require('../lib/net.js');

const h2 = { alpn: 'h2' };
const H = 'Host: example.test\r\n';
// Everything that a header block can hold in Huffman's code, and what not.
const printable = Array.from({ length: 95 }, (_, i) =>
  String.fromCharCode(i + 32),
)
  .join('')
  .trim();

const get = (target) =>
  `GET ${target} HTTP/1.1\r\n${H}Connection: close\r\n\r\n`;

/** A decoy behind a plain TCP server: its port, and itself. */
async function start(t, options, info = {}) {
  const decoy = createDecoy(options);
  t.teardown(() => decoy.close());
  const onSocket = (socket) => decoy.handle(socket, info);
  const { port } = await listen(t, onSocket, {
    allowHalfOpen: true,
    noDelay: true,
  });
  return { decoy, port };
}

/** All that comes back for some bytes. */
async function ask(t, port, bytes) {
  const socket = await dial(t, port);
  socket.write(bytes, 'latin1');
  let text = '';
  for await (const chunk of socket) text += chunk.toString('latin1');
  return text;
}

const statusOf = (text) => Number(text.split(' ')[1]);

async function statuses(t, port, targets) {
  const texts = await Promise.all(targets.map((x) => ask(t, port, get(x))));
  return texts.map(statusOf);
}

function site(t, files) {
  const root = t.testdir({ site: {}, other: { secret: 'no' } });
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(root, 'site', name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, content);
  }
  return path.join(root, 'site');
}

/** An HTTP/2 client session to a decoy. */
function session(t, port) {
  const client = http2.connect(`http://127.0.0.1:${port}`);
  client.on('error', () => {});
  t.teardown(() => client.destroy());
  return client;
}

async function fetch2(client, headers, body) {
  const stream = client.request(headers);
  stream.end(body);
  const [head] = await once(stream, 'response');
  const parts = [];
  for await (const part of stream) parts.push(part);
  return { head, body: Buffer.concat(parts) };
}

t.test('options are checked', async (t) => {
  const root = site(t, {});
  const wrong = [
    null,
    { decoy: 1 },
    { decoy: '' },
    { decoy: 'a\0b' },
    { decoy: path.join(root, 'nothing') },
    { decoy: __filename },
    { decoy: 'http://' },
    { decoy: 'http://host/path' },
    { decoy: 'https://user:word@host' },
    { decoy: root, server: 'two words' },
    { decoy: root, server: 'a\r\nb' },
    { decoy: root, unknown: 1 },
    { decoy: root, keepAlive: 0 },
    { decoy: root, maxBody: '1' },
  ];
  for (const options of wrong) {
    const code = 'ERR_WRAITH_INVALID_ARGUMENT';
    t.throws(() => createDecoy(options), { code, phase: 'options' });
  }
  const decoy = createDecoy();
  t.throws(() => decoy.handle({}), { code: 'ERR_WRAITH_INVALID_ARGUMENT' });
  for (const origin of ['http://host', 'https://host:8443/', 'http://[::1]:1'])
    t.ok(createDecoy({ decoy: origin }));
});

t.test('only what belongs to the site is shown', async (t) => {
  const root = site(t, {
    'a.txt': 'a',
    '.env': 'no',
    'sub/.hidden/b.txt': 'no',
    '.well-known/security.txt': 'yes',
    'sub/.well-known/c.txt': 'no',
  });
  fs.symlinkSync('../other/secret', path.join(root, 'out.txt'));
  fs.symlinkSync('../other', path.join(root, 'out'));
  fs.symlinkSync('a.txt', path.join(root, 'in.txt'));
  fs.symlinkSync('.env', path.join(root, 'env.txt'));
  fs.symlinkSync('loop', path.join(root, 'loop'));
  const { port } = await start(t, { decoy: root });
  const hidden = [
    '/.env',
    '/%2eenv',
    '/x/../.env',
    '/sub/.hidden/b.txt',
    '/sub/.well-known/c.txt',
    '/out.txt',
    '/out/secret',
    '/out/',
    '/env.txt',
    '/loop',
    '/%252e%252e%252fother/secret',
    '/..%5cother%5csecret',
  ];
  const found = await statuses(t, port, hidden);
  t.strictSame(
    found,
    hidden.map(() => 404),
  );
  const above = ['/../other/secret', '/%2e%2e/other/secret', '/..%2fother/'];
  t.strictSame(await statuses(t, port, above), [400, 400, 400]);
  const shown = ['/a.txt', '/in.txt', '/.well-known/security.txt'];
  t.strictSame(await statuses(t, port, shown), [200, 200, 200]);
});

t.test('special files are no content', async (t) => {
  const root = site(t, {});
  const { execFileSync } = require('node:child_process');
  execFileSync('mkfifo', [path.join(root, 'pipe')]);
  const { port } = await start(t, { decoy: root });
  t.strictSame(await statuses(t, port, ['/pipe']), [404]);
});

t.test('the head is the same however it is cut', async (t) => {
  const heads = [
    `GET /a%20b?x#y HTTP/1.1\r\n${H}A:  b c \r\nX_: 1\r\n\r\n`,
    'GET http://[::1]:80?x HTTP/1.0\nA\nB:\n\n',
    'GET /a\r\n',
    'SSH-2.0-x\r\n',
    `GET /${'a'.repeat(9000)} HTTP/1.1\r\n`,
    `GET / HTTP/1.1\r\n${`A: ${'b'.repeat(7000)}\r\n`.repeat(6)}\r\n`,
    `GET / HTTP/1.1\r\n${H}A: b\rc\r\n\r\n`,
  ];
  const summary = ({ request, status, done, linger }) => ({
    ...{ status, done, linger },
    ...{ path: request.path, args: request.args, host: request.host },
    ...{ version: request.version, fields: request.fields },
  });
  for (const head of heads) {
    const bytes = Buffer.from(head, 'latin1');
    const whole = new HeadParser();
    const used = whole.feed(bytes);
    t.ok(whole.done);
    for (const step of [1, 2, 7, 1000]) {
      const parser = new HeadParser();
      let at = 0;
      while (!parser.done && at < bytes.length) {
        at += parser.feed(bytes.subarray(at, at + step));
      }
      t.equal(at, used);
      t.strictSame(summary(parser), summary(whole));
    }
  }
});

t.test('anything else than HTTP is an answer too, never a throw', async (t) => {
  const { port, decoy } = await start(t, {});
  const answers = await Promise.all(
    Array.from({ length: 40 }, () => {
      const noise = crypto.randomBytes(200).toString('latin1');
      return ask(t, port, `${noise}\n\n`);
    }),
  );
  for (const answer of answers) t.match(answer, /^HTTP\/1\.1 (400|404|505) /);
  while (decoy.connections > 0) await new Promise(setImmediate);
});

t.test('another name of the server', async (t) => {
  const { port } = await start(t, { server: 'nginx' });
  const text = await ask(t, port, get('/'));
  t.match(text, /\r\nServer: nginx\r\n/);
  t.match(text, '<center>nginx</center>');
});

t.test('no more connections than allowed', async (t) => {
  const { port, decoy } = await start(t, { maxConnections: 1 });
  const first = await dial(t, port);
  first.write(`GET / HTTP/1.1\r\n${H}\r\n`);
  await once(first, 'data');
  const second = await dial(t, port);
  await untilClosed(second);
  t.equal(decoy.connections, 1);
  first.destroy();
});

t.test('no more open files than allowed, and all are closed', async (t) => {
  const root = site(t, { 'large.bin': Buffer.alloc(8 << 20) });
  const { port } = await start(t, { decoy: root, maxOpenFiles: 1 });
  const slow = await dial(t, port);
  slow.write(get('/large.bin'));
  await once(slow, 'readable');
  t.strictSame(await statuses(t, port, ['/large.bin']), [500]);
  slow.destroy();
  // As soon as its end is noticed the file is free again.
  let status = 500;
  while (status === 500) [status] = await statuses(t, port, ['/large.bin']);
  t.equal(status, 200);
});

t.test('a visitor who does not read is left', async (t) => {
  const root = site(t, { 'large.bin': Buffer.alloc(32 << 20) });
  const { port, decoy } = await start(t, { decoy: root, sendTimeout: 200 });
  const slow = await dial(t, port);
  slow.pause();
  slow.write(get('/large.bin'));
  while (decoy.connections === 0) await new Promise(setImmediate);
  while (decoy.connections > 0) await new Promise((r) => setTimeout(r, 20));
  t.equal(decoy.connections, 0);
});

t.test('a stream that fails is no error of ours', async (t) => {
  const decoy = createDecoy();
  const stream = new PassThrough();
  decoy.handle(stream);
  stream.destroy(new Error('gone'));
  await new Promise((resolve) => stream.once('close', resolve));
  t.equal(decoy.connections, 0);
});

t.test('close() ends what there is and takes nothing more', async (t) => {
  const { port, decoy } = await start(t, {});
  const socket = await dial(t, port);
  socket.write('GET');
  while (decoy.connections === 0) await new Promise(setImmediate);
  decoy.close();
  await untilClosed(socket);
  await untilClosed(await dial(t, port));
});

t.test('HTTP/2: files, and large ones', async (t) => {
  const large = crypto.randomBytes(1_000_000);
  const root = site(t, { 'index.html': '<h1>x</h1>', 'large.bin': large });
  const { port } = await start(t, { decoy: root }, { alpn: 'h2' });
  const client = session(t, port);
  const index = await fetch2(client, { ':path': '/' });
  t.equal(index.head[':status'], 200);
  t.equal(index.head.server, 'nginx/1.22.1');
  t.equal(index.body.toString(), '<h1>x</h1>');
  const all = await Promise.all(
    Array.from({ length: 5 }, () => fetch2(client, { ':path': '/large.bin' })),
  );
  for (const { body } of all) t.ok(body.equals(large));
  const none = await fetch2(client, { ':path': '/%2e%2e/x' });
  t.equal(none.head[':status'], 400);
});

t.test('HTTP/2: header blocks', (t) => {
  const limits = { field: 100, all: 1000 };
  const decode = (hex, decoder = new HpackDecoder()) =>
    decoder.decode(Buffer.from(hex, 'hex'), limits);
  // RFC 7541, C.4.1, C.4.2 and C.4.3.
  const decoder = new HpackDecoder();
  const first = decode('828684418cf1e3c2e5f23a6ba0ab90f4ff', decoder);
  t.strictSame(first, [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
  ]);
  const second = decode('828684be5886a8eb10649cbf', decoder);
  t.strictSame(second[4], ['cache-control', 'no-cache']);
  const third = '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf';
  t.strictSame(decode(third, decoder).slice(3), [
    [':authority', 'www.example.com'],
    ['custom-key', 'custom-value'],
  ]);
  const wrong = [
    '80', // entry zero
    'be', // no such entry
    '4082', // cut off
    '00017f',
    'ffffffffffff', // a number without end
    '000161ffffffffffff01',
    '8220', // a new size behind a field
    '3fe2ff03', // a larger table than agreed
    '0001618100', // padding of zeros
    '00016184ffffffff', // padding longer than a byte
  ];
  for (const hex of wrong) t.throws(() => decode(hex), { code: 9 }, hex);
  // A small block that unpacks to much more.
  const entry = `4001617f01${'62'.repeat(128)}`;
  const wide = { field: 200, all: 1000 };
  const bomb = Buffer.from(entry + 'be'.repeat(100), 'hex');
  t.throws(() => new HpackDecoder().decode(bomb, wide), { code: 11 });
  t.throws(() => decode(entry), { code: 11 });
  t.throws(() => decode('00000000'.repeat(1001)), { code: 11 });
  const tagged = encodeHead(200, [['Server', 'x']], [['ETag', printable]]);
  const [, , [, value]] = new HpackDecoder().decode(tagged, limits);
  t.equal(value, printable);
  t.end();
});

t.test('HTTP/2: noise is survived', async (t) => {
  const { port, decoy } = await start(t, { headerTimeout: 300 }, h2);
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const settings = Buffer.from('000000040000000000', 'hex');
  const noise = () => {
    const frames = Array.from({ length: 20 }, () => {
      const size = crypto.randomInt(40);
      const head = Buffer.from([0, 0, size, crypto.randomInt(11), 0, 0, 0, 0]);
      head[4] = crypto.randomInt(64);
      const stream = Buffer.from([crypto.randomInt(8)]);
      return Buffer.concat([head, stream, crypto.randomBytes(size)]);
    });
    return Buffer.concat([preface, settings, ...frames]);
  };
  await Promise.all(
    Array.from({ length: 60 }, async () => {
      const socket = await dial(t, port);
      socket.resume();
      socket.write(noise());
      await untilClosed(socket);
    }),
  );
  t.equal(decoy.connections, 0);
});

t.test('HTTP/2: no more requests than allowed', async (t) => {
  const { port } = await start(t, { maxRequests: 3 }, { alpn: 'h2' });
  const client = session(t, port);
  const closed = once(client, 'close');
  for (let i = 0; i < 3; i++) await fetch2(client, { ':path': '/' });
  await closed;
  t.pass('it was closed');
});

/** An origin that says what it was asked. */
async function startOrigin(t, options = {}) {
  const asked = [];
  const server = http.createServer(options, async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    asked.push({ head: request.headers, url: request.url, body });
    response.setHeader('X-All', printable);
    response.setHeader('Set-Cookie', ['a=1', 'b=2']);
    response.end(`${request.method} ${request.url} ${body.length}`);
  });
  server.on('upgrade', (request, socket) => {
    socket.write('HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: y\r\n\r\n');
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, asked };
}

t.test('an origin, by both versions of HTTP', async (t) => {
  const { url, asked } = await startOrigin(t);
  const info = { remoteAddress: '192.0.2.7' };
  const one = await start(t, { decoy: url }, info);
  const two = await start(t, { decoy: url }, { ...info, alpn: 'h2' });
  const post = `POST /p?q HTTP/1.1\r\n${H}Content-Length: 3\r\nConnection: close\r\n\r\nabc`;
  t.match(await ask(t, one.port, post), 'POST /p?q 3');
  const request = { ':path': '/p?q', ':method': 'POST' };
  const { head, body } = await fetch2(session(t, two.port), request, 'abc');
  t.equal(head[':status'], 200);
  t.equal(head['x-all'], printable);
  t.strictSame(head['set-cookie'], ['a=1', 'b=2']);
  t.equal(body.toString(), 'POST /p?q 3');
  t.equal(asked.length, 2);
  for (const { head: got, body: sent } of asked) {
    t.equal(sent, 'abc');
    t.equal(got['x-real-ip'], '192.0.2.7');
    t.equal(got['x-forwarded-proto'], 'https');
    t.equal(got['content-length'], '3');
  }
});

t.test('an origin: an upgrade passes', async (t) => {
  const { url } = await startOrigin(t);
  const { port, decoy } = await start(t, { decoy: url });
  const socket = await dial(t, port);
  const head = `GET /w HTTP/1.1\r\n${H}Connection: Upgrade\r\nUpgrade: y\r\n\r\n`;
  socket.write(`${head}early`);
  let text = '';
  while (!text.endsWith('early')) text += (await once(socket, 'data'))[0];
  t.match(text, /^HTTP\/1\.1 101 x\r\nServer: nginx\/1\.22\.1\r\n/);
  socket.end();
  await untilClosed(socket);
  t.equal(decoy.connections, 0);
});

t.test('an origin: bodies have a limit, each and together', async (t) => {
  const { url, asked } = await startOrigin(t);
  const limits = { maxBody: 1000, maxBodies: 1500 };
  const one = await start(t, { decoy: url, ...limits });
  const chunks = `${H}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n`;
  const large = `POST / HTTP/1.1\r\n${chunks}400\r\n${'a'.repeat(1024)}\r\n`;
  t.equal(statusOf(await ask(t, one.port, `${large}0\r\n\r\n`)), 413);
  const held = await dial(t, one.port);
  held.write(`POST / HTTP/1.1\r\n${H}Content-Length: 1000\r\n\r\nabc`);
  while (one.decoy.connections === 0) await new Promise(setImmediate);
  const second = `POST / HTTP/1.1\r\n${H}Content-Length: 900\r\n\r\n`;
  let status = 0;
  while (status !== 500) {
    const socket = await dial(t, one.port);
    socket.end(second);
    const [data] = await Promise.race([
      once(socket, 'data'),
      once(socket, 'end'),
    ]);
    status = data ? statusOf(data.toString()) : 0;
    socket.destroy();
  }
  const two = await start(t, { decoy: url, ...limits }, { alpn: 'h2' });
  const request = { ':path': '/', ':method': 'POST' };
  const client = session(t, two.port);
  const { head } = await fetch2(client, request, 'a'.repeat(5000));
  t.equal(head[':status'], 413);
  t.equal(asked.length, 0);
});

const skip = peers.skip('openssl');
t.test('an origin with TLS has to be the right one', { skip }, async (t) => {
  const dir = t.testdir();
  makeCertificate(dir);
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) =>
    fs.readFileSync(path.join(dir, name)),
  );
  const server = https.createServer({ cert, key }, (_request, response) => {
    response.end('there');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const decoy = `https://127.0.0.1:${server.address().port}`;
  const unknown = await start(t, { decoy });
  t.strictSame(await statuses(t, unknown.port, ['/']), [502]);
  const known = await start(t, { decoy, originCa: cert });
  t.match(await ask(t, known.port, get('/')), /\r\n\r\nthere$/);
});

t.test('an origin that is not there', async (t) => {
  const { port } = await start(t, { decoy: 'http://127.0.0.1:1' });
  t.strictSame(await statuses(t, port, ['/']), [502]);
});

t.test('an origin that says nothing', async (t) => {
  const silent = await listen(t, () => {});
  const decoy = `http://127.0.0.1:${silent.port}`;
  const { port } = await start(t, { decoy, proxyTimeout: 100 });
  t.strictSame(await statuses(t, port, ['/']), [504]);
});

t.test('a visitor who goes takes the question along', async (t) => {
  const silent = await listen(t, () => {});
  const decoy = `http://127.0.0.1:${silent.port}`;
  const { port } = await start(t, { decoy }, { alpn: 'h2' });
  const client = session(t, port);
  client.request({ ':path': '/' }).on('error', () => {});
  const [socket] = await once(silent.server, 'connection');
  const closed = once(socket, 'close');
  socket.resume();
  client.destroy();
  await closed;
  t.pass('the origin saw the end');
});
