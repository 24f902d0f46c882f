'use strict';

const { EventEmitter } = require('node:events');
const { Duplex } = require('node:stream');

const { acmeShape, parseAcmeOptions } = require('./acme/options.js');
const { EVENT, Ref, native, register, unregister } = require('./binding.js');
const { joinCarrier } = require('./carrier.js');
const { loadHostCertificate, readCertificate } = require('./certificate.js');
const { ProxyAgent } = require('./dial.js');
const {
  abortError,
  errorFromStatus,
  optionError,
  statusOf,
} = require('./errors.js');
const { defaultPaths } = require('./files.js');
const { inheritedError, takeInherited } = require('./inherited.js');
const { checkSite, hasTransport, readListen } = require('./listen.js');
const { loadKey, loadOrCreateHostKey } = require('./keys.js');
const { parseMetricsAddress, serveMetrics } = require('./metrics.js');
const { check, kInternal, readOptions, serveShape } = require('./options.js');
const { shownProxy } = require('./proxy.js');
const { makeRecord } = require('./record.js');
const { Site, lend } = require('./site.js');
const { WraithStream } = require('./stream.js');
const { loadTrust, readTrust, trustError, trustList } = require('./trust.js');
const { DEFAULT_PATH } = require('./transport.js');
const { opened } = require('./tunnel.js');

const DEFAULT_DRAIN = 2000;
const DEFAULT_PENALTY = 5000;
const LEVELS = { error: 1, warn: 2, info: 3, debug: 4 };
/** Connections that an async iterator has not taken yet. */
const ITERATOR_QUEUE = 1000;

/** Rules in order: [{ allow }, { deny }] → [[allowed, text]]. */
function readRules({ policy, allow, deny }) {
  if (policy && (allow || deny)) {
    throw optionError('policy', 'cannot be combined with allow and deny');
  }
  // Two lists have no order between them: then what is denied is denied.
  const list = policy ?? [
    ...(deny ?? []).map((text) => ({ deny: text })),
    ...(allow ?? []).map((text) => ({ allow: text })),
  ];
  return list.map(readRule);
}

function readRule(rule) {
  const [kind] = Object.keys(rule);
  const why = native.ruleCheck(rule[kind]);
  if (why !== null) {
    const shown = JSON.stringify(rule[kind]);
    throw optionError(kind, `${shown}: ${why}`, 'ERR_WRAITH_RULE');
  }
  return [kind === 'allow', rule[kind]];
}

function checkNetworks(name, list = []) {
  for (const [i, text] of list.entries()) {
    if (native.networkCheck(text) === 0) continue;
    throw optionError(
      `${name}[${i}]`,
      `${JSON.stringify(text)} is no address and no network (10.0.0.0/8)`,
    );
  }
}

function withCertificateInfo(certificate, rest) {
  return certificate
    ? { ...rest, certificate: readCertificate(certificate) }
    : rest;
}

/** Who is at the other end, in the words of the API. */
function readIdentity({ session, fingerprint, certificate, ...rest }) {
  return withCertificateInfo(certificate, {
    sessionId: session,
    keyFingerprint: fingerprint,
    ...rest,
  });
}

class WraithServer extends EventEmitter {
  #id;
  #authorize;
  #log;
  #level; // of LEVELS
  #metrics;
  #ref = new Ref();
  #closed;
  #resolveClosed;
  #closing = false;
  #reloading = Promise.resolve();
  #site;
  #trust; // the texts in force, for reloads that bring only some of them

