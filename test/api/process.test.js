'use strict';
// When a process ends: held by what is open and wanted, by nothing else, and
// never by a crash.
const { spawn } = require('node:child_process');
const path = require('node:path');
const t = require('tap');
const { keys, lines, startServer, startTunnel } = require('../lib/pair.js');
const { startChild } = require('../lib/child.js');
const { closed } = require('../lib/net.js');
const { once } = require('node:events');

const file = path.join(__dirname, '../lib/process-child.js');

/** Runs a case to its end; or until it prints `until`, and then stops it. */
function run(name, until) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--expose-gc', file, name]);
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk) => {
      out += chunk;
      if (!until || !out.includes(until)) return;
      // Were it about to end by itself, it would do so within these turns.
      setTimeout(() => child.kill('SIGKILL'), 500);
      until = null;
    });
    child.stderr.on('data', (chunk) => (err += chunk));
    child.once('close', (code, signal) => resolve({ out, err, code, signal }));
  });
}

const endings = {
  nothing: /^done\nexit 0\n$/,
  keys: /^made\ndone\nexit 0\n$/,
  closed: /^done\nexit 0\n$/,
  disposed: /^done\nexit 0\n$/,
  unref: /exit 0\n$/,
  'unref-trying': /exit 0\n$/,
  'unref-metrics': /exit 0\n$/,
  'connect-unref': /^connected\ndone\nexit 0\n$/,
  'connect-ends': /^bye\ndone\nexit 0\n$/,
  'refused-key': /exit 0\n$/,
  'all-fails': /^done\nexit 0\n$/,
  dropped: /^done\nexit 0\n$/,
};

for (const [name, expected] of Object.entries(endings)) {
  t.test(`it ends: ${name}`, async (t) => {
    const { out, err, code } = await run(name);
    t.match(out, expected);
    t.equal(err, '');
    t.equal(code, 0);
  });
}

t.test('it stays: a server, a tunnel that tries', async (t) => {
  for (const [name, until] of [
    ['server-holds', 'listening'],
    ['tunnel-holds', 'trying'],
  ]) {
    const { out, err, signal } = await run(name, until);
    t.equal(signal, 'SIGKILL', name);
    t.notMatch(out, 'exit');
    t.equal(err, '');
  }
});

t.test('process.exit in the middle of a transfer', async (t) => {
  const { out, err, code } = await run('exit-in-transfer');
  t.match(out, 'exit 3');
  t.equal(err, '');
  t.equal(code, 3);
});

t.test('a process that exits ends its sessions in order', async (t) => {
  const child = await startChild(t, 'server-child.js', {
    hostKey: keys().host.privateKey.toString(),
    authorizedKeys: `${lines(keys().user)}\n`,
    listen: '127.0.0.1:0',
  });
  const tunnel = startTunnel(
    t,
    { addresses: [{ port: child.ready.port }] },
    { reconnect: false },
  );
  await tunnel.ready();
  const down = once(tunnel, 'down');
  child.process.send({ command: 'exit' });
  const [{ orderly }] = await down;
  t.equal(orderly, true);
  if (tunnel.state !== 'closed') await closed(tunnel);
});

t.test('a listener that throws ends nobody else', async (t) => {
  const server = await startServer(t);
  const tunnel = startTunnel(t, server);
  const thrown = new Error('of the listener');
  tunnel.once('state', () => {
    throw thrown;
  });
  const caught = new Promise((resolve) =>
    process.once('uncaughtException', resolve),
  );
  const other = startTunnel(t, server);
  t.equal(await caught, thrown);
  await Promise.all([tunnel.ready(), other.ready()]);
});
