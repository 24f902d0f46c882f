'use strict';
// Truncated, hostile and random input at every door: a clear coded error or an
// end of that connection, and the tunnel beside it works on.
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const t = require('tap');
const {
  keys,
  lines,
  pairUp,
  rejection,
  startServer,
  startTunnel,
  until,
  wraith,
} = require('../lib/pair.js');
const {
  deadPort,
  dial,
  echo,
  hello,
  listen,
  readAll,
  socks5,
  socksRequest,
} = require('../lib/net.js');

const SEED = Number(process.env.WRAITH_TEST_SEED ?? 20260101);

/** Small and the same everywhere: mulberry32. */
function random(seed) {
  let a = seed >>> 0;
  const next = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let x = Math.imul(a ^ (a >>> 15), a | 1);
    x = (x + Math.imul(x ^ (x >>> 7), x | 61)) ^ x;
    return (x ^ (x >>> 14)) >>> 0;
  };
  return {
    below: (n) => next() % n,
    bytes: (n) => Buffer.from(Array.from({ length: n }, () => next() & 255)),
  };
}

/** Copies of good input with bytes changed, cut out, doubled or cut off. */
function mutate(dice, good) {
  const bytes = [...good];
  for (let i = 0; i <= dice.below(3); i++) {
    const at = dice.below(bytes.length + 1);
    const kind = dice.below(4);
    if (kind === 0) bytes[at] = dice.below(256);
    else if (kind === 1) bytes.splice(at, 1 + dice.below(4));
    else if (kind === 2) bytes.splice(at, 0, ...dice.bytes(1 + dice.below(8)));
    else bytes.length = at;
  }
  return Buffer.from(bytes.map((byte) => byte ?? 0));
}

/** Sends, ends, and resolves when the other side has closed too. */
function send(port, bytes) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {}).on('close', resolve);
    socket.resume();
    socket.end(bytes);
  });
}

async function works(t, tunnel, port) {
  const stream = await tunnel.open(`127.0.0.1:${port}`);
  stream.end('works');
  t.equal(
    (await readAll(stream)).toString(),
    'works',
    'the tunnel beside it works',
  );
}

t.test('a proxy port: truncated requests', async (t) => {
  const target = await echo(t);
  const { tunnel } = await pairUp(t, { tunnel: { reconnect: false } });
  const { port } = await tunnel.socks5({ port: 0 });
  const whole = [
    Buffer.concat([hello, socksRequest('localhost', target.port)]),
    Buffer.from([
      4,
      1,
      target.port >> 8,
      target.port & 255,
      127,
      0,
      0,
      1,
      117,
      0,
    ]),
    Buffer.from(`CONNECT localhost:${target.port} HTTP/1.1\r\nHost: x\r\n\r\n`),
    Buffer.from(
      `GET http://localhost:${target.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`,
    ),
  ];
  for (const request of whole) {
    const cuts = Array.from(request.keys());
    await Promise.all(cuts.map((n) => send(port, request.subarray(0, n))));
  }
  await until(() => tunnel.stats().channels === 0);
  await works(t, tunnel, target.port);
  t.equal((await socks5(t, port, 'localhost', target.port)).reply, 0);
});

