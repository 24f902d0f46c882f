'use strict';
// The server on 443: SSH in TLS and in WebSocket frames, with a web site on the
// same port, and what stands between in real life.
const crypto = require('node:crypto');
const fs = require('node:fs');
const { once } = require('node:events');
const {
  haproxy,
  backend,
  nginx,
  passTo,
  tinyproxy,
} = require('./lib/fronts.js');
const { lab } = require('./lib/lab.js');
const { connect, sha256 } = require('./lib/net.js');
const { spawnSsh } = require('./lib/openssh.js');
const {
  ALT,
  NAME,
  answerTo,
  asClientOf,
  connectTls,
  data,
  overTls,
  overWss,
  seesSite,
  serveSite,
  serveTls,
  tunnel,
} = require('./lib/port443.js');
const { makeCertificate } = require('./lib/tls.js');
const { wraithRun } = require('./lib/wraith.js');
const peers = require('../../scripts/peers.js');

const needs = { peers: ['openssl'] };
const withCurl = { peers: ['openssl', 'curl'] };
const SECRET = 'a secret of the owner';

// As man pages tell it: openssl x509 | pkey | dgst | base64.
async function pinOf(lab, { certFile }) {
  const openssl = async (...args) => {
    const { code, stderr } = await lab.run(peers.path('openssl'), args);
    if (code !== 0) throw new Error(stderr);
  };
  const [pem, der, hash] = ['pin.pem', 'pin.der', 'pin.hash'].map((name) =>
    lab.file(name),
  );
  await openssl('x509', '-in', certFile, '-pubkey', '-noout', '-out', pem);
  await openssl('pkey', '-pubin', '-in', pem, '-outform', 'der', '-out', der);
  await openssl('dgst', '-sha256', '-binary', '-out', hash, der);
  return `sha256//${fs.readFileSync(hash).toString('base64')}`;
}

const web = (lab) =>
  lab.web((request, response) => response.end(data.toString('hex')));

async function fetches(t, lab, client, { host, port }, what) {
  const { code, stdout, stderr } = await lab.run(peers.path('curl'), [
    ...['-sS', '--max-time', '60', '--socks5-hostname'],
    `127.0.0.1:${client.socks5.port}`,
    `http://${host}:${port}/canary`,
  ]);
  t.equal(code, 0, `${what}: ${stderr}`);
  t.equal(sha256(stdout), sha256(data.toString('hex')), what);
}

// `wraith connect` that cannot get there: { code, stderr }.
const fails = (lab, server, args) =>
  wraithRun(lab.dir, [
    ...['connect', '--server', `127.0.0.1:${server.port}`, '--once'],
    ...['--identity', server.key.file, '--socks5', 'off'],
    ...['--host-key', server.summary.hostKeyFingerprint, ...args],
  ]);

lab('curl through TLS', withCurl, async (t, lab) => {
  const site = await web(lab);
  const server = await serveTls(lab);
  const other = makeCertificate(lab, { name: 'other', alt: ALT });
  const tls = ['--transport', 'tls'];
  const pin = await pinOf(lab, server.tls);
  const otherPin = await pinOf(lab, other);
  const ways = {
    authority: overTls(server),
    'authority and name': [...overTls(server), '--tls-server-name', NAME],
    pin: [...tls, '--tls-pin', pin],
    'one of two pins': [...tls, '--tls-pin', otherPin, '--tls-pin', pin],
    unchecked: [...tls, '--insecure'],
  };
  for (const [what, args] of Object.entries(ways)) {
    const client = await lab.connect(server, { args });
    await fetches(t, lab, client, site, what);
    const warned = /TLS certificates are not checked/.test(client.text());
    t.equal(warned, what === 'unchecked', `${what}: the warning`);
    await client.stop();
  }
  const refusals = [
    ['pin', [...tls, '--tls-pin', otherPin], /key is not the pinned one/],
    [
      'name',
      [...overTls(server), '--tls-server-name', 'another.test'],
      /certificate is for another name/,
    ],
    [
      'authority',
      [...tls, '--tls-ca', other.certFile],
      /from no trusted authority/,
    ],
    ['authority of the system', tls, /from no trusted authority/],
  ];
  for (const [what, args, why] of refusals) {
    const { code, stderr } = await fails(lab, server, args);
    t.equal(code, 1, `${what}: ${stderr}`);
    t.match(stderr, why, what);
  }
  const empty = lab.file('empty.crt', '');
  const none = await fails(lab, server, [...tls, '--tls-ca', empty]);
  t.equal(none.code, 2, none.stderr);
  t.match(none.stderr, /--tls-ca: .*it is empty/);
  const attempts = server.lines.filter(({ text }) => /auth attempt/.test(text));
  t.equal(attempts.length, Object.keys(ways).length, 'nobody else got to SSH');
});

