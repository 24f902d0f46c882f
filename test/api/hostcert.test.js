'use strict';
// Host certificates: what a server takes for its own, and how a client judges
// what it is shown.
const fs = require('node:fs');
const path = require('node:path');
const { execFileSync, spawnSync } = require('node:child_process');
const t = require('tap');
const {
  clientOptions,
  internal,
  keys,
  lines,
  rejection,
  startServer,
  wraith,
} = require('../lib/pair.js');

const found = spawnSync('ssh-keygen', ['-?']).error === undefined;
const skip = found ? false : 'ssh-keygen is not installed';

/**
 * A folder with an authority, and certificates that it makes: sign(name, args)
 * is the path of one, by default of the host key for 127.0.0.1.
 */
function authorityOf(t) {
  const dir = t.testdir();
  const authority = wraith.generateKeyPair({ comment: 'authority' });
  const ca = path.join(dir, 'ca');
  fs.writeFileSync(ca, authority.privateKey, { mode: 0o600 });
  const sign = (name, args = {}) => {
    const file = path.join(dir, `${name}.pub`);
    fs.writeFileSync(file, args.key ?? keys().host.publicKey);
    const flags = args.flags ?? ['-h', '-n', '127.0.0.1,b.test', '-z', '7'];
    execFileSync('ssh-keygen', ['-q', '-s', ca, '-I', name, ...flags, file]);
    return path.join(dir, `${name}-cert.pub`);
  };
  return { dir, sign, ...authority, line: authority.publicKey.trim() };
}

function tryWith(t, server, more) {
  const options = clientOptions(server, { reconnect: false, ...more });
  if (more.knownHosts) delete options.hostKey;
  const tunnel = wraith.createTunnel(options);
  t.teardown(() => tunnel.destroy());
  return tunnel;
}

/** A server with a certificate, and its authority. */
async function certified(t, args) {
  const ca = authorityOf(t);
  const server = await startServer(t, {
    hostCertificate: ca.sign('host', args),
  });
  const hosts = (text) => {
    const file = path.join(ca.dir, 'known_hosts');
    fs.writeFileSync(file, text);
    return file;
  };
  return { ca, server, hosts };
}

t.test('what a server says of its certificate', { skip }, async (t) => {
  const { ca, server } = await certified(t);
  t.strictSame(server.hostCertificate, {
    keyId: 'host',
    serial: '7',
    principals: ['127.0.0.1', 'b.test'],
    authorityFingerprint: ca.fingerprint,
    validAfter: 0,
    validBefore: Infinity,
  });
  t.equal((await startServer(t)).hostCertificate, undefined);
  const hostCertificate = fs.readFileSync(ca.sign('contents'));
  const { keyId } = (await startServer(t, { hostCertificate })).hostCertificate;
  t.equal(keyId, 'contents');
});

t.test('certificates that clients do not accept', { skip }, async (t) => {
  const host = ['-h', '-n', '127.0.0.1'];
  const cases = {
    'has expired': [...host, '-V', '20200101:20200102'],
    'is not valid yet': [...host, '-V', '20900101:20900102'],
    'names no host': ['-h'],
  };
  for (const [fault, flags] of Object.entries(cases)) {
    const { ca, server, hosts } = await certified(t, { flags });
    t.equal(server.hostCertificate.fault, fault);
    const knownHosts = hosts(`@cert-authority * ${ca.line}\n`);
    const error = await rejection(
      t,
      tryWith(t, server, { knownHosts }).ready(),
    );
    t.match(error, { code: 'ERR_WRAITH_HOST_KEY_UNKNOWN', phase: 'hostkey' });
    t.match(error.message, `its certificate ${fault}`);
  }
});

t.test('certificates that a server does not take', { skip }, async (t) => {
  const ca = authorityOf(t);
  const junk = path.join(ca.dir, 'junk');
  fs.writeFileSync(junk, 'ssh-ed25519-cert-v01@openssh.com AAAA\n');
  const { publicKey } = keys().other;
  const plain = path.join(ca.dir, 'plain.pub');
  fs.writeFileSync(plain, keys().host.publicKey);
  const mismatch = 'ERR_WRAITH_CERTIFICATE_MISMATCH';
  const cases = [
    [ca.sign('user', { flags: ['-n', 'root'] }), mismatch, 'user certificate'],
    [ca.sign('other', { key: publicKey }), mismatch, 'another key'],
    [plain, 'ERR_WRAITH_KEY_TYPE', 'not a certificate'],
    [junk, 'ERR_WRAITH_KEY_FORMAT', ''],
    [path.join(ca.dir, 'none'), 'ERR_WRAITH_FILE', ''],
  ];
  for (const [hostCertificate, code, text] of cases) {
    const error = await rejection(
      t,
      wraith.serve({
        hostKey: keys().host.privateKey,
        authorizedKeys: lines(keys().user),
        listen: '127.0.0.1:0',
        hostCertificate,
      }),
    );
    t.match(error, {
      code,
      phase: 'options',
      option: 'hostCertificate',
      file: hostCertificate,
    });
    t.ok(error.message.startsWith('hostCertificate'), error.message);
    t.ok(error.message.includes(hostCertificate), error.message);
    t.ok(error.message.includes(text), error.message);
  }
});