  constructor(id, { authorize, log, logLevel }, { hostKey, trust, site }) {
    super();
    this.#id = id;
    this.#trust = trust;
    this.#site = site;
    this.#authorize = authorize;
    this.#log = log;
    this.#level = LEVELS[logLevel ?? 'info'];
    this.addresses = [];
    this.hostKeyFingerprint = hostKey.fingerprint;
    this.hostKey = hostKey.publicKey;
    this.hostKeyFile = hostKey.file;
    this.hostKeyCreated = Boolean(hostKey.created);
    this.hostCertificate = hostKey.certificate?.info;
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    register(id, this);
    this.#ref.open();
    this.on('newListener', (name) => this.#countListeners(name, 1));
    this.on('removeListener', (name) => this.#countListeners(name, 0));
  }

  ref() {
    this.#ref.ref();
    return this;
  }

  unref() {
    this.#ref.unref();
    return this;
  }

  /** With nobody to take them, control channels are refused by the core. */
  #countListeners(name, coming) {
    if (name !== 'connection' || this.#id === 0) return;
    const count = this.listenerCount('connection') + coming;
    native.serverSetControl(this.#id, count > 0);
  }

  onConnection(listener) {
    this.on('connection', listener);
    return this;
  }

  _listen(address) {
    const { kind, host, port, inherited } = address;
    if (inherited) {
      this.#listenInherited(address);
      return;
    }
    const bound = native.serverListen(this.#id, kind, host, port);
    if (typeof bound === 'number') {
      throw errorFromStatus(bound, { syscall: 'listen', address: host, port });
    }
    this.#listening(address, bound);
  }

  #listening({ transport }, { host, port }) {
    this.addresses.push({ transport, host, port });
  }

  async _startAcme(options, proxy) {
    await this.#site.startAcme(options, {
      agentOf: proxy && ((how) => new ProxyAgent(proxy, how)),
      use: (tls) => {
        if (this.#id !== 0) native.serverSetTls(this.#id, tls);
      },
      log: (level, message, fields) => this.#say(level, message, fields),
    });
  }

  /** A record of this side's, beside those of the core. */
  #say(level, message, fields) {
    if (!this.#log || LEVELS[level.toLowerCase()] > this.#level) return;
    const { record, line } = makeRecord(level, message, fields);
    this.#log(record, line);
  }

  async _serveMetrics(address) {
    this.#metrics = await serveMetrics(address, () => this.stats());
    this.metricsAddress = this.#metrics.address;
  }

  #listenInherited(address) {
    for (const fd of takeInherited()) {
      const bound = native.serverListenFd(this.#id, address.kind, fd);
      if (typeof bound === 'number') throw inheritedError(fd, bound);
      this.#listening(address, bound);
    }
  }

  onEvent(type, event, b) {
    if (type === EVENT.CONTROL) this.#onControl(event);
    else if (type === EVENT.AUTHORIZE) this.#onAuthorize(event);
    else if (type === EVENT.VISITOR) this.#site.visit(event);
    else if (type === EVENT.LOG) this.#onLog(event);
    else if (type === EVENT.SESSION) this.#onSession(event >>> 0, b === 1);
    else if (type === EVENT.SERVER_CLOSED) this.#onClosed();
  }

  #onControl({ stream, name, ...identity }) {
    const info = { destination: name, ...readIdentity(identity) };
    const channel = new WraithStream(stream, info);
    if (!this.emit('connection', channel, info)) channel.destroy();
  }

  async #onAuthorize(event) {
    const identity = readIdentity(event);
    const { sessionId } = identity;
    let accepted = false;
    try {
      accepted = (await this.#authorize(identity)) === true;
    } catch {
      accepted = false; // a throw refuses
    }
    if (this.#id !== 0) native.serverAuthorize(this.#id, sessionId, accepted);
  }

  #onLog({ record, line }) {
    if (this.#log) this.#log(record, line);
  }

  #onSession(sessionId, up) {
    this.emit(up ? 'session' : 'sessionClose', sessionId);
  }

  async *[Symbol.asyncIterator]() {
    const queue = [];
    let wake = () => {};
    const onConnection = (stream, info) => {
      if (queue.length >= ITERATOR_QUEUE) stream.destroy();
      else queue.push({ stream, info });
      wake();
    };
    const onClose = () => wake();
    this.on('connection', onConnection).on('close', onClose);
    try {
      while (this.#id !== 0 || queue.length > 0) {
        if (queue.length > 0) yield queue.shift();
        else {
          await new Promise((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      this.off('connection', onConnection).off('close', onClose);
      for (const { stream } of queue) stream.destroy();
    }
  }

  /** Opens a channel to a client that accepts the reserved name. */
  async open(sessionId, name) {
    this.#mustBeOpen();
    check.integer(0, 0xffffffff)('sessionId', sessionId);
    check.text('name', name);
    const id = native.serverOpen(this.#id, sessionId, name);
    if (id < 0) throw errorFromStatus(id, { phase: 'channel' });
    return opened(id, { sessionId, destination: name });
  }

  /** Serves SSH on a stream of the caller's. */
  accept(stream, options) {
    this.#mustBeOpen();
    if (!(stream instanceof Duplex)) {
      throw optionError('stream', 'must be a Duplex');
    }
    const o = readOptions(options, { remoteAddress: check.string });
    const inner = native.serverAccept(this.#id, o.remoteAddress ?? '');
    if (inner < 0) {
      stream.destroy();
      return;
    }
    joinCarrier(stream, inner);
  }

  /** Puts new keys and rules in force, all of them or none. */
  async reload(options) {
    const { policy, ...given } = readOptions(options, {
      authorizedKeys: serveShape.authorizedKeys,
      policy: serveShape.policy,
      certAuthority: serveShape.certAuthority,
      revokedKeys: serveShape.revokedKeys,
      tlsCert: serveShape.tlsCert,
      tlsKey: serveShape.tlsKey,
    });
    const rules = policy && readRules({ policy });
    const read = this.#read(given);
    // In the order asked for: an older list of keys must not come last.
    const turn = Promise.allSettled([this.#reloading, read]).then(async () => {
      const { texts, tls } = await read;
      await lend(tls, () => this.#reload(texts, rules, tls));
    });
    this.#reloading = turn.catch(() => {}); // whoever asked hears of it
    return turn;
  }

  async #read(given) {
    const texts = await readTrust(given);
    return { texts, tls: await this.#site.load(given) };
  }

  #reload(texts, rules, tls) {
    this.#mustBeOpen();
    const changed = Object.keys(texts).length > 0;
    const all = { ...this.#trust, ...texts };
    const trust = changed ? trustList(all) : undefined;
    const result = native.serverReload(this.#id, { trust, rules });
    if (typeof result !== 'number') throw trustError(result, trust);
    if (result < 0) throw errorFromStatus(result);
    this.#trust = all;
    if (tls !== undefined) native.serverSetTls(this.#id, tls);
  }

  sessions() {
    if (this.#id === 0) return [];
    return native
      .serverSessions(this.#id)
      .map(({ certificate, ...rest }) =>
        withCertificateInfo(certificate && JSON.parse(certificate), rest),
      );
  }

  stats() {
    return this.#id === 0 ? null : native.serverStats(this.#id);
  }

  /** Stops accepting, gives channels `drain` ms, ends. Again: at once. */
  close(options) {
    const { drain } = readOptions(options, {
      drain: check.integer(0, 2 ** 31 - 1),
    });
    if (this.#id !== 0) {
      const wait = this.#closing ? 0 : (drain ?? DEFAULT_DRAIN);
      this.#closing = true;
      native.serverClose(this.#id, wait);
    }
    return this.#closed;
  }

  /** It has not begun: its log has nothing to tell. */
  _abandon() {
    this.#log = undefined;
    return this.close({ drain: 0 });
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }

  #mustBeOpen() {
    if (this.#id === 0) throw errorFromStatus(statusOf('CLOSED'));
  }

  #onClosed() {
    unregister(this.#id);
    this.#id = 0;
    this.#ref.close();
    this.#metrics?.close();
    this.emit('close');
    this.#site.close().then(this.#resolveClosed);
  }
}

async function loadHostKey({ hostKey, passphrase }) {
  if (hostKey === undefined) return loadOrCreateHostKey(defaultPaths.hostKey());
  return loadKey('hostKey', hostKey, passphrase);
}

/** A key that cannot have its certificate is given back. */
async function withCertificate({ hostCertificate }, key) {
  if (hostCertificate === undefined) return key;
  try {
    return {
      ...key,
      certificate: await loadHostCertificate(hostCertificate, key),
    };
  } catch (error) {
    native.keyFree(key.id);
    throw error;
  }
}

/** Where SSH in TLS is not answered, or is not spoken, WebSockets have to be. */
function defaultPath({ stealthSecret }, listen) {
  const needs = stealthSecret !== undefined || hasTransport(listen, 'ws');
  return needs ? DEFAULT_PATH : undefined;
}

function nativeOptions(o, { key, trust, rules, tls }) {
  return {
    hostKey: key.id,
    hostCertificate: key.certificate?.blob,
    trust,
    rules,
    tls,
    stealthSecret: o.stealthSecret,
    wsPath: o.wsPath,
    forwarding: o.forwarding ?? true,
    gatewayPorts: o.gatewayPorts ?? false,
    authorize: o.authorize !== undefined,
    loginGraceTime: o.loginGraceTime,
    keepalive: o.keepalive,
    maxAuthAttempts: o.maxAuthAttempts,
    maxStartups: o.maxStartups?.full,
    startupsStart: o.maxStartups?.start,
    startupsRate: o.maxStartups?.rate,
    trustProxy: o.trustProxy,
    proxy: o.proxy,
    penaltyTime: o.penaltyTime ?? DEFAULT_PENALTY,
    penaltyMax: o.penaltyMax,
    penaltyExempt: o.penaltyExempt,
    maxSessions: o.maxSessions,
    maxChannels: o.maxChannels,
    maxConnectionsPerIp: o.maxConnectionsPerIp,
    logLevel: o.log ? LEVELS[o.logLevel ?? 'info'] : 0,
    ...o.internal,
  };
}

function newServer(o, { key, texts, site, ...rest }) {
  const trust = trustList(texts);
  try {
    const id = native.serverNew(nativeOptions(o, { key, trust, ...rest }));
    if (typeof id !== 'number') throw trustError(id, trust);
    if (id < 0) throw errorFromStatus(id);
    return new WraithServer(id, o, { hostKey: key, trust: texts, site });
  } finally {
    native.keyFree(key.id); // the server has a reference of its own
  }
}

/** Listens and serves; rejects with a coded error if it cannot. */
async function serve(options) {
  const o = readOptions(options, serveShape, acmeShape);
  const acme = parseAcmeOptions(options ?? {});
  o.internal = options?.[kInternal];
  if (o.signal?.aborted) throw abortError(o.signal);
  const listen = readListen(o);
  checkSite(o, listen);
  o.wsPath ??= defaultPath(o, listen);
  const site = new Site(o, listen);
  const metrics = o.metrics && parseMetricsAddress(o.metrics);
  const rules = readRules(o);
  checkNetworks('trustProxy', o.trustProxy);
  checkNetworks('penaltyExempt', o.penaltyExempt);
  if (o.proxy) shownProxy(o.proxy); // a mistake is told before keys are read
  const texts = await loadTrust(o);
  const server = await lend(await site.load(o), async (tls) => {
    const key = await withCertificate(o, await loadHostKey(o));
    return newServer(o, { key, texts, rules, tls, site });
  });
  try {
    if (metrics) await server._serveMetrics(metrics);
    if (acme) await server._startAcme(acme, o.proxy);
    if (o.signal?.aborted) throw abortError(o.signal);
    for (const address of listen) server._listen(address);
  } catch (error) {
    await server._abandon();
    throw error;
  }
  watchSignal(server, o.signal);
  return server;
}

function watchSignal(server, signal) {
  if (!signal) return;
  const onAbort = () => server.close();
  signal.addEventListener('abort', onAbort, { once: true });
  server.once('close', () => signal.removeEventListener('abort', onAbort));
}

module.exports = { WraithServer, readRules, serve };
