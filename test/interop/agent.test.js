'use strict';
// Keys in ssh-agent, keys on security keys, and certificates, at OpenSSH's sshd
// and at our own server.
const fs = require('node:fs');
const { lab } = require('./lib/lab.js');
const { startSshAgent } = require('./lib/agent.js');
const { exchange, freePort } = require('./lib/net.js');
const { makeKey, startSshd } = require('./lib/openssh.js');
const { wraithRun } = require('./lib/wraith.js');
const { certificate, skKey, softKey, startAgent } = require('../lib/agent.js');
const { rejection } = require('../lib/pair.js');
const { connect } = require('../../lib/index.js');
const peers = require('../../scripts/peers.js');

const needs = { peers: ['sshd', 'ssh-keygen', 'ssh-agent', 'ssh-add'] };
const certNeeds = { peers: ['sshd', 'ssh-keygen'] };
const LOCK = 'open sesame';

const pinOf = (server) =>
  server.hostKey?.fingerprint ?? server.summary.hostKeyFingerprint;

// A client whose login is what the flags say; one round trip through it.
async function reach(t, lab, server, args, more = {}) {
  const echo = await lab.target('echo');
  const client = await lab.connect(server, {
    key: null,
    pin: pinOf(server),
    args: [
      ...(server.user ? ['--user', server.user] : []),
      ...['--forward', `127.0.0.1:${await freePort()}:${echo.spec}`],
      ...args,
    ],
    ...more,
  });
  const back = await exchange(client.summary.forwards[0], 'through');
  t.equal(`${back}`, 'through', args.join(' '));
  await client.stop();
}

// A client that is not let in: { code, stderr }.
function refusedRun(lab, server, args, more = {}) {
  return wraithRun(
    lab.dir,
    [
      ...['connect', '--server', `127.0.0.1:${server.port}`, '--socks5', 'off'],
      ...(server.user ? ['--user', server.user] : []),
      ...['--host-key', pinOf(server), ...args],
    ],
    more,
  );
}

// sshd and our own server, which both let the keys in.
async function servers(lab, keys, settings) {
  const sshd = await startSshd(lab, settings);
  allow(lab, ...keys.map((key) => key.line));
  return [sshd, await lab.serve({ keys })];
}

// What sshd reads anew for each login.
function allow(lab, ...lines) {
  lab.file('sshd_keys', lines.map((line) => `${line}\n`).join(''));
}

lab('a key in ssh-agent', needs, async (t, lab) => {
  const key = await makeKey(lab, 'id');
  const rsa = lab.file('rsa');
  const argv = ['-q', '-t', 'rsa', '-b', '2048', '-N', '', '-f', rsa];
  await lab.run(peers.path('ssh-keygen'), argv);
  const agent = await startSshAgent(lab);
  await agent.add([rsa]);
  await agent.add([key.file]);
  fs.rmSync(key.file); // nobody but the agent has it
  for (const server of await servers(lab, [key])) {
    await reach(t, lab, server, ['--agent'], agent);
    const only = ['--agent', '--identity', key.file];
    await reach(t, lab, server, only, agent);
    await reach(t, lab, server, [...only.slice(0, 2), key.pub], agent);
  }
});

lab('an encrypted key in ssh-agent', needs, async (t, lab) => {
  const key = await makeKey(lab, 'id', ['-N', LOCK, '-a', '4']);
  const agent = await startSshAgent(lab);
  await agent.add([key.file], LOCK);
  for (const server of await servers(lab, [key])) {
    await reach(t, lab, server, ['--agent'], agent);
    await reach(t, lab, server, ['--agent', '--identity', key.file], agent);
  }
});

lab('an agent that is locked', needs, async (t, lab) => {
  const key = await makeKey(lab, 'id');
  const agent = await startSshAgent(lab);
  await agent.add([key.file]);
  const [sshd] = await servers(lab, [key]);
  await agent.add(['-x'], LOCK);
  const { code, stderr } = await refusedRun(lab, sshd, ['--agent'], agent);
  t.equal(code, 3, stderr);
  t.match(stderr, /^wraith: the ssh-agent has no such key, or is locked/m);
  await agent.add(['-X'], LOCK);
  await reach(t, lab, sshd, ['--agent'], agent);
});

