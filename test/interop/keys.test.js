'use strict';
// Keys of `wraith keygen` and of ssh-keygen are the same thing.
const fs = require('node:fs');
const { lab } = require('./lib/lab.js');
const { makeKey, startSsh } = require('./lib/openssh.js');
const { exchange, freePort } = require('./lib/net.js');
const { wraithRun } = require('./lib/wraith.js');
const peers = require('../../scripts/peers.js');

const needs = { peers: ['ssh', 'ssh-keygen'] };

lab('wraith keygen, read by ssh-keygen', needs, async (t, lab) => {
  const out = lab.file('id');
  const made = await wraithRun(lab.dir, [
    ...['keygen', '--out', out, '--comment', 'a comment'],
  ]);
  t.equal(made.code, 0, made.stderr);
  t.equal(fs.statSync(out).mode & 0o777, 0o600);
  const tool = (...args) => lab.run(peers.path('ssh-keygen'), args);
  const pub = fs.readFileSync(`${out}.pub`, 'utf8');
  t.equal((await tool('-y', '-f', out)).stdout, pub, 'both halves fit');
  t.match(pub, /^ssh-ed25519 [A-Za-z0-9+/=]{68} a comment\n$/);
  const [, print] = /fingerprint: (\S+)/.exec(made.stdout);
  const listed = await tool('-lf', `${out}.pub`);
  t.equal(listed.stdout, `256 ${print} a comment (ED25519)\n`);
  const again = await wraithRun(lab.dir, ['keygen', '--out', out]);
  t.equal(again.code, 2, 'nothing is overwritten');
  t.ok(again.stderr.includes(out), again.stderr);
  t.equal(fs.readFileSync(`${out}.pub`, 'utf8'), pub);
});

lab('wraith keygen with a passphrase', needs, async (t, lab) => {
  const [out, file] = [lab.file('id'), lab.file('pass', 'open sesame\nmore\n')];
  const made = await wraithRun(lab.dir, [
    ...['keygen', '--json', '--out', out, '--passphrase-file', file],
  ]);
  t.equal(made.code, 0, made.stderr);
  const { publicKey } = JSON.parse(made.stdout);
  const read = (pass) =>
    lab.run(peers.path('ssh-keygen'), ['-y', '-P', pass, '-f', out]);
  const right = await read('open sesame');
  t.equal(right.stdout.trim(), publicKey);
  t.not((await read('wrong')).code, 0);
});

lab('keys of ssh-keygen log in', needs, async (t, lab) => {
  const plain = await makeKey(lab, 'plain');
  const locked = await makeKey(lab, 'locked', ['-N', 'open sesame', '-a', '4']);
  const ctr = await makeKey(lab, 'ctr', [
    '-N',
    'open sesame',
    '-Z',
    'aes128-ctr',
  ]);
  const gcm = await makeKey(lab, 'gcm', [
    ...['-N', 'open sesame', '-Z', 'aes256-gcm@openssh.com'],
  ]);
  const server = await lab.serve({ keys: [plain, locked, ctr, gcm] });
  const env = { WRAITH_PASSPHRASE: 'open sesame' };
  await lab.connect(server, { key: plain });
  for (const key of [locked, ctr, gcm]) {
    const client = await lab.connect(server, { key, env });
    t.equal(client.running, true, key.file);
  }
  const wrong = await wraithRun(
    lab.dir,
    [
      ...['connect', '--server', `127.0.0.1:${server.port}`, '--socks5', 'off'],
      ...['--identity', locked.file, '--host-key'],
      server.summary.hostKeyFingerprint,
    ],
    { env: { WRAITH_PASSPHRASE: 'wrong' } },
  );
  t.equal(wrong.code, 2, wrong.stderr);
  t.ok(wrong.stderr.includes(locked.file), wrong.stderr);
  t.notMatch(wrong.stderr, /sesame/);
});

lab('a host key of ssh-keygen', needs, async (t, lab) => {
  const hostKey = await makeKey(lab, 'host');
  const echo = await lab.target('echo');
  const server = await lab.serve({ args: ['--key', hostKey.file] });
  t.equal(server.summary.hostKeyFingerprint, hostKey.fingerprint);
  const place = `[127.0.0.1]:${server.port}`;
  const file = lab.file('hosts', `${place} ${hostKey.line}\n`);
  const port = await freePort();
  await startSsh(lab, server, ['-L', `127.0.0.1:${port}:${echo.spec}`], {
    options: [`UserKnownHostsFile=${file}`, 'StrictHostKeyChecking=yes'],
  });
  t.equal(`${await exchange({ port }, 'known')}`, 'known');
  // As a pin: the line, and the file of the public key.
  for (const pin of [hostKey.line, hostKey.pub]) {
    await lab.connect(server, { pin });
  }
  await lab.connect(server, {
    pin: null,
    args: ['--strict', '--known-hosts', file],
  });
});

lab('the default host key stays', needs, async (t, lab) => {
  const server = await lab.serve();
  const file = `${server.dir}/state/wraith/host_ed25519`;
  t.equal(fs.statSync(file).mode & 0o777, 0o600);
  const shown = await lab.run(peers.path('ssh-keygen'), ['-lf', file]);
  t.ok(shown.stdout.includes(server.summary.hostKeyFingerprint));
});