t.test(`a proxy port: hostile requests (seed ${SEED})`, async (t) => {
  const target = await echo(t);
  const { tunnel } = await pairUp(t, {
    tunnel: { reconnect: false },
    server: { deny: ['*:*'] },
  });
  const { port } = await tunnel.socks5({ port: 0 });
  const dice = random(SEED);
  const fixed = [
    Buffer.from([5, 0]),
    Buffer.from([5, 255, ...Array(255).fill(9)]),
    Buffer.from([5, 1, 0, 5, 2, 0, 1, 127, 0, 0, 1, 0, 80]),
    Buffer.from([5, 1, 0, 5, 3, 0, 1, 127, 0, 0, 1, 0, 80]),
    Buffer.from([5, 1, 0, 5, 1, 0, 9, 127, 0, 0, 1, 0, 80]),
    Buffer.from([5, 1, 0, 5, 1, 0, 3, 0, 0, 80]),
    Buffer.from([5, 1, 0, 5, 1, 0, 3, 3, 97, 0, 98, 0, 80]),
    Buffer.from([5, 1, 0, 4, 1, 0, 1, 127, 0, 0, 1, 0, 80]),
    Buffer.from([4, 1, 0, 80, 0, 0, 0, 1, ...Array(5000).fill(117)]),
    Buffer.from([4, 1, 0, 80, 0, 0, 0, 1, 0, ...Array(5000).fill(104)]),
    Buffer.from([0]),
    Buffer.from('\r\n\r\n'),
    Buffer.from(`CONNECT ${'a'.repeat(100000)}:1 HTTP/1.1\r\n\r\n`),
    Buffer.from('CONNECT a:99999 HTTP/1.1\r\n\r\n'),
    Buffer.from('CONNECT a HTTP/1.1\r\n\r\n'),
    Buffer.from('CONNECT a:1 HTTP/9.9\r\n\r\n'),
    Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
    Buffer.from('GET ftp://a/ HTTP/1.1\r\n\r\n'),
    Buffer.from(`GET http://a/ HTTP/1.1\r\n${'x: y\r\n'.repeat(20000)}\r\n`),
    Buffer.from('POST http://a/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n'),
    Buffer.from(
      'POST http://a/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    ),
  ];
  await Promise.all(fixed.map((bytes) => send(port, bytes)));
  const seeds = fixed
    .slice(2, 10)
    .concat(Buffer.from('CONNECT host:80 HTTP/1.1\r\nHost: host\r\n\r\n'));
  for (let round = 0; round < 10; round++) {
    const inputs = Array.from({ length: 40 }, (_, i) =>
      i % 4 === 0
        ? dice.bytes(1 + dice.below(300))
        : mutate(dice, seeds[dice.below(seeds.length)]),
    );
    await Promise.all(inputs.map((bytes) => send(port, bytes)));
  }
  await until(() => tunnel.stats().channels === 0);
  t.equal(tunnel.state, 'up');
  t.equal(
    (await socks5(t, port, 'localhost', target.port)).reply,
    2,
    'it still answers',
  );
});

/** A binary packet of SSH before there are keys. */
function packet(payload) {
  const padding = 8 - ((payload.length + 5) % 8) + 4;
  const head = Buffer.alloc(5);
  head.writeUInt32BE(payload.length + padding + 1);
  head[4] = padding;
  return Buffer.concat([head, payload, Buffer.alloc(padding)]);
}

const VERSION = Buffer.from('SSH-2.0-test\r\n');

function kexInit() {
  const names = [
    'curve25519-sha256',
    'ssh-ed25519',
    'aes256-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    '',
    '',
    'none',
    'none',
    '',
    '',
  ];
  const lists = names.map((name) => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(name.length);
    return Buffer.concat([head, Buffer.from(name)]);
  });
  return packet(
    Buffer.concat([
      Buffer.from([20]),
      Buffer.alloc(16, 1),
      ...lists,
      Buffer.alloc(5),
    ]),
  );
}

function length(n) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(n);
  return bytes;
}

function hostileSsh(dice) {
  const start = Buffer.concat([VERSION, kexInit()]);
  const fixed = [
    Buffer.alloc(0),
    Buffer.from('SSH'),
    Buffer.from('SSH-2.0-\r\n'),
    Buffer.from('SSH-1.5-x\r\n'),
    Buffer.from('SSH-2.0-x\0y\r\n'),
    Buffer.from(`SSH-2.0-${'x'.repeat(100000)}\r\n`),
    Buffer.from('x'.repeat(100000)),
    Buffer.from('a\r\n'.repeat(30000)),
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]),
    ...[0, 1, 4, 11, 35001, 0x7fffffff, 0xffffffff].map((n) =>
      Buffer.concat([VERSION, length(n), Buffer.alloc(64)]),
    ),
    ...[0, 1, 2, 4, 5, 6, 7, 20, 21, 30, 31, 50, 80, 90, 255].map((type) =>
      Buffer.concat([VERSION, packet(Buffer.from([type]))]),
    ),
    ...[0, 21, 30, 34, 50, 90].map((type) =>
      Buffer.concat([start, packet(Buffer.from([type, 0, 0, 0, 40, 1, 2, 3]))]),
    ),
    Buffer.concat([start, kexInit(), kexInit()]),
    Buffer.concat([
      start,
      packet(Buffer.concat([Buffer.from([30]), length(32), Buffer.alloc(32)])),
    ]),
  ];
  const mutated = Array.from({ length: 150 }, () => mutate(dice, start));
  return fixed.concat(mutated);
}

