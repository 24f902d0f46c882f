'use strict';
// sslh on the port that all share: it looks at the first bytes and sends TLS to
// a server of ours that has a web site, and SSH to another or to sshd.
const crypto = require('node:crypto');
const tls = require('node:tls');
const { once } = require('node:events');
const { sslh } = require('./lib/fronts.js');
const { lab } = require('./lib/lab.js');
const { sha256 } = require('./lib/net.js');
const { runSsh, spawnSsh, startSshd } = require('./lib/openssh.js');
const {
  NAME,
  answerTo,
  asClientOf,
  connectTls,
  data,
  overTls,
  overWss,
  seesSite,
  serveSite,
  tunnel,
} = require('./lib/port443.js');
const { makeCertificate } = require('./lib/tls.js');

const needs = { peers: ['sslh', 'openssl', 'curl', 'ssh'] };

const serve = (lab) =>
  serveSite(lab, { format: 'logfmt', args: ['--ws-path', '/live'] });

const opened = (transport, address = '127\\.0\\.0\\.1') =>
  new RegExp(
    `connection opened remote_addr=${address} transport=${transport} `,
  );

// A server of others, for another name.
async function another(lab) {
  const made = makeCertificate(lab, { name: 'other', alt: 'DNS:else.test' });
  const server = tls.createServer(made, (socket) => socket.end('not yours'));
  server.on('tlsClientError', () => {}); // who comes and says nothing
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  lab.defer(() => new Promise((resolve) => server.close(resolve)));
  return { host: '127.0.0.1', port: server.address().port, tls: made };
}

const fingerprintOf = ({ tls: { cert } }) =>
  new crypto.X509Certificate(cert).fingerprint256;

async function fingerprintOn(front, servername) {
  const socket = await connectTls(front, { servername });
  const { fingerprint256 } = socket.getPeerX509Certificate();
  socket.destroy();
  return fingerprint256;
}

async function tunnelsOverTls(t, lab, front, server) {
  const named = ['--tls-server-name', NAME];
  for (const [transport, over] of Object.entries({
    tls: overTls,
    wss: overWss,
  })) {
    const args = [...over(front), ...named];
    const client = await tunnel(t, lab, front, args, asClientOf(server));
    await client.check(`${transport} through sslh`);
    await server.line(opened(transport));
  }
}

lab('a site, TLS and SSH on one port', needs, async (t, lab) => {
  const server = await serve(lab);
  const plain = await lab.serve({ format: 'logfmt' });
  const others = await another(lab);
  const place = await sslh(lab, [
    { name: 'ssh', to: plain },
    { name: 'tls', to: server, sni: NAME },
    { name: 'tls', to: others },
  ]);
  const front = { ...place, tls: server.tls };
  await seesSite(t, lab, front);
  await tunnelsOverTls(t, lab, front, server);
  t.notMatch(plain.text(), /auth attempt/, 'none of it is plain SSH');
  const client = await tunnel(t, lab, front, [], asClientOf(plain));
  await client.check('tcp through sslh');
  await plain.line(opened('tcp'));
  const { stdout, stderr, code } = await spawnSsh(
    lab,
    { ...front, key: plain.key },
    ['-b', '127.0.0.9', '-W', client.echo.spec],
    { input: data },
  ).done();
  t.equal(code, 0, stderr);
  t.equal(sha256(stdout), sha256(data), 'OpenSSH through sslh');
  await plain.line(/auth attempt remote_addr=127\.0\.0\.1 .*result=accept/, {
    times: 2,
  });
  t.notMatch(plain.text(), '127.0.0.9', 'sslh does not say who it is');
  t.equal(await fingerprintOn(front, NAME), fingerprintOf(server));
  t.equal(await fingerprintOn(front, 'else.test'), fingerprintOf(others));
  await seesSite(t, lab, front);
});

const withSshd = { peers: [...needs.peers, 'sshd'] };

lab('sshd on the port as well', withSshd, async (t, lab) => {
  const server = await serve(lab);
  const sshd = await startSshd(lab);
  const place = await sslh(lab, [
    { name: 'ssh', to: sshd },
    { name: 'tls', to: server },
  ]);
  const front = { ...place, tls: server.tls };
  const { user, key } = sshd;
  const shell = await runSsh(lab, { ...front, user, key }, [], {
    command: ['echo', 'of the', 'shell'],
  });
  t.equal(shell.code, 0, shell.stderr);
  t.equal(shell.stdout, 'of the shell\n');
  await tunnelsOverTls(t, lab, front, server);
  const pin = sshd.hostKey.fingerprint;
  const args = ['--user', user];
  const client = await tunnel(t, lab, front, args, { key, pin });
  await client.check('sshd through sslh');
  await seesSite(t, lab, front);
  const junk = await answerTo(front, 'garbage\r\n\r\n');
  t.match(junk, /^HTTP\/1\.1 400 Bad Request\r\nServer: nginx/);
});
