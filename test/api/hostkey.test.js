'use strict';
// What the server must prove: fingerprints, key lines, files, known_hosts, or a
// decision of the application.
const fs = require('node:fs');
const path = require('node:path');
const { PassThrough } = require('node:stream');
const t = require('tap');
const {
  addressOf,
  clientOptions,
  keys,
  rejection,
  startServer,
  startTunnel,
  wraith,
} = require('../lib/pair.js');

const OTHER = `SHA256:${'A'.repeat(43)}`;
const mismatch = { code: 'ERR_WRAITH_HOST_KEY_MISMATCH', phase: 'hostkey' };

function tryWith(t, server, more) {
  const options = clientOptions(server, more);
  if (more.knownHosts) delete options.hostKey;
  const tunnel = wraith.createTunnel(options);
  t.teardown(() => tunnel.destroy());
  return tunnel;
}

t.test('pins that match', async (t) => {
  const server = await startServer(t);
  const { fingerprint, publicKey } = keys().host;
  const dir = t.testdir({
    pin: `# the host\n\n${publicKey}`,
    both: `${keys().other.publicKey.trim()}\n${publicKey}`,
  });
  const pins = [
    fingerprint,
    [OTHER, fingerprint],
    publicKey.trim(),
    publicKey.trim().split(' ').slice(0, 2).join(' '),
    path.join(dir, 'pin'),
    [path.join(dir, 'both')],
    server.hostKeyFingerprint,
    server.hostKey,
  ];
  for (const hostKey of pins) {
    const tunnel = tryWith(t, server, { hostKey });
    const seen = new Promise((resolve) => tunnel.once('hostkey', resolve));
    await tunnel.ready();
    t.match(
      await seen,
      { type: 'ssh-ed25519', fingerprint, added: false },
      String(hostKey).slice(0, 30),
    );
    await tunnel.close();
  }
});

t.test('pins that do not match', async (t) => {
  const server = await startServer(t);
  const dir = t.testdir({ pin: keys().other.publicKey });
  for (const hostKey of [
    OTHER,
    keys().other.publicKey.trim(),
    path.join(dir, 'pin'),
  ]) {
    const tunnel = tryWith(t, server, { hostKey });
    const error = await rejection(t, tunnel.ready());
    t.match(error, { ...mismatch, fingerprint: keys().host.fingerprint });
    t.equal(tunnel.state, 'closed');
  }
  t.equal(server.stats().authAccepted, 0, 'nobody has logged in');
  t.equal(server.stats().authRejected, 0, 'or offered a key');
});

t.test('pins that are none', async (t) => {
  const server = await startServer(t);
  const dir = t.testdir({ empty: '\n# nothing\n', junk: 'ssh-ed25519 AAAA\n' });
  const cases = [
    [path.join(dir, 'missing'), 'ERR_WRAITH_FILE'],
    [path.join(dir, 'empty'), 'ERR_WRAITH_KEY_FORMAT'],
    [path.join(dir, 'junk'), 'ERR_WRAITH_KEY_FORMAT'],
    ['ssh-ed25519 AAAA', 'ERR_WRAITH_KEY_FORMAT'],
    ['SHA256:short', 'ERR_WRAITH_INVALID_ARGUMENT'],
  ];
  for (const [hostKey, code] of cases) {
    const tunnel = tryWith(t, server, { hostKey });
    await t.rejects(tunnel.ready(), { code, phase: 'options' }, hostKey);
  }
});

t.test('known hosts of a stream without a name', async (t) => {
  const knownHosts = path.join(t.testdir(), 'known_hosts');
  const options = {
    stream: () => new PassThrough(),
    identity: keys().user.privateKey,
    knownHosts,
    acceptNew: true,
  };
  t.throws(() => wraith.createTunnel(options), {
    code: 'ERR_WRAITH_INVALID_ARGUMENT',
    option: 'knownHosts',
  });
  const named = wraith.createTunnel({ ...options, server: 'a.test' });
  await named.close();
  t.notOk(fs.existsSync(knownHosts));
});

t.test('a decision of the application', async (t) => {
  const server = await startServer(t);
  const { port } = server.addresses[0];
  const { fingerprint } = keys().host;
  let seen;
  const yes = tryWith(t, server, {
    hostKey: async (key) => {
      seen = key;
      await new Promise(setImmediate);
      return true;
    },
  });
  await yes.ready();
  t.match(seen, { type: 'ssh-ed25519', fingerprint, host: '127.0.0.1', port });
  t.match(seen.publicKey, /^ssh-ed25519 \S+$/);
  t.equal(keys().host.publicKey.startsWith(seen.publicKey), true);
  const thrown = new Error('no');
  const refusals = [
    () => false,
    () => undefined,
    () => 'yes',
    async () => false,
    () => Promise.reject(thrown),
    () => {
      throw thrown;
    },
  ];
  for (const hostKey of refusals) {
    const error = await rejection(t, tryWith(t, server, { hostKey }).ready());
    t.match(error, { ...mismatch, fingerprint }, String(hostKey));
  }
  const error = await rejection(
    t,
    tryWith(t, server, { hostKey: refusals.at(-1) }).ready(),
  );
  t.equal(error.cause, thrown);
});