lab('a site and tunnels on one port', withCurl, async (t, lab) => {
  const server = await serveSite(lab, { args: ['--ws-path', '/live'] });
  await seesSite(t, lab, server);
  const over = { tls: overTls(server), wss: overWss(server) };
  for (const [transport, args] of Object.entries(over)) {
    const client = await tunnel(t, lab, server, args);
    await server.line(new RegExp(`transport"?[=:]"?${transport}`));
    const socket = await connect(client.forward);
    socket.write('begun');
    await once(socket, 'data');
    await seesSite(t, lab, server);
    socket.end('and more');
    t.equal(String((await once(socket, 'data'))[0]), 'and more');
    await client.check(`${transport} carries on`);
  }
});

const withSsh = { peers: ['openssl', 'ssh'] };

// ssh -W through openssl. Without -no_ign_eof that would outlive a killed ssh.
async function sshThroughTls(lab, server, echo) {
  const quiet = 's_client -quiet -no_ign_eof -nocommands';
  const proxy = `${peers.path('openssl')} ${quiet} -servername ${NAME}`;
  const options = [`ProxyCommand=${proxy} -connect 127.0.0.1:${server.port}`];
  const args = ['-W', echo.spec];
  const ssh = spawnSsh(lab, server, args, { options, input: 'open' });
  ssh.child.stdin.write(data);
  return ssh;
}

// One end does not tell openssl of the other's: it ends when all has come.
function received(ssh, length) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    let have = 0;
    ssh.child.stdout.on('data', (chunk) => {
      chunks.push(chunk);
      have += chunk.length;
      if (have >= length) resolve(Buffer.concat(chunks));
    });
    ssh.ended.then(() => reject(new Error(`${ssh}`)), reject);
  });
}

lab('OpenSSH through openssl', withSsh, async (t, lab) => {
  const server = await serveSite(lab, { format: 'logfmt' });
  await server.line(/WARN an SSH banner inside TLS is answered/);
  const echo = await lab.target('echo');
  const ssh = await sshThroughTls(lab, server, echo);
  t.equal(sha256(await received(ssh, data.length)), sha256(data));
  await server.line(/connection opened .*transport=tls /);
  await server.line(/auth attempt .*result=accept/);
});

const banner = 'SSH-2.0-OpenSSH_9.2p1\r\n';
const nginx400 = /^HTTP\/1\.1 400 Bad Request\r\nServer: nginx/;

lab('a secret', withSsh, async (t, lab) => {
  const server = await serveSite(lab, {
    format: 'logfmt',
    args: ['--stealth-secret', SECRET, '--ws-path', '/live'],
  });
  t.notMatch(server.text(), /an SSH banner inside TLS is answered/);
  const echo = await lab.target('echo');
  const ssh = await sshThroughTls(lab, server, echo);
  t.equal((await ssh.done()).code, 255);
  t.match(ssh.text('stderr'), /HTTP\/1\.1 400 Bad Request/);
  t.equal(echo.connections, 0);
  t.match(await answerTo(server, banner), nginx400);
  const wrong = ['--stealth-secret', 'another', '--ws-path', '/live'];
  for (const how of [wrong, ['--ws-path', '/live', '--transport', 'wss']]) {
    const args = [...overTls(server), ...how];
    const { code, stderr } = await fails(lab, server, args);
    t.equal(code, 1, stderr);
    t.match(stderr, /did not agree to a WebSocket: HTTP 404/);
  }
  t.notMatch(server.text(), /connection|auth/, 'none of them is recorded');
  const secret = `@${lab.file('secret', `${SECRET}\n`)}`;
  const knock = ['--stealth-secret', secret, '--ws-path', '/live'];
  for (const transport of ['tls', 'wss']) {
    const args = [...overTls(server), ...knock, '--transport', transport];
    const client = await tunnel(t, lab, server, args);
    await client.check(`${transport} with a knock`);
    t.notMatch(client.text(), SECRET);
  }
  t.notMatch(server.text(), SECRET);
});