lab('a key that must be confirmed', needs, async (t, lab) => {
  const key = await makeKey(lab, 'id');
  const [sshd] = await servers(lab, [key]);
  const no = await startSshAgent(lab, { confirm: false });
  await no.add(['-c', key.file]);
  const { code, stderr } = await refusedRun(lab, sshd, ['--agent'], no);
  t.equal(code, 3, stderr);
  t.match(stderr, /^wraith: the ssh-agent refused/m);
  await no.stop();
  const yes = await startSshAgent(lab, { confirm: 'yes' });
  await yes.add(['-c', key.file]);
  await reach(t, lab, sshd, ['--agent'], yes);
});

lab('no agent at all', needs, async (t, lab) => {
  const key = await makeKey(lab, 'id');
  const [sshd] = await servers(lab, [key]);
  for (const env of [
    { SSH_AUTH_SOCK: '' },
    { SSH_AUTH_SOCK: lab.file('none') },
  ]) {
    const { code, stderr } = await refusedRun(lab, sshd, ['--agent'], { env });
    t.equal(code, 3, stderr);
    t.match(stderr, /^wraith: no ssh-agent can be reached: .+\n$/m);
  }
});

lab('an agent that is stopped', needs, async (t, lab) => {
  const key = await makeKey(lab, 'id');
  const agent = await startSshAgent(lab);
  await agent.add([key.file]);
  const [sshd] = await servers(lab, [key]);
  process.kill(agent.pid, 'SIGSTOP');
  let turns = 0;
  const turning = setInterval(() => turns++, 1);
  const error = await rejection(
    t,
    connect({
      server: `127.0.0.1:${sshd.port}`,
      user: sshd.user,
      hostKey: sshd.hostKey.fingerprint,
      agent: agent.path,
      connectTimeout: 500,
    }),
  );
  clearInterval(turning);
  t.match(error, { code: 'ERR_WRAITH_AGENT_TIMEOUT', phase: 'auth' });
  t.ok(turns > 50, `the loop turned ${turns} times`);
  process.kill(agent.pid, 'SIGCONT');
  await reach(t, lab, sshd, ['--agent'], agent);
});

lab('a key on a security key', needs, async (t, lab) => {
  const [key, idle, other] = [skKey(), skKey({ flags: 0 }), softKey()];
  const agent = await startAgent(t, [other, key]);
  const env = { SSH_AUTH_SOCK: agent.path };
  const sshd = await startSshd(lab);
  allow(lab, key.line, idle.line);
  await reach(t, lab, sshd, ['--agent'], { env });
  t.strictSame(agent.asked, [key]);
  agent.keys = [idle]; // that nobody has touched
  const { code, stderr } = await refusedRun(lab, sshd, ['--agent'], { env });
  t.equal(code, 3, stderr);
  t.match(stderr, /^wraith: the server refused the key/m);
});

lab('certificates of keys on security keys', needs, async (t, lab) => {
  const [key, authority] = [skKey(), softKey()];
  const sshd = await startSshd(lab);
  const principals = [sshd.user];
  const made = certificate(key, authority, { principals });
  allow(lab, `cert-authority ${authority.line}`);
  const agent = await startAgent(t, [made]);
  const env = { SSH_AUTH_SOCK: agent.path };
  await reach(t, lab, sshd, ['--agent'], { env });
  agent.keys = [key];
  const file = lab.file('sk-cert.pub', `${made.line}\n`);
  await reach(t, lab, sshd, ['--agent', '--certificate', file], { env });
  t.strictSame(agent.asked, [made, key]);
});

// ssh-keygen -s: id-cert.pub beside the key.
async function signKey(lab, authority, key, ...args) {
  const argv = ['-q', '-s', authority.file, '-I', 'a test', ...args, key.pub];
  const { code, stderr } = await lab.run(peers.path('ssh-keygen'), argv);
  if (code !== 0) throw new Error(stderr);
  return key.pub.replace(/\.pub$/, '-cert.pub');
}

