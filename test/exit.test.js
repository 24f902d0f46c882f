'use strict';
// How a process ends: by itself if nothing holds it, not before what it holds
// is closed, and never without a goodbye to the peer.
const net = require('node:net');
const t = require('tap');
const { startChild } = require('./lib/child.js');
const { listen } = require('./lib/net.js');
const { EVENT, Raw, native, newServer } = require('./lib/raw.js');

native.hold();
t.teardown(() => native.release());

/** Passes on to `port` and counts what the client says. */
async function countingRelay(t, port) {
  let bytes = 0;
  const relay = await listen(t, (socket) => {
    const onward = net.connect(port, '127.0.0.1');
    onward.on('error', () => socket.destroy());
    socket.on('close', () => onward.end());
    socket.on('data', (chunk) => {
      bytes += chunk.length;
    });
    socket.pipe(onward).pipe(socket);
  });
  return { port: relay.port, bytes: () => bytes };
}

function turns(n) {
  return new Promise((resolve) => {
    const step = (left) =>
      left === 0 ? resolve() : setImmediate(step, left - 1);
    step(n);
  });
}

/** A server here and a child that has logged in to it. */
async function loggedIn(t, how) {
  const [host, user] = [native.keyGenerate(), native.keyGenerate()];
  const server = new Raw(newServer(host, user, { logLevel: 4 }));
  const { port } = native.serverListen(server.id, 0, '127.0.0.1', 0);
  const relay = await countingRelay(t, port);
  const identity = native.keyExport(user, '', null).privateKey.toString();
  const options = { port: relay.port, how, identity };
  const child = await startChild(t, 'raw-exit-child.js', options);
  t.teardown(async () => {
    native.serverClose(server.id, 0);
    await server.next(EVENT.SERVER_CLOSED);
  });
  return { child, server, relayed: relay.bytes };
}

/** Resolves when the server has no session any more. */
async function sessionGone(server) {
  await server.next(EVENT.SESSION, ({ b }) => b === 0);
}

t.test('nothing held: it ends by itself', async (t) => {
  const { child, server } = await loggedIn(t, 'unref');
  t.strictSame(await child.exited, { code: 0, signal: null });
  await sessionGone(server);
  t.equal(child.stderr, '');
});

t.test('held: it stays until that is closed', async (t) => {
  const { child, server } = await loggedIn(t, 'close');
  let ended = false;
  child.exited.then(() => {
    ended = true;
  });
  const [{ sessionId }] = native.serverSessions(server.id);
  t.ok(sessionId > 0);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(ended, false);
  child.process.send('go');
  t.strictSame(await child.exited, { code: 0, signal: null });
  await sessionGone(server);
  t.equal(child.stderr, '');
});

// What is said is encrypted; that something is, shows on the way.
for (const [how, says] of [
  ['exit', true],
  ['throw', true],
  ['kill', false],
]) {
  t.test(`${how}: ${says ? 'says goodbye' : 'cannot'}`, async (t) => {
    const { child, server, relayed } = await loggedIn(t, how);
    await turns(20); // what was sent before it was ready has come by then
    const before = relayed();
    if (how === 'kill') child.process.kill('SIGKILL');
    else child.process.send('go');
    const { code } = await child.exited;
    t.equal(code, { exit: 3, throw: 1, kill: null }[how]);
    await sessionGone(server);
    t.equal(relayed() > before, says);
  });
}
