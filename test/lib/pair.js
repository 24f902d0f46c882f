'use strict';
// Both ends in this process, with keys of their own, gone with their test.
const { once } = require('node:events');
const wraith = require('../../lib/index.js');

const internal = Symbol.for('wraith.internal');

let made = null;

/** One pair of keys for the host and two for users; made once per file. */
function keys() {
  made ??= {
    host: wraith.generateKeyPair({ comment: 'host' }),
    user: wraith.generateKeyPair({ comment: 'user' }),
    other: wraith.generateKeyPair({ comment: 'other' }),
  };
  return made;
}

/** Key sources as contents. */
const lines = (...pairs) =>
  Buffer.from(pairs.map((pair) => `${pair.publicKey.trim()}\n`).join(''));

async function startServer(t, options = {}) {
  const server = await wraith.serve({
    hostKey: keys().host.privateKey,
    authorizedKeys: lines(keys().user),
    listen: '127.0.0.1:0',
    ...options,
  });
  t.teardown(() => server.close({ drain: 0 }));
  return server;
}

const addressOf = (server) => `127.0.0.1:${server.addresses[0].port}`;

/** Options that let a client in at this server. */
function clientOptions(server, options = {}) {
  return {
    ...(options.stream ? {} : { server: addressOf(server) }),
    identity: keys().user.privateKey,
    user: 'tester',
    hostKey: keys().host.fingerprint,
    minDelay: 20,
    maxDelay: 100,
    ...options,
  };
}

function startTunnel(t, server, options = {}) {
  const tunnel = wraith.createTunnel(clientOptions(server, options));
  t.teardown(() => {
    tunnel.destroy();
    return tunnel.close();
  });
  return tunnel;
}

/** A server and a tunnel that is up. */
async function pairUp(t, options = {}) {
  const server = await startServer(t, options.server);
  const tunnel = startTunnel(t, server, options.tunnel);
  await tunnel.ready();
  return { server, tunnel };
}

/** Both ends of one control channel. */
async function controlPair(t, options = {}) {
  const both = await pairUp(t, options);
  const came = once(both.server, 'connection');
  const near = await both.tunnel.open('wraith-control', options.open);
  const [far, info] = await came;
  return { ...both, near, far, info };
}

/** The next 'state' event of this state. */
function state(tunnel, wanted) {
  return new Promise((resolve) => {
    const onState = (event) => {
      if (event.state !== wanted) return;
      tunnel.off('state', onState);
      resolve(event);
    };
    tunnel.on('state', onState);
  });
}

/** The error that a promise rejects with; fails the test if it does not. */
async function rejection(t, promise, message) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  t.fail(message ?? 'should have rejected');
  return {};
}

/** Resolves once `check` holds; looks in every turn, up to 30 seconds. */
async function until(check, what = 'it') {
  const end = Date.now() + 30000;
  while (!check()) {
    if (Date.now() > end) throw new Error(`${what}: did not come about`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Resolves once `check` holds, looked at after every `event`. */
function when(emitter, event, check) {
  if (check()) return Promise.resolve();
  return new Promise((resolve) => {
    const look = () => {
      if (!check()) return;
      emitter.off(event, look);
      resolve();
    };
    emitter.on(event, look);
  });
}

module.exports = {
  addressOf,
  clientOptions,
  controlPair,
  internal,
  keys,
  lines,
  pairUp,
  rejection,
  startServer,
  startTunnel,
  state,
  until,
  when,
  wraith,
};
