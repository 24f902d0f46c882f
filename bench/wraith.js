'use strict';
// Wraith as a peer: server and clients, each a process of its own.
const { fork } = require('node:child_process');
const path = require('node:path');
const { Worker } = require('./tools.js');

function start(name) {
  const child = fork(path.join(__dirname, name), [], { execArgv: [] });
  return new Worker(child);
}

class WraithServer {
  static async start({ hostKey, userKey, user, tls }) {
    const self = new WraithServer();
    self.user = user;
    self.worker = start('wraith-server.js');
    const { port, tlsPort } = await self.worker.ask('start', {
      hostKey: hostKey.privateKey.toString(),
      authorizedKeys: userKey.publicKey,
      tls,
    });
    self.port = port;
    self.tlsPort = tlsPort;
    return self;
  }

  get pid() {
    return this.worker.pid;
  }

  pids() {
    return [this.pid];
  }

  stop() {
    return this.worker.stop();
  }
}

/** What a client needs to know of a server (ours or sshd). */
function access(options) {
  const { server, port, hostKey, userKey, cipher, target, transport } = options;
  return {
    port: port ?? (transport ? server.tlsPort : server.port),
    transport,
    user: server.user,
    identity: userKey.privateKey.toString(),
    hostKey: hostKey.fingerprint,
    ciphers: cipher,
    target,
  };
}

class WraithTunnel {
  static async start(options) {
    const self = new WraithTunnel();
    self.target = options.target;
    self.server = options.server;
    self.worker = start('wraith-client.js');
    const ports = await self.worker.ask('tunnel', access(options));
    return Object.assign(self, ports);
  }

  pids() {
    return { client: [this.worker.pid], server: this.server.pids() };
  }

  via(kind) {
    if (kind === 'forward') return String(this.forwardPort);
    return `${this.socksPort}:${this.target}`;
  }

  stop() {
    return this.worker.stop();
  }
}

/** A client process that makes sessions on demand. */
class WraithClient {
  constructor() {
    this.worker = start('wraith-client.js');
  }

  sessions(options, { ms, parallel }) {
    return this.worker.ask('sessions', { ...access(options), ms, parallel });
  }

  hold(options, n) {
    return this.worker.ask('hold', { ...access(options), n });
  }

  release() {
    return this.worker.ask('release');
  }

  stop() {
    return this.worker.stop();
  }
}

module.exports = { WraithServer, WraithTunnel, WraithClient };
