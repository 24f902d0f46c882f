'use strict';
// Keys in an ssh-agent: who is asked for what, and what an agent that does not
// behave comes to.
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { Worker } = require('node:worker_threads');
const t = require('tap');
const {
  FAILURE,
  certificate,
  softKey,
  skKey,
  startAgent,
} = require('../lib/agent.js');
const {
  addressOf,
  clientOptions,
  keys,
  rejection,
  startServer,
  startTunnel,
  state,
  until,
  wraith,
} = require('../lib/pair.js');

const { connect, generateKeyPair } = wraith;

/** A server that lets these keys in, and notes which are offered. */
async function serverFor(t, ...allowed) {
  const offered = [];
  const server = await startServer(t, {
    authorizedKeys: Buffer.from(allowed.map((key) => `${key.line}\n`).join('')),
    penaltyTime: 0, // who gives up while logging in is kept out otherwise
    log: (record) => {
      if (record.message !== 'auth attempt') return;
      if (record.key_fingerprint) offered.push(record.key_fingerprint);
    },
  });
  server.offered = offered;
  return server;
}

/** Options of a client that has no identity but the agent's. */
function agentOptions(server, agent, more = {}) {
  const { identity: _, ...rest } = clientOptions(server);
  return { ...rest, agent: agent.path ?? agent, reconnect: false, ...more };
}

async function logIn(t, server, options) {
  const { reconnect: _, minDelay: _1, maxDelay: _2, ...rest } = options;
  server.setMaxListeners(0);
  server.once('connection', (stream) => stream.end());
  const stream = await connect(rest);
  stream.resume().end();
  await once(stream, 'close');
}

async function fails(t, server, options, code) {
  const { reconnect: _, minDelay: _1, maxDelay: _2, ...rest } = options;
  const error = await rejection(t, connect(rest));
  t.match(error, { code, phase: 'auth', name: 'WraithError' });
  return error;
}

const print = (pair) => ({
  line: pair.publicKey.trim(),
  fingerprint: pair.fingerprint,
});

t.test('a key of the agent logs in', async (t) => {
  const key = softKey();
  const agent = await startAgent(t, [key]);
  const server = await serverFor(t, key);
  await logIn(t, server, agentOptions(server, agent));
  t.equal(agent.asked.length, 1);
  t.equal(agent.sockets.size, 0, 'nothing stays open');
});

t.test('SSH_AUTH_SOCK', async (t) => {
  const before = process.env.SSH_AUTH_SOCK;
  t.teardown(() => {
    if (before === undefined) delete process.env.SSH_AUTH_SOCK;
    else process.env.SSH_AUTH_SOCK = before;
  });
  const key = softKey();
  const agent = await startAgent(t, [key]);
  const server = await serverFor(t, key);
  process.env.SSH_AUTH_SOCK = agent.path;
  await logIn(t, server, agentOptions(server, true));
  delete process.env.SSH_AUTH_SOCK;
  const options = agentOptions(server, true);
  const code = 'ERR_WRAITH_AGENT_UNAVAILABLE';
  t.match((await fails(t, server, options, code)).message, /SSH_AUTH_SOCK/);
});

t.test('agent: false', async (t) => {
  const server = await startServer(t);
  await logIn(t, server, clientOptions(server, { agent: false }));
});

t.test('the identity comes first, then the keys of the agent', async (t) => {
  const [one, two] = [softKey(), softKey()];
  const agent = await startAgent(t, [one, two]);
  const server = await serverFor(t, two);
  const identity = keys().other.privateKey;
  await logIn(t, server, agentOptions(server, agent, { identity }));
  t.strictSame(server.offered.slice(0, 3), [
    keys().other.fingerprint,
    one.fingerprint,
    two.fingerprint,
  ]);
  t.strictSame(agent.asked, [two], 'only what the server takes is signed');
});

t.test('an identity that the agent has too is offered once', async (t) => {
  const key = softKey();
  const held = print(keys().user);
  held.blob = Buffer.from(held.line.split(' ')[1], 'base64');
  const agent = await startAgent(t, [key, held]);
  const server = await serverFor(t, print(keys().other));
  const identity = keys().user.privateKey;
  const options = agentOptions(server, agent, { identity });
  await fails(t, server, options, 'ERR_WRAITH_AUTH_REFUSED');
  t.strictSame(server.offered, [held.fingerprint, key.fingerprint]);
});

