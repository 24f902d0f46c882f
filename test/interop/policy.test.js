'use strict';
// `wraith policy`: what it prints and how it ends, on the files of real keys,
// certificates and revocation lists.
const fs = require('node:fs');
const path = require('node:path');
const { lab } = require('./lib/lab.js');
const { wraithRun } = require('./lib/wraith.js');
const peers = require('../../scripts/peers.js');

const TARGET = '192.0.2.1:5432';

const policy = (lab, args) => wraithRun(lab.dir, ['policy', ...args]);

/** Runs it and compares code and lines. */
async function says(t, lab, args, code, lines) {
  const result = await policy(lab, args);
  t.equal(result.stdout, lines.map((line) => `${line}\n`).join(''));
  t.equal(result.stderr, '');
  t.equal(result.code, code, args.join(' '));
}

async function sign(lab, ca, key, args) {
  const { code, stderr } = await lab.run(peers.path('ssh-keygen'), [
    ...['-q', '-s', ca.file, ...args, key.pub],
  ]);
  if (code !== 0) throw new Error(stderr);
  return key.pub.replace(/\.pub$/, '-cert.pub');
}

lab('keys and their lines', {}, async (t, lab) => {
  const [key, other] = [await lab.key(), await lab.key('other')];
  const keys = lab.file(
    'keys',
    `# who\n${other.line}\nfrom="10.0.0.0/8",permitopen="192.0.2.1:*" ${key.line}\n`,
  );
  const ask = ['--authorized-keys', keys, '--key', key.pub];
  await says(t, lab, [...ask, '--from', '10.1.2.3', TARGET, '192.0.2.2:1'], 1, [
    `login: allowed: ${keys}:3`,
    `channel ${TARGET}: allowed: no rule matches`,
    'channel 192.0.2.2:1: denied: no permitopen of the line names it',
  ]);
  await says(t, lab, [...ask, '--from', '11.1.2.3', TARGET], 1, [
    `login: denied: from, ${keys}:3`,
    `channel ${TARGET}: denied: nobody is logged in`,
  ]);
  await says(t, lab, [...ask, TARGET], 1, [
    `login: denied: from, ${keys}:3`,
    `channel ${TARGET}: denied: nobody is logged in`,
  ]);
  const stranger = await lab.key('stranger');
  await says(
    t,
    lab,
    ['--authorized-keys', keys, '--key', stranger.file, TARGET],
    1,
    [
      'login: denied: unknown-key',
      `channel ${TARGET}: denied: nobody is logged in`,
    ],
  );
  const revoked = ['--revoked-keys', other.pub];
  await says(
    t,
    lab,
    ['--authorized-keys', keys, ...revoked, '--key', other.file, TARGET],
    1,
    [
      'login: denied: revoked',
      `channel ${TARGET}: denied: nobody is logged in`,
    ],
  );
});

lab('rules, and every kind of target', {}, async (t, lab) => {
  const key = await lab.key();
  const ask = ['--authorized-keys', key.pub, '--key', key.pub];
  const rules = [
    ...['--deny', 'metadata', '--allow', '192.0.2.0/24:5432'],
    ...['--allow', 'unix:/run/*', '--deny', 'wraith-x'],
    ...['--allow', '*.example', '--allow', 'localhost:80'],
  ];
  await says(
    t,
    lab,
    [
      ...[...ask, ...rules, TARGET, '192.0.2.1:22', '169.254.169.254:80'],
      ...['unix:/run/x', 'unix:/etc/x', 'wraith-x', 'db.example:1'],
      ...['--listen', '80', '--listen', '*:8080', '--listen', '443'],
    ],
    1,
    [
      `login: allowed: ${key.pub}:1`,
      `channel ${TARGET}: allowed: --allow 192.0.2.0/24:5432`,
      'channel 192.0.2.1:22: denied: no rule matches',
      'channel 169.254.169.254:80: denied: --deny metadata',
      'channel unix:/run/x: allowed: --allow unix:/run/*',
      'channel unix:/etc/x: denied: no rule matches',
      'channel wraith-x: denied: --deny wraith-x',
      'channel db.example:1: denied: the name does not resolve here',
      'listen 80: allowed: --allow localhost:80',
      'listen *:8080: allowed: no rule matches',
      'listen 443: denied: no rule matches',
    ],
  );
  await says(t, lab, [...ask, '--deny', 'private', 'localhost:80'], 0, [
    `login: allowed: ${key.pub}:1`,
    ...(await addresses()).map(
      (one) => `channel localhost:80: ${one}: allowed: no rule matches`,
    ),
  ]);
});