const withNginx = { peers: ['openssl', 'nginx'] };

// A server of nginx before ours, whose certificate it checks.
const before = (lab, server, options) =>
  nginx(
    lab,
    passTo(
      `https://127.0.0.1:${server.port}`,
      `proxy_ssl_trusted_certificate ${server.tls.certFile};
      proxy_ssl_verify on;
      proxy_ssl_server_name on;
      proxy_ssl_name ${NAME};`,
    ),
    options,
  );

lab('behind nginx with TLS', withNginx, async (t, lab) => {
  const server = await serveSite(lab, { args: ['--ws-path', '/live'] });
  const ssl = makeCertificate(lab, { name: 'front', alt: ALT });
  const front = { ...(await before(lab, server, { ssl })), tls: ssl };
  const args = overWss(front);
  const client = await tunnel(t, lab, front, args, asClientOf(server));
  await client.check('wss through nginx');
  const { code, stderr } = await fails(
    lab,
    { ...front, ...asClientOf(server), summary: server.summary },
    overWss(server),
  );
  t.equal(code, 1, 'it was the certificate of nginx');
  t.match(stderr, /certificate/);
});

lab('behind nginx without TLS', withNginx, async (t, lab) => {
  const server = await serveSite(lab, { args: ['--ws-path', '/live'] });
  const front = await before(lab, server);
  const args = ['--transport', 'ws', '--ws-path', '/live'];
  const client = await tunnel(t, lab, front, args, asClientOf(server));
  await client.check('ws through nginx');
  await server.line(/transport"?[=:]"?wss/);
});

const withHaproxy = { peers: ['openssl', 'haproxy'] };

lab('behind haproxy', withHaproxy, async (t, lab) => {
  const server = await serveSite(lab, {
    format: 'logfmt',
    args: ['--trust-proxy', '127.0.0.1/32', '--ws-path', '/live'],
  });
  const others = await lab.target('source', { data: 'another server' });
  const sni = `
  tcp-request inspect-delay 10s
  tcp-request content accept if { req.ssl_hello_type 1 }
  use_backend one if { req.ssl_sni -i ${NAME} }
  default_backend two
backend two
  server two ${others.spec}`;
  const one = backend(server, 'send-proxy-v2');
  const front = await haproxy(lab, `${sni}\n${one}`);
  const at = { ...front, tls: server.tls };
  for (const over of [overTls, overWss]) {
    const args = [...over(at), '--tls-server-name', NAME];
    const client = await tunnel(t, lab, at, args, asClientOf(server));
    await client.check('through haproxy');
  }
  // A client of its own address, which haproxy does not have.
  const socket = await connectTls(front, { localAddress: '127.0.0.9' });
  socket.on('error', () => {}); // it is cut off in the middle
  socket.write(banner);
  await server.line(/connection opened remote_addr=127\.0\.0\.9 transport=tls/);
  socket.destroy();
  const elsewhere = await connect(front);
  const hello = connectTls(front, { servername: 'else.test' });
  await t.rejects(hello, 'other names go elsewhere');
  t.ok(others.connections > 0);
  elsewhere.destroy();
});

const withTinyproxy = { peers: ['openssl', 'tinyproxy'] };

