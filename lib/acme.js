'use strict';

// Certificates from an ACME directory (RFC 8555), for names and addresses, and
// their renewal. One object looks after one certificate.

const { X509Certificate } = require('node:crypto');

const { Http01, TlsAlpn } = require('./acme/challenge.js');
const { acmeFailure, asFailure } = require('./acme/failure.js');
const { loadLibrary } = require('./acme/library.js');
const { acmeShape, parseAcmeOptions } = require('./acme/options.js');
const { Order } = require('./acme/order.js');
const { State, newKey } = require('./acme/state.js');
const times = require('./acme/times.js');
const { Transport } = require('./acme/transport.js');
const { renewalId, selfSign } = require('./acme/x509.js');
const { optionError } = require('./errors.js');
const { readSource } = require('./files.js');
const { check } = require('./options.js');

// A machine may sleep, and its clock be set: look at it again after that long.
const NAP_MAX_MS = 6 * 3600_000;

const NONCE_TRIES = 10;

/** The directory does not know the account any more. */
const ACCOUNT_GONE = ['accountDoesNotExist', 'unauthorized'];

async function readAuthority(ca) {
  const { text } = await readSource('acmeCa', ca);
  try {
    new X509Certificate(text);
    return text;
  } catch {
    throw optionError('acmeCa', 'holds no certificate in PEM');
  }
}

class Acme {
  #o;
  #now;
  #timers;
  #random;
  #library = null;
  #challenge = null;
  #state = null;
  #ca;
  #key = '';
  #current = null; // as parseCertificate()
  #id = null; // the renewal id of #current
  #dueAt = 0;
  #info = null; // the directory's window for #current, once it has named one
  #infoAt = 0; // when to ask for it
  #attempts = 0; // since a certificate was there that is not due
  #retryAt = 0;
  #accountReplaced = false;
  #stopping = null; // an AbortController while running
  #running = null; // ends with #stopping

  constructor(options) {
    this.#o = options;
    this.#now = options.now ?? Date.now;
    this.#timers = options.timers ?? { setTimeout, clearTimeout };
    this.#random = options.random ?? Math.random;
  }