t.test(
  'a pin is of the key, with a certificate or without',
  { skip },
  async (t) => {
    const { ca, server } = await certified(t);
    const { fingerprint, publicKey } = keys().host;
    const file = path.join(ca.dir, 'host.pub');
    for (const hostKey of [fingerprint, publicKey.trim(), file]) {
      const tunnel = tryWith(t, server, { hostKey });
      const seen = new Promise((resolve) => tunnel.once('hostkey', resolve));
      await tunnel.ready();
      const { certificate, ...key } = await seen;
      t.strictSame(key, {
        type: 'ssh-ed25519',
        fingerprint,
        publicKey: publicKey.trim().split(' ').slice(0, 2).join(' '),
        added: false,
      });
      t.equal(certificate.keyId, 'host');
    }
    const other = tryWith(t, server, { hostKey: keys().other.fingerprint });
    t.match(await rejection(t, other.ready()), {
      code: 'ERR_WRAITH_HOST_KEY_MISMATCH',
      fingerprint,
    });
    for (const hostKey of [
      path.join(ca.dir, 'host-cert.pub'),
      fs.readFileSync(path.join(ca.dir, 'host-cert.pub'), 'utf8').trim(),
    ]) {
      const error = await rejection(t, tryWith(t, server, { hostKey }).ready());
      t.match(error, { code: 'ERR_WRAITH_KEY_TYPE', option: 'hostKey' });
    }
  },
);

t.test('a decision of the application', { skip }, async (t) => {
  const { server } = await certified(t);
  let seen;
  const hostKey = (key) => {
    seen = key;
    return true;
  };
  await tryWith(t, server, { hostKey }).ready();
  const { fault, ...certificate } = server.hostCertificate;
  t.equal(fault, undefined);
  t.match(seen, { type: 'ssh-ed25519', fingerprint: keys().host.fingerprint });
  t.strictSame(seen.certificate, certificate);
  t.notOk('presented' in seen);
  await tryWith(t, await startServer(t), { hostKey }).ready();
  t.notOk('certificate' in seen);
});

t.test('authorities of known_hosts', { skip }, async (t) => {
  const { ca, server, hosts } = await certified(t);
  const place = `[127.0.0.1]:${server.addresses[0].port}`;
  const stranger = keys().other.publicKey.trim();
  const good = [
    `@cert-authority ${place} ${ca.line}\n`,
    `@cert-authority 127.0.0.1 ${ca.line}\n`,
    `${place} ${stranger}\n@cert-authority 127.* ${ca.line}\n`,
    `@cert-authority * ${stranger}\n${place} ${keys().host.publicKey}`,
  ];
  for (const text of good) {
    const tunnel = tryWith(t, server, { knownHosts: hosts(text) });
    const seen = new Promise((resolve) => tunnel.once('hostkey', resolve));
    await tunnel.ready();
    t.equal((await seen).added, false);
    await tunnel.close();
  }
  const revoked = hosts(
    `@cert-authority * ${ca.line}\n@revoked * ${ca.line}\n`,
  );
  t.match(
    await rejection(t, tryWith(t, server, { knownHosts: revoked }).ready()),
    { code: 'ERR_WRAITH_HOST_KEY_MISMATCH', file: revoked, line: 2 },
  );
  const unknown = hosts(`@cert-authority * ${stranger}\n`);
  const error = await rejection(
    t,
    tryWith(t, server, { knownHosts: unknown }).ready(),
  );
  t.equal(error.code, 'ERR_WRAITH_HOST_KEY_UNKNOWN');
  t.notMatch(error.message, 'certificate');
});

t.test(
  'a first contact keeps the key, not the certificate',
  { skip },
  async (t) => {
    const { server, hosts } = await certified(t);
    const knownHosts = hosts('');
    await tryWith(t, server, { knownHosts, acceptNew: true }).ready();
    const place = `[127.0.0.1]:${server.addresses[0].port}`;
    const [type, key] = keys().host.publicKey.split(' ');
    t.equal(fs.readFileSync(knownHosts, 'utf8'), `${place} ${type} ${key}\n`);
    await tryWith(t, server, { knownHosts }).ready();
  },
);

t.test(
  'a certificate that cannot be read leaves the key',
  { skip },
  async (t) => {
    const ca = authorityOf(t);
    const [, base64] = fs.readFileSync(ca.sign('host'), 'utf8').split(' ');
    const blob = Buffer.from(base64, 'base64');
    const forged = Buffer.from(blob);
    forged[forged.length - 1] ^= 1;
    const knownHosts = path.join(ca.dir, 'known_hosts');
    fs.writeFileSync(knownHosts, `@cert-authority * ${ca.line}\n`);
    for (const hostCertificate of [blob.subarray(0, -1), forged]) {
      const server = await startServer(t, { [internal]: { hostCertificate } });
      let seen;
      const hostKey = (key) => {
        seen = key;
        return true;
      };
      await tryWith(t, server, { hostKey }).ready();
      t.equal(seen.fingerprint, keys().host.fingerprint);
      t.notOk('certificate' in seen);
      const error = await rejection(
        t,
        tryWith(t, server, { knownHosts }).ready(),
      );
      t.equal(error.code, 'ERR_WRAITH_HOST_KEY_UNKNOWN');
    }
  },
);