t.test('a decision that never comes', async (t) => {
  const server = await startServer(t);
  const tunnel = tryWith(t, server, {
    hostKey: () => new Promise(() => {}),
    connectTimeout: 100,
    reconnect: false,
  });
  await t.rejects(tunnel.ready(), {
    code: 'ERR_WRAITH_TIMEOUT',
    phase: 'hostkey',
  });
});

t.test('known_hosts', async (t) => {
  const server = await startServer(t);
  const { port } = server.addresses[0];
  const key = keys().host.publicKey.trim();
  const other = keys().other.publicKey.trim();
  const at = (text) =>
    path.join(t.testdir({ known_hosts: text }), 'known_hosts');
  await tryWith(t, server, {
    knownHosts: at(`[127.0.0.1]:${port} ${key}\n`),
  }).ready();
  await tryWith(t, server, {
    knownHosts: at(`elsewhere ${other}\n[127.0.0.1]:${port} ${key}`),
  }).ready();

  const changed = at(`# first\n[127.0.0.1]:${port} ${other}\n`);
  const error = await rejection(
    t,
    tryWith(t, server, { knownHosts: changed, acceptNew: true }).ready(),
  );
  t.match(error, { ...mismatch, file: changed, line: 2 });
  t.match(error.message, `${changed}:2`);

  const revoked = at(`@revoked * ${key}\n[127.0.0.1]:${port} ${key}\n`);
  const refused = await rejection(
    t,
    tryWith(t, server, { knownHosts: revoked }).ready(),
  );
  t.match(refused, mismatch);
  t.match(refused.message, 'revoked');

  const unknown = at(`[127.0.0.1]:1 ${key}\n`);
  const stranger = await rejection(
    t,
    tryWith(t, server, { knownHosts: unknown }).ready(),
  );
  t.match(
    stranger,
    {
      code: 'ERR_WRAITH_HOST_KEY_UNKNOWN',
      phase: 'hostkey',
      file: unknown,
      fingerprint: keys().host.fingerprint,
    },
    'the port counts',
  );
});

t.test('acceptNew remembers a first contact', async (t) => {
  const server = await startServer(t);
  const { port } = server.addresses[0];
  const file = path.join(t.testdir(), 'new', 'folder', 'known_hosts');
  const tunnel = tryWith(t, server, { knownHosts: file, acceptNew: true });
  const seen = new Promise((resolve) => tunnel.once('hostkey', resolve));
  await tunnel.ready();
  t.match(await seen, {
    added: true,
    file,
    fingerprint: keys().host.fingerprint,
  });
  t.equal(fs.statSync(file).mode & 0o777, 0o600);
  t.equal(fs.statSync(path.dirname(file)).mode & 0o777, 0o700);
  const text = fs.readFileSync(file, 'utf8');
  t.match(text, `[127.0.0.1]:${port} ssh-ed25519 `);
  t.ok(text.endsWith('\n'));
  await tryWith(t, server, { knownHosts: file }).ready();
  const again = tryWith(t, server, { knownHosts: file, acceptNew: true });
  const second = new Promise((resolve) => again.once('hostkey', resolve));
  await again.ready();
  t.match(await second, { added: false });
  t.equal(fs.readFileSync(file, 'utf8'), text, 'written once');
});

t.test('acceptNew after a last line without its end', async (t) => {
  const server = await startServer(t);
  const first = `elsewhere ${keys().other.publicKey.trim()}`;
  const file = path.join(t.testdir({ known_hosts: first }), 'known_hosts');
  await tryWith(t, server, { knownHosts: file, acceptNew: true }).ready();
  const text = fs.readFileSync(file, 'utf8').split('\n');
  t.equal(text[0], first);
  t.match(text[1], /^\[127\.0\.0\.1\]:\d+ ssh-ed25519 /);
});

t.test('a known_hosts that cannot be written or read', async (t) => {
  const server = await startServer(t);
  const dir = t.testdir({ file: '' });
  const below = path.join(dir, 'file', 'known_hosts');
  const tunnel = tryWith(t, server, {
    knownHosts: below,
    acceptNew: true,
    reconnect: false,
  });
  const error = await rejection(t, tunnel.ready());
  t.match(error, { code: 'ERR_WRAITH_FILE', phase: 'options', file: below });
  // It can be read as empty there, and not be made.
  const absent = '/sys/none/known_hosts';
  const second = tryWith(t, server, { knownHosts: absent, acceptNew: true });
  t.match(await rejection(t, second.ready()), {
    code: 'ERR_WRAITH_FILE',
    phase: 'options',
    file: absent,
  });
});

t.test('a host key that changes ends a tunnel that was up', async (t) => {
  const server = await startServer(t);
  const tunnel = startTunnel(t, server);
  await tunnel.ready();
  const over = new Promise((resolve) => tunnel.once('close', resolve));
  const listen = addressOf(server);
  await server.close({ drain: 0 });
  await startServer(t, { listen, hostKey: keys().other.privateKey });
  t.match(await over, mismatch);
});