t.test(`an SSH server: versions and packets (seed ${SEED})`, async (t) => {
  const target = await echo(t);
  const { server, tunnel } = await pairUp(t, { tunnel: { reconnect: false } });
  const inputs = hostileSsh(random(SEED + 1));
  const { port } = server.addresses[0];
  for (let i = 0; i < inputs.length; i += 40) {
    await Promise.all(
      inputs.slice(i, i + 40).map((bytes) => send(port, bytes)),
    );
  }
  await until(() => server.stats().startups === 0);
  t.equal(server.stats().authAccepted, 1);
  await works(t, tunnel, target.port);
});

t.test(`an SSH client: versions and packets (seed ${SEED})`, async (t) => {
  const good = await startServer(t);
  const beside = startTunnel(t, good, { reconnect: false });
  await beside.ready();
  const inputs = hostileSsh(random(SEED + 2));
  let served = 0;
  const hostile = await listen(t, (socket) => {
    socket.resume();
    socket.end(inputs[served++ % inputs.length]);
  });
  const one = async () => {
    const tunnel = startTunnel(
      t,
      { addresses: [{ port: hostile.port }] },
      { reconnect: false, connectTimeout: 5000 },
    );
    const { code, phase } = await rejection(t, tunnel.ready());
    if (!/^(ERR_WRAITH_\w+|ECONNRESET|EPIPE)$/.test(code) || phase !== 'kex') {
      t.fail(`${code} ${phase}`);
    }
    await tunnel.close();
  };
  for (let i = 0; i < inputs.length; i += 20) {
    await Promise.all(
      Array.from({ length: Math.min(20, inputs.length - i) }, one),
    );
  }
  t.equal(served, inputs.length);
  t.equal(beside.state, 'up');
});

t.test(`key files (seed ${SEED})`, async (t) => {
  const { server, tunnel } = await pairUp(t, { tunnel: { reconnect: false } });
  const dice = random(SEED + 3);
  const pair = wraith.generateKeyPair({ passphrase: 'secret' });
  const codes = new Set();
  const tryKey = async (identity) => {
    const one = startTunnel(t, server, {
      identity,
      passphrase: 'secret',
      reconnect: false,
    });
    const error = await rejection(t, one.ready());
    codes.add(error.code);
    if (!/^ERR_WRAITH_(KEY_\w+|AUTH_REFUSED)$/.test(error.code))
      t.fail(`${error.code} ${error.message}`);
    if (error.message.includes('\n')) t.fail('one line');
    await one.close();
  };
  const good = keys().other.privateKey;
  for (let cut = 0; cut < good.length - 1; cut += 17)
    await tryKey(good.subarray(0, cut));
  for (let i = 0; i < 60; i++) await tryKey(mutate(dice, good));
  for (let i = 0; i < 10; i++) await tryKey(mutate(dice, pair.privateKey));
  for (let i = 0; i < 20; i++) await tryKey(dice.bytes(dice.below(2000)));
  t.ok(codes.has('ERR_WRAITH_KEY_FORMAT'));
  t.equal(tunnel.state, 'up');
});

t.test(`authorized_keys and known_hosts (seed ${SEED})`, async (t) => {
  const { server, tunnel } = await pairUp(t, {
    server: { penaltyTime: 0 },
    tunnel: { reconnect: false },
  });
  const dice = random(SEED + 4);
  const good = Buffer.from(
    `# c\n${keys().user.publicKey.trim()}\n${keys().other.publicKey.trim()}\n`,
  );
  let refused = 0;
  for (let i = 0; i < 300; i++) {
    const text = mutate(dice, good);
    const error = await server.reload({ authorizedKeys: text }).then(
      () => null,
      (e) => e,
    );
    if (error === null) continue;
    refused += 1;
    if (!/^ERR_WRAITH_/.test(error.code) || !(error.line >= 1))
      t.fail(`${error.code} ${error.line}`);
  }
  t.ok(refused > 50, `${refused} refused with their line`);
  await server.reload({ authorizedKeys: lines(keys().user) });
  const dir = t.testdir();
  const file = path.join(dir, 'known_hosts');
  const { port } = server.addresses[0];
  for (let i = 0; i < 60; i++) {
    const entry = `[127.0.0.1]:${port} ${keys().other.publicKey.trim()}\n`;
    fs.writeFileSync(file, mutate(dice, Buffer.from(entry)));
    const one = startTunnel(t, server, {
      hostKey: undefined,
      knownHosts: file,
      reconnect: false,
    });
    const error = await rejection(t, one.ready());
    if (error.phase !== 'hostkey') t.fail(`${error.code} ${error.phase}`);
    await one.close();
  }
  t.type(tunnel.state, 'string');
});

