'use strict';

const { EventEmitter } = require('node:events');

const { EVENT, Ref, native, register, unregister } = require('./binding.js');
const { errorFromStatus, statusOf } = require('./errors.js');

/** What the local listeners and the remote forwards of a tunnel share. */
class Listener extends EventEmitter {
  _ref = new Ref();
  _closing = null;

  ref() {
    this._ref.ref();
    return this;
  }

  unref() {
    this._ref.unref();
    return this;
  }

  /** Resolves once nothing of it is left; asked again, the same promise. */
  close() {
    this._closing ??= this._close();
    return this._closing;
  }

  async [Symbol.asyncDispose]() {
    await this.close();
  }

  _ended() {
    this._ref.close();
    this.emit('close');
  }
}

/** A SOCKS5 port or a local forward. */
class LocalListener extends Listener {
  #id;
  #done;
  #resolve;
  #connections = 0;

  constructor(bound) {
    super();
    this.#id = bound.id;
    if (bound.path !== undefined) this.path = bound.path;
    else Object.assign(this, { host: bound.host, port: bound.port });
    this.#done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    register(this.#id, this);
    this._ref.open();
  }

  get connections() {
    if (this.#id === 0) return this.#connections;
    return native.listenerConnections(this.#id);
  }

  onEvent(type) {
    if (type !== EVENT.LISTENER_CLOSED || this.#id === 0) return;
    unregister(this.#id);
    this.#id = 0;
    this._ended();
    this.#resolve();
  }

  _close() {
    native.listenerClose(this.#id);
    return this.#done;
  }
}

/** A forward that the server listens for, in every session of the tunnel. */
class RemoteListener extends Listener {
  #id;
  #first;
  #settle;

  constructor(id, bind, onStream) {
    super();
    this.#id = id;
    this._onStream = onStream;
    this.#first = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.#first.catch(() => {}); // whoever awaits it hears of it
    if (bind.path !== undefined) this.path = bind.path;
    else Object.assign(this, { host: bind.host, port: bind.port });
    register(id, this);
    this._ref.open();
  }

  get connections() {
    return this.#id === 0 ? 0 : native.remoteConnections(this.#id);
  }

  /** Resolves when the server has granted it for the first time. */
  get granted() {
    return this.#first;
  }

  onEvent(type, status, port) {
    if (type !== EVENT.REMOTE) return;
    if (status < 0) {
      this.#settle.reject(errorFromStatus(status));
      this.emit('refused', errorFromStatus(status));
      return;
    }
    if (this.path === undefined) this.port = port;
    this.#settle.resolve(this);
    this.emit('listening');
  }

  async _close() {
    if (this.#id === 0) return;
    native.remoteRemove(this.#id);
    this._forget();
  }

  /** The tunnel is gone: so is this. */
  _forget(error = errorFromStatus(statusOf('CLOSED'))) {
    if (this.#id === 0) return;
    unregister(this.#id);
    this.#id = 0;
    this.#settle.reject(error);
    this._ended();
  }
}

module.exports = { LocalListener, RemoteListener };
