'use strict';

// The head of an HTTP/1 request, byte by byte, with nginx's idea of what is
// wrong and when: a client that sends garbage is told so at the first byte
// that cannot be, not at the end of a line. Sans-IO.

const { BAD_HEADER_SIZE } = require('./pages.js');
const { Request, VERSION_09, VERSION_10 } = require('./request.js');

const LF = 10;
const CR = 13;
const SPACE = 32;
const DEL = 127;

// client_header_buffer_size and large_client_header_buffers.
const FIRST_BUFFER = 1024;
const LARGE_BUFFER = 8192;
const LARGE_BUFFERS = 4;

const isDigit = (c) => c >= 48 && c <= 57;
const isUpper = (c) => c >= 65 && c <= 90;
const isAlpha = (c) => isUpper(c & ~32);
const isMethod = (c) => isUpper(c) || c === 95 || c === 45;
const isName = (c) => isAlpha(c) || isDigit(c) || c === 45;
const isControl = (c) => c < 32 || c === DEL;

// nginx reads into a small buffer, then into at most four large ones, and a
// line has to fit into one of them. Counting alone gives the same limits.
class Room {
  #size = FIRST_BUFFER;
  #used = 0;
  #large = 0;

  /** Counts a byte; true when the buffer is full with it. */
  take() {
    this.#used += 1;
    return this.#used === this.#size;
  }

  /** Goes on in another buffer with the `kept` bytes of an unended line. */
  grow(kept) {
    if (kept >= LARGE_BUFFER || this.#large === LARGE_BUFFERS) return false;
    this.#large += 1;
    this.#size = LARGE_BUFFER;
    this.#used = kept;
    return true;
  }

  /** Nothing but empty lines so far: the same buffer from its start. */
  rewind() {
    this.#used = 0;
  }

  /** The next request begins; in the same buffer if bytes of it came too. */
  restart(pipelined) {
    if (pipelined && this.#used < this.#size) {
      this.#large = this.#size === LARGE_BUFFER ? 1 : 0;
      return;
    }
    this.#size = FIRST_BUFFER;
    this.#used = 0;
    this.#large = 0;
  }
}

class HeadParser {
  #room = new Room();
  #state;
  #text = '';
  #name = '';
  #host = '';
  #invalid = false;
  #spaces = 0;
  #line = 0;
  #hasLine = false;
  #version = { major: 0, minor: VERSION_09 };
  #literal = '';

  constructor() {
    this.next(false);
  }

  /** Begins with the next request of the connection. */
  next(pipelined) {
    this.#room.restart(pipelined);
    this.#state = this.#start;
    this.#text = '';
    this.#host = '';
    this.#line = 0;
    this.#hasLine = false;
    this.request = new Request();
    /** What to answer with if the head is wrong. */
    this.status = 0;
    this.done = false;
    /** Bytes of the head were left over when it turned out to be wrong. */
    this.linger = false;
  }

  /**
   * Takes bytes until the head is complete or wrong.
   *
   * @returns {number} how many were taken
   */
  feed(bytes) {
    let i = 0;
    while (i < bytes.length && !this.done) {
      const c = bytes[i++];
      const full = this.#room.take();
      this.#line += 1;
      this.#state(c);
      if (full && !this.done) this.#overflow();
    }
    return i;
  }

  #overflow() {
    const inRequestLine = !this.#hasLine;
    if (inRequestLine && this.#state === this.#start) {
      this.#room.rewind();
      return;
    }
    if (this.#room.grow(this.#line)) return;
    this.#fail(inRequestLine ? 414 : BAD_HEADER_SIZE);
  }

  // Wrong in the middle of a line: nginx has bytes left then.
  #fail(status) {
    this.linger = true;
    this.#refuse(status);
  }

