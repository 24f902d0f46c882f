'use strict';

// Events over a stream: a 4-byte big-endian length, then UTF-8 JSON
// { "type", "id", "payload" }. It knows streams and nothing of tunnels.

const { randomUUID } = require('node:crypto');
const { Duplex } = require('node:stream');

const { WraithError, optionError } = require('./errors.js');
const { check, readOptions } = require('./options.js');

const HEADER = 4;
const DEFAULT_MAX_FRAME = 1024 * 1024;
const SUBSCRIBE = '__subscribe';
const UNSUBSCRIBE = '__unsubscribe';

const frameSize = check.integer(1, 0xffffffff);

const shape = {
  maxFrame: frameSize,
  stream(name, value) {
    if (value instanceof Duplex) return value;
    throw optionError(name, 'must be a Duplex');
  },
};

function frameError(message) {
  return new WraithError('ERR_WRAITH_PUBSUB_FRAME', message, {
    phase: 'channel',
  });
}

/** One frame as a Buffer. */
function encode(message, maxFrame = DEFAULT_MAX_FRAME) {
  frameSize('maxFrame', maxFrame);
  const body = Buffer.from(JSON.stringify(message), 'utf8');
  if (body.length > maxFrame) {
    throw frameError(`a frame of ${body.length} bytes is over the limit`);
  }
  const frame = Buffer.allocUnsafe(HEADER + body.length);
  frame.writeUInt32BE(body.length, 0);
  body.copy(frame, HEADER);
  return frame;
}

/** Takes bytes in any cut and gives whole messages; throws on broken ones. */
class Decoder {
  #chunks = [];
  #size = 0;
  #maxFrame;
  #utf8 = new TextDecoder('utf-8', { fatal: true });

  constructor(maxFrame = DEFAULT_MAX_FRAME) {
    this.#maxFrame = frameSize('maxFrame', maxFrame);
  }

  /** @returns {object[]} the messages that this chunk completes */
  push(chunk) {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    const messages = [];
    for (let body = this.#next(); body; body = this.#next()) {
      messages.push(this.#parse(body));
    }
    return messages;
  }

  /** Bytes of a frame that is not complete. */
  get pending() {
    return this.#size;
  }

  #next() {
    if (this.#size < HEADER) return null;
    const length = this.#peek(HEADER).readUInt32BE(0);
    if (length > this.#maxFrame) {
      throw frameError(`a frame of ${length} bytes is over the limit`);
    }
    if (this.#size < HEADER + length) return null;
    const frame = this.#peek(HEADER + length);
    this.#drop(HEADER + length);
    return frame.subarray(HEADER);
  }

  /** The first n bytes in one piece. */
  #peek(n) {
    if (this.#chunks[0].length < n) {
      const parts = [];
      let have = 0;
      while (have < n) {
        const part = this.#chunks.shift();
        parts.push(part);
        have += part.length;
      }
      this.#chunks.unshift(Buffer.concat(parts));
    }
    return this.#chunks[0].subarray(0, n);
  }

  #drop(n) {
    const rest = this.#chunks[0].subarray(n);
    if (rest.length > 0) this.#chunks[0] = rest;
    else this.#chunks.shift();
    this.#size -= n;
  }

  #parse(body) {
    let message;
    try {
      message = JSON.parse(this.#utf8.decode(body));
    } catch {
      throw frameError('a frame is not JSON');
    }
    if (
      message === null ||
      typeof message !== 'object' ||
      typeof message.type !== 'string'
    ) {
      throw frameError('a frame has no type');
    }
    return message;
  }
}

/** An event of the other side. */
class PubSubEvent extends Event {
  constructor(type, id, payload) {
    super(type);
    this.id = id;
    this.payload = payload;
    this.remote = true;
  }
}

/**
 * An EventTarget whose dispatchEvent() sends and whose listeners hear the other
 * side. Topics are subscribed with the first listener of a type and
 * unsubscribed with the last.
 */
class StreamEventTarget extends EventTarget {
  #stream;
  #decoder;
  #maxFrame;
  #counts = new Map(); // type → Map of listener → what hears it go, or null

  constructor({ stream, maxFrame = DEFAULT_MAX_FRAME }) {
    super();
    this.#stream = stream;
    this.#maxFrame = maxFrame;
    this.#decoder = new Decoder(maxFrame);
    stream.on('data', (chunk) => this.#onData(chunk));
    stream.on('end', () => this.#onEnd());
  }

  #onData(chunk) {
    let messages;
    try {
      messages = this.#decoder.push(chunk);
    } catch (error) {
      this.#stream.destroy(error);
      return;
    }
    for (const message of messages) this.#deliver(message);
  }

  #onEnd() {
    if (this.#decoder.pending === 0) return;
    this.#stream.destroy(frameError('the stream ended inside a frame'));
  }

  #deliver({ type, id, payload }) {
    super.dispatchEvent(new PubSubEvent(type, id, payload));
  }

  #send(message) {
    if (!this.#stream.writable) return false;
    return this.#stream.write(encode(message, this.#maxFrame));
  }

  addEventListener(type, listener, options) {
    super.addEventListener(type, listener, options);
    if (!listener || type.startsWith('__')) return;
    const listeners = this.#counts.get(type) ?? new Map();
    // As in the base class: what is there already stays as it was.
    if (listeners.has(listener)) return;
    if (listeners.size === 0) this.#control(SUBSCRIBE, type);
    const heard = options?.once
      ? this.#countDown(type, listener, options)
      : null;
    listeners.set(listener, heard);
    this.#counts.set(type, listeners);
  }

  /** The base class takes a listener for once off without telling. */
  #countDown(type, listener, options) {
    const heard = () => this.removeEventListener(type, listener, options);
    super.addEventListener(type, heard, { once: true });
    return heard;
  }

  removeEventListener(type, listener, options) {
    super.removeEventListener(type, listener, options);
    const listeners = this.#counts.get(type);
    if (!listeners?.has(listener)) return;
    super.removeEventListener(type, listeners.get(listener));
    listeners.delete(listener);
    if (listeners.size > 0) return;
    this.#counts.delete(type);
    this.#control(UNSUBSCRIBE, type);
  }

  #control(type, topic) {
    this.#send({ type, id: randomUUID(), payload: { topic } });
  }

  /** Sends; listeners of this side do not hear it. */
  dispatchEvent(event) {
    const payload = event.payload ?? event.detail;
    return this.#send({
      type: event.type,
      id: event.id ?? randomUUID(),
      payload: payload === undefined ? null : payload,
    });
  }

  close() {
    this.#stream.end();
  }
}

function createEventTarget(options) {
  const read = readOptions(options, shape);
  if (!read.stream) throw optionError('stream', 'is needed');
  return new StreamEventTarget(read);
}

module.exports = { Decoder, PubSubEvent, createEventTarget, encode };
