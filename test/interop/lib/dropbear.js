'use strict';
const os = require('node:os');
const path = require('node:path');
const fs = require('node:fs');
const { spawnSync } = require('node:child_process');
const peers = require('../../../scripts/peers.js');
const { freePort, untilListening } = require('./net.js');

async function dropbearKey(lab, name) {
  const file = lab.file(name);
  const tool = path.join(path.dirname(peers.path('dbclient')), 'dropbearkey');
  const { stdout } = await lab.run(tool, ['-t', 'ed25519', '-f', file]);
  const line = /^ssh-ed25519 \S+/m.exec(stdout)[0];
  const [, fingerprint] = /Fingerprint: (SHA256:\S+)/.exec(stdout) ?? [];
  return { file, line, fingerprint };
}

// Accepts any host key and writes none down. Stopping it kills it: it looks
// for a signal and waits in select() then, so one in between is late.
function dbclient(lab, server, args, input = 'open') {
  const client = lab.spawn(
    peers.path('dbclient'),
    [
      '-y',
      '-y',
      '-i',
      server.key.file,
      '-p',
      String(server.port),
      ...args,
      `tester@${server.host}`,
    ],
    { input, env: { HOME: lab.dir } },
  );
  client.stopSignal = 'SIGKILL';
  return client;
}

// dropbear reads ~/.ssh only; a mount that nobody else sees puts ours there.
function cannotServe() {
  if (process.getuid() !== 0) return 'needs root';
  const { status } = spawnSync('unshare', ['-m', 'true']);
  return status === 0 ? false : 'needs a mount namespace';
}

async function startDropbear(lab, args = []) {
  const home = lab.subdir('home');
  const key = await lab.key('dropbear_user');
  fs.mkdirSync(path.join(home, '.ssh'), { mode: 0o700 });
  const keys = path.join(home, '.ssh', 'authorized_keys');
  fs.writeFileSync(keys, `${key.line}\n`, { mode: 0o600 });
  const hostKey = await dropbearKey(lab, 'dropbear_host');
  const [port, { homedir, username }] = [await freePort(), os.userInfo()];
  const server = lab.spawn('unshare', [
    '-m',
    'sh',
    '-c',
    'mount --bind "$0" "$1" && shift && exec "$@"',
    home,
    homedir,
    peers.path('dropbear'),
    '-F',
    '-E',
    '-r',
    hostKey.file,
    '-p',
    `127.0.0.1:${port}`,
    '-P',
    path.join(lab.dir, 'dropbear.pid'),
    ...args,
  ]);
  const host = '127.0.0.1';
  await untilListening({ host, port }, () => server.running);
  return Object.assign(server, { host, port, user: username, key, hostKey });
}

module.exports = { cannotServe, dbclient, dropbearKey, startDropbear };