  #refuse(status) {
    this.status = status;
    this.done = true;
  }

  // ---- the request line

  #start(c) {
    if (c === CR || c === LF) {
      this.#line = 0;
      return;
    }
    if (!isMethod(c)) return this.#fail(400);
    this.#text = String.fromCharCode(c);
    this.#state = this.#method;
  }

  #method(c) {
    if (isMethod(c)) {
      this.#text += String.fromCharCode(c);
      return;
    }
    if (c !== SPACE) return this.#fail(400);
    this.request.method = this.#text;
    this.#state = this.#beforeTarget;
  }

  #beforeTarget(c) {
    if (c === SPACE) return;
    if (c === 47) return this.#beginTarget('/');
    if (!isAlpha(c)) return this.#fail(400);
    this.#state = this.#scheme;
  }

  #scheme(c) {
    if (c === 58) {
      this.#literal = '//';
      this.#state = this.#slashes;
      return;
    }
    const more = isAlpha(c) || isDigit(c) || c === 43 || c === 45 || c === 46;
    if (!more) this.#fail(400);
  }

  #slashes(c) {
    if (c !== 47) return this.#fail(400);
    this.#literal = this.#literal.slice(1);
    if (this.#literal !== '') return;
    this.#text = '';
    this.#state = this.#authority;
  }

  #authority(c) {
    if (c === 91 && this.#text === '') {
      this.#text = '[';
      this.#state = this.#literalAddress;
      return;
    }
    if (isName(c) || c === 46) {
      this.#text += String.fromCharCode(c);
      return;
    }
    this.#afterAuthority(c);
  }

  #literalAddress(c) {
    const ok =
      isAlpha(c) ||
      isDigit(c) ||
      "!$&'()*+,;=:-._~]".includes(String.fromCharCode(c));
    if (!ok) return this.#fail(400);
    this.#text += String.fromCharCode(c);
    if (c === 93) this.#state = this.#afterAuthority;
  }

  #afterAuthority(c) {
    this.#host = this.#text;
    if (c === 58) {
      this.#state = this.#port;
      return;
    }
    this.#authorityEnd(c);
  }

  #port(c) {
    if (!isDigit(c)) this.#authorityEnd(c);
  }

  #authorityEnd(c) {
    if (c === 47) return this.#beginTarget('/');
    if (c === 63) return this.#beginTarget('/?');
    if (c !== SPACE) return this.#fail(400);
    this.#text = '/';
    this.#state = this.#afterTarget;
  }

  #beginTarget(text) {
    this.#text = text;
    this.#state = this.#target;
  }

  #target(c) {
    if (c === SPACE) this.#state = this.#afterTarget;
    else if (c === CR) this.#state = this.#lineEnd;
    else if (c === LF) this.#requestLine(VERSION_09);
    else if (isControl(c)) this.#fail(400);
    else this.#text += String.fromCharCode(c);
  }

  #afterTarget(c) {
    if (c === SPACE) return;
    if (c === CR) this.#state = this.#lineEnd;
    else if (c === LF) this.#requestLine(VERSION_09);
    else if (c !== 72) this.#fail(400);
    else {
      this.#literal = 'TTP/';
      this.#state = this.#protocol;
    }
  }

  #protocol(c) {
    if (c !== this.#literal.charCodeAt(0)) return this.#fail(400);
    this.#literal = this.#literal.slice(1);
    if (this.#literal !== '') return;
    this.#version.major = -1;
    this.#state = this.#major;
  }

  #major(c) {
    const first = this.#version.major === -1;
    if (c === 46 && !first) {
      this.#version.minor = -1;
      this.#state = this.#minor;
      return;
    }
    if (!isDigit(c) || (first && c === 48)) return this.#fail(400);
    this.#version.major = (first ? 0 : this.#version.major * 10) + c - 48;
    if (this.#version.major > 1) this.#fail(505);
  }

  #minor(c) {
    const first = this.#version.minor === -1;
    if (isDigit(c)) {
      if (this.#version.minor > 99) return this.#fail(400);
      this.#version.minor = (first ? 0 : this.#version.minor * 10) + c - 48;
      return;
    }
    if (first) return this.#fail(400);
    if (c === SPACE) this.#state = this.#afterVersion;
    else this.#afterVersion(c);
  }

  #afterVersion(c) {
    if (c === SPACE) return;
    if (c === CR) this.#state = this.#lineEnd;
    else if (c === LF) this.#requestLine(this.#versionNumber());
    else this.#fail(400);
  }

  #lineEnd(c) {
    if (c !== LF) return this.#fail(400);
    this.#requestLine(this.#versionNumber());
  }

  #versionNumber() {
    return this.#version.major * 1000 + this.#version.minor;
  }

  #requestLine(version) {
    const { request } = this;
    const host = this.#host;
    this.#version = { major: 0, minor: VERSION_09 };
    request.version = version;
    if (version === VERSION_09 && request.method !== 'GET') {
      return this.#fail(400);
    }
    if (!request.setTarget(this.#text)) return this.#refuse(400);
    if (host !== '' && !request.setHost(host)) return this.#refuse(400);
    this.#line = 0;
    this.#hasLine = true;
    if (version < VERSION_10) {
      this.done = true;
      return;
    }
    this.#state = this.#fieldStart;
  }

  // ---- fields

  #fieldStart(c) {
    this.#text = '';
    this.#invalid = false;
    if (c === CR) this.#state = this.#headEnd;
    else if (c === LF) this.#headDone();
    else if (c === 58) this.#fail(400);
    else {
      this.#state = this.#fieldName;
      this.#fieldName(c);
    }
  }

  #fieldName(c) {
    if (isName(c)) {
      this.#text += String.fromCharCode(c);
      return;
    }
    if (c === 58) {
      this.#name = this.#text;
      this.#text = '';
      this.#state = this.#beforeValue;
      return;
    }
    const started = this.#text !== '' || this.#invalid;
    if (started && (c === CR || c === LF)) {
      this.#name = this.#text;
      this.#text = '';
      return this.#valueEnd(c);
    }
    if (c <= SPACE || c === DEL) return this.#fail(400);
    this.#invalid = true;
    this.#text += String.fromCharCode(c);
  }

  #beforeValue(c) {
    if (c === SPACE) return;
    this.#spaces = 0;
    if (c === CR || c === LF) return this.#valueEnd(c);
    this.#state = this.#value;
    this.#value(c);
  }

  #value(c) {
    if (c === 0) return this.#fail(400);
    if (c === CR || c === LF) return this.#valueEnd(c);
    if (c === SPACE) {
      this.#spaces += 1;
      return;
    }
    if (this.#spaces > 0) this.#text += ' '.repeat(this.#spaces);
    this.#spaces = 0;
    this.#text += String.fromCharCode(c);
  }

  #valueEnd(c) {
    if (c === LF) return this.#fieldDone();
    this.#state = this.#fieldEnd;
  }

  #fieldEnd(c) {
    if (c === LF) this.#fieldDone();
    else if (c !== CR) this.#fail(400);
  }

  #fieldDone() {
    this.#line = 0;
    this.#state = this.#fieldStart;
    if (this.#invalid) return;
    if (!this.request.addField(this.#name, this.#text)) this.#refuse(400);
  }

  #headEnd(c) {
    if (c === LF) this.#headDone();
    else this.#fail(400);
  }

  #headDone() {
    this.status = this.request.finish();
    this.done = true;
  }
}

module.exports = { HeadParser };