lab('through an HTTP proxy', withTinyproxy, async (t, lab) => {
  const server = await serveSite(lab, { args: ['--ws-path', '/live'] });
  const login = { user: 'ann', password: 'of-the-proxy' };
  const { port } = await tinyproxy(lab, login);
  const url = (password) => `http://ann:${password}@127.0.0.1:${port}`;
  for (const over of [overTls, overWss]) {
    const args = [...over(server), '--proxy', url(login.password)];
    await (await tunnel(t, lab, server, args)).check('through tinyproxy');
    const wrong = [...over(server), '--proxy', url('wrong')];
    t.equal((await fails(lab, server, wrong)).code, 3, 'it was asked');
  }
});

const fingerprintOf = (socket) =>
  socket.getPeerX509Certificate().fingerprint256;

lab('a new certificate', withCurl, async (t, lab) => {
  const server = await serveSite(lab, { format: 'logfmt' });
  const client = await tunnel(t, lab, server, overTls(server));
  const socket = await connect(client.forward);
  const seen = async () => {
    const visitor = await connectTls(server);
    const fingerprint = fingerprintOf(visitor);
    visitor.destroy();
    return fingerprint;
  };
  const wanted = ({ cert }) => new crypto.X509Certificate(cert).fingerprint256;
  t.equal(await seen(), wanted(server.tls));
  const renewed = makeCertificate(lab, { name: 'renewed', alt: ALT });
  // Half of it: all stays as it is.
  fs.copyFileSync(renewed.certFile, server.tls.certFile);
  server.child.kill('SIGHUP');
  await server.line(/ERROR reload failed .*tls-key/);
  t.equal(await seen(), wanted(server.tls), 'a pair that does not fit');
  fs.copyFileSync(renewed.keyFile, server.tls.keyFile);
  server.child.kill('SIGHUP');
  await server.line(/reloaded|reload keys/);
  t.equal(await seen(), wanted(renewed), 'new connections see the new one');
  socket.end(data);
  const chunks = [];
  for await (const chunk of socket) chunks.push(chunk);
  t.equal(sha256(Buffer.concat(chunks)), sha256(data), 'an old stream lives');
  await client.check('so does the tunnel');
  await seesSite(t, lab, server);
  t.notMatch(client.text(), /not connected/);
});

lab('visitors leave no trace', withCurl, async (t, lab) => {
  const server = await serveSite(lab, {
    format: 'logfmt',
    args: [
      ...['--penalty-time', '100', '--max-connections-per-ip', '1'],
      ...['--max-startups', '1:100:1', '--ws-path', '/live'],
    ],
  });
  const start = server.text('stderr');
  // As many as would be a penalty, and more than the limits allow.
  const open = [];
  for (let i = 0; i < 20; i++) open.push(await connectTls(server));
  for (let i = 0; i < 20; i++) {
    t.match(await answerTo(server, 'garbage\r\n\r\n'), nginx400);
  }
  const plain = await connect(server);
  plain.end('GET / HTTP/1.1\r\n\r\n');
  t.match(String((await once(plain, 'data'))[0]), nginx400);
  (await connect(server)).end('no hello');
  await seesSite(t, lab, server);
  const client = await tunnel(t, lab, server, overTls(server));
  await client.check('a tunnel comes up all the same');
  await seesSite(t, lab, server);
  const second = await fails(lab, server, overTls(server));
  t.equal(second.code, 1, 'a second tunnel is one too many');
  await server.line(/connection rejected .*reason=/);
  for (const socket of open) socket.destroy();
  await seesSite(t, lab, server);
  await client.check('still');
  const records = server.text('stderr').slice(start.length).split('\n');
  const addresses = records.filter((line) => / connection /.test(line));
  t.equal(addresses.length, 2, addresses.join('\n'));
  t.notMatch(records.join('\n'), /penalty|curl|GET|visitor|site/);
});

lab('a request in pieces', needs, async (t, lab) => {
  const server = await serveSite(lab, { args: ['--ws-path', '/live'] });
  const head = [
    ...['GET / HTTP/1.1\r\n', `Host: ${NAME}\r\n`, 'Accept: text/html\r\n'],
    ...['Connection: close\r\n', '\r\n'],
  ];
  t.match(await answerTo(server, ...head), /^HTTP\/1\.1 200 OK\r\n[^]*a site/);
});
