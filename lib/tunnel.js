'use strict';

const { randomBytes } = require('node:crypto');
const { EventEmitter } = require('node:events');
const os = require('node:os');

const { EVENT, Ref, native, register, unregister } = require('./binding.js');
const { joinCarrier, takeCarrier } = require('./carrier.js');
const {
  WraithError,
  abortError,
  errorFromStatus,
  optionError,
  statusOf,
} = require('./errors.js');
const { HostKeyJudge } = require('./hostkey.js');
const { Identities } = require('./identity.js');
const { LocalListener, RemoteListener } = require('./listener.js');
const {
  check,
  connectShape,
  kInternal,
  parseAuth,
  port: checkPort,
  readOptions,
  reconnectShape,
} = require('./options.js');
const { shownProxy } = require('./proxy.js');
const { Reconnect } = require('./reconnect.js');
const { WraithStream } = require('./stream.js');
const { Transport } = require('./transport.js');

/** What does not get better by itself ends a tunnel that was never up. */
const FINAL_PHASES = new Set(['options', 'hostkey', 'auth']);
const FINAL_CODES = new Set([
  'ERR_WRAITH_TLS_CERTIFICATE',
  'ERR_WRAITH_TLS_EXPIRED',
  'ERR_WRAITH_TLS_NAME',
  'ERR_WRAITH_TLS_PIN',
  // The proxy's own word on our credentials; its other troubles may pass.
  'ERR_WRAITH_PROXY_AUTH',
]);

function isFinal(error, wasEverUp) {
  if (error.code === 'ERR_WRAITH_HOST_KEY_MISMATCH') return true;
  if (wasEverUp) return false;
  if (FINAL_CODES.has(error.code)) return true;
  if (error.code === 'ERR_WRAITH_AUTH_TIMEOUT') return false;
  return FINAL_PHASES.has(error.phase);
}

/** { path } or { host, port } of a destination, or a coded error. */
function parseDestination(text) {
  const parsed = native.destination(check.text('destination', text));
  if (typeof parsed === 'string') throw optionError('destination', parsed);
  return parsed;
}

function parseForward(name, spec, remote) {
  if (typeof spec === 'string') {
    const parsed = native.forwardSpec(spec, remote);
    if (typeof parsed !== 'string') return parsed;
    const shown = JSON.stringify(spec);
    throw optionError(name, `${shown}: ${parsed}`, 'ERR_WRAITH_SPEC');
  }
  return readForward(name, spec, remote);
}

const readyShape = { signal: check.signal };

const openShape = {
  signal: check.signal,
  highWaterMark: check.integer(0, 2 ** 31 - 1),
  allowHalfOpen: check.boolean,
};

function absolutePath(name, value) {
  if (check.text(name, value)[0] === '/') return value;
  throw optionError(name, 'must be an absolute path');
}

const forwardShape = {
  bindHost: check.string,
  bindPort: checkPort,
  bindPath: absolutePath,
  host: check.text,
  port: check.integer(1, 65535),
  path: absolutePath,
};

/** A socket has a path, or a host and a port. */
function onlyOne(name, path, ...others) {
  if (path === undefined || others.every((one) => one === undefined)) return;
  throw optionError(name, 'a path stands in place of host and port');
}

function readForward(name, spec, remote) {
  const o = readOptions(spec, forwardShape);
  onlyOne(name, o.bindPath, o.bindHost, o.bindPort);
  onlyOne(name, o.path, o.host, o.port);
  const bind =
    o.bindPath === undefined
      ? { host: o.bindHost ?? '', port: o.bindPort ?? 0 }
      : { path: o.bindPath };
  if (o.path !== undefined) return { bind, target: { path: o.path } };
  if (o.host === undefined && remote) return { bind, target: null };
  if (o.host === undefined || o.port === undefined) {
    throw optionError(name, 'needs host and port, or path');
  }
  return { bind, target: { host: o.host, port: o.port } };
}

/**
 * A long-lived handle: sessions come and go beneath it, its listeners stay.
 * Never throws asynchronously; `ready()` and the events tell what happens.
 */
class Tunnel extends EventEmitter {
  #id = 0;
  #options;
  #transport;
  #proxy; // as it may be shown
  #judge;
  #state = 'connecting';
  #identities;
  #instance = randomBytes(16);
  #reconnect;
  #everUp = false;
  #endError = null;
  #waiting = new Set(); // of ready()
  #locals = new Set();
  #remotes = new Map(); // native id → RemoteListener
  #ref = new Ref();
  #tries = 0;
  #verdict = null; // the error that a host key verdict was given with
  #closed;
  #resolveClosed;