lab('certificates at sshd', certNeeds, async (t, lab) => {
  const authority = await makeKey(lab, 'authority');
  const key = await makeKey(lab, 'id');
  const trusting = await startSshd(lab, [`TrustedUserCAKeys ${authority.pub}`]);
  allow(lab);
  const beside = await signKey(lab, authority, key, '-n', trusting.user);
  const identity = ['--identity', key.file];
  await reach(t, lab, trusting, identity);
  const elsewhere = lab.file('elsewhere.pub');
  fs.renameSync(beside, elsewhere);
  const none = await refusedRun(lab, trusting, identity);
  t.equal(none.code, 3, 'the key alone is not enough');
  const both = [...identity, '--certificate', elsewhere];
  await reach(t, lab, trusting, both);
  await signKey(lab, authority, key, '-n', 'nobody');
  t.equal((await refusedRun(lab, trusting, identity)).code, 3, 'principal');
  await reach(t, lab, trusting, both);
  allow(lab, key.line);
  await reach(t, lab, trusting, identity); // the plain key comes second
});

lab('certificates of a cert-authority line', certNeeds, async (t, lab) => {
  const authority = await makeKey(lab, 'authority');
  const key = await makeKey(lab, 'id');
  const sshd = await startSshd(lab);
  allow(lab, `cert-authority,principals="alice" ${authority.line}`);
  await signKey(lab, authority, key, '-n', 'alice,bob');
  await reach(t, lab, sshd, ['--identity', key.file]);
  await signKey(lab, authority, key, '-n', 'alice', '-V', '-2d:-1d');
  const { code } = await refusedRun(lab, sshd, ['--identity', key.file]);
  t.equal(code, 3, 'it has expired');
});

lab('certificates in ssh-agent', needs, async (t, lab) => {
  const authority = await makeKey(lab, 'authority');
  const key = await makeKey(lab, 'id');
  const sshd = await startSshd(lab, [`TrustedUserCAKeys ${authority.pub}`]);
  allow(lab);
  const beside = await signKey(lab, authority, key, '-n', sshd.user);
  const agent = await startSshAgent(lab);
  await agent.add([key.file]); // and its certificate
  fs.rmSync(key.file);
  await reach(t, lab, sshd, ['--agent'], agent);
  await reach(t, lab, sshd, ['--agent', '--identity', key.pub], agent);
  await agent.add(['-D']);
  const { code, stderr } = await refusedRun(
    lab,
    sshd,
    ['--agent', '--certificate', beside],
    agent,
  );
  t.equal(code, 3, stderr);
  t.ok(stderr.includes(beside), stderr);
});

lab('a certificate of another key', certNeeds, async (t, lab) => {
  const authority = await makeKey(lab, 'authority');
  const [key, other] = [await makeKey(lab, 'id'), await makeKey(lab, 'other')];
  const file = await signKey(lab, authority, other, '-n', 'x');
  const server = await lab.serve({ keys: [key] });
  const args = ['--identity', key.file, '--certificate', file];
  const { code, stderr } = await refusedRun(lab, server, args);
  t.equal(code, 2, stderr);
  t.equal(
    stderr,
    `wraith: --certificate ${file}: does not belong to the identity\n`,
  );
});

lab('a private key that others may read', certNeeds, async (t, lab) => {
  const key = await makeKey(lab, 'id');
  const server = await lab.serve({ keys: [key] });
  fs.chmodSync(key.file, 0o644);
  const client = await refusedRun(lab, server, ['--identity', key.file]);
  t.equal(client.code, 2, client.stderr);
  t.match(client.stderr, /^wraith: --identity .+ chmod 600 .+\n$/);
  const other = await wraithRun(lab.dir, [
    ...['serve', '--key', key.file, '--authorized-keys', key.pub],
    ...['--listen', '127.0.0.1:0'],
  ]);
  t.equal(other.code, 2, other.stderr);
  t.match(other.stderr, /^wraith: --key .+ chmod 600 .+\n$/);
});
