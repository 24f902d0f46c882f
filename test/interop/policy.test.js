'use strict';
// `wraith policy`: what it asks the core, what it prints, how it ends. The core
// itself is played: test/lib/policy-addon.js.
const fs = require('node:fs');
const path = require('node:path');
const { lab } = require('./lib/lab.js');
const { wraithRun } = require('./lib/wraith.js');
const peers = require('../../scripts/peers.js');

const ADDON = path.join(__dirname, '../lib/policy-addon.js');
const yes = {
  login: { allowed: true, reason: 'accept', file: 'keys', line: 3 },
  forward: { allowed: true, why: 'no rules' },
};
const TARGET = 'db.example:5432';

// { code, stdout, stderr, asked }
async function policy(lab, args, answers = [yes]) {
  const asked = lab.file('asked', '');
  const env = {
    WRAITH_ADDON: ADDON,
    FAKE_BELOW: process.env.WRAITH_ADDON ?? '',
    FAKE_ANSWERS: JSON.stringify(answers),
    FAKE_ASKED: asked,
  };
  const result = await wraithRun(lab.dir, ['policy', ...args], { env });
  const lines = fs.readFileSync(asked, 'utf8').trim().split('\n');
  return { ...result, asked: lines.filter(Boolean).map(JSON.parse) };
}

// As above, with a key that may log in.
async function ask(lab, args, answers) {
  lab.asker ??= await lab.key('asker');
  const { pub } = lab.asker;
  const who = ['--key', pub, '--authorized-keys', pub];
  return policy(lab, [...who, ...args], answers);
}

const answer = ({ login, forward }) => ({
  login: { ...yes.login, ...login },
  forward: { ...yes.forward, ...forward },
});

lab('what it asks', {}, async (t, lab) => {
  const key = await lab.key();
  const [authority, revoked] = [lab.file('ca', 'ca\n'), lab.file('r', 'r\n')];
  const { code, stderr, asked } = await policy(
    lab,
    [
      ...['--key', key.pub, '--user', 'ann', '--from', '2001:db8::1'],
      ...['--authorized-keys', key.pub, '--revoked-keys', revoked],
      ...['--cert-authority', authority, '--cert-authority', key.pub],
      ...['--deny', 'private', '--allow', '*.example', '--gateway-ports'],
      ...['--listen', '*:8080', TARGET, 'unix:/run/x', 'wraith-control'],
      ...['[::1]:22', '--listen', 'unix:/run/y', '--listen', '9'],
    ],
    Array(7).fill(yes),
  );
  t.equal(code, 0, stderr);
  const text = `${key.line}\n`;
  const common = {
    address: '2001:db8::1',
    user: 'ann',
    key: key.line.split(' ')[1],
    rules: [
      [false, 'private'],
      [true, '*.example'],
    ],
    gatewayPorts: true,
    authorizedKeys: [{ text, file: key.pub }],
    certAuthority: [
      { text: 'ca\n', file: authority },
      { text, file: key.pub },
    ],
    revokedKeys: [{ text: 'r\n', file: revoked }],
  };
  const targets = asked.map(({ target, listen, ...rest }) => {
    t.strictSame(rest, common);
    return [listen, target.path ?? `${target.host} ${target.port}`];
  });
  t.strictSame(targets, [
    [false, 'db.example 5432'],
    [false, '/run/x'],
    [false, 'wraith-control 1'],
    [false, '::1 22'],
    [true, '* 8080'],
    [true, '/run/y'],
    [true, ' 9'],
  ]);
});

lab('what it assumes', {}, async (t, lab) => {
  const key = await lab.key();
  const config = path.join(lab.dir, 'config', 'wraith');
  fs.mkdirSync(config, { recursive: true });
  const file = path.join(config, 'authorized_keys');
  fs.writeFileSync(file, `${key.line}\n`);
  const args = ['--key', key.file, TARGET];
  const { asked } = await policy(lab, args);
  t.match(asked[0], {
    address: '',
    user: require('node:os').userInfo().username,
    key: key.line.split(' ')[1],
    rules: [],
    gatewayPorts: false,
    authorizedKeys: [{ file }],
    certAuthority: [],
    revokedKeys: [],
    listen: false,
  });
  const ca = ['--cert-authority', key.pub, ...args];
  t.strictSame((await policy(lab, ca)).asked[0].authorizedKeys, []);
});

