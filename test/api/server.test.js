'use strict';
// serve(): who may come in, what it tells, what it opens, how it ends.
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const t = require('tap');
const {
  addressOf,
  clientOptions,
  controlPair,
  keys,
  lines,
  pairUp,
  rejection,
  startServer,
  startTunnel,
  state,
  until,
  wraith,
} = require('../lib/pair.js');
const {
  closed,
  deadPort,
  dial,
  echo,
  readAll,
  untilClosed,
} = require('../lib/net.js');

const noReconnect = { reconnect: false };

t.test('authorize: who may come in', async (t) => {
  const asked = [];
  let answer = true;
  const server = await startServer(t, {
    penaltyTime: 0,
    authorize(identity) {
      asked.push(identity);
      if (answer === 'throw') throw new Error('no');
      if (answer === 'reject') return Promise.reject(new Error('no'));
      return answer;
    },
  });
  await startTunnel(t, server).ready();
  t.equal(asked.length, 1, 'once per session');
  const [session] = server.sessions();
  t.match(asked[0], {
    sessionId: session.sessionId,
    user: 'tester',
    keyFingerprint: keys().user.fingerprint,
    remoteAddress: '127.0.0.1',
    transport: 'tcp',
  });
  for (answer of [
    false,
    undefined,
    1,
    'yes',
    'throw',
    'reject',
    Promise.resolve(false),
  ]) {
    const tunnel = startTunnel(t, server, noReconnect);
    await t.rejects(
      tunnel.ready(),
      { code: 'ERR_WRAITH_AUTH_REFUSED', phase: 'auth' },
      String(answer),
    );
  }
  answer = new Promise((resolve) => setTimeout(resolve, 30, true));
  await startTunnel(t, server).ready();
  const before = asked.length;
  const stranger = startTunnel(t, server, {
    identity: keys().other.privateKey,
  });
  await t.rejects(stranger.ready(), { code: 'ERR_WRAITH_AUTH_REFUSED' });
  t.equal(asked.length, before, 'only for keys that may log in');
});

t.test('authorize: never, within the grace time', async (t) => {
  const server = await startServer(t, {
    loginGraceTime: 150,
    authorize: () => new Promise(() => {}),
  });
  const began = Date.now();
  const tunnel = startTunnel(t, server, noReconnect);
  const error = await rejection(t, tunnel.ready());
  t.ok(Date.now() - began >= 140, 'not before');
  t.equal(error.phase, 'auth');
  await until(() => server.stats().startups === 0);
  t.strictSame(server.sessions(), []);
});

t.test('sessions and stats', async (t) => {
  const { server, near, far, info, tunnel } = await controlPair(t);
  const [session, ...rest] = server.sessions();
  t.equal(rest.length, 0);
  t.match(session, {
    sessionId: info.sessionId,
    user: 'tester',
    keyFingerprint: keys().user.fingerprint,
    remoteAddress: '127.0.0.1',
    transport: 'tcp',
    authenticated: true,
    channels: 1,
  });
  for (const name of ['duration', 'bytesIn', 'bytesOut'])
    t.type(session[name], 'number', name);
  t.ok(session.bytesIn > 0);
  await tunnel.remoteForward('0:localhost:1');
  t.match(server.stats(), {
    sessions: 1,
    startups: 0,
    channels: 1,
    remoteForwards: 1,
    connections: 1,
    rejected: 0,
    authAccepted: 1,
    authRejected: 0,
    channelsOpened: 1,
    channelsRefused: 0,
  });
  await t.rejects(tunnel.open('unix:/nowhere'));
  t.equal(server.stats().channelsRefused >= 0, true);
  near.destroy();
  await closed(far);
  const idle = await dial(t, server.addresses[0].port);
  await until(() => server.stats().startups === 1);
  const waiting = server.sessions().find((one) => !one.authenticated);
  t.match(waiting, { user: '', keyFingerprint: '', authenticated: false });
  idle.destroy();
  await until(() => server.stats().startups === 0);
});

