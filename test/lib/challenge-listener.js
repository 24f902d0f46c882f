'use strict';
// A TLS server in the place of the tunnel's own listener: it serves with the
// certificate that it is given, and answers acme-tls/1 while a challenge is up.
const { once } = require('node:events');
const tls = require('node:tls');

class ChallengeListener {
  constructor() {
    this.certificates = []; // all it was given: { cert, key, selfSigned }
    this.up = new Map(); // server name → secure context
    this.seen = []; // names of the challenges that were put up
    this.waiting = [];
    this.onCertificate = (one) => this.#add(one);
    this.onChallenge = (name, one) => this.#challenge(name, one);
  }

  async start(port = 0) {
    this.server = tls.createServer({
      SNICallback: (name, done) => done(null, this.up.get(name) ?? this.own),
      ALPNCallback: ({ servername, protocols }) =>
        this.up.has(servername) && protocols.includes('acme-tls/1')
          ? 'acme-tls/1'
          : undefined,
    });
    this.server.on('tlsClientError', () => {});
    this.server.on('secureConnection', (socket) => {
      socket.on('error', () => {});
      socket.end();
    });
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = this.server.address().port;
    return this;
  }

  async close() {
    if (!this.server.listening) return;
    this.server.close();
    await once(this.server, 'close');
  }

  #add(one) {
    this.certificates.push(one);
    this.own = tls.createSecureContext(one);
    for (const check of [...this.waiting]) check();
  }

  #challenge(name, one) {
    if (!one) return this.up.delete(name);
    this.seen.push(name);
    return this.up.set(name, tls.createSecureContext(one));
  }

  /** Resolves once it was given so many certificates of an authority. */
  issued(count = 1) {
    return new Promise((resolve) => {
      const check = () => {
        const own = this.certificates.filter((one) => !one.selfSigned);
        if (own.length < count) return;
        this.waiting = this.waiting.filter((other) => other !== check);
        resolve(own[count - 1]);
      };
      this.waiting.push(check);
      check();
    });
  }
}

module.exports = { ChallengeListener };
