'use strict';
// Each failure has its code and phase. Errors of channels never hold a host, a
// port or a path, wherever one looks.
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const util = require('node:util');
const t = require('tap');
const {
  addressOf,
  clientOptions,
  keys,
  lines,
  pairUp,
  rejection,
  startServer,
  startTunnel,
  wraith,
} = require('../lib/pair.js');
const { deadPort, dial, echo, listen } = require('../lib/net.js');

const { WraithError, connect, createTunnel, generateKeyPair, serve } = wraith;

/** Everything that an error would show anywhere, its causes too. */
function shown(error) {
  const parts = [];
  for (let one = error; one; one = one.cause) {
    parts.push(util.inspect(one, { depth: 10, showHidden: true }));
    parts.push(String(one.stack), JSON.stringify(one));
  }
  return parts.join('\n');
}

t.test('the server cannot be reached', async (t) => {
  const port = await deadPort();
  const options = { ...clientOptions({ addresses: [{ port }] }) };
  delete options.minDelay;
  delete options.maxDelay;
  const error = await rejection(t, connect(options));
  t.match(error, {
    code: 'ECONNREFUSED',
    syscall: 'connect',
    address: '127.0.0.1',
    port,
    phase: 'dial',
    name: 'WraithError',
  });
  t.type(error.errno, 'number');
  t.match(error.message, `connect ECONNREFUSED 127.0.0.1:${port}`);
  t.ok(error instanceof WraithError);
  t.ok(util.types.isNativeError(error));
});

t.test('the name of the server does not resolve', async (t) => {
  const server = await startServer(t);
  const options = clientOptions(server, {
    server: 'nobody.invalid:22',
    reconnect: false,
  });
  const tunnel = createTunnel(options);
  await t.rejects(tunnel.ready(), {
    code: 'ERR_WRAITH_UNRESOLVED',
    phase: 'dial',
  });
  await tunnel.close();
});

t.test('the server says nothing', async (t) => {
  const silent = await listen(t, () => {});
  const options = clientOptions(
    { addresses: [{ port: silent.port }] },
    { connectTimeout: 100, reconnect: false },
  );
  const tunnel = createTunnel(options);
  await t.rejects(tunnel.ready(), { code: 'ERR_WRAITH_TIMEOUT', phase: 'kex' });
  await tunnel.close();
});

t.test('the server speaks something else', async (t) => {
  const cases = [
    [
      'HTTP/1.1 400 Bad Request\r\n\r\n',
      /^ERR_WRAITH_(SSH_VERSION|SSH_PROTOCOL|PEER_CLOSED)$/,
    ],
    ['SSH-1.5-old\r\n', /^ERR_WRAITH_SSH_VERSION$/],
  ];
  for (const [text, code] of cases) {
    const other = await listen(t, (socket) => socket.end(text));
    const options = clientOptions(
      { addresses: [{ port: other.port }] },
      { reconnect: false },
    );
    const tunnel = createTunnel(options);
    const error = await rejection(t, tunnel.ready());
    t.match(error.code, code, text.slice(0, 8));
    t.equal(error.phase, 'kex');
    await tunnel.close();
  }
});

t.test('the key is refused', async (t) => {
  const server = await startServer(t);
  const tunnel = startTunnel(t, server, { identity: keys().other.privateKey });
  const error = await rejection(t, tunnel.ready());
  t.match(error, { code: 'ERR_WRAITH_AUTH_REFUSED', phase: 'auth' });
  t.equal(tunnel.state, 'closed', 'it would not get better by itself');
  await t.rejects(tunnel.open('wraith-control'), {
    code: 'ERR_WRAITH_AUTH_REFUSED',
  });
});

t.test('identities', async (t) => {
  const server = await startServer(t);
  const dir = t.testdir({
    broken: 'not a key\n',
    empty: '',
    public: keys().user.publicKey,
  });
  const encrypted = generateKeyPair({ passphrase: 'right' });
  const file = path.join(dir, 'encrypted');
  fs.writeFileSync(file, encrypted.privateKey, { mode: 0o600 });
  const tryKey = (more) =>
    rejection(t, connect(withoutDelays(clientOptions(server, more))));
  const at = (name) => path.join(dir, name);
  const wrong = [
    [{ identity: at('missing') }, 'ERR_WRAITH_FILE'],
    [{ identity: dir }, 'ERR_WRAITH_FILE'],
    [{ identity: at('broken') }, 'ERR_WRAITH_KEY_FORMAT'],
    [{ identity: at('empty') }, 'ERR_WRAITH_KEY_FORMAT'],
    [{ identity: at('public') }, 'ERR_WRAITH_KEY_FORMAT'],
    [{ identity: file }, 'ERR_WRAITH_KEY_PASSPHRASE'],
    [{ identity: file, passphrase: 'hunter2' }, 'ERR_WRAITH_KEY_PASSPHRASE'],
    [{ identity: file, passphrase: '' }, 'ERR_WRAITH_KEY_PASSPHRASE'],
  ];
  for (const [more, code] of wrong) {
    const error = await tryKey(more);
    t.match(error, {
      code,
      phase: 'options',
      option: 'identity',
      file: more.identity,
    });
    t.match(error.message, more.identity);
  }
  const contents = await tryKey({
    identity: encrypted.privateKey,
    passphrase: 'hunter2',
  });
  t.match(contents, { code: 'ERR_WRAITH_KEY_PASSPHRASE', option: 'identity' });
  t.notMatch(shown(contents), /hunter2|BEGIN/, 'no passphrase, no key');
  await server.reload({ authorizedKeys: lines(encrypted) });
  server.on('connection', (stream) => stream.end('in'));
  const stream = await connect(
    withoutDelays(
      clientOptions(server, { identity: file, passphrase: 'right' }),
    ),
  );
  t.equal((await stream.toArray()).join(''), 'in');
});

