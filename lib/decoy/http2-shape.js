'use strict';

// Between the connection and Node's HTTP/2, which keeps the streams and their
// windows. What goes out gets the looks that nginx's frames have: header blocks
// are written anew, DATA comes in nginx's portions, and the end after an error
// is nginx's. Of what comes in, header blocks are read here, since Node refuses
// requests that nginx answers; it gets a plain request in their place.

const { Duplex } = require('node:stream');

const { HpackDecoder } = require('./hpack-decoder.js');

const HEAD = 9;
const PREFACE = 24;
// http2_chunk_size
const CHUNK = 8192;
const MAX_FRAME = 16384;

const DATA = 0;
const HEADERS = 1;
const SETTINGS = 4;
const GOAWAY = 7;
const CONTINUATION = 9;
const RST_STREAM = 3;
const WINDOW_UPDATE = 8;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;
const PADDED = 8;
const PRIORITY = 0x20;
const PROTOCOL_ERROR = 1;
const INTERNAL_ERROR = 2;
const FLOW_CONTROL_ERROR = 3;
const INITIAL_WINDOW = 4;
const FRAME_SIZE = 5;
const ENHANCE_YOUR_CALM = 11;
const MAX_WINDOW = 0x7fffffff;
// large_client_header_buffers
const HEAD_LIMITS = { field: 8192, all: 4 * 8192 };
const MAX_BLOCK = 65536;
// How long answers that are under way hold up the end after an error.
const LAST_ANSWERS = 1000;
// GET (or POST, if there is a body) https://a/
const PLAIN_GET = Buffer.from([0x82, 0x87, 0x84, 0x01, 0x01, 0x61]);
const PLAIN_POST = Buffer.from([0x83, 0x87, 0x84, 0x01, 0x01, 0x61]);

const needStream = new Set([DATA, RST_STREAM, WINDOW_UPDATE]);