async function addresses() {
  const all = await require('node:dns').promises.lookup('localhost', {
    all: true,
  });
  return all.map(({ address }) => address);
}

lab('certificates', { peers: ['ssh-keygen'] }, async (t, lab) => {
  const [key, ca] = [await lab.key(), await lab.key('ca')];
  const file = await sign(lab, ca, key, [
    ...['-I', 'her\u001b[2J "id"', '-n', 'ann', '-z', '7'],
    ...['-V', '20200101Z:20990101Z'],
  ]);
  const ask = ['--cert-authority', ca.pub, '--key', file, TARGET];
  const shown = 'certificate "her\\u001b[2J \\"id\\"" (7)';
  await says(t, lab, ['--user', 'ann', ...ask], 0, [
    `login: allowed: ${ca.pub}:1, ${shown}, until 2099-01-01T00:00:00.000Z`,
    `channel ${TARGET}: allowed: no rule matches`,
  ]);
  await says(t, lab, ['--user', 'bob', ...ask], 1, [
    `login: denied: cert-principal, ${ca.pub}:1, ${shown}`,
    `channel ${TARGET}: denied: nobody is logged in`,
  ]);
  await sign(lab, ca, key, [
    '-I',
    'x',
    '-n',
    'ann',
    '-O',
    'no-port-forwarding',
  ]);
  await says(t, lab, ['--user', 'ann', ...ask], 1, [
    `login: allowed: ${ca.pub}:1, certificate "x" (0)`,
    `channel ${TARGET}: denied: the certificate does not permit port forwarding`,
  ]);
  const krl = lab.file('krl');
  await lab.run(peers.path('ssh-keygen'), ['-q', '-k', '-f', krl, ca.pub]);
  await says(t, lab, ['--user', 'ann', '--revoked-keys', krl, ...ask], 1, [
    'login: denied: revoked',
    `channel ${TARGET}: denied: nobody is logged in`,
  ]);
});

lab('defaults', {}, async (t, lab) => {
  const key = await lab.key();
  const config = path.join(lab.dir, 'config', 'wraith');
  fs.mkdirSync(config, { recursive: true });
  const file = path.join(config, 'authorized_keys');
  fs.writeFileSync(file, `${key.line}\n`);
  await says(t, lab, ['--key', key.file, TARGET], 0, [
    `login: allowed: ${file}:1`,
    `channel ${TARGET}: allowed: no rule matches`,
  ]);
});

lab('as JSON', {}, async (t, lab) => {
  const key = await lab.key();
  const { stdout, code } = await policy(lab, [
    ...['--json', '--authorized-keys', key.pub, '--key', key.pub],
    ...['--deny', '192.0.2.1', TARGET, '--listen', '8080'],
  ]);
  t.equal(code, 1);
  t.equal(stdout.trim().split('\n').length, 1);
  t.strictSame(JSON.parse(stdout), {
    allowed: false,
    login: { allowed: true, reason: 'accept', file: key.pub, line: 1 },
    targets: [
      {
        target: TARGET,
        what: 'channel',
        allowed: false,
        why: 'rule',
        rule: '--deny 192.0.2.1',
      },
      { target: '8080', what: 'listen', allowed: true, why: 'default' },
    ],
  });
});

lab('wrong usage', {}, async (t, lab) => {
  const key = await lab.key();
  const ask = ['--authorized-keys', key.pub, '--key', key.pub];
  const is = async (args, pattern) => {
    const { code, stdout, stderr } = await policy(lab, [...ask, ...args]);
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
  const flags = ['key', 'authorized-keys', 'revoked-keys', 'cert-authority'];
  for (const flag of flags) {
    const pattern = new RegExp(`^wraith: --${flag}: .*absent: no such file`);
    await is([TARGET, `--${flag}`, absent], pattern);
  }
  const lonely = lab.file('lonely', '-----BEGIN OPENSSH PRIVATE KEY-----\n');
  await is([TARGET, '--key', lonely], /--key: .*lonely\.pub: no such file/);
  for (const text of ['', 'no key\n', 'ssh-ed25519 AAAA\n', '# only\n']) {
    const file = lab.file('odd', text);
    await is([TARGET, '--key', file], /--key: .*odd: not a public key/);
  }
  const broken = lab.file('broken', `\ncommand="x" ${key.line}\n`);
  const where = /^wraith: --authorized-keys: .*broken:2: command: /;
  await is([TARGET, '--authorized-keys', broken], where);
  const bare = await policy(lab, ['--authorized-keys', key.pub, TARGET]);
  t.equal(bare.code, 2);
  t.match(bare.stderr, /^wraith: --key: is needed/);
});
