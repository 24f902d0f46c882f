'use strict';

// The body of an HTTP/1 request, by its length or in chunks. Sans-IO.

const LF = 10;
const CR = 13;

const hexValue = (c) => {
  if (c >= 48 && c <= 57) return c - 48;
  const lower = c | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
};

class BodyReader {
  #left;
  #state;
  #onData;

  /**
   * @param {import('./request.js').Request} request
   * @param {(bytes: Buffer) => void} onData gets what the body consists of
   */
  constructor(request, onData) {
    this.#onData = onData;
    this.#left = Math.max(0, request.contentLength);
    this.#state = request.chunked ? this.#chunkStart : null;
    this.done = !request.hasBody;
    this.failed = false;
  }

  /** Takes bytes until the body ends or is wrong; returns how many. */
  feed(bytes) {
    let i = 0;
    while (i < bytes.length && !this.done && !this.failed) {
      if (this.#state === null || this.#state === this.#data) {
        i += this.#take(bytes.subarray(i));
      } else {
        this.#state(bytes[i++]);
      }
    }
    return i;
  }

  #take(bytes) {
    const part = bytes.subarray(0, this.#left);
    this.#left -= part.length;
    this.#onData(part);
    if (this.#left === 0) {
      if (this.#state === null) this.done = true;
      else this.#state = this.#afterData;
    }
    return part.length;
  }

  #data() {}

  #chunkStart(c) {
    const value = hexValue(c);
    if (value === -1) return this.#fail();
    this.#left = value;
    this.#state = this.#chunkSize;
  }

  #chunkSize(c) {
    const value = hexValue(c);
    if (value !== -1) {
      this.#left = this.#left * 16 + value;
      if (this.#left > Number.MAX_SAFE_INTEGER / 16) this.#fail();
      return;
    }
    if (c === CR || c === LF) this.#extension(c);
    else if (c === 59 || c === 32 || c === 9) this.#state = this.#extension;
    else this.#fail();
  }

  #extension(c) {
    if (c === CR) this.#state = this.#sizeEnd;
    else if (c === LF) this.#sizeDone();
  }

  #sizeEnd(c) {
    if (c === LF) this.#sizeDone();
    else this.#fail();
  }

  #sizeDone() {
    this.#state = this.#left === 0 ? this.#trailer : this.#data;
  }

  #afterData(c) {
    if (c === CR) this.#state = this.#afterDataEnd;
    else if (c === LF) this.#state = this.#chunkStart;
    else this.#fail();
  }

  #afterDataEnd(c) {
    if (c === LF) this.#state = this.#chunkStart;
    else this.#fail();
  }

  #trailer(c) {
    if (c === CR) this.#state = this.#lastEnd;
    else if (c === LF) this.done = true;
    else this.#state = this.#trailerField;
  }

  #lastEnd(c) {
    if (c === LF) this.done = true;
    else this.#fail();
  }

  #trailerField(c) {
    if (c === CR) this.#state = this.#trailerEnd;
    else if (c === LF) this.#state = this.#trailer;
  }

  #trailerEnd(c) {
    if (c === LF) this.#state = this.#trailer;
    else this.#fail();
  }

  #fail() {
    this.failed = true;
  }
}

module.exports = { BodyReader };
