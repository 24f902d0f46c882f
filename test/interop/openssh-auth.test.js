'use strict';
// OpenSSH's client against `wraith serve`: who is let in, and what the log says.
const fs = require('node:fs');
const peers = require('../../scripts/peers.js');
const { lab } = require('./lib/lab.js');
const { makeKey, runSsh, startSsh } = require('./lib/openssh.js');

const needs = { peers: ['ssh', 'ssh-keygen'] };
const TIME = '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z';
const FROM = 'remote_addr=127.0.0.1';

const records = (server) =>
  server.lines
    .filter(({ from, text }) => from === 'stderr' && /remote_addr/.test(text))
    .map(({ text }) => text);

// Plain text, but for time and duration.
function matchLines(t, lines, wanted) {
  t.equal(lines.length, wanted.length, lines.join('\n'));
  wanted.forEach((text, i) => {
    const escaped = text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    const pattern = `^${TIME} ${escaped.replace('DURATION', '\\d+\\.\\d')}$`;
    t.match(lines[i] ?? '', new RegExp(pattern));
  });
}

const attempt = (user, key, result, session = 1) =>
  `INFO auth attempt ${FROM} user=${user} key_fingerprint=${key.fingerprint}` +
  ` result=${result} session=${session}`;
const unknown = (user, key) => attempt(user, key, 'reject reason=unknown-key');

lab('a key that is not known', needs, async (t, lab) => {
  const server = await lab.serve({ format: 'logfmt' });
  const wrong = await makeKey(lab, 'wrong');
  const { code, stderr } = await runSsh(lab, server, [], {
    key: wrong,
    command: ['true'],
  });
  t.equal(code, 255);
  t.match(stderr, /tester@127\.0\.0\.1: Permission denied \(publickey\)\./);
  await server.line(/connection closed/);
  matchLines(t, records(server), [
    `INFO connection opened ${FROM} transport=tcp session=1`,
    unknown('tester', wrong),
    `WARN auth failed ${FROM} attempts=1 session=1`,
    `INFO connection closed ${FROM} duration=DURATION session=1`,
  ]);
});

lab('several keys, the last one is right', needs, async (t, lab) => {
  const right = await makeKey(lab, 'right');
  const server = await lab.serve({ keys: [right], format: 'logfmt' });
  const wrong = [await makeKey(lab, 'wrong1'), await makeKey(lab, 'wrong2')];
  const ssh = await startSsh(lab, server, [], { key: [...wrong, right] });
  await ssh.stop();
  await server.line(/connection closed/);
  matchLines(t, records(server), [
    `INFO connection opened ${FROM} transport=tcp session=1`,
    unknown('tester', wrong[0]),
    unknown('tester', wrong[1]),
    attempt('tester', right, 'accept'),
    `INFO connection closed ${FROM} duration=DURATION session=1`,
  ]);
});

lab('too many keys', needs, async (t, lab) => {
  const args = ['--max-auth-attempts', '2'];
  const right = await makeKey(lab, 'right');
  const server = await lab.serve({ keys: [right], args, format: 'logfmt' });
  const key = [];
  for (const name of ['w1', 'w2', 'w3']) key.push(await makeKey(lab, name));
  const { code } = await runSsh(lab, server, ['-N'], { key: [...key, right] });
  t.equal(code, 255);
  await server.line(/connection closed/);
  const lines = records(server);
  t.equal(lines.filter((line) => /result=accept/.test(line)).length, 0);
  t.equal(lines.filter((line) => /WARN auth failed/.test(line)).length, 1);
  t.equal(lines.filter((line) => /result=reject/.test(line)).length, 2);
});

lab('the log quotes what a peer chose', needs, async (t, lab) => {
  const server = await lab.serve({ format: 'logfmt' });
  const wrong = await makeKey(lab, 'wrong');
  const name = 'x remote_addr=1.2.3.4 session=9';
  server.user = name;
  const { code } = await runSsh(lab, server, ['-N'], { key: wrong });
  t.equal(code, 255);
  await server.line(/connection closed/);
  const line = records(server).find((text) => /auth attempt/.test(text));
  const quoted = ` INFO auth attempt ${FROM} user="${name}" key_fingerprint=`;
  t.ok(line.includes(quoted), line);
});

