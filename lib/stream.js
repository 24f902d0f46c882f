'use strict';

const { AsyncResource } = require('node:async_hooks');
const { Duplex } = require('node:stream');

const { EVENT, Ref, native, register, unregister } = require('./binding.js');
const { errorFromStatus, statusOf } = require('./errors.js');

/** Chunks below this are joined before they cross into C. */
const JOIN_BELOW = 1024;

function noop() {}

/** What the system said of the carrier is the cause, not the error. */
function channelError(status) {
  const error = errorFromStatus(status, { phase: 'channel' });
  if (error.errno === undefined) return error;
  return errorFromStatus(statusOf('CHANNEL_RESET'), { cause: error });
}

function closedError() {
  return channelError(statusOf('CLOSED'));
}

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
    this._eof = false;
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
      this._onEof();
    } else if (type === EVENT.WRITABLE) {
      this._release(null);
    } else if (type === EVENT.CLOSED) {
      this._onClosed(a);
    }
  }

  // read(0) lets 'end' come of itself where nothing is left to be read, as it
  // does for sockets.
  _onEof() {
    if (this.destroyed || this._eof) return;
    this._eof = true;
    this.push(null);
    this.read(0);
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
    const error = status < 0 ? channelError(status) : null;
    const done = this._destroyed_;
    if (done) {
      this._destroyed_ = null;
      done();
      return;
    }
    this._release(error || closedError());
    // What has come before an orderly end is still to be read.
    if (error || !this._eof || this.readableEnded) {
      this.destroy(error || undefined);
    } else {
      this.once('end', () => this.destroy());
    }
  }

  _read() {
    if (this._open) native.streamRead(this._id);
  }

  _write(chunk, encoding, callback) {
    if (this._open) this._wrote(native.streamWrite(this._id, chunk), callback);
    else callback(closedError());
  }

  _writev(chunks, callback) {
    if (!this._open) {
      callback(closedError());
      return;
    }
    const joined = joinSmall(chunks);
    this._wrote(native.streamWritev(this._id, joined), callback);
  }

  _wrote(result, callback) {
    if (result === 0) callback(null);
    else if (result > 0) this._held = callback;
    else callback(channelError(result));
  }

  _final(callback) {
    if (!this._open) {
      callback(null);
      return;
    }
    const result = native.streamEnd(this._id);
    if (result > 0) this._final_ = callback;
    else callback(result < 0 ? channelError(result) : null);
  }

  _destroy(error, callback) {
    this._release(error || channelError(statusOf('CANCELED')));
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