  constructor(options) {
    super();
    this.#options = options;
    this.#transport = new Transport(options);
    if (options.proxy) this.#proxy = shownProxy(options.proxy);
    this.#judge = new HostKeyJudge(options, this.#transport.server);
    this.#identities = new Identities(options);
    this.#reconnect = new Reconnect(options, () => this.#attempt());
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#id = native.tunnelNew();
    if (this.#id < 0) throw errorFromStatus(this.#id);
    register(this.#id, this);
    this.#ref.open();
    this.#watchSignal(options.signal);
    // Not at once: listeners of 'state' shall see the first state change.
    queueMicrotask(() => this.#attempt());
  }

  get state() {
    return this.#state;
  }

  ref() {
    this.#ref.ref();
    return this;
  }

  unref() {
    this.#ref.unref();
    return this;
  }

  #watchSignal(signal) {
    if (!signal) return;
    const onAbort = () => this.destroy(abortError(signal));
    if (signal.aborted) queueMicrotask(onAbort);
    else signal.addEventListener('abort', onAbort, { once: true });
    this.once('close', () => signal.removeEventListener('abort', onAbort));
  }

  #setState(state, more = {}) {
    if (this.#state === 'closed') return;
    this.#state = state;
    this.emit('state', { state, ...more });
  }

  async #attempt() {
    if (this.#state === 'closed') return;
    try {
      await this.#connect();
    } catch (error) {
      this.#failed(error);
    }
  }

  async #connect() {
    this.#tries += 1;
    this.#verdict = null;
    const login = await this.#identities.load();
    const hostKeyTypes = await this.#judge.preferredTypes();
    const carrier = await this.#transport.dialOptions();
    const { stream, connectTimeout } = this.#options;
    const outer = stream ? await takeCarrier(stream, connectTimeout) : null;
    if (this.#state === 'closed') {
      outer?.destroy();
      return;
    }
    const result = native.tunnelConnect(this.#id, {
      ...(outer ? { pipe: true } : carrier),
      proxy: this.#options.proxy,
      user: this.#options.user ?? os.userInfo().username,
      ...login,
      hostKeyTypes,
      keepalive: this.#options.keepalive,
      connectTimeout,
      instance: this.#instance,
      ...this.#options.internal,
    });
    if (result < 0) {
      outer?.destroy();
      throw errorFromStatus(result);
    }
    if (outer) joinCarrier(outer, result);
  }

  onEvent(type, event, b) {
    if (type === EVENT.HOST_KEY) this.#onHostKey(event);
    else if (type === EVENT.UP) this.#onUp();
    else if (type === EVENT.DOWN) this.#onDown(event);
    else if (type === EVENT.STREAM) this.#onStream(event);
    else if (type === EVENT.TUNNEL_CLOSED) this.#onClosed(b);
  }

