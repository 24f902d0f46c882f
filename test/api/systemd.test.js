'use strict';
// Listening sockets that a parent hands down, as systemd does.
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const net = require('node:net');
const path = require('node:path');
const readline = require('node:readline');
const t = require('tap');
const { keys, lines, startTunnel } = require('../lib/pair.js');

const CHILD = path.join(__dirname, '..', 'lib', 'systemd-child.js');

async function listening(host = '127.0.0.1') {
  const server = net.createServer().listen(0, host);
  await once(server, 'listening');
  return server;
}

/**
 * The child with these at 3, 4 and so on; resolves with what it says. The shell
 * becomes the child, so that it knows its number.
 */
async function start(t, sockets, variables = 'LISTEN_PID=$$') {
  const made = keys();
  const child = spawn(
    '/bin/sh',
    [
      '-c',
      `${variables} LISTEN_FDS=${sockets.length} LISTEN_FDNAMES=a:b ` +
        'exec "$0" "$1" "$2"',
      process.execPath,
      CHILD,
      JSON.stringify([
        made.host.privateKey.toString(),
        lines(made.user).toString(),
      ]),
    ],
    { stdio: ['pipe', 'pipe', 'inherit', ...sockets] },
  );
  const exited = once(child, 'exit');
  t.teardown(() => {
    child.stdin.end();
    return exited;
  });
  const [line] = await once(readline.createInterface(child.stdout), 'line');
  return JSON.parse(line);
}

async function hand(t, servers, variables) {
  const fds = servers.map((server) => server._handle.fd);
  const said = await start(t, fds, variables);
  for (const server of servers) server.close();
  return said;
}

t.test('sockets that are handed down', async (t) => {
  const servers = [await listening(), await listening('127.0.0.2')];
  const handed = servers.map((server) => server.address());
  const { addresses, left, again } = await hand(t, servers);
  t.strictSame(
    addresses.slice(0, 2),
    handed.map(({ address, port }) => ({
      transport: 'tcp',
      host: address,
      port,
    })),
  );
  t.equal(addresses.length, 3, 'beside others');
  t.strictSame(left, [], 'no child takes them for its own');
  t.equal(again, 'ERR_WRAITH_LISTEN_FDS', 'they can be had once');
  for (const { address, port } of handed) {
    const to = { addresses: [{ port }] };
    await startTunnel(t, to, { server: `${address}:${port}` }).ready();
  }
});

t.test('none', async (t) => {
  const servers = [await listening()];
  const is = {
    code: 'ERR_WRAITH_LISTEN_FDS',
    syscall: 'listen',
    message: /^listen systemd: no sockets/,
  };
  t.match(await hand(t, servers, 'LISTEN_PID=1'), is, 'meant for another');
  t.match(await hand(t, []), is, 'a count of none');
});

t.test('not a listening socket', async (t) => {
  const { code, syscall, message } = await start(t, ['pipe']);
  t.equal(code, 'ERR_WRAITH_LISTEN_FDS');
  t.equal(syscall, 'listen');
  t.equal(
    message,
    'listen systemd: descriptor 3 is not a listening TCP socket',
  );
});