function withoutDelays(options) {
  const { minDelay, maxDelay, ...rest } = options;
  return rest;
}

t.test('authorized keys and host keys of a server', async (t) => {
  const base = { hostKey: keys().host.privateKey, listen: '127.0.0.1:0' };
  const dir = t.testdir();
  const file = path.join(dir, 'authorized_keys');
  fs.writeFileSync(
    file,
    `# mine\n${keys().user.publicKey.trim()}\ncommand="x" ${keys().other.publicKey}`,
  );
  const error = await rejection(t, serve({ ...base, authorizedKeys: file }));
  t.match(error, {
    code: 'ERR_WRAITH_KEY_OPTIONS',
    phase: 'options',
    option: 'authorizedKeys',
    file,
    line: 3,
  });
  t.match(error.message, `${file}:3`);
  await t.rejects(serve({ ...base, authorizedKeys: path.join(dir, 'none') }), {
    code: 'ERR_WRAITH_FILE',
    option: 'authorizedKeys',
  });
  await t.rejects(serve({ ...base, authorizedKeys: Buffer.from('junk\n') }), {
    option: 'authorizedKeys',
    line: 1,
  });
  await t.rejects(
    serve({
      listen: [],
      authorizedKeys: lines(keys().user),
      hostKey: Buffer.from('junk'),
    }),
    { code: 'ERR_WRAITH_KEY_FORMAT', option: 'hostKey' },
  );
  const { XDG_CONFIG_HOME } = process.env;
  process.env.XDG_CONFIG_HOME = dir;
  t.teardown(() => {
    if (XDG_CONFIG_HOME === undefined) delete process.env.XDG_CONFIG_HOME;
    else process.env.XDG_CONFIG_HOME = XDG_CONFIG_HOME;
  });
  await t.rejects(serve(base), {
    code: 'ERR_WRAITH_NO_KEYS',
    phase: 'options',
  });
});

t.test('a port that is taken', async (t) => {
  const { server, tunnel } = await pairUp(t);
  const taken = await listen(t, () => {});
  const expected = {
    code: 'EADDRINUSE',
    syscall: 'listen',
    address: '127.0.0.1',
    port: taken.port,
  };
  await t.rejects(tunnel.socks5({ port: taken.port }), expected);
  await t.rejects(tunnel.forward(`127.0.0.1:${taken.port}:h:1`), expected);
  const second = serve({
    hostKey: keys().host.privateKey,
    authorizedKeys: lines(keys().user),
    listen: ['127.0.0.1:0', addressOf(server)],
  });
  await t.rejects(second, { ...expected, port: server.addresses[0].port });
  await t.rejects(tunnel.socks5({ host: '192.0.2.1', port: 0 }), {
    code: 'EADDRNOTAVAIL',
    syscall: 'listen',
    address: '192.0.2.1',
  });
  await t.rejects(tunnel.forward({ bindPath: '/nowhere/sock', path: '/x' }), {
    syscall: 'listen',
    address: '/nowhere/sock',
  });
  t.equal(tunnel.state, 'up', 'nothing else is disturbed');
});

t.test('a remote port that is taken', async (t) => {
  const { tunnel } = await pairUp(t);
  const taken = await listen(t, () => {});
  const error = await rejection(
    t,
    tunnel.remoteForward(`${taken.port}:localhost:1`),
  );
  t.match(error, { code: 'ERR_WRAITH_FORWARD_REFUSED', phase: 'channel' });
});