  async #onHostKey(event) {
    const number = this.#tries;
    const { error, ...found } = await this.#judge.check(event).catch(
      // One catch for what the judge throws, and none for a listener's throw.
      (reason) => ({ error: reason }),
    );
    // A verdict that took long must not count for the key of a later try.
    if (number !== this.#tries || this.#state === 'closed') return;
    if (error) {
      this.#verdict = error;
      native.tunnelVerdict(this.#id, statusOf('HOST_KEY_MISMATCH'));
      return;
    }
    native.tunnelVerdict(this.#id, 0);
    this.emit('hostkey', found);
  }

  #onUp() {
    this.#everUp = true;
    this.#reconnect.reset();
    this.#setState('up');
    for (const waiter of [...this.#waiting]) waiter.resolve();
  }

  #onDown({ status, phase, wasUp, orderly, text, http }) {
    if (this.#state === 'closed') return;
    const error =
      this.#verdict ??
      this.#downError(status, phase, http ? `HTTP ${http}` : text);
    this.#failed(error, wasUp, orderly);
  }

  #downError(status, phase, text) {
    const more = { phase: phase || undefined, text: text || undefined };
    if (phase === 'proxy') {
      more.text = text ? `${this.#proxy} (${text})` : this.#proxy;
    }
    const { server } = this.#transport;
    if (phase === 'dial' && server) {
      more.syscall = 'connect';
      more.address = server.host;
      more.port = server.port;
      more.text ??= this.#options.server;
    }
    return errorFromStatus(status || statusOf('PEER_CLOSED'), more);
  }

  #failed(error, wasUp = false, orderly = false) {
    if (this.#state === 'closed') return;
    const error_ = error instanceof WraithError ? error : wrapError(error);
    this.emit('down', { error: error_, wasUp, orderly });
    if (this.#state === 'closed') return;
    if (isFinal(error_, this.#everUp) || !this.#mayReconnect(wasUp)) {
      this.destroy(error_);
      return;
    }
    const { attempt, retryIn } = this.#reconnect.schedule(wasUp);
    this.#setState('reconnecting', { reason: error_, attempt, retryIn });
  }

  #mayReconnect() {
    const { reconnect = true, stream } = this.#options;
    // A stream that is not a factory has been used up.
    return reconnect && (!stream || typeof stream === 'function');
  }

  #onStream({ stream, remote, host, port, originHost, originPort }) {
    const listener = this.#remotes.get(remote);
    const channel = new WraithStream(stream, {
      destination: host,
      port,
      remoteAddress: originHost,
      remotePort: originPort,
    });
    if (listener && listener._onStream) {
      listener._onStream(channel, channel.info);
      return;
    }
    channel.destroy();
  }

  /**
   * Resolves once the tunnel is up; rejects on what would end it.
   */
  async ready(options) {
    const { signal } = readOptions(options, readyShape);
    if (signal?.aborted) throw abortError(signal);
    if (this.#state === 'up') return;
    this.#mustBeOpen();
    await new Promise((resolve, reject) => this.#wait(resolve, reject, signal));
  }

  #wait(resolve, reject, signal) {
    const waiter = {};
    const settle = (fn) => (value) => {
      this.#waiting.delete(waiter);
      signal?.removeEventListener('abort', waiter.abort);
      fn(value);
    };
    waiter.resolve = settle(resolve);
    waiter.reject = settle(reject);
    waiter.abort = () => waiter.reject(abortError(signal));
    this.#waiting.add(waiter);
    signal?.addEventListener('abort', waiter.abort, { once: true });
  }

  #closedError() {
    return this.#endError ?? errorFromStatus(statusOf('CLOSED'));
  }

  #mustBeOpen() {
    if (this.#state === 'closed') throw this.#closedError();
  }

  /** A channel to 'host:port', 'unix:/path' or a reserved name, as a Duplex. */
  async open(destination, options) {
    const target = parseDestination(destination);
    const { signal, ...rest } = readOptions(options, openShape);
    if (signal?.aborted) throw abortError(signal);
    if (this.#state === 'connecting') await this.ready({ signal });
    if (signal?.aborted) throw abortError(signal);
    this.#mustBeOpen();
    const id = native.tunnelOpen(this.#id, target);
    if (id < 0) throw errorFromStatus(id, { phase: 'channel' });
    return opened(id, { destination }, { signal, ...rest });
  }

  async socks5(options) {
    const o = readOptions(options, {
      host: check.string,
      port: checkPort,
      auth: parseAuth,
    });
    return this.#listen({
      bindHost: o.host ?? '127.0.0.1',
      bindPort: o.port ?? 1080,
      inbound: true,
      ...o.auth,
    });
  }

  async forward(spec) {
    const { bind, target } = parseForward('forward', spec, false);
    return this.#listen({
      ...(bind.path === undefined
        ? { bindHost: bind.host || 'localhost', bindPort: bind.port }
        : { bindPath: bind.path }),
      inbound: false,
      target,
    });
  }

  #listen(options) {
    this.#mustBeOpen();
    const bound = native.tunnelListen(this.#id, options);
    if (typeof bound === 'number') throw listenError(bound, options);
    const listener = new LocalListener(bound);
    this.#locals.add(listener);
    listener.once('close', () => this.#locals.delete(listener));
    return listener;
  }

  /**
   * Asks the server to listen, now and in every later session. Without
   * onStream the connections are dialled to the target of the spec.
   */
  async remoteForward(spec, onStream) {
    if (onStream !== undefined) check.functionValue('onStream', onStream);
    const { bind, target } = parseForward('remoteForward', spec, true);
    if (!onStream && !target) {
      throw optionError('remoteForward', 'needs a target or onStream');
    }
    return this.#addRemote(bind, onStream ? null : target, onStream);
  }

  /** Channels that the server opens to this client by a reserved name. */
  async accept(name, onStream) {
    check.functionValue('onStream', onStream);
    const parsed = parseDestination(check.text('name', name));
    if (!parsed.reserved) {
      throw optionError('name', "must be a single label, 'wraith-…'");
    }
    return this.#addRemote({ host: parsed.host, port: 0 }, null, onStream);
  }

  async #addRemote(bind, target, onStream) {
    this.#mustBeOpen();
    const id = native.tunnelRemoteAdd(this.#id, bind, target);
    if (id < 0) throw errorFromStatus(id);
    const listener = new RemoteListener(id, bind, onStream);
    this.#remotes.set(id, listener);
    listener.once('close', () => this.#remotes.delete(id));
    try {
      return await listener.granted;
    } catch (error) {
      await listener.close();
      throw error;
    }
  }

  stats() {
    if (this.#id === 0) return null;
    return native.tunnelStats(this.#id);
  }

  /** The address of the server as dialled, or null. */
  get peer() {
    return this.#id === 0 ? null : native.tunnelPeer(this.#id);
  }

  /** Says goodbye and resolves once nothing of it is left. */
  close() {
    this.#end(null, true);
    return this.#closed;
  }

  /** At once; also where a close() is under way. */
  destroy(error) {
    if (this.#state !== 'closed') this.#end(error ?? null, false);
    else if (this.#id !== 0) native.tunnelClose(this.#id, false);
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }

  #end(error, orderly) {
    if (this.#state === 'closed') return;
    this.#endError = error;
    this.#setState('closed', error ? { reason: error } : {});
    this.#reconnect.stop();
    this.#identities.close();
    this.#transport.close();
    const reason = this.#closedError();
    for (const waiter of [...this.#waiting]) waiter.reject(reason);
    native.tunnelClose(this.#id, orderly);
  }

  #onClosed() {
    unregister(this.#id);
    this.#id = 0;
    // Of a context that ends, listeners get no event of their own.
    for (const one of [...this.#locals]) one.onEvent(EVENT.LISTENER_CLOSED);
    const reason = this.#closedError();
    for (const one of [...this.#remotes.values()]) one._forget(reason);
    this.#identities.close(); // the context may end by itself
    this.#transport.close();
    this.#ref.close();
    this.emit('close', this.#endError);
    this.#resolveClosed();
  }
}

function wrapError(error) {
  return new WraithError('ERR_WRAITH_CARRIER', 'the carrier failed', {
    phase: 'dial',
    cause: error,
  });
}

/** A listen error names the user's own bind address and nothing else. */
function listenError(status, { bindHost, bindPort, bindPath }) {
  return errorFromStatus(status, {
    syscall: 'listen',
    address: bindPath ?? bindHost,
    port: bindPath === undefined ? bindPort : undefined,
  });
}

/** A channel that is being opened: settles a promise with OPENED. */
class Opening {
  #id;
  #ref = new Ref();
  #signal;

  /** make is called with the id at once: CLOSED may be the very next event. */
  constructor(id, signal, { make, resolve, reject }) {
    this.#id = id;
    this.#signal = signal;
    this.make = make;
    this.resolve = resolve;
    this.reject = reject;
    this.abort = () => this.#abort();
    this.#ref.open();
    register(id, this);
    signal?.addEventListener('abort', this.abort, { once: true });
  }

  onEvent(type, status) {
    if (type !== EVENT.OPENED) return;
    this.#settle();
    if (status < 0) this.reject(errorFromStatus(status, { phase: 'channel' }));
    else this.resolve(this.make(this.#id));
  }

  #abort() {
    this.#settle();
    native.streamClose(this.#id, true);
    this.reject(abortError(this.#signal));
  }

  #settle() {
    this.#signal?.removeEventListener('abort', this.abort);
    unregister(this.#id);
    this.#ref.close();
  }
}

/** Waits for OPENED of a stream id: its stream, or the coded error. */
function opened(id, info, { signal, ...options } = {}) {
  const make = () => new WraithStream(id, info, options);
  return new Promise((resolve, reject) => {
    new Opening(id, signal, { make, resolve, reject });
  });
}

function createTunnel(options) {
  const read = readOptions(options, connectShape, reconnectShape);
  if (!read.server && !read.stream) {
    throw optionError('server', 'is needed (or stream)');
  }
  if (read.proxy && read.stream) {
    throw optionError('proxy', 'cannot be combined with stream');
  }
  HostKeyJudge.require(read);
  return new Tunnel({ ...read, internal: options[kInternal] });
}

/** One session with one channel; they end together. */
async function connect(options = {}) {
  const { destination = 'wraith-control' } = readOptions(
    options,
    connectShape,
    {
      destination: check.text,
    },
  );
  parseDestination(destination);
  const { destination: _, ...rest } = options;
  const { signal } = rest;
  if (signal?.aborted) throw abortError(signal);
  const tunnel = createTunnel({ ...rest, reconnect: false });
  try {
    await tunnel.ready();
    const stream = await tunnel.open(destination, { signal });
    // It may have come and gone within one turn.
    if (stream.closed) tunnel.close();
    else stream.once('close', () => tunnel.close());
    tunnel.unref(); // the stream is what the caller refs and unrefs
    return stream;
  } catch (error) {
    tunnel.destroy(error);
    throw error;
  }
}

module.exports = { Tunnel, connect, createTunnel, opened };
