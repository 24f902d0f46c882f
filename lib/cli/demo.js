'use strict';

const { once } = require('node:events');
const http = require('node:http');
const net = require('node:net');

const { WraithError } = require('../errors.js');
const { generateKeyPair } = require('../keys.js');
const { serve } = require('../server.js');
const { createTunnel } = require('../tunnel.js');
const { readArgs } = require('./args.js');
const { print } = require('./output.js');
const { onStopSignals } = require('./signals.js');

const flags = {
  transport: { type: 'text' },
  keep: { type: 'flag' },
};

const PAGE = '<h1>It works</h1>\n';

async function startWebServer() {
  const server = http.createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end(PAGE);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** Both ends with keys that are forgotten afterwards. */
async function startTunnel(transport) {
  const hostKey = generateKeyPair({ comment: 'demo host' });
  const user = generateKeyPair({ comment: 'demo user' });
  const server = await serve({
    transport,
    hostKey: hostKey.privateKey,
    authorizedKeys: Buffer.from(user.publicKey),
    listen: ['127.0.0.1:0'],
  });
  const tunnel = createTunnel({
    transport,
    server: `127.0.0.1:${server.addresses[0].port}`,
    identity: user.privateKey,
    user: 'demo',
    hostKey: hostKey.fingerprint,
    reconnect: false,
  });
  await tunnel.ready();
  return { server, tunnel };
}

/** SOCKS5 (RFC 1928) without authentication, by the form for names. */
async function dialThrough(socks5, host, port) {
  const socket = net.connect(socks5.port, socks5.host);
  const name = Buffer.from(host);
  const request = [5, 1, 0, 3, name.length, ...name, port >> 8, port & 255];
  socket.write(Buffer.from([5, 1, 0]));
  const [hello] = await once(socket, 'data');
  socket.write(Buffer.from(request));
  const [reply] = await once(socket, 'data');
  if (hello[1] === 0 && reply[1] === 0) return socket;
  socket.destroy();
  throw new WraithError('ERR_WRAITH_DEMO', 'the SOCKS5 port said no');
}

async function fetchThrough(socks5, port) {
  const socket = await dialThrough(socks5, '127.0.0.1', port);
  const request = http.get({
    createConnection: () => socket,
    host: '127.0.0.1',
    port,
    path: '/',
  });
  const [response] = await once(request, 'response');
  let body = '';
  for await (const chunk of response) body += chunk;
  return { status: response.statusCode, body };
}

function explain() {
  print('');
  print('To do it for real:');
  print('  wraith keygen                          # on the client, once');
  print(
    '  wraith serve --authorized-keys keys    # on the server; "keys" holds',
  );
  print(
    '                                         # the line of id_ed25519.pub',
  );
  print('  wraith connect --server host --host-key SHA256:…');
  print(
    '  curl --proxy socks5h://127.0.0.1:1080 http://any-name-the-server-knows/',
  );
}

async function keepRunning({ server, tunnel }, socks5) {
  const stopped = new Promise((resolve) => onStopSignals(resolve, resolve));
  print(
    `kept running: socks5h://${socks5.host}:${socks5.port} (Ctrl-C ends it)`,
  );
  await stopped;
  await stop({ server, tunnel });
}

async function stop({ server, tunnel }) {
  await tunnel.close();
  await server.close({ drain: 0 });
}

async function demo(args) {
  const { values } = readArgs(args, flags);
  const web = await startWebServer();
  const both = await startTunnel(values.transport);
  const { port } = both.server.addresses[0];
  print(
    `server: 127.0.0.1:${port}, host key ${both.server.hostKeyFingerprint}`,
  );
  const socks5 = await both.tunnel.socks5({ port: 0 });
  print(`client: logged in; SOCKS5 on ${socks5.host}:${socks5.port}`);
  const started = process.hrtime.bigint();
  const { status, body } = await fetchThrough(socks5, web.address().port);
  const ms = Number(process.hrtime.bigint() - started) / 1e6;
  web.close();
  if (status !== 200 || body !== PAGE) {
    await stop(both);
    throw new WraithError('ERR_WRAITH_DEMO', 'the page did not arrive whole');
  }
  const { bytesIn, bytesOut } = both.tunnel.stats();
  print(`page fetched through SOCKS5 and SSH: ${status}, ${ms.toFixed(1)} ms`);
  print(`on the wire: ${bytesOut} bytes out, ${bytesIn} bytes in, encrypted`);
  explain();
  if (values.keep) await keepRunning(both, socks5);
  else await stop(both);
}

module.exports = { demo, flags };