t.test('session and sessionClose', async (t) => {
  const server = await startServer(t);
  const came = once(server, 'session');
  const tunnel = startTunnel(t, server);
  await tunnel.ready();
  const [id] = await came;
  t.equal(server.sessions()[0].sessionId, id);
  const gone = once(server, 'sessionClose');
  await tunnel.close();
  t.strictSame(await gone, [id]);
});

t.test('control channels with nobody to take them are refused', async (t) => {
  const { server, tunnel } = await pairUp(t);
  const unknown = { code: 'ERR_WRAITH_CHANNEL_UNKNOWN', phase: 'channel' };
  await t.rejects(tunnel.open('wraith-control'), unknown);
  const onConnection = (stream) => stream.resume().end('hi');
  server.onConnection(onConnection);
  t.equal(
    (await readAll(await tunnel.open('wraith-control'))).toString(),
    'hi',
  );
  t.equal(
    (await readAll(await tunnel.open('WRAITH-Control.'))).toString(),
    'hi',
    'in any case, with a dot',
  );
  server.off('connection', onConnection);
  await t.rejects(tunnel.open('wraith-control'), unknown);
  server.once('connection', onConnection);
  await readAll(await tunnel.open('wraith-control'));
  await t.rejects(tunnel.open('wraith-control'), unknown, 'once is once');
});

t.test('policy for reserved names', async (t) => {
  const { server, tunnel } = await pairUp(t, {
    server: { policy: [{ deny: 'wraith-control' }] },
  });
  server.on('connection', (stream) => stream.end());
  await t.rejects(tunnel.open('wraith-control'), {
    code: 'ERR_WRAITH_CHANNEL_DENIED',
  });
  await server.reload({ policy: [] });
  await readAll(await tunnel.open('wraith-control'));
});

t.test('async iterator', async (t) => {
  const { server, tunnel } = await pairUp(t);
  const names = [];
  const iterating = (async () => {
    for await (const { stream, info } of server) {
      names.push(info.destination);
      stream.resume().end(info.destination);
    }
  })();
  for (const name of ['wraith-control', 'wraith-two']) {
    const stream = await tunnel.open(name);
    t.equal((await readAll(stream)).toString(), name);
    stream.end();
  }
  await server.close({ drain: 0 });
  await iterating;
  t.strictSame(names, ['wraith-control', 'wraith-two']);
});

t.test('an iterator that is left', async (t) => {
  const { server, tunnel } = await pairUp(t);
  const leaving = (async () => {
    for await (const { stream } of server) {
      stream.end();
      break;
    }
  })();
  await new Promise(setImmediate);
  await readAll(await tunnel.open('wraith-control'));
  await leaving;
  t.equal(server.listenerCount('connection'), 0);
  await t.rejects(tunnel.open('wraith-control'), {
    code: 'ERR_WRAITH_CHANNEL_UNKNOWN',
  });
});

t.test('the server opens channels to a name the client accepts', async (t) => {
  const { server, tunnel } = await pairUp(t);
  const [{ sessionId }] = server.sessions();
  const unknown = { code: 'ERR_WRAITH_CHANNEL_UNKNOWN', phase: 'channel' };
  await t.rejects(server.open(sessionId, 'wraith-app'), unknown);
  const seen = [];
  const accepting = await tunnel.accept('wraith-app', (stream, info) => {
    seen.push(info);
    stream.pipe(stream);
  });
  const stream = await server.open(sessionId, 'wraith-app');
  t.match(stream.info, { sessionId, destination: 'wraith-app' });
  stream.end('to the client and back');
  t.equal((await readAll(stream)).toString(), 'to the client and back');
  t.match(seen, [{ destination: 'wraith-app' }]);
  await readAll((await server.open(sessionId, 'WRAITH-APP')).end());
  await t.rejects(server.open(sessionId, 'wraith-other'), unknown);
  await t.rejects(server.open(sessionId + 1, 'wraith-app'), unknown);
  await accepting.close();
  // Requests are answered in their order.
  const again = await tunnel.accept('wraith-second', (one) => one.destroy());
  await t.rejects(server.open(sessionId, 'wraith-app'), unknown);
  await again.close();
});