function frame(type, flags, stream, payload) {
  const head = Buffer.alloc(HEAD);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const isAcknowledgement = (bytes) =>
  bytes.length === HEAD && bytes[3] === SETTINGS && (bytes[4] & ACK) !== 0;

// Cuts a stream of bytes into frames. Those that are larger than any that
// concerns us go by in pieces.
class Frames {
  #held = Buffer.alloc(0);
  #skip;
  #onFrame;
  #onBytes;
  #takes;
  #wanted = true;

  constructor(skip, takes, onFrame, onBytes) {
    this.#skip = skip;
    this.#takes = takes;
    this.#onFrame = onFrame;
    this.#onBytes = onBytes;
  }

  /** In the middle of one. */
  get partial() {
    return this.#skip > 0 || this.#held.length > 0;
  }

  feed(chunk) {
    let bytes = chunk;
    if (this.#held.length > 0) bytes = Buffer.concat([this.#held, chunk]);
    while (bytes.length > 0) {
      if (this.#skip > 0) {
        const part = bytes.subarray(0, this.#skip);
        this.#skip -= part.length;
        if (this.#wanted) this.#onBytes(part);
        bytes = bytes.subarray(part.length);
        continue;
      }
      if (bytes.length < HEAD) break;
      const size = HEAD + bytes.readUIntBE(0, 3);
      if (size > HEAD + MAX_FRAME) {
        this.#skip = size;
        this.#wanted = this.#takes(bytes);
      } else if (bytes.length < size) {
        break;
      } else {
        this.#onFrame(bytes.subarray(0, size));
        bytes = bytes.subarray(size);
      }
    }
    this.#held = bytes;
  }
}

// What a HEADERS frame holds besides its padding, or null.
function cutHeaders(bytes) {
  const flags = bytes[4];
  let at = HEAD;
  let end = bytes.length;
  if ((flags & PADDED) !== 0) {
    if (at >= end) return null;
    end -= bytes[at];
    at += 1;
  }
  const from = at;
  if ((flags & PRIORITY) !== 0) at += 5;
  if (at > end) return null;
  const priority = Buffer.from(bytes.subarray(from, at));
  return { priority, parts: [Buffer.from(bytes.subarray(at, end))] };
}

const isEmptyPath = ([name, value]) => name === ':path' && value === '';

class Http2Shape extends Duplex {
  #stream;
  #closeTime;
  #holdTime;
  #holding = null;
  #wanting = false;
  #greeted = false; // SETTINGS and the window are out: nginx says these first
  #decoder = new HpackDecoder();
  #block = null;
  #requests = new Map();
  #open = new Set();
  #refused = 0;
  #heads = new Map();
  #resets = new Set();
  #blame = PROTOCOL_ERROR;
  #first = true;
  #injected = false;
  #in;
  #out;
  #lastStream = 0;
  #unacknowledged = 0;
  #ended = false;
  #leaving = false;
  #queue = [];

  /**
   * @param {Duplex} stream the decrypted connection
   * @param {{ closeTime: number, holdTime: number }} times how long the last
   *   bytes may take to go, and an acknowledgement may wait for an answer
   */
  constructor(stream, { closeTime, holdTime }) {
    super({ allowHalfOpen: true });
    this.#stream = stream;
    this.#closeTime = closeTime;
    this.#holdTime = holdTime;
    this.#in = new Frames(
      PREFACE,
      (bytes) => this.#takesLarge(bytes),
      (bytes) => this.#incoming(bytes),
      (bytes) => this.#pass(bytes),
    );
    this.#out = new Frames(
      0,
      () => true,
      (bytes) => this.#outgoing(bytes),
      (bytes) => this.#queue.push(bytes),
    );
    stream.on('readable', () => this.#pump());
    stream.on('end', () => this.push(null));
    stream.on('close', () => this.destroy());
  }

  /**
   * What the header block of a stream has to be. It is kept until the frame
   * passes, at most for as many streams as one connection may have. With
   * `reset` the stream is reset behind its end: its request goes on.
   */
  setHead(streamId, block, reset) {
    this.#heads.set(streamId, block);
    if (reset) this.#resets.add(streamId);
  }

  // ---- from the peer

  _read() {
    this.#wanting = true;
    this.#pump();
  }

  #pump() {
    while (this.#greeted && this.#wanting && this.#refused === 0) {
      const chunk = this.#stream.read();
      if (chunk === null) return;
      this.#in.feed(chunk);
    }
  }

  #pass(bytes) {
    if (!this.push(bytes)) this.#wanting = false;
  }

  // nginx takes no notice of a GOAWAY, nor of what belongs to no stream.
  #takes(bytes) {
    const type = bytes[3];
    const stream = bytes.readUInt32BE(5) & 0x7fffffff;
    if (type === GOAWAY) return false;
    return !needStream.has(type) || stream <= this.#lastStream;
  }

  // No header block comes in a frame that is larger than a block may be.
  #takesLarge(bytes) {
    const isHead = bytes[3] === HEADERS || bytes[3] === CONTINUATION;
    if (!isHead && this.#block === null) return this.#takes(bytes);
    this.refuse(isHead ? ENHANCE_YOUR_CALM : PROTOCOL_ERROR);
    return false;
  }

  #incoming(bytes) {
    if (!this.#takes(bytes)) return;
    const type = bytes[3];
    // nginx can do without the SETTINGS that have to come first.
    if (this.#first && type !== SETTINGS) {
      this.#injected = true;
      this.#pass(frame(SETTINGS, 0, 0, Buffer.alloc(0)));
    }
    this.#first = false;
    if (type === SETTINGS && (bytes[4] & ACK) === 0) this.#settings(bytes);
    if (type === WINDOW_UPDATE) this.#windowUpdate(bytes);
    if (this.#refused !== 0) return;
    if (type === HEADERS || this.#block !== null) this.#headersIn(bytes);
    else this.#pass(bytes);
  }

  /** The fields of a request, once. */
  takeRequest(streamId) {
    const fields = this.#requests.get(streamId);
    this.#requests.delete(streamId);
    return fields ?? [];
  }

  // Collects a header block out of its frames.
  #headersIn(bytes) {
    const stream = bytes.readUInt32BE(5) & 0x7fffffff;
    const flags = bytes[4];
    if (this.#block === null) {
      const cut = cutHeaders(bytes);
      // What Node refuses as nginx does is left to it.
      if (cut === null || stream % 2 === 0) return this.#pass(bytes);
      if (this.#leaving) return;
      if (stream <= this.#lastStream) return this.refuse(PROTOCOL_ERROR);
      this.#newStream(stream);
      this.#block = { stream, flags, size: 0, ...cut };
    } else if (bytes[3] !== CONTINUATION || stream !== this.#block.stream) {
      return this.refuse(PROTOCOL_ERROR);
    } else {
      this.#block.parts.push(Buffer.from(bytes.subarray(HEAD)));
    }
    this.#block.size += bytes.length;
    if (this.#block.size > MAX_BLOCK) return this.refuse(ENHANCE_YOUR_CALM);
    if ((flags & END_HEADERS) !== 0) this.#request();
  }

  #newStream(stream) {
    if (this.#lastStream === 0) this.emit('request');
    this.#lastStream = stream;
  }

  #request() {
    const { stream, flags, priority, parts } = this.#block;
    this.#block = null;
    let fields;
    try {
      fields = this.#decoder.decode(Buffer.concat(parts), HEAD_LIMITS);
    } catch (error) {
      return this.refuse(error.code);
    }
    this.#requests.set(stream, fields);
    this.#open.add(stream);
    const end = flags & END_STREAM;
    const own = end | END_HEADERS | (priority.length > 0 ? PRIORITY : 0);
    const plain = end === 0 ? PLAIN_POST : PLAIN_GET;
    const payload = Buffer.concat([priority, plain]);
    this.#pass(frame(HEADERS, own, stream, payload));
    // Of all bad paths this one alone ends the connection.
    if (fields.some(isEmptyPath)) this.refuse(PROTOCOL_ERROR);
  }

  /** Ends the connection with an error, behind the answers under way. */
  refuse(error) {
    if (this.#refused !== 0) return;
    this.#refused = error;
    const timer = setTimeout(() => this.#fail(), LAST_ANSWERS);
    this.once('close', () => clearTimeout(timer));
    if (this.#open.size === 0) this.#fail();
  }

  #fail() {
    this.#sayGoaway(this.#refused);
    this.#close();
  }

  /** Takes no further requests, and ends behind the answers under way. */
  leave() {
    if (this.#leaving || this.#refused !== 0) return;
    this.#sayGoaway(this.#in.partial ? PROTOCOL_ERROR : 0);
    if (this.#open.size === 0) this.#close();
  }

  /** Nothing is being answered. */
  get idle() {
    return this.#open.size === 0;
  }

  // Node has no part in it: not all versions of 20 get over an end of theirs
  // that meets one of the stream's.
  #sayGoaway(error) {
    const stream = this.#stream;
    if (this.#ended || stream.destroyed || !stream.writable) return;
    const payload = Buffer.alloc(8);
    payload.writeUInt32BE(this.#lastStream, 0);
    payload.writeUInt32BE(error, 4);
    this.#goaway(payload);
    stream.write(Buffer.concat(this.#queue));
    this.#queue = [];
  }

  // Those that are in order will be acknowledged, even if what follows is not.
  #settings(bytes) {
    if (bytes.readUInt32BE(5) !== 0 || (bytes.length - HEAD) % 6 !== 0) return;
    for (let at = HEAD; at < bytes.length; at += 6) {
      const id = bytes.readUInt16BE(at);
      const value = bytes.readUInt32BE(at + 2);
      if (id === INITIAL_WINDOW && value > MAX_WINDOW) {
        this.#blame = FLOW_CONTROL_ERROR;
        return;
      }
      if (id === FRAME_SIZE && (value < MAX_FRAME || value > 0xffffff)) return;
    }
    this.#unacknowledged += 1;
  }

  #windowUpdate(bytes) {
    const size = bytes.length === HEAD + 4 ? bytes.readUInt32BE(HEAD) : 0;
    this.#blame = size === 0 ? PROTOCOL_ERROR : FLOW_CONTROL_ERROR;
  }

  // ---- to the peer

  _write(chunk, _encoding, done) {
    this.#out.feed(chunk);
    if (this.#holds()) return done();
    this.#flush(done);
  }

  // nginx's first words go out together, and the acknowledgement with the head
  // of an answer that is at hand.
  #holds() {
    if (this.#ended) return false;
    if (!this.#greeted) return true;
    if (this.#holdTime === 0 || this.#open.size === 0) return false;
    if (this.#queue.length === 0) return false;
    if (!this.#queue.every(isAcknowledgement)) return false;
    this.#holding ??= setTimeout(() => this.#flush(() => {}), this.#holdTime);
    return true;
  }

  #flush(done) {
    clearTimeout(this.#holding);
    this.#holding = null;
    const all = Buffer.concat(this.#queue);
    this.#queue = [];
    if (this.#stream.destroyed || !this.#stream.writable) return done();
    if (all.length === 0) return done();
    this.#stream.write(all, () => done());
    if (this.#ended) this.#close();
    else if (this.#open.size > 0) return;
    else if (this.#refused !== 0) this.#fail();
    else if (this.#leaving) this.#close();
  }

  _final(done) {
    this.#close();
    done();
  }

  _destroy(error, done) {
    clearTimeout(this.#holding);
    if (!this.#ended) this.#stream.destroy();
    done(error);
  }

  #close() {
    const stream = this.#stream;
    this.#ended = true;
    if (stream.destroyed || stream.writableEnded) return;
    const timer = setTimeout(() => stream.destroy(), this.#closeTime);
    stream.once('close', () => clearTimeout(timer));
    stream.end(() => stream.destroy());
  }

  #outgoing(bytes) {
    if (this.#ended) return;
    const stream = bytes.readUInt32BE(5);
    const flags = bytes[4];
    const payload = bytes.subarray(HEAD);
    switch (bytes[3]) {
      case HEADERS:
        this.#head(stream, flags);
        break;
      case CONTINUATION:
        // Part of a block that has been replaced.
        break;
      case DATA:
        this.#data(stream, flags, payload);
        break;
      case SETTINGS:
        this.#settingsOut(bytes, flags);
        break;
      case RST_STREAM:
        this.#open.delete(stream);
        if (!this.#resets.has(stream)) this.#queue.push(bytes);
        break;
      case GOAWAY:
        this.#goaway(payload);
        break;
      case WINDOW_UPDATE:
        this.#queue.push(bytes);
        this.#greet();
        break;
      default:
        this.#queue.push(bytes);
    }
  }

  // The peer's first bytes may have been there before us.
  #greet() {
    if (this.#greeted) return;
    this.#greeted = true;
    queueMicrotask(() => this.#pump());
  }

  #head(stream, flags) {
    const block = this.#heads.get(stream);
    this.#heads.delete(stream);
    if (block === undefined) {
      this.destroy();
      return;
    }
    const end = flags & END_STREAM;
    let type = HEADERS;
    for (let at = 0; at < block.length; at += MAX_FRAME) {
      const part = block.subarray(at, at + MAX_FRAME);
      const last = at + MAX_FRAME >= block.length ? END_HEADERS : 0;
      const own = type === HEADERS ? end | last : last;
      this.#queue.push(frame(type, own, stream, part));
      type = CONTINUATION;
    }
    if (end !== 0) this.#endOf(stream);
  }

  #settingsOut(bytes, flags) {
    if ((flags & ACK) !== 0) {
      if (this.#injected) {
        this.#injected = false;
        return;
      }
      this.#unacknowledged -= 1;
    }
    this.#queue.push(bytes);
  }

  #endOf(stream) {
    this.#open.delete(stream);
    if (!this.#resets.has(stream)) return;
    this.#queue.push(frame(RST_STREAM, 0, stream, Buffer.alloc(4)));
  }

  #data(stream, flags, payload) {
    let at = 0;
    do {
      const part = payload.subarray(at, at + CHUNK);
      at += CHUNK;
      const own = at >= payload.length ? flags : 0;
      this.#queue.push(frame(DATA, own, stream, part));
    } while (at < payload.length);
    if ((flags & END_STREAM) !== 0) this.#endOf(stream);
  }

  // One is enough. An error ends the connection at once. Node says "internal error" where
  // nginx blames the peer.
  #goaway(payload) {
    if (this.#leaving && payload.readUInt32BE(4) === 0) return;
    this.#leaving = true;
    const error = payload.readUInt32BE(4);
    const copy = Buffer.from(payload.subarray(0, 8));
    if (error === INTERNAL_ERROR) copy.writeUInt32BE(this.#blame, 4);
    if (error !== 0) {
      for (; this.#unacknowledged > 0; this.#unacknowledged -= 1) {
        this.#queue.push(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
      }
      this.#ended = true;
    }
    this.#queue.push(frame(GOAWAY, 0, 0, copy));
  }
}

module.exports = { Http2Shape };
