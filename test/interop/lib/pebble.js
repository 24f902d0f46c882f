'use strict';
// Let's Encrypt's test directory, which checks each challenge for real.
const { X509Certificate } = require('node:crypto');
const { once } = require('node:events');
const https = require('node:https');
const tls = require('node:tls');
const { selfSigned } = require('../../../lib/acme.js');
const peers = require('../../../scripts/peers.js');
const { startAcme } = require('../../lib/acme.js');
const { Clock } = require('../../lib/clock.js');
const { nameServer } = require('./dns.js');
const { freePort } = require('./net.js');

const DAY_MS = 24 * 3600_000;

// A pebble whose every name is 127.0.0.1: { directory, management }.
class Pebble {
  constructor(t, lab) {
    this.t = t;
    this.lab = lab;
    this.tls = selfSigned(['127.0.0.1']);
  }

  async prepare() {
    this.port = await freePort();
    this.managementPort = await freePort();
    this.httpPort = await freePort();
    this.tlsPort = await freePort();
    this.names = await nameServer();
    this.lab.defer(() => this.names.close());
    const ca = Buffer.from(this.tls.cert);
    this.directory = { url: `https://127.0.0.1:${this.port}/dir`, ca };
    return this;
  }

  async start({ env, config } = {}) {
    const { lab } = this;
    const pebble = {
      listenAddress: `127.0.0.1:${this.port}`,
      managementListenAddress: `127.0.0.1:${this.managementPort}`,
      certificate: lab.file('pebble.crt', this.tls.cert),
      privateKey: lab.file('pebble.key', this.tls.key),
      httpPort: this.httpPort,
      tlsPort: this.tlsPort,
      ...config,
    };
    const file = lab.file('pebble.json', JSON.stringify({ pebble }));
    const args = ['-config', file, '-dnsserver', this.names.address];
    const program = lab.spawn(peers.path('pebble'), args, {
      env: { PEBBLE_VA_NOSLEEP: '1', PEBBLE_AUTHZREUSE: '0', ...env },
    });
    await program.line(/ACME directory available at/);
    await this.#listening();
    this.program = program;
    return program;
  }

  // It says so a moment before it does.
  async #listening() {
    for (;;) {
      const socket = tls.connect(this.port, '127.0.0.1', {
        ca: this.tls.cert,
      });
      const isUp = await once(socket, 'secureConnect').then(
        () => true,
        () => false,
      );
      socket.destroy();
      if (isUp) return;
      await new Promise(setImmediate);
    }
  }

  /** Its root certificate, which is new in each run. */
  async root() {
    const url = `https://127.0.0.1:${this.managementPort}/roots/0`;
    const [response] = await once(
      https.get(url, { ca: this.tls.cert, agent: false }),
      'response',
    );
    let text = '';
    for await (const chunk of response) text += chunk;
    return text;
  }

  // Lets the end of the certificate come near until there is the next. What
  // pebble issues is new by the real clock, so back to that at once.
  async renew(listener, cert) {
    const { clock } = this;
    const real = clock.now();
    const nap = await clock.asleep();
    clock.time = Date.parse(new X509Certificate(cert).validTo) - DAY_MS;
    const renewed = listener.issued(2);
    const back = renewed.then(() => (clock.time = real));
    nap.wake();
    await back;
    return renewed;
  }

  acme(options) {
    const { t, lab } = this;
    const clock = (this.clock ??= new Clock({ now: Date.now(), pace: 'real' }));
    const dir = lab.file('acme');
    const tlsPort = this.tlsPort;
    const { directory } = this;
    return startAcme(t, { directory, clock, dir, tlsPort, ...options });
  }
}

module.exports = { Pebble };
