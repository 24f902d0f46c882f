'use strict';
// OpenSSH's client against `wraith serve`: ciphers, new keys, keepalives.
const crypto = require('node:crypto');
const { lab } = require('./lib/lab.js');
const { exchange, freePort, sha256 } = require('./lib/net.js');
const { spawnSsh, startSsh } = require('./lib/openssh.js');
const peers = require('../../scripts/peers.js');

const needs = { peers: ['ssh'] };
const data = crypto.randomBytes(4 * 1024 * 1024);

const ciphers = [
  'aes256-gcm@openssh.com',
  'aes128-gcm@openssh.com',
  'chacha20-poly1305@openssh.com',
  'aes256-ctr',
];

lab('each cipher', needs, async (t, lab) => {
  const server = await lab.serve();
  const echo = await lab.target('echo');
  for (const cipher of ciphers) {
    const port = await freePort();
    const forward = `127.0.0.1:${port}:${echo.spec}`;
    const ssh = await startSsh(lab, server, ['-c', cipher, '-L', forward]);
    const back = await exchange({ port }, data);
    t.equal(sha256(back), sha256(data), cipher);
    const [, used] = await ssh.line(/kex: server->client cipher: (\S+)/);
    t.equal(used, cipher);
    await ssh.stop();
  }
});

lab('what OpenSSH chooses by itself', needs, async (t, lab) => {
  const server = await lab.serve();
  const ssh = await startSsh(lab, server, []);
  const [, kex] = await ssh.line(/kex: algorithm: (\S+)/);
  // Clients before 10 know no ML-KEM, and we no sntrup761.
  t.match(kex, /^(curve25519-sha256|mlkem768x25519-sha256)$/);
  const [, hostKey] = await ssh.line(/kex: host key algorithm: (\S+)/);
  t.equal(hostKey, 'ssh-ed25519');
  const [, compression] = await ssh.line(/compression: (\S+)/);
  t.equal(compression, 'none');
  const [, shown] = await ssh.line(/Server host key: ssh-ed25519 (\S+)/);
  t.equal(shown, server.summary.hostKeyFingerprint);
  await ssh.line(/Authentications that can continue: publickey$/);
});

const kexes = ['curve25519-sha256', 'curve25519-sha256@libssh.org'];

lab('other key exchanges', needs, async (t, lab) => {
  const server = await lab.serve();
  const echo = await lab.target('echo');
  const listed = await lab.run(peers.path('ssh'), ['-Q', 'kex']);
  const more = /^mlkem768x25519-sha256$/m.test(listed.stdout)
    ? ['mlkem768x25519-sha256']
    : [];
  const ask = (kex) => {
    const options = [`KexAlgorithms=${kex}`];
    const args = ['-W', echo.spec];
    return spawnSsh(lab, server, args, { options, input: 'kex' }).done();
  };
  for (const kex of [...kexes, ...more]) {
    const { code, stdout, stderr } = await ask(kex);
    t.equal(code, 0, stderr);
    t.equal(`${stdout}`, 'kex', kex);
  }
  const weak = await ask('ecdh-sha2-nistp256,diffie-hellman-group14-sha1');
  t.equal(weak.code, 255);
  t.match(weak.stderr, /no matching key exchange method found/);
});

lab('new keys under load, both ways', needs, async (t, lab) => {
  const server = await lab.serve();
  const echo = await lab.target('echo');
  const source = await lab.target('source', { data });
  const digest = await lab.target('digest');
  const targets = [echo, source, digest, echo];
  const ports = await Promise.all(targets.map(() => freePort()));
  const forwards = targets.flatMap((to, i) => [
    '-L',
    `127.0.0.1:${ports[i]}:${to.spec}`,
  ]);
  const options = ['RekeyLimit=1M'];
  const ssh = await startSsh(lab, server, forwards, { options });
  const all = await Promise.all([
    exchange({ port: ports[0] }, data),
    exchange({ port: ports[1] }),
    exchange({ port: ports[2] }, data),
    exchange({ port: ports[3] }, data),
  ]);
  const want = sha256(data);
  t.strictSame(
    [sha256(all[0]), sha256(all[1]), `${all[2]}`, sha256(all[3])],
    [want, want, `${want}\n`, want],
  );
  const times = ssh.text('stderr').match(/SSH2_MSG_NEWKEYS received/g).length;
  t.ok(times >= 5, `new keys ${times} times`);
});

lab('new keys through -R under load', needs, async (t, lab) => {
  const server = await lab.serve();
  const echo = await lab.target('echo');
  const port = await freePort();
  const args = ['-R', `127.0.0.1:${port}:${echo.spec}`];
  const options = ['RekeyLimit=1M', 'Ciphers=chacha20-poly1305@openssh.com'];
  const ssh = await startSsh(lab, server, args, { options });
  await ssh.line(/remote forward success for: listen/);
  const all = await Promise.all([
    exchange({ port }, data),
    exchange({ port }, data),
  ]);
  t.strictSame(all.map(sha256), [sha256(data), sha256(data)]);
  const times = ssh.text('stderr').match(/SSH2_MSG_NEWKEYS received/g).length;
  t.ok(times >= 5, `new keys ${times} times`);
});

lab('ServerAliveInterval is answered', needs, async (t, lab) => {
  const server = await lab.serve();
  const options = ['ServerAliveInterval=1', 'ServerAliveCountMax=1'];
  const ssh = spawnSsh(lab, server, ['-vv', '-N'], { options });
  await ssh.line(/Entering interactive session/);
  // 81 and 82: REQUEST_SUCCESS and REQUEST_FAILURE.
  await ssh.line(/receive packet: type 8[12]$/, { times: 2 });
  t.ok(ssh.running, 'and the session lives');
  t.notMatch(ssh.text('stderr'), /Timeout, server/);
});
