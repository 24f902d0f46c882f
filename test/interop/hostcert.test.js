'use strict';
// Host certificates: OpenSSH's client and ours judge the same servers by the
// same known_hosts files, and a stock client believes what ours presents.
const fs = require('node:fs');
const { lab } = require('./lib/lab.js');
const { makeKey, runSsh, spawnSsh } = require('./lib/openssh.js');
const { startSsh, startSshd } = require('./lib/openssh.js');
const { createTunnel } = require('../../lib/index.js');
const { wraithRun } = require('./lib/wraith.js');
const { exchange, freePort } = require('./lib/net.js');
const peers = require('../../scripts/peers.js');

const needs = { peers: ['ssh', 'sshd', 'ssh-keygen'] };
const HOST = ['-h', '-n', '127.0.0.1,b.test'];
const CERT = 'ssh-ed25519-cert-v01@openssh.com';

async function keygen(lab, ...args) {
  const { code, stdout, stderr } = await lab.run(
    peers.path('ssh-keygen'),
    args,
  );
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

async function makeCa(lab, type = 'ed25519') {
  const file = lab.file(`ca_${type}`);
  await keygen(lab, '-q', '-t', type, '-N', '', '-C', 'ca', '-f', file);
  return { file, line: fs.readFileSync(`${file}.pub`, 'utf8').trim() };
}

// The path of a certificate of the key.
async function sign(lab, ca, key, flags = HOST) {
  await keygen(lab, '-q', '-s', ca.file, '-I', 'an id', ...flags, key.pub);
  return key.pub.replace(/\.pub$/, '-cert.pub');
}

// What OpenSSH's client says of the host key: known or not.
async function sshKnows(lab, server, file) {
  const ssh = spawnSsh(lab, server, ['-N'], {
    options: [`UserKnownHostsFile=${file}`, 'StrictHostKeyChecking=yes'],
  });
  const known = await ssh.line(/SSH2_MSG_SERVICE_ACCEPT received/).then(
    () => true,
    () => false,
  );
  const { stderr } = await ssh.stop();
  if (known || /^Host key verification failed/m.test(stderr)) return known;
  throw new Error(stderr);
}

// The same of ours, and what it says where it does not.
async function wraithKnows(server, file) {
  const tunnel = createTunnel({
    server: `${server.host}:${server.port}`,
    user: server.user,
    identity: server.key.file,
    knownHosts: file,
    reconnect: false,
  });
  try {
    await tunnel.ready();
    return { known: true };
  } catch (error) {
    if (error.phase !== 'hostkey') throw error;
    return { known: false, message: error.message };
  } finally {
    await tunnel.close();
  }
}

// sshd with a certificate of its key.
async function certifiedSshd(lab, { flags, type } = {}) {
  const ca = await makeCa(lab, type);
  const sshd = await startSshd(lab, async (hostKey) => [
    `HostCertificate ${await sign(lab, ca, hostKey, flags)}`,
  ]);
  return { ca, sshd };
}

// known_hosts files of letters: C the authority, K the host's key, S a strange
// one; P the host with its port, H without.
function knownHosts(lab, { ca, sshd, stranger }, text) {
  const words = {
    C: ca.line,
    K: sshd.hostKey.line,
    S: stranger.line,
    P: `[127.0.0.1]:${sshd.port}`,
    H: '127.0.0.1',
  };
  const lines = text.replace(/\b[CKSPH]\b/g, (word) => words[word]);
  return lab.file('known_hosts', `${lines}\n`);
}

async function compare(t, lab, server, cases) {
  const stranger = await makeKey(lab, 'stranger');
  for (const [text, known, why] of cases) {
    const file = knownHosts(lab, { ...server, stranger }, text);
    t.equal(await sshKnows(lab, server.sshd, file), known, `ssh: ${text}`);
    const ours = await wraithKnows(server.sshd, file);
    t.equal(ours.known, known, `wraith: ${text}`);
    if (why) t.match(ours.message, why);
  }
}

lab('files with authorities, as ssh reads them', needs, async (t, lab) => {
  await compare(t, lab, await certifiedSshd(lab), [
    ['@cert-authority P C', true],
    ['@cert-authority H C', true],
    ['@cert-authority * C', true],
    ['@cert-authority *,!127.* C', true],
    ['@cert-authority *,![127.*]:* C', true],
    ['@cert-authority *,!127.*,![127.*]:* C', false],
    ['@cert-authority b.test C', false],
    ['@cert-authority P S', false],
    ['@cert-authority P K', false],
    ['P C', false],
    ['P K', true],
    ['@cert-authority P S\nP K', true],
    ['@cert-authority H C\nP S', true],
    ['@cert-authority H C\n@cert-authority P S', true],
    ['P S\n@cert-authority P C', true],
    ['@cert-authority P C\n@revoked P C', false, /is revoked \(.*:2\)/],
    ['@revoked * C\nP K', false, /is revoked \(.*:1\)/],
    ['@cert-authority P C\n@revoked * K', false, /is revoked \(.*:2\)/],
    ['@cert-authority P C\n@revoked * S', true],
    ['', false],
  ]);
});

const unusable = {
  'for other names': [['-h', '-n', 'b.test,*'], 'does not name this host'],
  'that has expired': [[...HOST, '-V', '20200101:20200102'], 'has expired'],
  'that is not valid yet': [
    [...HOST, '-V', '20900101:20900102'],
    'is not valid yet',
  ],
  'of a user': [['-n', '127.0.0.1'], 'is not one of a host'],
  'with a critical option': [
    [...HOST, '-O', 'critical:x@test'],
    'has critical options',
  ],
};

for (const [name, [flags, fault]] of Object.entries(unusable)) {
  lab(`a certificate ${name}`, needs, async (t, lab) => {
    await compare(t, lab, await certifiedSshd(lab, { flags }), [
      ['@cert-authority P C', false, `its certificate ${fault}`],
      ['@cert-authority P C\nP K', true],
      ['@cert-authority P C\nP S', false],
    ]);
  });
}

for (const type of ['rsa', 'ecdsa']) {
  lab(`an authority with a key of type ${type}`, needs, async (t, lab) => {
    await compare(t, lab, await certifiedSshd(lab, { type }), [
      ['@cert-authority P C', true],
      ['@cert-authority P C\n@revoked P C', false],
    ]);
  });
}

lab('wraith connect with an authority', needs, async (t, lab) => {
  const { ca, sshd } = await certifiedSshd(lab);
  const place = `[127.0.0.1]:${sshd.port}`;
  const file = lab.file('known_hosts', `@cert-authority ${place} ${ca.line}\n`);
  const args = ['--user', sshd.user, '--strict', '--known-hosts', file];
  await lab.connect(sshd, { key: sshd.key, pin: null, args });
  fs.appendFileSync(file, `@revoked * ${ca.line}\n`);
  const { code, stderr } = await wraithRun(lab.dir, [
    ...['connect', '--server', `127.0.0.1:${sshd.port}`, '--socks5', 'off'],
    ...['--identity', sshd.key.file, ...args],
  ]);
  t.equal(code, 4);
  t.ok(stderr.includes(`is revoked (${file}:2)`), stderr);
});

lab('a certificate without names is for none here', needs, async (t, lab) => {
  const server = await certifiedSshd(lab, { flags: ['-h'] });
  const stranger = await makeKey(lab, 'stranger');
  const file = knownHosts(lab, { ...server, stranger }, '@cert-authority P C');
  t.equal(await sshKnows(lab, server.sshd, file), true);
  const { known, message } = await wraithKnows(server.sshd, file);
  t.equal(known, false);
  t.match(message, 'its certificate names no host');
});

lab('another key for the port is a mismatch here', needs, async (t, lab) => {
  const server = await certifiedSshd(lab);
  const stranger = await makeKey(lab, 'stranger');
  const file = knownHosts(lab, { ...server, stranger }, 'P S\nH K');
  t.equal(await sshKnows(lab, server.sshd, file), true);
  const { known, message } = await wraithKnows(server.sshd, file);
  t.equal(known, false);
  t.match(message, /has changed \(.*:1\)$/);
});

lab('hashed names', needs, async (t, lab) => {
  const { ca, sshd } = await certifiedSshd(lab);
  const place = `[127.0.0.1]:${sshd.port}`;
  const file = lab.file('known_hosts');
  const options = ['HashKnownHosts=yes', `UserKnownHostsFile=${file}`];
  await runSsh(lab, sshd, [], { options, command: ['true'] });
  t.match(fs.readFileSync(file, 'utf8'), /^\|1\|\S+ ssh-ed25519 \S+\n$/);
  t.ok((await wraithKnows(sshd, file)).known, 'a key');
  fs.writeFileSync(file, `${place} ${ca.line}\n`);
  await keygen(lab, '-H', '-f', file);
  fs.writeFileSync(file, `@cert-authority ${fs.readFileSync(file, 'utf8')}`);
  t.equal(await sshKnows(lab, sshd, file), true);
  t.ok((await wraithKnows(sshd, file)).known, 'an authority');
});

lab('a first contact with a certificate', needs, async (t, lab) => {
  const { sshd } = await certifiedSshd(lab);
  const file = lab.file('known_hosts');
  const args = ['--user', sshd.user, '--known-hosts', file];
  await lab.connect(sshd, { key: sshd.key, pin: null, args });
  const place = `[127.0.0.1]:${sshd.port}`;
  const [type, key] = sshd.hostKey.line.split(' ');
  t.equal(fs.readFileSync(file, 'utf8'), `${place} ${type} ${key}\n`);
  t.match(await keygen(lab, '-F', place, '-f', file), 'found: line 1');
  t.equal(await sshKnows(lab, sshd, file), true);
});

lab('wraith serve with a certificate', needs, async (t, lab) => {
  const ca = await makeCa(lab);
  const hostKey = await makeKey(lab, 'host');
  const certificate = await sign(lab, ca, hostKey);
  const server = await lab.serve({
    args: ['--key', hostKey.file, '--host-certificate', certificate],
  });
  const echo = await lab.target('echo');
  const place = `[127.0.0.1]:${server.port}`;
  const hosts = (text) => lab.file('known_hosts', `${text}\n`);
  const port = await freePort();
  const file = hosts(`@cert-authority ${place} ${ca.line}`);
  const options = [`UserKnownHostsFile=${file}`, 'StrictHostKeyChecking=yes'];
  const ssh = await startSsh(
    lab,
    server,
    ['-L', `127.0.0.1:${port}:${echo.spec}`],
    { options: [...options, 'RekeyLimit=64K'] },
  );
  const data = Buffer.alloc(1024 * 1024, 'x');
  t.ok(data.equals(await exchange({ port }, data)), 'also after rekeys');
  t.match(ssh.text('stderr'), `Server host certificate: ${CERT}`);
  t.match(ssh.text('stderr'), /rekeying in progress|SSH2_MSG_NEWKEYS sent/);
  t.equal((await wraithKnows(server, file)).known, true);
  // Whoever asks for the plain key gets it.
  const plain = hosts(`${place} ${hostKey.line}`);
  const { stderr } = await runSsh(lab, server, [], {
    command: ['true'],
    options: [
      `UserKnownHostsFile=${plain}`,
      'StrictHostKeyChecking=yes',
      'HostKeyAlgorithms=ssh-ed25519',
    ],
  });
  t.match(stderr, /Authenticated to 127\.0\.0\.1/);
  t.match(stderr, 'Server host key: ssh-ed25519');
  t.equal(
    await sshKnows(lab, server, hosts(`@revoked ${place} ${ca.line}`)),
    false,
  );
  await lab.connect(server, { pin: hostKey.fingerprint });
});

lab(
  'an expired certificate is served with a warning',
  needs,
  async (t, lab) => {
    const ca = await makeCa(lab);
    const hostKey = await makeKey(lab, 'host');
    const flags = [...HOST, '-V', '20200101:20200102'];
    const certificate = await sign(lab, ca, hostKey, flags);
    const server = await lab.serve({
      args: ['--key', hostKey.file, '--host-certificate', certificate],
      format: 'logfmt',
    });
    await server.line(
      / WARN host certificate not usable reason="has expired"$/,
    );
    const file = lab.file(
      'hosts',
      `[127.0.0.1]:${server.port} ${hostKey.line}\n`,
    );
    t.equal(await sshKnows(lab, server, file), true);
  },
);

lab('certificates that wraith serve refuses', needs, async (t, lab) => {
  const ca = await makeCa(lab);
  const hostKey = await makeKey(lab, 'host');
  const other = await makeKey(lab, 'other');
  const keys = lab.file('keys', `${other.line}\n`);
  const cases = [
    [await sign(lab, ca, other), 'it certifies another key than the host key'],
    [hostKey.pub, 'it is not a certificate of an Ed25519 key'],
    [lab.file('none'), 'no such file'],
    [await sign(lab, ca, hostKey, ['-n', 'root']), 'it is a user certificate'],
  ];
  for (const [file, text] of cases) {
    const { code, stderr, stdout } = await wraithRun(lab.dir, [
      ...['serve', '--listen', '127.0.0.1:0', '--authorized-keys', keys],
      ...['--key', hostKey.file, '--host-certificate', file],
    ]);
    t.equal(code, 2, file);
    t.equal(stdout, '');
    t.ok(/^wraith: --host-certificate:? [^\n]*\n$/.test(stderr), stderr);
    t.ok(stderr.includes(file) && stderr.includes(text), stderr);
  }
});