lab('a certificate', { peers: ['ssh-keygen'] }, async (t, lab) => {
  const [key, ca] = [await lab.key(), await lab.key('ca')];
  await lab.run(peers.path('ssh-keygen'), [
    ...['-q', '-s', ca.file, '-I', 'her', '-n', 'ann', key.pub],
  ]);
  const file = key.pub.replace(/\.pub$/, '-cert.pub');
  const keys = ['--authorized-keys', key.pub];
  const { asked, stderr } = await policy(lab, ['--key', file, ...keys, TARGET]);
  const [, base64] = fs.readFileSync(file, 'utf8').split(' ');
  t.equal(asked[0]?.key, base64, stderr);
});

lab('what it prints', {}, async (t, lab) => {
  const is = async (answers, code, lines) => {
    const args = answers.map((_, i) => `h${i}:1`);
    const result = await ask(lab, args, answers.map(answer));
    t.equal(result.stdout, lines.map((line) => `${line}\n`).join(''));
    t.equal(result.code, code, result.stderr);
    t.equal(result.stderr, '');
  };
  await is([{}], 0, [
    'login: allowed: keys:3',
    'channel h0:1: allowed: no rules',
  ]);
  const rule = { rule: 'private', ruleKind: 'deny', why: 'rule' };
  await is([{}, { forward: { allowed: false, ...rule } }], 1, [
    'login: allowed: keys:3',
    'channel h0:1: allowed: no rules',
    'channel h1:1: denied: deny private',
  ]);
  const unknown = { allowed: false, reason: 'unknown-key', file: '' };
  await is([{ login: unknown }], 1, [
    'login: denied: unknown-key',
    'channel h0:1: allowed: no rules',
  ]);
  const expired = { allowed: false, reason: 'key-expired' };
  await is([{ login: expired }], 1, [
    'login: denied: key-expired, keys:3',
    'channel h0:1: allowed: no rules',
  ]);
  const certificate = { keyId: 'a\u001b[2J\u009b"ü', serial: 7 };
  await is([{ login: { certificate, expires: 1780394400 } }], 0, [
    'login: allowed: keys:3, certificate "a\\u001b[2J\\u009b\\"\\u00fc" (7), ' +
      'until 2026-06-02T10:00:00.000Z',
    'channel h0:1: allowed: no rules',
  ]);
});

lab('as JSON', {}, async (t, lab) => {
  const denied = answer({ forward: { allowed: false, why: 'unnamed' } });
  const args = ['--json', TARGET, '--listen', '80'];
  const { stdout, code } = await ask(lab, args, [yes, denied]);
  t.equal(code, 1);
  t.equal(stdout.trim().split('\n').length, 1);
  t.strictSame(JSON.parse(stdout), {
    allowed: false,
    login: yes.login,
    targets: [
      { target: TARGET, what: 'channel', ...yes.forward },
      { target: '80', what: 'listen', allowed: false, why: 'unnamed' },
    ],
  });
});

lab('wrong usage', {}, async (t, lab) => {
  const is = async (args, pattern, answers) => {
    const { code, stdout, stderr } = await ask(lab, args, answers);
    t.equal(code, 2, args.join(' '));
    t.equal(stdout, '');
    t.match(stderr, pattern);
    t.equal(stderr.split('\n').length, 2, 'one line');
  };
  await is([], /^wraith: where to\?/);
  await is(['db'], /^wraith: "db": the port is missing/);
  await is(['--listen', 'x:y'], /^wraith: --listen: "x:y": /);
  await is([TARGET, '--from', 'there'], /^wraith: --from: "there" is not an/);
  await is([TARGET, '--allow', 'a b'], /^wraith: --allow: "a b": /);
  await is([TARGET, '--nonsense'], /--nonsense: is not a known flag/);
  const absent = lab.file('absent');
  for (const flag of ['key', 'authorized-keys', 'revoked-keys']) {
    const pattern = new RegExp(`^wraith: --${flag}: .*absent: no such file`);
    await is([TARGET, `--${flag}`, absent], pattern);
  }
  const ca = [TARGET, '--cert-authority', absent];
  await is(ca, /^wraith: --cert-authority: .*absent: no such file/);
  const lonely = lab.file('lonely', '-----BEGIN OPENSSH PRIVATE KEY-----\n');
  await is([TARGET, '--key', lonely], /--key: .*lonely\.pub: no such file/);
  for (const text of ['', 'no key\n', 'ssh-ed25519 AAAA\n', '# only\n']) {
    const file = lab.file('odd', text);
    await is([TARGET, '--key', file], /--key: .*odd: not a public key/);
  }
  const broken = { status: -20023, file: '/x/keys', line: 9 };
  await is([TARGET], /^wraith: \/x\/keys:9: \w+/, [broken]);
  const bare = await policy(lab, [TARGET]);
  t.equal(bare.code, 2);
  t.match(bare.stderr, /^wraith: --key: is needed/);
});