  /**
   * Resolves once there is something to serve with: `onCertificate` has been
   * called with the certificate on the disk or a self-signed one. Orders and
   * renewals follow by themselves.
   */
  async start() {
    if (this.#stopping) return;
    this.#stopping = new AbortController();
    try {
      await this.#prepare();
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#running = this.#run();
  }

  /** Ends what is under way. Resolves when nothing will be called any more. */
  async stop() {
    this.#stopping?.abort();
    await this.#running;
    await this.#challenge?.close();
    this.#running = null;
    this.#stopping = null;
  }

  /** Where the web server of http-01 listens; null for other challenges. */
  address() {
    return this.#challenge?.address?.() ?? null;
  }

  async #prepare() {
    const { challenge, ca, domains } = this.#o;
    this.#library = loadLibrary();
    if (ca !== undefined) this.#ca = await readAuthority(ca);
    this.#state = new State(this.#o);
    this.#key = await this.#state.key();
    this.#challenge =
      challenge === 'http-01'
        ? new Http01(this.#o)
        : new TlsAlpn({ ...this.#o, library: this.#library });
    const found = await this.#state.certificate(this.#key);
    // Damage is told at the start, not when the certificate runs out.
    await this.#state.account();
    await this.#challenge.open();
    if (found) return this.#adopt(found);
    const cert = selfSign(domains, this.#key, this.#now());
    return this.#publish(cert, true);
  }

  async #publish(cert, selfSigned) {
    await this.#o.onCertificate({ cert, key: this.#key, selfSigned });
  }

  async #adopt(certificate) {
    this.#current = certificate;
    this.#dueAt = times.renewalTime(certificate, this.#random());
    this.#info = null;
    this.#id = renewalId(certificate.leaf);
    this.#infoAt = this.#id ? 0 : Infinity;
    await this.#publish(certificate.cert, false);
  }

  async #run() {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const wait = await this.#step();
      if (!signal.aborted) await this.#sleep(Math.min(wait, NAP_MAX_MS));
    }
  }

  // Does what is due, and resolves to the time until the next step.
  async #step() {
    await this.#askWhen();
    const now = this.#now();
    if (this.#current && now < this.#dueAt) {
      this.#attempts = 0;
      return Math.min(this.#dueAt, this.#infoAt) - now;
    }
    if (this.#isAhead(this.#retryAt)) return this.#retryAt - now;
    await this.#attempt();
    return 0;
  }

  // What lies further ahead than we ever wait was reckoned by a clock that has
  // been set back since.
  #isAhead(time) {
    const wait = time - this.#now();
    return wait > 0 && wait <= times.WAIT_MAX_MS;
  }

  // One that succeeds is followed by a pause too: with a wrong clock, or a
  // directory that calls new certificates old, the next is due at once.
  async #attempt() {
    this.#attempts++;
    const pause = times.backoff(this.#attempts, this.#random());
    try {
      await this.#order();
      this.#retryAt = this.#now() + pause;
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      const failure = asFailure(error);
      const wait = Math.max(pause, failure.retryAfter ?? 0);
      this.#retryAt = this.#now() + wait;
      this.#failed(failure, wait);
    }
  }

  #failed(failure, wait) {
    const isValid = this.#current !== null && this.#now() < this.#current.until;
    this.#log(isValid ? 'WARN' : 'ERROR', 'acme failed', {
      reason: failure.reason,
      retry: Math.round(wait / 1000),
      ...(failure.detail && { detail: failure.detail }),
    });
    this.#o.onFailure?.(failure);
  }

  #log(level, message, fields) {
    const domains = this.#o.domains.join(',');
    this.#o.log?.(level, message, { domains, ...fields });
  }

  // The library takes care of signatures, nonces and objects; what it sends
  // goes through our transport.
  async #withClient(account, work) {
    const { directory, eab, agentOf } = this.#o;
    const transport = new Transport({
      ca: this.#ca,
      agentOf,
      signal: this.#stopping.signal,
      now: this.#now,
    });
    const client = new this.#library.Client({
      directoryUrl: directory,
      accountKey: account.key,
      accountUrl: account.url,
      externalAccountBinding: eab,
    });
    client.http.request = (...args) => transport.request(...args);
    client.http.maxBadNonceRetries = NONCE_TRIES;
    try {
      return await work(client, transport);
    } finally {
      transport.close();
    }
  }

  // What the directory itself says of the time to renew (RFC 9773). Without an
  // answer, what was known before holds, and the lifetime decides otherwise.
  async #askWhen() {
    if (!this.#id || this.#isAhead(this.#infoAt)) return;
    this.#infoAt = this.#now() + times.RENEWAL_INFO_MS;
    try {
      await this.#withClient({ key: this.#key }, (client, transport) =>
        this.#readInfo(client, transport),
      );
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      const { reason } = asFailure(error);
      this.#log('DEBUG', 'acme renewal info', { reason });
    }
  }

  async #readInfo(client, transport) {
    const { renewalInfo } = await client.http.getDirectory();
    if (typeof renewalInfo !== 'string') return;
    const url = `${renewalInfo.replace(/\/$/, '')}/${this.#id}`;
    const { data } = await transport.request(url, 'get');
    this.#infoAt = this.#now() + times.renewalInfoAge(transport.retryAfter);
    const window = times.readWindow(data);
    if (!window) throw acmeFailure('protocol', { detail: 'no window' });
    const { start, end } = this.#info ?? {};
    if (window.start === start && window.end === end) return;
    this.#info = window;
    const at = times.timeWithin(window, this.#random());
    // A window after the end of the certificate would leave us without one.
    this.#dueAt =
      at < this.#current.until
        ? at
        : times.renewalTime(this.#current, this.#random());
  }

  async #order() {
    if (this.#current) {
      const reason = this.#info ? 'renewal-info' : 'lifetime';
      this.#log('INFO', 'acme renewing', { reason });
    }
    const certificate = await this.#withAccount();
    await this.#save(certificate.cert);
    this.#accountReplaced = false;
    this.#log('INFO', 'acme issued', {
      expires: new Date(certificate.until).toISOString(),
    });
    await this.#adopt(certificate);
  }

  // What cannot be kept can still be used.
  async #save(cert) {
    try {
      await this.#state.saveCertificate(cert);
    } catch (error) {
      const reason = error.code ?? 'unknown';
      this.#log('ERROR', 'acme certificate not saved', { reason });
    }
  }

  // An account that is gone is replaced, but once only until an order succeeds:
  // directories count new accounts.
  async #withAccount() {
    const account = await this.#state.account();
    try {
      return await this.#issue(account ?? (await this.#state.newAccount()));
    } catch (error) {
      const isGone = error.problem && ACCOUNT_GONE.includes(error.reason);
      if (!account || !isGone || this.#accountReplaced) throw error;
      this.#accountReplaced = true;
      this.#log('WARN', 'acme account', { reason: error.reason });
      return this.#issue(await this.#state.newAccount());
    }
  }

  #issue(account) {
    return this.#withClient(account, async (client, transport) => {
      await this.#register(account, client);
      const order = new Order({
        library: this.#library,
        client,
        transport,
        challenge: this.#challenge,
        names: this.#o.domains,
        key: this.#key,
        now: this.#now,
        sleep: (ms) => this.#pause(ms),
      });
      return order.run(this.#id);
    });
  }

  async #register(account, client) {
    const email = this.#o.email ?? null;
    if (account.url && account.email === email) return;
    const contact = email === null ? [] : [`mailto:${email}`];
    if (account.url) await client.updateAccount({ contact });
    else await client.createAccount({ termsOfServiceAgreed: true, contact });
    const url = client.getAccountUrl();
    await this.#state.saveAccount({ key: account.key, url, email });
  }

  async #pause(ms) {
    await this.#sleep(ms);
    this.#stopping.signal.throwIfAborted();
  }

  async #sleep(ms) {
    const { signal } = this.#stopping;
    if (signal.aborted) return;
    let timer;
    let wake;
    await new Promise((resolve) => {
      wake = resolve;
      signal.addEventListener('abort', wake);
      timer = this.#timers.setTimeout(wake, Math.max(0, Math.ceil(ms)));
      timer?.unref?.();
    });
    this.#timers.clearTimeout(timer);
    signal.removeEventListener('abort', wake);
  }
}