t.test('a name stays accepted over a reconnection', async (t) => {
  const { server, tunnel } = await pairUp(t);
  const listen = addressOf(server);
  const accepting = await tunnel.accept('wraith-app', (stream) =>
    stream.pipe(stream),
  );
  const back = once(accepting, 'listening');
  await Promise.all([
    state(tunnel, 'reconnecting'),
    server.close({ drain: 0 }),
  ]);
  const second = await startServer(t, { listen });
  await back;
  const [{ sessionId }] = second.sessions();
  const stream = await second.open(sessionId, 'wraith-app');
  stream.end('x');
  t.equal((await readAll(stream)).toString(), 'x');
});

t.test('reload: a key that is removed ends its session', async (t) => {
  const file = path.join(t.testdir(), 'keys');
  fs.writeFileSync(file, lines(keys().user, keys().other));
  const { server, tunnel } = await pairUp(t, {
    server: { authorizedKeys: file },
    tunnel: noReconnect,
  });
  const other = startTunnel(t, server, { identity: keys().other.privateKey });
  await other.ready();
  const over = closed(tunnel);
  fs.writeFileSync(file, lines(keys().other));
  await server.reload({ authorizedKeys: file });
  await over;
  t.equal(other.state, 'up', 'the other one stays');
  await t.rejects(startTunnel(t, server).ready(), {
    code: 'ERR_WRAITH_AUTH_REFUSED',
  });
  await server.reload({ authorizedKeys: lines(keys().user) });
  await startTunnel(t, server).ready();
});

t.test('reload: both or neither', async (t) => {
  const target = await echo(t);
  const { server, tunnel } = await pairUp(t, { tunnel: noReconnect });
  const file = path.join(t.testdir({ keys: 'junk\n' }), 'keys');
  const policy = [{ deny: '*:*' }];
  await t.rejects(server.reload({ authorizedKeys: file, policy }), {
    option: 'authorizedKeys',
    file,
    line: 1,
  });
  await t.rejects(
    server.reload({
      authorizedKeys: lines(keys().other),
      policy: [{ allow: ':::' }],
    }),
    { code: 'ERR_WRAITH_RULE' },
  );
  const stream = await tunnel.open(`127.0.0.1:${target.port}`);
  stream.end('as before');
  t.equal((await readAll(stream)).toString(), 'as before');
});

t.test('reload: policy holds for what is open already', async (t) => {
  const target = await echo(t);
  const spared = await echo(t);
  const { server, tunnel } = await pairUp(t);
  const stream = await tunnel.open(`127.0.0.1:${target.port}`);
  const other = await tunnel.open(`127.0.0.1:${spared.port}`);
  const remote = await tunnel.remoteForward(`0:127.0.0.1:${spared.port}`);
  const gone = closed(stream);
  await server.reload({ policy: [{ deny: `127.0.0.1:${target.port}` }] });
  await gone;
  await t.rejects(tunnel.open(`127.0.0.1:${target.port}`), {
    code: 'ERR_WRAITH_CHANNEL_DENIED',
  });
  await t.rejects(
    tunnel.open(`[::ffff:127.0.0.1]:${target.port}`),
    { code: 'ERR_WRAITH_CHANNEL_DENIED' },
    'in any form',
  );
  other.end('untouched');
  t.equal((await readAll(other)).toString(), 'untouched');
  await dial(t, remote.port);
});

/** Resolves when the server has closed a new connection, however it does. */
function turnedAway(port) {
  const socket = net.connect({ port, host: '127.0.0.1' });
  socket.on('error', () => {});
  return untilClosed(socket);
}

