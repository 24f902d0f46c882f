'use strict';

// One certificate, from the order to the chain (RFC 8555 7.4).

const net = require('node:net');

const { acmeFailure, asFailure, problemName } = require('./failure.js');
const { identifierOf } = require('./names.js');
const { isCertificateFor, parseCertificate } = require('./state.js');

const POLL_MIN_MS = 250;
const POLL_MAX_MS = 5000;
const POLL_ASKED_MAX_MS = 60_000;
const POLL_TOTAL_MS = 5 * 60_000;

const SHORT_LIVED = 'shortlived';

class Order {
  /**
   * @param {object} o
   * @param {object} o.library
   * @param {object} o.client the library's
   * @param {object} o.transport
   * @param {object} o.challenge as in challenge.js
   * @param {string[]} o.names
   * @param {string} o.key PEM
   * @param {() => number} o.now
   * @param {(ms: number) => Promise<void>} o.sleep
   */
  constructor(o) {
    Object.assign(this, o);
  }

  /**
   * @param {string | null} replaces the renewal id of the certificate before
   * @returns {Promise<object>} as parseCertificate()
   */
  async run(replaces) {
    const created = await this.#create(replaces);
    for (const url of created.authorizations ?? []) await this.#authorize(url);
    const order = await this.#patiently(() => this.#advance(created));
    if (order.status !== 'valid') throw refused(order);
    return this.#download(order);
  }

  async #create(replaces) {
    const directory = await this.client.http.getDirectory();
    const order = { identifiers: this.names.map(identifierOf) };
    const profiles = Object.keys(directory.meta?.profiles ?? {});
    if (this.names.some(net.isIP) && profiles.includes(SHORT_LIVED)) {
      order.profile = SHORT_LIVED;
    }
    if (!replaces || !directory.renewalInfo) {
      return this.client.createOrder(order);
    }
    try {
      return await this.client.createOrder({ ...order, replaces });
    } catch (error) {
      // An order that came to nothing may have claimed it (RFC 9773 5).
      if (error.reason !== 'alreadyReplaced') throw error;
      return this.client.createOrder(order);
    }
  }

  async #authorization(url) {
    const order = { authorizations: [url] };
    const [authorization] = await this.client.getAuthorizations(order);
    return authorization;
  }

  async #authorize(url) {
    const authorization = await this.#authorization(url);
    if (authorization.status === 'valid') return;
    const { type } = this.challenge;
    const offered = authorization.challenges ?? [];
    const challenge = offered.find((one) => one.type === type);
    if (!challenge) {
      throw acmeFailure('challenge-not-offered', {
        detail: `${type} for ${authorization.identifier?.value}`,
      });
    }
    const takeDown = await this.challenge.put(
      authorization,
      challenge.token,
      await this.client.getChallengeKeyAuthorization(challenge),
    );
    try {
      await this.client.completeChallenge(challenge);
      const end = await this.#patiently(async () => {
        const seen = await this.#authorization(url);
        return seen.status === 'pending' ? undefined : seen;
      });
      if (end.status !== 'valid') throw unproved(end, type);
    } finally {
      await takeDown();
    }
  }

  // The order, once nothing more is to come of it. Asked again after a failure
  // it goes on from where the directory is.
  async #advance(created) {
    let order = await this.client.getOrder(created);
    if (order.status === 'ready') {
      const names = { altNames: [...this.names] };
      const [, csr] = await this.library.crypto.createCsr(names, this.key);
      order = await this.client.finalizeOrder(order, csr);
    }
    return ['pending', 'ready', 'processing'].includes(order.status)
      ? undefined
      : order;
  }

  async #download(order) {
    const cert = await this.#patiently(() => this.client.getCertificate(order));
    let certificate;
    try {
      certificate = parseCertificate(cert);
    } catch (cause) {
      throw acmeFailure('certificate', { detail: 'not a certificate', cause });
    }
    if (isCertificateFor(certificate, this.key, this.names)) return certificate;
    throw acmeFailure('certificate', { detail: 'of another key or name' });
  }

  // Tries until there is a result. A directory that fails for a moment is not
  // asked for another certificate because of it: those are counted.
  async #patiently(read) {
    const deadline = this.now() + POLL_TOTAL_MS;
    let pause = POLL_MIN_MS;
    for (;;) {
      let failure = acmeFailure('timeout');
      try {
        const result = await read();
        if (result !== undefined) return result;
      } catch (error) {
        failure = asFailure(error);
        if (!failure.transient) throw failure;
      }
      const asked = Math.min(this.transport.retryAfter, POLL_ASKED_MAX_MS);
      const wait = Math.max(pause, asked);
      if (this.now() + wait > deadline) throw failure;
      await this.sleep(wait);
      pause = Math.min(pause * 2, POLL_MAX_MS);
    }
  }
}

function refused({ error, status }) {
  return acmeFailure(problemName(error?.type), {
    detail: String(error?.detail ?? `the order is ${status}`),
  });
}

function unproved({ challenges = [], identifier, status }, type) {
  const { error } = challenges.find((one) => one.type === type) ?? {};
  const why = error?.detail ?? `the authorization is ${status}`;
  return acmeFailure(error ? problemName(error.type) : 'refused', {
    detail: `${type} for ${identifier?.value}: ${why}`,
  });
}

module.exports = { Order };
