'use strict';

const { AsyncResource } = require('node:async_hooks');
const { Duplex } = require('node:stream');

const { EVENT, Ref, native, register, unregister } = require('./binding.js');
const { errorFromStatus, statusOf } = require('./errors.js');

/** Chunks below this are joined before they cross into C. */
const JOIN_BELOW = 1024;

function noop() {}

function joinSmall(chunks) {
  const joined = [];
  let run = [];
  for (const { chunk } of chunks) {
    if (chunk.length < JOIN_BELOW) {
      run.push(chunk);
      continue;
    }
    if (run.length > 0) joined.push(Buffer.concat(run));
    run = [];
    joined.push(chunk);
  }
  if (run.length > 0) joined.push(Buffer.concat(run));
  return joined;
}

/**
 * A channel (or the inner end of a carrier) as a Duplex. Half-open by default.
 * The constructor never throws for reasons of the network.
 */
class WraithStream extends Duplex {
  constructor(id, info, options = {}) {
    super({
      allowHalfOpen: options.allowHalfOpen !== false,
      highWaterMark: options.highWaterMark,
      autoDestroy: true,
      emitClose: true,
    });
    this.info = info;
    this._id = id;
    this._held = null; // the write callback that waits for WRITABLE
    this._final_ = null; // the _final callback, likewise
    this._destroyed_ = null; // the _destroy callback
    this._open = true;
    this._resource = new AsyncResource('WraithStream');
    // What happens on a network must not end a process that listens to nothing.
    this.on('error', noop);
    this._ref = new Ref();
    if (options.ref !== false) this._ref.open();
    register(id, this);
  }

  ref() {
    this._ref.ref();
    return this;
  }

  unref() {
    this._ref.unref();
    return this;
  }

  onEvent(type, a) {
    this._resource.runInAsyncScope(this._onEvent, this, type, a);
  }

  _onEvent(type, a) {
    if (type === EVENT.DATA) {
      if (!this.destroyed && !this.push(a)) native.streamStop(this._id);
    } else if (type === EVENT.EOF) {
      if (!this.destroyed) this.push(null);
    } else if (type === EVENT.WRITABLE) {
      this._release(null);
    } else if (type === EVENT.CLOSED) {
      this._onClosed(a);
    }
  }

  _release(error) {
    const held = this._held;
    const final = this._final_;
    this._held = null;
    this._final_ = null;
    if (held) held(error);
    if (final) final(error);
  }

  _onClosed(status) {
    this._open = false;
    unregister(this._id);
    this._ref.close();
    const error = status < 0 ? errorFromStatus(status) : null;
    const done = this._destroyed_;
    if (done) {
      this._destroyed_ = null;
      done();
      return;
    }
    this._release(error || errorFromStatus(statusOf('CLOSED')));
    this.destroy(error || undefined);
  }

  _read() {
    if (this._open) native.streamRead(this._id);
  }

  _write(chunk, encoding, callback) {
    this._wrote(this._open ? native.streamWrite(this._id, chunk) : 0, callback);
  }

  _writev(chunks, callback) {
    const joined = joinSmall(chunks);
    this._wrote(
      this._open ? native.streamWritev(this._id, joined) : 0,
      callback,
    );
  }

  _wrote(result, callback) {
    if (result === 0) callback(null);
    else if (result > 0) this._held = callback;
    else callback(errorFromStatus(result, { phase: 'channel' }));
  }

  _final(callback) {
    if (!this._open) {
      callback(null);
      return;
    }
    const result = native.streamEnd(this._id);
    if (result > 0) this._final_ = callback;
    else callback(result < 0 ? errorFromStatus(result) : null);
  }

  _destroy(error, callback) {
    this._release(error || errorFromStatus(statusOf('CANCELED')));
    if (!this._open) {
      callback(error);
      return;
    }
    const orderly = !error && this.writableFinished && this.readableEnded;
    this._destroyed_ = () => callback(error);
    native.streamClose(this._id, !orderly);
  }
}

module.exports = { WraithStream };
