'use strict';
// TLS links with openssl and curl at the other end, and with each other.
const crypto = require('node:crypto');
const net = require('node:net');
const { once } = require('node:events');
const { lab } = require('./lib/lab.js');
const { sha256 } = require('./lib/net.js');
const { makeCertificate } = require('./lib/tls.js');
const { ALT, connect, serve } = require('./lib/tls-tool.js');
const peers = require('../../scripts/peers.js');

const needs = { peers: ['openssl'] };
const LABEL = 'wraith test';

// openssl s_client, which types a line and waits for its echo.
async function sClient(lab, { port }, cert, args = []) {
  const client = lab.spawn(
    peers.path('openssl'),
    [
      's_client',
      ...['-connect', `127.0.0.1:${port}`, '-servername', 'a.test'],
      ...['-CAfile', cert, '-verify_return_error'],
      ...['-verify_hostname', 'a.test'],
      ...['-keymatexport', LABEL, '-keymatexportlen', '32'],
      ...args,
    ],
    { input: 'open' },
  );
  return client;
}

async function echoed(client) {
  client.child.stdin.write('one two three\n');
  await client.line(/^one two three$/, { from: 'stdout' });
  client.child.stdin.end();
  return client.done();
}

const cases = {
  'TLS 1.3': ['-tls1_3'],
  'TLS 1.2': ['-tls1_2'],
};

for (const [name, args] of Object.entries(cases)) {
  lab(`openssl s_client, ${name}`, needs, async (t, lab) => {
    const keys = makeCertificate(lab, { alt: ALT });
    const server = await serve(lab, keys);
    const alpn = ['-alpn', 'http/1.1,h2'];
    const all = [...args, ...alpn];
    const client = await sClient(lab, server, keys.certFile, all);
    const end = await echoed(client);
    t.equal(end.code, 0, String(client));
    const [, version, alpnSeen, exported] = await server.line(
      /version=(\S+) .*sni=a\.test alpn=(\S*) resumed=0 export=(\S+)/,
    );
    t.equal(version, `TLSv${name.slice(4)}`);
    t.equal(alpnSeen, 'h2', 'as the server prefers');
    await client.line(new RegExp(`Keying material: ${exported}`));
    await client.line(/Verification: OK/);
    await server.line(/^closed 0$/);
  });

  lab(`openssl s_client resumes, ${name}`, needs, async (t, lab) => {
    const keys = makeCertificate(lab, { alt: ALT });
    const server = await serve(lab, keys);
    const file = lab.file('session');
    const save = [...args, '-sess_out', file];
    await echoed(await sClient(lab, server, keys.certFile, save));
    const again = [...args, '-sess_in', file];
    const client = await sClient(lab, server, keys.certFile, again);
    await echoed(client);
    await client.line(/^Reused, /);
    await server.line(/resumed=1/);
    t.pass('resumed by a ticket');
  });

  lab(`openssl s_server, ${name}`, needs, async (t, lab) => {
    const { keyFile, certFile } = makeCertificate(lab, { alt: ALT });
    const server = lab.spawn(
      peers.path('openssl'),
      [
        ...['s_server', '-accept', '127.0.0.1:0', '-key', keyFile],
        ...['-cert', certFile, '-rev', ...args],
      ],
      { input: 'open' },
    );
    server.stopSignal = 'SIGKILL';
    const [, port] = await server.line(/^ACCEPT .*:(\d+)$/);
    for (const host of ['a.test', '127.0.0.1']) {
      const client = await connect(lab, port, host, certFile);
      const [, , , wire] = client.child.stdio;
      await client.line(new RegExp(`version=TLSv${name.slice(4)} `));
      wire.write('abc\n');
      let text = '';
      for await (const chunk of wire) {
        text += chunk;
        if (text.endsWith('\n')) wire.end();
        if (text.endsWith('\n')) break;
      }
      t.equal(text, 'cba\n');
      t.equal((await client.done()).code, 0, String(client));
    }
    const wrong = await connect(lab, port, 'b.test', certFile);
    await wrong.line(/^failed TLS_NAME$/);
    const other = makeCertificate(lab, { name: 'other' });
    await (
      await connect(lab, port, 'a.test', other.certFile)
    ).line(/^failed TLS_CERTIFICATE$/);
  });
}

lab('no protocol in common', needs, async (t, lab) => {
  const keys = makeCertificate(lab, { alt: ALT });
  const server = await serve(lab, keys);
  const client = await sClient(lab, server, keys.certFile, ['-alpn', 'imap']);
  t.equal((await client.done()).code, 1);
  await client.line(/no application protocol/);
  await server.line(/^failed TLS$/);
});

const withCurl = { peers: ['openssl', 'curl'] };

lab('curl is content', withCurl, async (t, lab) => {
  const keys = makeCertificate(lab, { alt: ALT });
  const server = await serve(lab, keys);
  // What comes back is its own request, which is no answer of HTTP/1.
  const curl = lab.spawn(peers.path('curl'), [
    ...['--silent', '--no-buffer', '--http0.9', '--http1.1', '--noproxy', '*'],
    ...['--resolve', `a.test:${server.port}:127.0.0.1`],
    ...['--cacert', keys.certFile],
    `https://a.test:${server.port}/where`,
  ]);
  await curl.line(/^GET \/where HTTP\/1\.1$/, { from: 'stdout' });
  await server.line(/sni=a\.test alpn=http\/1\.1/);
  t.pass('it verifies and talks');
});

lab('what is not TLS gets its bytes', needs, async (t, lab) => {
  const server = await serve(lab, makeCertificate(lab, { alt: ALT }), 'site');
  const socket = net.connect(server.port, '127.0.0.1');
  socket.write('GET / HTTP/1.0\r\n\r\n');
  const [bytes] = await once(socket, 'data');
  t.equal(String(bytes), 'GET / HTTP/1.0\r\n\r\n');
  socket.end();
  await once(socket, 'close');
  await server.line(/^failed TLS_PLAIN$/);
});

lab('ours with ours', needs, async (t, lab) => {
  const keys = makeCertificate(lab, { alt: ALT });
  const server = await serve(lab, keys);
  const client = await connect(lab, server.port, 'a.test', keys.certFile);
  const [, , , wire] = client.child.stdio;
  const data = crypto.randomBytes(16 << 20);
  const hash = crypto.createHash('sha256');
  let got = 0;
  wire.on('data', (chunk) => {
    hash.update(chunk);
    got += chunk.length;
    if (got === data.length) wire.end();
  });
  wire.write(data);
  t.equal((await client.done()).code, 0, String(client));
  t.equal(hash.digest('hex'), sha256(data));
  const [, group, exported] = await server.line(/group=(\S+) .*export=(\S+)/);
  t.equal(group, 'X25519MLKEM768');
  await client.line(new RegExp(`export=${exported}`));
  await server.line(/^closed 0$/);
});
