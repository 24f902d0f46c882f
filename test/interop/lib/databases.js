'use strict';
// PostgreSQL and Redis with throw-away data.
const fs = require('node:fs');
const path = require('node:path');
const { spawnSync } = require('node:child_process');
const peers = require('../../../scripts/peers.js');
const canary = require('./canary.js');
const { freePort } = require('./net.js');

const idOf = (flag, user) =>
  Number(spawnSync('id', [flag, user], { encoding: 'utf8' }).stdout);

// initdb and postgres refuse to run as root. Not by runuser: it would stand
// between them and their signals.
function unprivileged() {
  if (process.getuid() !== 0) return {};
  const { status } = spawnSync('id', ['-u', 'postgres']);
  const user = status === 0 ? 'postgres' : 'nobody';
  return { uid: idOf('-u', user), gid: idOf('-g', user) };
}

function giveAway(dir) {
  const { uid, gid } = unprivileged();
  if (uid !== undefined) fs.chownSync(dir, uid, gid);
}

const asUser = (lab, file, args) =>
  lab.spawn(file, args, { cwd: '/', ...unprivileged() });

async function initdb(lab, data) {
  const args = ['-D', data, '-U', 'tester', '-A', 'trust', '-E', 'UTF8'];
  args.push('--no-sync', '--no-instructions', '--no-locale');
  const result = await asUser(lab, peers.path('initdb'), args).done();
  if (result.code !== 0) throw new Error(result.stderr);
}

async function startPostgres(lab) {
  fs.chmodSync(lab.dir, 0o755);
  const data = lab.subdir('pg');
  giveAway(data);
  await initdb(lab, data);
  const port = await freePort(canary.HOST);
  canary.addPort(port);
  fs.appendFileSync(
    path.join(data, 'pg_hba.conf'),
    'host all all 127.0.0.0/8 trust\n',
  );
  const server = asUser(lab, peers.path('postgres'), [
    '-D',
    data,
    '-p',
    String(port),
    '-c',
    `listen_addresses=${canary.HOST}`,
    '-c',
    'unix_socket_directories=',
    '-c',
    'fsync=off',
  ]);
  server.stopSignal = 'SIGINT'; // "fast": does not wait for its clients
  await server.line(/ready to accept connections/);
  return Object.assign(server, { host: canary.HOST, port });
}

async function startRedis(lab) {
  const port = await freePort(canary.HOST);
  canary.addPort(port);
  const server = lab.spawn(peers.path('redis-server'), [
    '--port',
    String(port),
    '--bind',
    canary.HOST,
    '--dir',
    lab.subdir('redis'),
    '--save',
    '',
    '--appendonly',
    'no',
    '--protected-mode',
    'no',
  ]);
  await server.line(/Ready to accept connections/);
  return Object.assign(server, { host: canary.HOST, port });
}

module.exports = { startPostgres, startRedis };
