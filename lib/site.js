'use strict';

// The TLS side of a server: what it shows as its certificate, and the web site
// that visitors of a stealth listener see.

const { randomBytes } = require('node:crypto');

const { createAcme } = require('./acme.js');
const { native } = require('./binding.js');
const { optionError } = require('./errors.js');
const { hasSite, hasTransport } = require('./listen.js');
const { WraithStream } = require('./stream.js');
const { loadServerTls, makeServerTls } = require('./tls.js');

const TICKET_KEYS = 80;

/** A web server and what it packs pages with: not to be loaded without need. */
function makeDecoy(options) {
  return require('./decoy.js').createDecoy(options);
}

class Site {
  #decoy;
  #isTls;
  #isWeb; // as its TLS shows
  #acme = null;
  #challenges = new Map(); // name → id of the context that answers it
  // Kept across reloads, so that tickets are good after one.
  #ticketKeys = randomBytes(TICKET_KEYS);

  constructor(options, listen) {
    const { stealth = false, decoy, internal } = options;
    this.#isTls = hasTransport(listen, 'tls');
    this.#isWeb = stealth;
    this.#decoy = hasSite(options, listen)
      ? makeDecoy({ decoy, ...internal?.decoy })
      : null;
  }

  /**
   * A context of what is given, or undefined. Whoever gets its id frees it.
   *
   * @returns {Promise<number | undefined>}
   */
  async load({ tlsCert, tlsKey }) {
    if (tlsCert === undefined && tlsKey === undefined) return undefined;
    if (this.#acme) {
      throw optionError('tlsCert', 'cannot be combined with acmeDomain');
    }
    if (!this.#isTls) throw optionError('tlsCert', 'needs transport tls');
    if (tlsCert === undefined)
      throw optionError('tlsCert', 'is needed as well');
    if (tlsKey === undefined) throw optionError('tlsKey', 'is needed as well');
    return loadServerTls({ tlsCert, tlsKey }, this.#how());
  }

  #how() {
    return { isWeb: this.#isWeb, ticketKeys: this.#ticketKeys };
  }

  /**
   * Certificates by ACME from here on. `use` is lent a context for each, for the
   * first one before this resolves.
   */
  async startAcme(options, { use, ...rest }) {
    this.#acme = createAcme({
      ...options,
      ...rest,
      onCertificate: ({ cert, key }) => lend(this.#make(cert, key), use),
      onChallenge: (name, proof) => this.#onChallenge(name, proof),
    });
    await this.#acme.start();
  }

  #make(cert, key) {
    return makeServerTls({ text: cert }, { text: key }, this.#how());
  }

  #onChallenge(name, proof) {
    const old = this.#challenges.get(name);
    if (old !== undefined) native.tlsFree(old);
    this.#challenges.delete(name);
    if (!proof) return;
    const tls = this.#make(proof.cert, proof.key);
    this.#challenges.set(name, tls);
    native.tlsChallenge(tls, name);
  }

  visit({ stream, alpn, servername, plain, ...where }) {
    const visitor = new WraithStream(stream, {}, { ref: false });
    this.#decoy.handle(visitor, {
      ...where,
      alpn: alpn || false,
      servername: servername || false,
      secure: !plain,
    });
  }

  async close() {
    this.#decoy?.close();
    await this.#acme?.stop();
  }
}

/** Frees the context with this id once `use` is over; undefined: none. */
async function lend(tls, use) {
  try {
    return await use(tls);
  } finally {
    if (tls !== undefined) native.tlsFree(tls);
  }
}

module.exports = { Site, lend };