t.test('channels fail with their cause and without a name', async (t) => {
  const dir = t.testdir();
  const secret = path.join(dir, 'canary.sock');
  const policy = [
    { deny: 'canary-denied.test' },
    { deny: `unix:${dir}/no*` },
    { allow: `unix:${dir}/*` },
    { allow: '*:*' },
    { allow: 'wraith-*' },
  ];
  const { tunnel } = await pairUp(t, { server: { policy } });
  const dead = await deadPort();
  const cases = [
    [`127.0.0.1:${dead}`, 'ERR_WRAITH_CHANNEL_REFUSED', [String(dead)]],
    [
      'canary-name.invalid:4321',
      'ERR_WRAITH_CHANNEL_UNRESOLVED',
      ['canary', '4321'],
    ],
    [
      'canary-denied.test:4321',
      'ERR_WRAITH_CHANNEL_DENIED',
      ['canary', '4321'],
    ],
    [`unix:${dir}/no-canary`, 'ERR_WRAITH_CHANNEL_DENIED', ['canary', dir]],
    [`unix:${secret}`, /^ERR_WRAITH_CHANNEL_/, ['canary', dir]],
    ['wraith-canary', 'ERR_WRAITH_CHANNEL_UNKNOWN', ['canary']],
    ['wraith-control', 'ERR_WRAITH_CHANNEL_UNKNOWN', []],
  ];
  for (const [destination, code, words] of cases) {
    const error = await rejection(t, tunnel.open(destination));
    t.match(error.code, code, destination);
    t.equal(error.phase, 'channel');
    for (const name of [
      'address',
      'port',
      'host',
      'path',
      'hostname',
      'info',
    ]) {
      t.notOk(name in error, `no ${name}`);
    }
    // The stack has this file's own path and lines in it, and nothing else.
    const text = shown(error).replaceAll(/ +at .*/g, '');
    for (const word of words) t.notOk(text.includes(word), `no ${word}`);
  }
  t.equal(tunnel.state, 'up');
});

t.test('channels that are reset', async (t) => {
  const { tunnel } = await pairUp(t);
  const rude = await listen(t, (socket) =>
    socket.once('data', () => socket.resetAndDestroy()),
  );
  const stream = await tunnel.open(`127.0.0.1:${rude.port}`);
  const ended = new Promise((resolve) => stream.once('error', resolve));
  stream.write('go');
  stream.resume();
  const error = await ended;
  t.match(error, { code: 'ERR_WRAITH_CHANNEL_RESET', phase: 'channel' });
  t.notOk(
    shown(error)
      .replaceAll(/ +at .*/g, '')
      .includes(String(rude.port)),
  );
});

t.test('too many channels', async (t) => {
  const target = await echo(t);
  const { tunnel } = await pairUp(t, { server: { maxChannels: 2 } });
  const to = `127.0.0.1:${target.port}`;
  const first = await tunnel.open(to);
  await tunnel.open(to);
  await t.rejects(tunnel.open(to), { code: 'ERR_WRAITH_CHANNEL_LIMIT' });
  const gone = new Promise((resolve) => first.once('close', resolve));
  first.destroy();
  await gone;
});

t.test('forwarding: false serves control channels only', async (t) => {
  const target = await echo(t);
  const { server, tunnel } = await pairUp(t, { server: { forwarding: false } });
  const denied = { code: 'ERR_WRAITH_CHANNEL_DENIED' };
  await t.rejects(tunnel.open(`127.0.0.1:${target.port}`), denied);
  await t.rejects(tunnel.remoteForward('0:localhost:1'), {
    code: 'ERR_WRAITH_FORWARD_REFUSED',
  });
  server.on('connection', (stream) => stream.end('yes'));
  const stream = await tunnel.open('wraith-control');
  t.equal((await stream.toArray()).join(''), 'yes');
});

t.test('what is closed says so', async (t) => {
  const { server, tunnel } = await pairUp(t);
  await tunnel.close();
  const closed = { code: 'ERR_WRAITH_CLOSED' };
  await t.rejects(tunnel.ready(), closed);
  await t.rejects(tunnel.open('h:1'), closed);
  await t.rejects(tunnel.socks5({ port: 0 }), closed);
  await t.rejects(tunnel.forward('1:h:1'), closed);
  await t.rejects(tunnel.remoteForward('0:h:1'), closed);
  t.equal(tunnel.stats(), null);
  t.equal(tunnel.peer, null);
  await tunnel.close();
  await server.close();
  await t.rejects(server.reload({}), closed);
  await t.rejects(server.open(1, 'wraith-x'), closed);
  t.throws(() => server.accept(new net.Socket()), closed);
  t.strictSame(server.sessions(), []);
  t.equal(server.stats(), null);
  await server.close();
});

t.test("two copies of the package know each other's errors", async (t) => {
  const file = require.resolve('../../lib/errors.js');
  const { WraithError: first } = require(file);
  delete require.cache[file];
  const { WraithError: second } = require(file);
  t.not(first, second);
  t.ok(new second('ERR_WRAITH_X', 'x') instanceof first);
  t.notOk(new Error('x') instanceof first);
});

t.test('a client of an address that closes at once', async (t) => {
  const rude = await listen(t, (socket) => socket.destroy());
  const socket = await dial(t, rude.port);
  socket.destroy();
  const options = clientOptions({ addresses: [{ port: rude.port }] });
  const tunnel = createTunnel({ ...options, reconnect: false });
  const error = await rejection(t, tunnel.ready());
  t.match(error.code, /^(ERR_WRAITH_(PEER_CLOSED|EOF)|ECONNRESET)$/);
  t.equal(error.phase, 'kex');
});
