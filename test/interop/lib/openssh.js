'use strict';
// OpenSSH's client against our server, and its server for our client.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const peers = require('../../../scripts/peers.js');
const { freePort } = require('./net.js');

// Nothing of the user's own configuration, agent or known hosts.
function sshArgs(lab, server, { key = server.key, options = [] } = {}) {
  // Of a setting that comes twice, ssh takes the first.
  const settings = [
    ...options,
    'BatchMode=yes',
    'IdentitiesOnly=yes',
    'IdentityAgent=none',
    'StrictHostKeyChecking=accept-new',
    'GlobalKnownHostsFile=/dev/null',
    `UserKnownHostsFile=${lab.file('ssh_known_hosts')}`,
    'ExitOnForwardFailure=yes',
  ];
  const keys = Array.isArray(key) ? key : [key];
  return [
    '-F',
    'none',
    '-v',
    ...settings.flatMap((setting) => ['-o', setting]),
    ...keys.flatMap(({ file }) => ['-i', file]),
    '-p',
    String(server.port),
    '-l',
    server.user ?? 'tester',
  ];
}

// ssh with the given flags, up to the end of its command line. Stopping it
// kills it: before OpenSSH 9.6 its main loop looks for a signal first and polls
// then, so a SIGTERM between the two waits for the next packet (its bug 3531).
function spawnSsh(lab, server, args, { command = [], input, ...more } = {}) {
  const argv = [...sshArgs(lab, server, more), ...args, server.host];
  const ssh = lab.spawn(peers.path('ssh'), [...argv, ...command], { input });
  ssh.stopSignal = 'SIGKILL';
  return ssh;
}

// ssh -N: resolves once it is logged in and its forwards are in force.
async function startSsh(lab, server, args, more) {
  const ssh = spawnSsh(lab, server, ['-N', ...args], more);
  await ssh.line(/Entering interactive session/);
  return ssh;
}

async function runSsh(lab, server, args, more) {
  const result = await spawnSsh(lab, server, args, more).done();
  return { ...result, stdout: result.stdout.toString() };
}

// A session whose forwards come and go: ctl('forward', '-R', …).
async function startMaster(lab, server, args = [], more = {}) {
  const socket = lab.file(`ctl-${server.port}`);
  const ssh = await startSsh(lab, server, ['-M', '-S', socket, ...args], more);
  const ctl = (command, ...rest) =>
    lab.run(peers.path('ssh'), [
      '-F',
      'none',
      '-S',
      socket,
      '-O',
      command,
      ...rest,
      server.host,
    ]);
  return { ssh, socket, ctl };
}

async function makeKey(lab, name, args = ['-N', '']) {
  const file = lab.file(name);
  const argv = ['-q', '-t', 'ed25519', '-C', name, '-f', file, ...args];
  const { code, stderr } = await lab.run(peers.path('ssh-keygen'), argv);
  if (code !== 0) throw new Error(stderr);
  const line = fs.readFileSync(`${file}.pub`, 'utf8').trim();
  const shown = await lab.run(peers.path('ssh-keygen'), ['-lf', `${file}.pub`]);
  const [, fingerprint] = shown.stdout.split(' ');
  return { file, pub: `${file}.pub`, line, fingerprint };
}

function sshdConfig(dir, port, hostKey, keysFile, settings) {
  // Of a setting that comes twice, sshd takes the first.
  return [
    ...settings,
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${hostKey.file}`,
    `AuthorizedKeysFile ${keysFile}`,
    `PidFile ${path.join(dir, 'pid')}`,
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'PermitRootLogin prohibit-password',
    'LogLevel DEBUG3',
    '',
  ].join('\n');
}

// { host, port, user, key, hostKey } like a server of ours. settings may be a
// function of the host key.
async function startSshd(lab, settings = []) {
  const dir = lab.subdir('sshd');
  const hostKey = await makeKey(lab, 'sshd_host');
  const key = await lab.key('sshd_user');
  const keysFile = lab.file('sshd_keys', `${key.line}\n`);
  const port = await freePort();
  const lines =
    typeof settings === 'function' ? await settings(hostKey) : settings;
  const config = lab.file(
    'sshd_config',
    sshdConfig(dir, port, hostKey, keysFile, lines),
  );
  // As root it wants this folder, which its service would make.
  if (process.getuid() === 0) fs.mkdirSync('/run/sshd', { recursive: true });
  const sshd = lab.spawn(peers.path('sshd'), ['-D', '-e', '-f', config]);
  await sshd.line(/Server listening on/);
  const user = os.userInfo().username;
  return Object.assign(sshd, { host: '127.0.0.1', port, user, key, hostKey });
}

module.exports = {
  makeKey,
  runSsh,
  spawnSsh,
  startMaster,
  startSsh,
  startSshd,
};