/**
 * @param {object} options what parseAcmeOptions() returns, and
 * @param {(certificate: { cert: string, key: string, selfSigned: boolean }) =>
 *   unknown} options.onCertificate what to serve with from now on, as PEM
 * @param {(name: string, certificate: { cert: string, key: string } | null) =>
 *   unknown} [options.onChallenge] needed for tls-alpn-01: while a certificate
 *   is up for a server name, acme-tls/1 is to be negotiated for it; null takes
 *   it down. The directory connects once a returned promise has resolved
 * @param {(level: string, message: string, fields: object) => void}
 *   [options.log]
 * @param {(how: object) => https.Agent} [options.agentOf] for connections to the
 *   directory, which need not be direct
 * @param {(error: Error) => void} [options.onFailure] an order failed
 * @param {(request: object, response: object) => void} [options.httpFallback]
 *   answers what the web server of http-01 has no token for; else 404
 * @param {() => number} [options.now] milliseconds, with options.timers
 *   ({ setTimeout, clearTimeout }) and options.random for tests
 */
function createAcme(options) {
  check.functionValue('onCertificate', options.onCertificate);
  if (options.challenge !== 'http-01') {
    check.functionValue('onChallenge', options.onChallenge);
  }
  return new Acme(options);
}

/**
 * A certificate signed by its own key, for names and addresses.
 *
 * @param {string[]} names
 * @returns {{ cert: string, key: string }} PEM
 */
function selfSigned(names, { key = newKey(), now = Date.now() } = {}) {
  return { cert: selfSign(names, key, now), key };
}

module.exports = { acmeShape, createAcme, parseAcmeOptions, selfSigned };