lab('no password, no keyboard', needs, async (t, lab) => {
  const server = await lab.serve({ format: 'logfmt' });
  const options = [
    'PubkeyAuthentication=no',
    'PreferredAuthentications=password,keyboard-interactive,hostbased',
  ];
  const { code, stderr } = await runSsh(lab, server, ['-N'], { options });
  t.equal(code, 255);
  t.match(stderr, /Authentications that can continue: publickey\r?$/m);
  t.match(stderr, /Permission denied \(publickey\)\./);
  await server.line(/connection closed/);
  t.notMatch(server.text('stderr'), /auth failed/, 'no key was offered');
});

lab('authorized_keys as OpenSSH writes it', needs, async (t, lab) => {
  const keys = [await makeKey(lab, 'one'), await makeKey(lab, 'two')];
  const lines = ['# people', '', ...keys.map(({ line }) => `  ${line}`), ''];
  const server = await lab.serve({ keys: [{ line: lines.join('\n') }] });
  for (const key of keys) {
    const ssh = await startSsh(lab, server, [], { key });
    t.match(ssh.text('stderr'), /Authenticated to 127\.0\.0\.1/);
    await ssh.stop();
  }
});

lab('SIGHUP reads the keys anew', needs, async (t, lab) => {
  const [old, young] = [await makeKey(lab, 'old'), await makeKey(lab, 'young')];
  const server = await lab.serve({ keys: [old], format: 'logfmt' });
  const ssh = await startSsh(lab, server, [], { key: old });
  fs.writeFileSync(`${server.dir}/authorized_keys`, `${young.line}\n`);
  server.child.kill('SIGHUP');
  await server.line(/INFO reload keys=new/);
  const { code } = await ssh.done();
  t.equal(code, 255, 'a session of a key that was taken off ends');
  const again = await runSsh(lab, server, ['-N'], { key: old });
  t.equal(again.code, 255);
  t.match(again.stderr, /Permission denied \(publickey\)\./);
  const other = await startSsh(lab, server, [], { key: young });
  fs.writeFileSync(`${server.dir}/authorized_keys`, 'nonsense\n');
  server.child.kill('SIGHUP');
  await server.line(/ERROR reload failed reason=.*authorized_keys:1/);
  t.ok(other.running, 'a file with a mistake changes nothing');
});

async function sign(lab, ca, key, args) {
  const keygen = peers.path('ssh-keygen');
  const flags = ['-q', '-s', ca.file, '-I', key.file, '-n', 'tester', ...args];
  const { code, stderr } = await lab.run(keygen, [...flags, key.pub]);
  if (code !== 0) throw new Error(stderr);
}

lab(
  'a certificate expires in the middle of a session',
  needs,
  async (t, lab) => {
    const [ca, key] = [await makeKey(lab, 'ca'), await makeKey(lab, 'holder')];
    const args = ['--cert-authority', ca.pub];
    const server = await lab.serve({ args, format: 'logfmt' });
    await sign(lab, ca, key, ['-V', '-1m:+8s']);
    const ssh = await startSsh(lab, server, [], { key });
    const { code, stderr } = await ssh.done();
    t.equal(code, 255);
    t.match(stderr, /Received disconnect .*: the key is no longer authorized/);
    await server.line(/ INFO session ended .* reason=cert-expired session=1$/);
    const again = await runSsh(lab, server, ['-N'], { key });
    t.match(again.stderr, /Permission denied \(publickey\)\./);
    await server.line(/ result=reject reason=cert-expired session=2$/);
  },
);

lab('SIGHUP with lists of revoked keys', needs, async (t, lab) => {
  const [ca, key] = [await makeKey(lab, 'ca'), await makeKey(lab, 'holder')];
  const krl = lab.file('krl', '');
  const args = ['--cert-authority', ca.pub, '--revoked-keys', krl];
  const server = await lab.serve({ args, format: 'logfmt' });
  await sign(lab, ca, key, ['-z', '7']);
  const ssh = await startSsh(lab, server, [], { key });
  const plain = await startSsh(lab, server, []);
  const spec = lab.file('spec', 'serial: 7\n');
  const keygen = peers.path('ssh-keygen');
  const made = ['-q', '-k', '-f', krl, '-s', ca.pub, spec];
  t.equal((await lab.run(keygen, made)).code, 0);
  server.child.kill('SIGHUP');
  t.equal((await ssh.done()).code, 255);
  await server.line(/ INFO session ended .* reason=revoked session=1$/);
  t.ok(plain.running, 'other sessions go on');
  fs.writeFileSync(krl, 'no list\n');
  server.child.kill('SIGHUP');
  await server.line(/ ERROR reload failed reason=.*krl:1/);
  const again = await runSsh(lab, server, ['-N'], { key });
  t.match(again.stderr, /Permission denied/, 'the list before stays in force');
});