t.test('a public key as identity: that one alone', async (t) => {
  const [one, two] = [softKey(), softKey()];
  const agent = await startAgent(t, [one, two]);
  const server = await serverFor(t, one, two);
  const dir = t.testdir({ 'id.pub': `${two.line}\n`, 'only.pub': two.line });
  for (const identity of [
    path.join(dir, 'id.pub'),
    path.join(dir, 'only'), // there is only its public half
    Buffer.from(two.line),
  ]) {
    agent.asked.length = 0;
    server.offered.length = 0;
    await logIn(t, server, agentOptions(server, agent, { identity }));
    t.strictSame(agent.asked, [two]);
    t.strictSame([...new Set(server.offered)], [two.fingerprint]);
  }
});

t.test('a public key that the agent does not have', async (t) => {
  const agent = await startAgent(t, [softKey()]);
  const server = await serverFor(t, softKey());
  const identity = path.join(t.testdir({ 'id.pub': softKey().line }), 'id.pub');
  const options = agentOptions(server, agent, { identity });
  const code = 'ERR_WRAITH_AGENT_NO_KEY';
  t.match((await fails(t, server, options, code)).message, identity);
});

t.test('an encrypted identity that the agent has', async (t) => {
  const held = softKey();
  const dir = t.testdir({ 'id.pub': held.line });
  const identity = path.join(dir, 'id');
  const pair = generateKeyPair({ passphrase: 'open sesame' });
  fs.writeFileSync(identity, pair.privateKey, { mode: 0o600 });
  const agent = await startAgent(t, [softKey(), held]);
  const server = await serverFor(t, held, print(pair));
  const options = agentOptions(server, agent, { identity });
  await logIn(t, server, options);
  t.strictSame(agent.asked, [held], 'by the public key beside it');
  await logIn(t, server, { ...options, passphrase: 'open sesame' });
  t.equal(server.offered.at(-1), pair.fingerprint, 'or with the passphrase');
  agent.keys.pop();
  const { reconnect: _, minDelay: _1, maxDelay: _2, ...rest } = options;
  const error = await rejection(t, connect(rest));
  t.match(error, { code: 'ERR_WRAITH_KEY_PASSPHRASE', file: identity });
});

t.test('an agent without a key that can be used', async (t) => {
  const server = await serverFor(t, softKey());
  const rsa = Buffer.from('\0\0\0\x07ssh-rsa');
  const code = 'ERR_WRAITH_AGENT_NO_KEY';
  const agent = await startAgent(t, []);
  await fails(t, server, agentOptions(server, agent), code);
  agent.keys = [{ blob: rsa }, { blob: Buffer.from('junk') }];
  await fails(t, server, agentOptions(server, agent), code);
  t.strictSame(server.offered, []);
  agent.keys = [];
  const identity = keys().user.privateKey;
  const own = await serverFor(t, print(keys().user));
  await logIn(t, own, agentOptions(own, agent, { identity }));
});

t.test('an agent that is absent', async (t) => {
  const server = await serverFor(t, softKey());
  const dir = t.testdir({ file: '' });
  for (const where of [path.join(dir, 'none'), path.join(dir, 'file'), dir]) {
    const options = agentOptions(server, where);
    const code = 'ERR_WRAITH_AGENT_UNAVAILABLE';
    t.match((await fails(t, server, options, code)).message, where);
  }
  t.equal(server.stats().connections, 0);
});

