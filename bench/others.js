'use strict';
// WebSocket tunnels of others, as peers where the machine has them: in PATH, or
// where a variable of the environment says.
const { Failure, output, which } = require('../scripts/util/proc.js');
const { freePort, untilListening } = require('../test/interop/lib/net.js');
const { Program } = require('../test/interop/lib/program.js');

const HOST = '127.0.0.1';

/** Nothing of whoever runs the benchmark but this: both read variables. */
const env = () => ({ PATH: process.env.PATH, RUST_LOG: 'error' });

/** A server and a client with one forward, both programs of somebody. */
class OtherTunnel {
  static async start(options) {
    const self = new this();
    self.options = options;
    self.serverPort = await freePort();
    self.forwardPort = await freePort();
    try {
      self.server = self.run(self.serverArgs());
      await self.serverReady();
      self.client = self.run(self.clientArgs());
      await self.clientReady();
    } catch (error) {
      await self.stop();
      const said = (self.client ?? self.server).text();
      const why = error.message.split('\n')[0];
      throw new Failure(`${options.file} as a peer: ${why}\n${said}`);
    }
    return self;
  }

  run(args) {
    return new Program(this.options.file, args, { env: env() });
  }

  /** For a program that does not say so. */
  listening(program, port) {
    return untilListening({ host: HOST, port }, () => program.running);
  }

  pids() {
    return { client: [this.client.pid], server: [this.server.pid] };
  }

  via(kind) {
    if (kind === 'forward') return String(this.forwardPort);
    throw new Error(`${this.constructor.name} has no ${kind}`);
  }

  async stop() {
    await this.client?.stop();
    await this.server?.stop();
  }
}

/** SSH in WebSocket in TLS; whoever comes may log in. */
class Chisel extends OtherTunnel {
  serverArgs() {
    const { cert, key } = this.options.tls;
    const place = ['--host', HOST, '--port', String(this.serverPort)];
    return ['server', ...place, '--tls-cert', cert, '--tls-key', key];
  }

  async serverReady() {
    const [, fingerprint] = await this.server.line(/Fingerprint (\S+)/);
    this.fingerprint = fingerprint;
    await this.server.line(/Listening on/);
  }

  clientArgs() {
    const { fingerprint, forwardPort, options } = this;
    return [
      ['client', '--tls-skip-verify', '--fingerprint', fingerprint],
      `https://${HOST}:${this.serverPort}`,
      `${HOST}:${forwardPort}:${HOST}:${options.target}`,
    ].flat();
  }

  async clientReady() {
    await this.client.line(/Connected/);
    await this.listening(this.client, this.forwardPort);
  }
}

/**
 * A WebSocket in TLS for each connection, without SSH, and unless asked
 * otherwise without the masks of RFC 6455.
 */
class Wstunnel extends OtherTunnel {
  serverArgs() {
    const { cert, key } = this.options.tls;
    const tls = ['--tls-certificate', cert, '--tls-private-key', key];
    return ['server', ...tls, `wss://${HOST}:${this.serverPort}`];
  }

  serverReady() {
    return this.listening(this.server, this.serverPort);
  }

  clientArgs() {
    const { forwardPort, options } = this;
    const forward = `tcp://${HOST}:${forwardPort}:${HOST}:${options.target}`;
    return ['client', '-L', forward, `wss://${HOST}:${this.serverPort}`];
  }

  clientReady() {
    return this.listening(this.client, this.forwardPort);
  }
}

const others = {
  chisel: { Tunnel: Chisel, variable: 'WRAITH_BENCH_CHISEL' },
  wstunnel: { Tunnel: Wstunnel, variable: 'WRAITH_BENCH_WSTUNNEL' },
};

const find = (name) => which(process.env[others[name].variable] || name);

/** { name: () => tunnel } of those that are here; says which are not. */
function otherStarts({ access, target, note }) {
  const starts = {};
  for (const [name, { Tunnel, variable }] of Object.entries(others)) {
    const file = find(name);
    const given = process.env[variable];
    if (file) {
      starts[name] = () => Tunnel.start({ file, tls: access.tls, target });
    } else if (given) note(`without ${name}: ${variable} leads nowhere`);
    else note(`without ${name}: not in PATH, and ${variable} is not set`);
  }
  return starts;
}

/** "name version" of each that is here. */
function versions() {
  return Object.keys(others)
    .filter(find)
    .map((name) => {
      const said = output(find(name), ['--version'], { env: env() }) ?? '';
      return `${name} ${said.split('\n')[0].replace(/^\D+/, '')}`.trim();
    });
}

module.exports = { otherStarts, versions };