t.test('limits', async (t) => {
  const rejected = [];
  const server = await startServer(t, {
    maxConnectionsPerIp: 2,
    maxSessions: 3,
    log: (record) =>
      record.message === 'connection rejected' && rejected.push(record.reason),
  });
  const { port } = server.addresses[0];
  await startTunnel(t, server).ready();
  await dial(t, port);
  await until(() => server.stats().connections === 2);
  await turnedAway(port);
  t.strictSame(rejected, ['max-connections-per-ip']);
  const fromElsewhere = (address) =>
    new Promise((resolve) => {
      const socket = net.connect({
        port,
        host: '127.0.0.1',
        localAddress: address,
      });
      socket.on('error', () => {});
      t.teardown(() => socket.destroy());
      socket
        .once('data', () => resolve(true))
        .once('close', () => resolve(false));
    });
  t.equal(await fromElsewhere('127.0.0.2'), true, 'another address may');
  t.equal(await fromElsewhere('127.0.0.3'), false);
  t.strictSame(rejected, ['max-connections-per-ip', 'max-sessions']);
  t.equal(server.stats().rejected, 2);
});

t.test('maxStartups leaves those who are in alone', async (t) => {
  const server = await startServer(t, {
    maxStartups: { start: 2, rate: 100, full: 2 },
  });
  const tunnel = startTunnel(t, server);
  await tunnel.ready();
  await dial(t, server.addresses[0].port);
  const second = await dial(t, server.addresses[0].port);
  await until(() => server.stats().startups === 2);
  await turnedAway(server.addresses[0].port);
  t.equal(tunnel.state, 'up');
  second.destroy();
  await until(() => server.stats().startups === 1);
  await startTunnel(t, server).ready();
});

t.test('loginGraceTime', async (t) => {
  const server = await startServer(t, { loginGraceTime: 100 });
  const began = Date.now();
  await untilClosed(await dial(t, server.addresses[0].port));
  t.ok(Date.now() - began >= 95);
  await until(() => server.stats().sessions === 0);
});

t.test('maxAuthAttempts', async (t) => {
  const records = [];
  const server = await startServer(t, {
    maxAuthAttempts: 1,
    log: (record) => records.push(record),
  });
  const tunnel = startTunnel(t, server, {
    identity: keys().other.privateKey,
    reconnect: false,
  });
  const error = await rejection(t, tunnel.ready());
  t.equal(error.phase, 'auth');
  await until(() =>
    records.some((record) => record.message === 'connection closed'),
  );
  const attempts = records.filter(
    (record) => record.message === 'auth attempt',
  );
  t.match(attempts, [
    {
      level: 'INFO',
      user: 'tester',
      result: 'reject',
      reason: 'unknown-key',
      key_fingerprint: keys().other.fingerprint,
    },
  ]);
  t.match(
    records.filter((record) => record.message === 'auth failed'),
    [{ level: 'WARN', attempts: 1 }],
  );
});

t.test('log: records and lines, by level, silent by default', async (t) => {
  const target = await deadPort();
  const got = [];
  const { server, tunnel } = await pairUp(t, {
    server: {
      logLevel: 'debug',
      log: (record, line) => got.push([record, line]),
    },
  });
  await t.rejects(tunnel.open(`canary.invalid:${target}`));
  await t.rejects(tunnel.open(`127.0.0.1:${target}`));
  await tunnel.close();
  await server.close();
  const names = got.map(([record]) => record.message);
  for (const name of ['connection opened', 'auth attempt', 'connection closed'])
    t.ok(names.includes(name), name);
  for (const [record, line] of got) {
    t.match(line, record.time);
    t.match(line, ` ${record.level} ${record.message}`);
    t.notMatch(line, /canary|\n/);
    t.notOk(line.includes(String(target)), 'no destination');
  }
  const few = [];
  const quiet = await startServer(t, {
    logLevel: 'error',
    log: (record) => few.push(record),
  });
  await startTunnel(t, quiet).ready();
  t.strictSame(few, []);
});

t.test('a log function that throws is reported and ends nothing', async (t) => {
  const server = await startServer(t, {
    log(record) {
      if (record.message === 'connection opened') throw new Error('of the log');
    },
  });
  const thrown = new Promise((resolve) => {
    process.once('uncaughtException', resolve);
  });
  process.setUncaughtExceptionCaptureCallback?.(null);
  await startTunnel(t, server).ready();
  t.equal((await thrown).message, 'of the log');
});

