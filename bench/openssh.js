'use strict';
// OpenSSH as a peer: sshd and ssh with nothing but what is said here.
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { spawn } = require('node:child_process');
const peers = require('../scripts/peers.js');
const { isRoot, output, Failure } = require('../scripts/util/proc.js');
const { Program, wait } = require('./tools.js');
const { descendants } = require('./proc.js');

/** A port that is free now: neither sshd nor ssh -L can choose one. */
async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

function writeSecret(file, data) {
  fs.writeFileSync(file, data, { mode: 0o600 });
  return file;
}

const CONFIG = `
ListenAddress 127.0.0.1
AllowTcpForwarding yes
AuthenticationMethods publickey
PermitRootLogin yes
StrictModes no
UsePAM no
UseDNS no
PidFile none
PrintMotd no
PrintLastLog no
LogLevel FATAL
MaxStartups 4000
MaxSessions 4000
ClientAliveInterval 0
`;

class Sshd {
  static async start({ dir, hostKey, userKey, user }) {
    const self = new Sshd();
    self.port = await freePort();
    const host = writeSecret(path.join(dir, 'host'), hostKey.privateKey);
    const keys = writeSecret(path.join(dir, 'authorized'), userKey.publicKey);
    const config = path.join(dir, 'sshd_config');
    fs.writeFileSync(
      config,
      `Port ${self.port}\nHostKey ${host}\nAuthorizedKeysFile ${keys}\n${CONFIG}`,
    );
    // Debian's sshd wants this, and only its service makes it.
    if (isRoot()) fs.mkdirSync('/run/sshd', { recursive: true });
    self.user = user;
    self.child = spawn(peers.path('sshd'), ['-D', '-e', '-f', config], {
      env: peers.env(),
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    self.ended = once(self.child, 'close');
    await self.#listening();
    return self;
  }

  /** It says so only at a log level that would cost it time later. */
  async #listening() {
    const until = Date.now() + 10000;
    while (Date.now() < until && this.child.exitCode === null) {
      const socket = net.connect(this.port, '127.0.0.1');
      try {
        await once(socket, 'data'); // its version
        return;
      } catch {
        await wait(20);
      } finally {
        socket.destroy();
      }
    }
    throw new Failure('sshd does not answer');
  }

  get pid() {
    return this.child.pid;
  }

  /** Of sessions. */
  pids() {
    return descendants(this.pid);
  }

  async stop() {
    this.child.kill();
    await this.ended;
  }
}

function clientArgs({ dir, server, port, userKeyFile }) {
  const options = {
    IdentitiesOnly: 'yes',
    IdentityFile: userKeyFile,
    IdentityAgent: 'none',
    UserKnownHostsFile: path.join(dir, 'known_hosts'),
    GlobalKnownHostsFile: '/dev/null',
    HostKeyAlias: 'bench',
    StrictHostKeyChecking: 'yes',
    BatchMode: 'yes',
    ControlMaster: 'no',
    ExitOnForwardFailure: 'yes',
    LogLevel: 'ERROR',
  };
  const list = Object.entries(options).map(([k, v]) => ['-o', `${k}=${v}`]);
  return [
    ['-F', 'none', '-p', String(port ?? server.port)],
    ...list,
    [`${server.user}@127.0.0.1`],
  ].flat();
}

/** ssh -N with a forward and a SOCKS port, like a tunnel of ours. */
class SshTunnel {
  static async start(options) {
    const { cipher, target } = options;
    const self = new SshTunnel();
    self.server = options.server;
    self.target = target;
    self.forwardPort = await freePort();
    self.socksPort = await freePort();
    const before = new Set(self.server.pids());
    const listeners = [
      ['-L', `127.0.0.1:${self.forwardPort}:127.0.0.1:${target}`],
      ['-D', `127.0.0.1:${self.socksPort}`],
      ['-o', 'PermitLocalCommand=yes', '-o', 'LocalCommand=echo up'],
    ];
    self.program = new Program(
      peers.path('ssh'),
      ['-N', '-c', cipher, ...listeners.flat(), ...clientArgs(options)],
      { env: peers.env() },
    );
    await self.program.line();
    self.serverPids = self.server.pids().filter((pid) => !before.has(pid));
    return self;
  }

  pids() {
    return { client: [this.program.pid], server: this.serverPids };
  }

  via(kind) {
    if (kind === 'forward') return String(this.forwardPort);
    return `${this.socksPort}:${this.target}`;
  }

  stop() {
    return this.program.stop();
  }
}

/** One session as a process: ssh -W to an echo, one byte there and back. */
async function sshW(options) {
  const program = new Program(
    peers.path('ssh'),
    ['-W', `127.0.0.1:${options.target}`, ...clientArgs(options)],
    { env: peers.env() },
  );
  const { child } = program;
  const head = Buffer.alloc(9);
  head.write('e');
  program.lines.close();
  child.stdin.write(head);
  child.stdout.resume();
  await once(child.stdout, 'data');
  child.stdin.end();
  await program.ended;
}

function setUp(dir, hostKey, userKey) {
  fs.writeFileSync(path.join(dir, 'known_hosts'), `bench ${hostKey.publicKey}`);
  return writeSecret(path.join(dir, 'user'), userKey.privateKey);
}

const version = () =>
  output('sh', ['-c', `${peers.path('ssh')} -V 2>&1`]) ?? 'ssh';

module.exports = {
  Sshd,
  SshTunnel,
  sshW,
  setUp,
  version,
  user: os.userInfo().username,
};
