'use strict';

// The reading side of a connection: bytes are taken from the stream only when
// they are asked for, so that a peer can never make us hold more than the
// stream's own buffer.

class Input {
  #stream;
  #wake = null;

  constructor(stream) {
    this.#stream = stream;
    /** Bytes that came and are not used yet. */
    this.pending = Buffer.alloc(0);
    /** The peer has sent everything. */
    this.ended = false;
    /** The stream is gone. */
    this.closed = false;
    stream.on('readable', () => this.#notify());
    stream.on('end', () => {
      this.ended = true;
      this.#notify();
    });
    stream.on('close', () => {
      this.closed = true;
      this.#notify();
    });
  }

  #notify() {
    const wake = this.#wake;
    this.#wake = null;
    if (wake) wake();
  }

  /** Takes what the stream has; true if there are bytes. */
  poll() {
    if (this.pending.length > 0) return true;
    if (this.ended || this.closed) return false;
    const chunk = this.#stream.read();
    if (chunk === null) return false;
    this.pending = chunk;
    return true;
  }

  /**
   * Waits for bytes.
   *
   * @param {number} ms how long
   * @returns {Promise<'data' | 'end' | 'closed' | 'timeout'>}
   */
  async more(ms) {
    const deadline = performance.now() + ms;
    for (;;) {
      if (this.poll()) return 'data';
      if (this.closed) return 'closed';
      if (this.ended) return 'end';
      const left = deadline - performance.now();
      if (left <= 0) return 'timeout';
      await this.#wait(left);
    }
  }

  #wait(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.ceil(ms));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Drops the first `count` of the pending bytes. */
  use(count) {
    this.pending = this.pending.subarray(count);
  }
}

module.exports = { Input };