t.test('close: drain lets channels end', async (t) => {
  const { near, far, server, tunnel } = await controlPair(t, {
    tunnel: noReconnect,
  });
  const port = server.addresses[0].port;
  const over = closed(tunnel);
  const closing = server.close({ drain: 20000 });
  await t.rejects(dial(t, port), { code: 'ECONNREFUSED' }, 'nobody new');
  near.end('the last words');
  t.equal((await readAll(far)).toString(), 'the last words');
  far.end();
  await readAll(near);
  await closing;
  t.equal(server.stats(), null);
  await over;
});

t.test(
  'close: the drain ends, and a second close ends it at once',
  async (t) => {
    const first = await controlPair(t);
    const began = Date.now();
    await first.server.close({ drain: 100 });
    t.ok(Date.now() - began >= 95);
    const second = await controlPair(t);
    const slow = second.server.close({ drain: 60000 });
    await second.server.close();
    await slow;
    t.ok(Date.now() - began < 30000);
  },
);

t.test('several addresses', async (t) => {
  const server = await startServer(t, {
    listen: ['127.0.0.1:0', 'tcp=[::1]:0', '127.0.0.2:0'],
  });
  t.match(server.addresses, [
    { transport: 'tcp', host: '127.0.0.1' },
    { host: '::1' },
    { host: '127.0.0.2' },
  ]);
  for (const { host, port } of server.addresses) {
    const at = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    await startTunnel(t, server, { server: at }).ready();
  }
  t.equal(server.sessions().length, 3);
});

t.test('host keys: default file made once, encrypted ones', async (t) => {
  const dir = t.testdir();
  const before = process.env.XDG_STATE_HOME;
  process.env.XDG_STATE_HOME = dir;
  t.teardown(() => {
    if (before === undefined) delete process.env.XDG_STATE_HOME;
    else process.env.XDG_STATE_HOME = before;
  });
  const first = await startServer(t, { hostKey: undefined });
  const file = path.join(dir, 'wraith', 'host_ed25519');
  t.match(first, { hostKeyFile: file, hostKeyCreated: true });
  t.equal(fs.statSync(file).mode & 0o777, 0o600);
  const [second, third] = await Promise.all([
    startServer(t, { hostKey: undefined }),
    startServer(t, { hostKey: undefined }),
  ]);
  t.equal(second.hostKeyCreated, false);
  t.equal(second.hostKeyFingerprint, first.hostKeyFingerprint);
  t.equal(third.hostKey, first.hostKey);
  const pair = wraith.generateKeyPair({ passphrase: 'secret' });
  const encrypted = await startServer(t, {
    hostKey: pair.privateKey,
    passphrase: 'secret',
  });
  t.equal(encrypted.hostKeyFingerprint, pair.fingerprint);
  await t.rejects(startServer(t, { hostKey: pair.privateKey }), {
    code: 'ERR_WRAITH_KEY_PASSPHRASE',
    option: 'hostKey',
  });
});

t.test('two servers that make the same host key at once agree', async (t) => {
  const dir = t.testdir();
  const before = process.env.XDG_STATE_HOME;
  process.env.XDG_STATE_HOME = dir;
  t.teardown(() => {
    if (before === undefined) delete process.env.XDG_STATE_HOME;
    else process.env.XDG_STATE_HOME = before;
  });
  const both = await Promise.all(
    Array.from({ length: 4 }, () => startServer(t, { hostKey: undefined })),
  );
  t.equal(new Set(both.map((one) => one.hostKeyFingerprint)).size, 1);
  t.equal(both.filter((one) => one.hostKeyCreated).length, 1);
});

t.test('many clients log in at once with one key', async (t) => {
  const server = await startServer(t);
  const options = clientOptions(server);
  const tunnels = Array.from({ length: 20 }, () =>
    wraith.createTunnel(options),
  );
  await Promise.all(tunnels.map((tunnel) => tunnel.ready()));
  t.equal(server.stats().authAccepted, 20);
  await Promise.all(tunnels.map((tunnel) => tunnel.close()));
  await until(() => server.sessions().length === 0);
});
