'use strict';

// Between the connection and Node's HTTP/2: gives the frames the looks that
// nginx's have, without changing what they say. Header blocks are written
// anew, DATA comes in nginx's portions, and the end after an error is nginx's.

const { Duplex } = require('node:stream');

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
const PROTOCOL_ERROR = 1;
const INTERNAL_ERROR = 2;

const needStream = new Set([DATA, RST_STREAM, WINDOW_UPDATE]);

function frame(type, flags, stream, payload) {
  const head = Buffer.alloc(HEAD);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

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

class Http2Shape extends Duplex {
  #stream;
  #closeTime;
  #wanting = false;
  #heads = new Map();
  #in;
  #out;
  #lastStream = 0;
  #unacknowledged = 0;
  #ended = false;
  #leaving = false;
  #queue = [];

  /**
   * @param {Duplex} stream the decrypted connection
   * @param {number} closeTime how long the last bytes may take to go
   */
  constructor(stream, closeTime) {
    super({ allowHalfOpen: true });
    this.#stream = stream;
    this.#closeTime = closeTime;
    this.#in = new Frames(
      PREFACE,
      (bytes) => this.#takes(bytes),
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
   * passes, at most for as many streams as one connection may have.
   */
  setHead(streamId, block) {
    this.#heads.set(streamId, block);
  }

  // ---- from the peer

  _read() {
    this.#wanting = true;
    this.#pump();
  }

  #pump() {
    while (this.#wanting) {
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
    if (type === HEADERS) {
      if (this.#lastStream === 0) this.emit('request');
      this.#lastStream = Math.max(this.#lastStream, stream);
    }
    if (type === GOAWAY) return false;
    return !needStream.has(type) || stream <= this.#lastStream;
  }

  #incoming(bytes) {
    if (!this.#takes(bytes)) return;
    const type = bytes[3];
    if (type === SETTINGS && (bytes[4] & ACK) === 0) this.#unacknowledged += 1;
    this.#pass(bytes);
  }

  // ---- to the peer

  _write(chunk, _encoding, done) {
    this.#out.feed(chunk);
    const all = Buffer.concat(this.#queue);
    this.#queue = [];
    if (this.#stream.destroyed || !this.#stream.writable) return done();
    if (all.length === 0) return done();
    this.#stream.write(all, () => done());
    if (this.#ended) this.#close();
  }

  _final(done) {
    this.#close();
    done();
  }

  _destroy(error, done) {
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
      case GOAWAY:
        this.#goaway(payload);
        break;
      default:
        if (bytes[3] === SETTINGS && flags & ACK) this.#unacknowledged -= 1;
        this.#queue.push(bytes);
    }
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
  }

  #data(stream, flags, payload) {
    let at = 0;
    do {
      const part = payload.subarray(at, at + CHUNK);
      at += CHUNK;
      const own = at >= payload.length ? flags : 0;
      this.#queue.push(frame(DATA, own, stream, part));
    } while (at < payload.length);
  }

  // One is enough. An error ends the connection at once. Node says "internal error" where
  // nginx blames the peer.
  #goaway(payload) {
    if (this.#leaving && payload.readUInt32BE(4) === 0) return;
    this.#leaving = true;
    const error = payload.readUInt32BE(4);
    const copy = Buffer.from(payload.subarray(0, 8));
    const cut = error === 0 && this.#in.partial;
    if (error === INTERNAL_ERROR || cut) copy.writeUInt32BE(PROTOCOL_ERROR, 4);
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
