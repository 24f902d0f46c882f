'use strict';
// Certificates that a client logs in with: where they are found, in which order
// they are offered, and which are refused before anything is dialled.
const fs = require('node:fs');
const path = require('node:path');
const t = require('tap');
const { certificate, softKey, skKey } = require('../lib/agent.js');
const {
  clientOptions,
  keys,
  rejection,
  startServer,
  startTunnel,
  state,
  wraith,
} = require('../lib/pair.js');

const { connect } = wraith;

const bytesOf = (pair) => Buffer.from(pair.publicKey.split(' ')[1], 'base64');

/** A key of ours as the parts that a certificate is made of. */
const plain = (pair) => ({ pub: bytesOf(pair).subarray(-32) });

const authority = softKey();
const mine = (options) => certificate(plain(keys().user), authority, options);

/** A folder with the user's key in it, and what is given. */
function keyDir(t, files = {}) {
  const dir = t.testdir(files);
  fs.writeFileSync(path.join(dir, 'id'), keys().user.privateKey, {
    mode: 0o600,
  });
  return dir;
}

/** How many failures there were before a login. */
async function failuresOf(t, server, options) {
  const before = server.stats().authRejected;
  const tunnel = startTunnel(t, server, options);
  await tunnel.ready();
  await tunnel.close();
  return server.stats().authRejected - before;
}

t.test('the certificate is offered first, then its key', async (t) => {
  const seen = [];
  const server = await startServer(t, {
    log: ({ message, result }) => {
      if (message === 'auth attempt') seen.push(result);
    },
  });
  const dir = keyDir(t, { 'other-cert.pub': `# a remark\n${mine().line}\n` });
  const at = (name) => path.join(dir, name);
  for (const given of [
    { identity: at('id'), certificate: at('other-cert.pub') },
    { identity: at('id'), certificate: Buffer.from(mine().line) },
    { identity: keys().user.privateKey, certificate: `${mine().line}\n` },
  ]) {
    seen.length = 0;
    await failuresOf(t, server, given);
    // Of an authority that the server does not know.
    t.strictSame(seen, ['reject', 'accept']);
  }
});

t.test('the certificate beside the identity', async (t) => {
  const server = await startServer(t);
  const dir = keyDir(t);
  const identity = path.join(dir, 'id');
  const beside = path.join(dir, 'id-cert.pub');
  t.equal(await failuresOf(t, server, { identity }), 0, 'there is none');
  fs.writeFileSync(beside, mine().line);
  t.equal(await failuresOf(t, server, { identity }), 1, 'it is used');
  const bare = { identity: keys().user.privateKey };
  t.equal(await failuresOf(t, server, bare), 0, 'contents have no neighbours');
});

t.test('certificates that are refused', async (t) => {
  const server = await startServer(t);
  const stranger = certificate(softKey(), authority);
  const dir = keyDir(t, {
    broken: 'not a certificate\n',
    cut: `${mine().line.slice(0, 200)}\n`,
    empty: '',
    key: keys().user.publicKey,
    host: mine({ host: true }).line,
    stranger: stranger.line,
    sk: certificate(skKey(), authority).line,
  });
  const at = (name) => path.join(dir, name);
  const cases = [
    ['missing', 'ERR_WRAITH_FILE'],
    ['broken', 'ERR_WRAITH_KEY_FORMAT'],
    ['cut', 'ERR_WRAITH_KEY_FORMAT'],
    ['empty', 'ERR_WRAITH_KEY_FORMAT'],
    ['key', 'ERR_WRAITH_KEY_TYPE'],
    ['host', 'ERR_WRAITH_CERTIFICATE'],
    ['stranger', 'ERR_WRAITH_CERTIFICATE'],
    ['sk', 'ERR_WRAITH_CERTIFICATE'],
  ];
  const tryWith = async (more) => {
    const { minDelay: _, maxDelay: _1, ...rest } = clientOptions(server, more);
    return rejection(t, connect({ identity: at('id'), ...rest }));
  };
  for (const [name, code] of cases) {
    const error = await tryWith({ identity: at('id'), certificate: at(name) });
    const want = { code, phase: 'options', option: 'certificate' };
    t.match(error, { ...want, file: at(name) }, name);
    t.match(error.message, at(name));
    if (name === 'missing') continue;
    fs.copyFileSync(at(name), at('id-cert.pub'));
    const beside = await tryWith({ identity: at('id') });
    t.match(beside, { ...want, file: at('id-cert.pub') }, `${name} beside`);
    fs.rmSync(at('id-cert.pub'));
  }
  const contents = await tryWith({ certificate: Buffer.from(stranger.line) });
  t.match(contents, { code: 'ERR_WRAITH_CERTIFICATE', option: 'certificate' });
  t.equal(contents.file, undefined);
  t.equal(server.stats().connections, 0, 'nothing was dialled');
});

t.test('a certificate is read anew for each try', async (t) => {
  const dir = keyDir(t);
  const identity = path.join(dir, 'id');
  const server = await startServer(t);
  const listen = `127.0.0.1:${server.addresses[0].port}`;
  const tunnel = startTunnel(t, server, { identity });
  await tunnel.ready();
  t.equal(server.stats().authRejected, 0);
  fs.writeFileSync(path.join(dir, 'id-cert.pub'), mine().line);
  await Promise.all([
    state(tunnel, 'reconnecting'),
    server.close({ drain: 0 }),
  ]);
  const next = await startServer(t, { listen });
  await tunnel.ready();
  t.equal(next.stats().authRejected, 1);
});

t.test('private keys that others may read', async (t) => {
  const server = await startServer(t);
  const dir = t.testdir();
  const file = path.join(dir, 'key');
  const locked = wraith.generateKeyPair({ passphrase: 'x' });
  fs.writeFileSync(file, keys().user.privateKey, { mode: 0o600 });
  const tryClient = () => {
    const {
      minDelay: _,
      maxDelay: _1,
      ...rest
    } = clientOptions(server, {
      identity: file,
    });
    return rejection(t, connect(rest));
  };
  const tryServer = () => rejection(t, startServer(t, { hostKey: file }));
  for (const mode of [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o777]) {
    fs.chmodSync(file, mode);
    for (const [option, attempt] of [
      ['identity', tryClient],
      ['hostKey', tryServer],
    ]) {
      const error = await attempt();
      const want = { code: 'ERR_WRAITH_KEY_MODE', phase: 'options', option };
      t.match(error, { ...want, file }, mode.toString(8));
      t.match(error.message, `chmod 600 ${file}`);
      t.match(error.message, `0${mode.toString(8)}`);
    }
  }
  for (const mode of [0o600, 0o400, 0o700]) {
    fs.chmodSync(file, mode);
    t.equal(await failuresOf(t, server, { identity: file }), 0);
    await startServer(t, { hostKey: file });
  }
  fs.chmodSync(file, 0o644);
  fs.writeFileSync(file, locked.privateKey);
  t.equal((await tryClient()).code, 'ERR_WRAITH_KEY_MODE', 'encrypted as well');
  if (process.getuid() !== 0) return;
  fs.writeFileSync(file, keys().user.privateKey);
  fs.chownSync(file, 65534, 65534);
  t.equal(await failuresOf(t, server, { identity: file }), 0, "another's");
});