t.test(`forward specifications and destinations (seed ${SEED})`, async (t) => {
  const target = await echo(t);
  const { tunnel } = await pairUp(t, {
    tunnel: { reconnect: false },
    server: { deny: ['*:*'] },
  });
  const dice = random(SEED + 5);
  const good = [
    '1:h:2',
    '[::1]:1:[::1]:2',
    '/a/b:h:1',
    '1:/a/b',
    'host:80',
    '[::1]:80',
    'unix:/x',
    'wraith-a',
  ];
  for (let i = 0; i < 400; i++) {
    const text = mutate(
      dice,
      Buffer.from(good[dice.below(good.length)]),
    ).toString('latin1');
    const error = await tunnel.remoteForward(text).then(
      (listener) => listener.close().then(() => null),
      (e) => e,
    );
    if (
      error &&
      !/^ERR_WRAITH_(SPEC|INVALID_ARGUMENT|FORWARD_REFUSED)$/.test(error.code)
    )
      t.fail(`${JSON.stringify(text)}: ${error.code}`);
    const other = await tunnel.open(text).then(
      (stream) => stream.destroy() && null,
      (e) => e,
    );
    if (
      other &&
      !/^ERR_WRAITH_(INVALID_ARGUMENT|CHANNEL_\w+)$/.test(other.code)
    )
      t.fail(`${JSON.stringify(text)}: ${other.code}`);
  }
  t.equal(tunnel.state, 'up');
  t.type(target.port, 'number');
});

const cli = path.join(__dirname, '../../bin/wraith.js');

function runCli(args) {
  return new Promise((resolve) => {
    const env = {
      ...process.env,
      HOME: '/nowhere',
      XDG_CONFIG_HOME: '/nowhere',
      XDG_STATE_HOME: '/nowhere',
    };
    const child = spawn(process.execPath, [cli, ...args], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk) => (out += chunk));
    child.stderr.on('data', (chunk) => (err += chunk));
    child.once('close', (code) => resolve({ code, out, err }));
  });
}

t.test('the command line: unknown flags and wrong values', async (t) => {
  const port = await deadPort();
  const key = path.join(t.testdir(), 'key');
  fs.writeFileSync(key, keys().user.privateKey, { mode: 0o600 });
  const connect = ['connect', '--server', `127.0.0.1:${port}`];
  const cases = [
    [['--bogus'], '--bogus'],
    [['bogus'], 'bogus'],
    [['serve', '--bogus'], '--bogus'],
    [['serve', 'extra'], 'extra'],
    [['serve', '--listen'], '--listen'],
    [['serve', '--max-sessions', 'many'], '--max-sessions'],
    [['serve', '--login-grace-time', '-1'], '--login-grace-time'],
    [['serve', '--tls-cert', 'x'], '--tls-cert'],
    [['serve', '--log-level', 'loud'], '--log-level'],
    [['connect'], '--server'],
    [[...connect, '--socks5', 'x:y'], '--socks5'],
    [[...connect, '--forward', '1:2'], '--forward'],
    [[...connect, '--remote-forward', ''], '--remote-forward'],
    [[...connect, '--identity', key, '--keepalive', '0'], '--keepalive'],
    [[...connect, '--identity', '/nowhere/key'], '/nowhere/key'],
    [['keygen', '--out', '/dev/null/x'], '/dev/null/x'],
  ];
  const results = await Promise.all(cases.map(([args]) => runCli(args)));
  for (const [i, { code, out, err }] of results.entries()) {
    const [args, word] = cases[i];
    t.equal(code, 2, args.join(' '));
    t.equal(out, '');
    t.match(err, /^wraith: [^\n]+\n$/, 'one line');
    t.ok(err.includes(word), `${word} in ${err.trim()}`);
  }
});

t.test('a target that sends junk to a client of the proxy', async (t) => {
  const dice = random(SEED + 6);
  const junk = dice.bytes(50000);
  const target = await listen(t, (socket) => socket.end(junk));
  const { tunnel } = await pairUp(t);
  const { port } = await tunnel.socks5({ port: 0 });
  const socket = await dial(t, port, { allowHalfOpen: true });
  socket.write(
    `GET http://127.0.0.1:${target.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`,
  );
  t.ok((await readAll(socket)).length >= 0);
  socket.destroy();
  t.equal(tunnel.state, 'up');
});