/** Turns of the loop while something is under way. */
async function turnsDuring(promise) {
  let turns = 0;
  let over = false;
  const done = promise.finally(() => {
    over = true;
  });
  while (!over) {
    turns += 1;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await done;
  return turns;
}

t.test('an agent that says nothing', async (t) => {
  const key = softKey();
  const silent = () => {};
  const server = await serverFor(t, key);
  for (const hooks of [{ onList: silent }, { onSign: silent }]) {
    const agent = await startAgent(t, [key], hooks);
    const options = agentOptions(server, agent, { connectTimeout: 300 });
    const began = Date.now();
    const turns = await turnsDuring(
      fails(t, server, options, 'ERR_WRAITH_AGENT_TIMEOUT'),
    );
    t.ok(Date.now() - began < 10000, 'in time');
    t.ok(turns > 30, `the loop turned ${turns} times`);
  }
});

t.test('an agent that breaks off or talks nonsense', async (t) => {
  const key = softKey();
  const server = await serverFor(t, key);
  const ways = [
    [(socket) => socket.end(), 'CLOSED'],
    [(socket) => socket.destroy(), 'CLOSED'],
    [(socket) => socket.write('HTTP/1.1 400\r\n'), 'PROTOCOL'],
    [(socket) => socket.write(Buffer.from([0, 0, 0, 0])), 'PROTOCOL'],
    [(socket) => socket.write(Buffer.from([0, 0, 0, 1, 6])), 'PROTOCOL'],
    [(socket) => socket.write(FAILURE), 'REFUSED'],
  ];
  for (const [act, code] of ways) {
    for (const hook of ['onList', 'onSign']) {
      const agent = await startAgent(t, [key], { [hook]: act });
      const options = agentOptions(server, agent);
      await fails(t, server, options, `ERR_WRAITH_AGENT_${code}`);
    }
  }
});

t.test('a key that the agent will not use', async (t) => {
  const [one, two] = [softKey(), softKey()];
  let n = 0;
  const onSign = (socket, answer) =>
    n++ === 0 ? socket.write(FAILURE) : answer();
  const agent = await startAgent(t, [one, two], { onSign });
  const server = await serverFor(t, one, two);
  await logIn(t, server, agentOptions(server, agent));
  t.strictSame(agent.asked, [two]);
});

t.test('somebody takes his time to touch the key', async (t) => {
  const key = softKey();
  let touch;
  const touched = new Promise((resolve) => {
    touch = resolve;
  });
  let signing = false;
  const onSign = (socket, answer) => {
    signing = true;
    touched.then(answer);
  };
  const agent = await startAgent(t, [key], { onSign });
  const server = await serverFor(t, key);
  const tunnel = startTunnel(t, server, agentOptions(server, agent));
  await until(() => signing, 'the request');
  t.equal(tunnel.state, 'connecting');
  touch();
  await tunnel.ready();
});

t.test('destroyed while the agent is asked', async (t) => {
  const key = softKey();
  const server = await serverFor(t, key);
  for (const hook of ['onList', 'onSign']) {
    let asked = false;
    const silent = () => {
      asked = true;
    };
    const agent = await startAgent(t, [key], { [hook]: silent });
    const tunnel = startTunnel(t, server, agentOptions(server, agent));
    const waiting = t.rejects(tunnel.ready(), { code: 'ERR_WRAITH_CLOSED' });
    await until(() => asked, 'the request');
    tunnel.destroy();
    await waiting;
    await tunnel.close();
    await until(() => agent.sockets.size === 0, 'the end of the connection');
  }
});

const worker = `
  const { workerData, parentPort } = require('node:worker_threads');
  const { createTunnel } = require(workerData.lib);
  createTunnel(workerData.options);
  parentPort.on('message', () => {});
`;

t.test('a worker is ended while the agent is asked', async (t) => {
  const key = softKey();
  const server = await serverFor(t, key);
  for (const hook of ['onList', 'onSign']) {
    let asked = false;
    const silent = () => {
      asked = true;
    };
    const agent = await startAgent(t, [key], { [hook]: silent });
    const options = agentOptions(server, agent);
    const workerData = { lib: require.resolve('../../lib/index.js'), options };
    const thread = new Worker(worker, { eval: true, workerData });
    await until(() => asked, 'the request');
    await thread.terminate();
    await until(() => agent.sockets.size === 0, 'the end of the connection');
  }
});

t.test('an agent that is away for a while', async (t) => {
  const key = softKey();
  const agent = await startAgent(t, [key]);
  const server = await serverFor(t, key);
  const { reconnect: _, ...options } = agentOptions(server, agent);
  const tunnel = startTunnel(t, server, options);
  await tunnel.ready();
  await agent.close();
  const address = addressOf(server);
  await Promise.all([
    state(tunnel, 'reconnecting'),
    server.close({ drain: 0 }),
  ]);
  const next = await state(tunnel, 'reconnecting');
  t.equal(next.reason.code, 'ERR_WRAITH_AGENT_UNAVAILABLE');
  await agent.listen();
  await startServer(t, {
    authorizedKeys: Buffer.from(`${key.line}\n`),
    listen: address,
  });
  await tunnel.ready();
  t.equal(tunnel.state, 'up');
});

t.test('certificates in the agent, and for its keys', async (t) => {
  const [key, other, authority] = [softKey(), softKey(), softKey()];
  const held = certificate(key, authority);
  const agent = await startAgent(t, [other, held, skKey(), key]);
  const server = await serverFor(t, key);
  await logIn(t, server, agentOptions(server, agent));
  t.strictSame(agent.asked.at(-1), key);
  const dir = t.testdir({
    'id.pub': key.line,
    'id-cert.pub': held.line,
    'other-cert.pub': certificate(softKey(), authority).line,
  });
  const at = (name) => path.join(dir, name);
  const tryWith = (more) => agentOptions(server, agent, more);
  await logIn(t, server, tryWith({ certificate: at('id-cert.pub') }));
  await logIn(t, server, tryWith({ identity: at('id.pub') }));
  const options = tryWith({ certificate: at('other-cert.pub') });
  const error = await fails(t, server, options, 'ERR_WRAITH_AGENT_NO_KEY');
  t.match(error.message, at('other-cert.pub'));
});
