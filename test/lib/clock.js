'use strict';
// A clock for schedules: long waits end when the test says so, short ones (of
// polling) by themselves.

const LONG_MS = 60_000;

class Clock {
  /** `pace`: how short waits pass: 'at once', or 'real' where others work. */
  constructor({ now = Date.parse('2026-06-01T00:00:00Z'), pace } = {}) {
    this.time = now;
    this.isReal = pace === 'real';
    this.nap = null; // the long wait: { at, ms, wake }
    this.watcher = null;
    this.now = () => this.time;
    this.timers = {
      setTimeout: (wake, ms) => this.#set(wake, ms),
      clearTimeout: (timer) => this.#clear(timer),
    };
  }

  #set(wake, ms) {
    if (ms > LONG_MS) {
      this.nap = { at: this.time + ms, ms, wake };
      this.watcher?.(this.nap);
      this.watcher = null;
      return this.nap;
    }
    const done = () => {
      this.time += ms;
      wake();
    };
    return this.isReal ? setTimeout(done, ms) : setImmediate(done);
  }

  #clear(timer) {
    if (timer === this.nap) this.nap = null;
    else if (this.isReal) clearTimeout(timer);
    else clearImmediate(timer);
  }

  /** The long wait that is under way, or the next one. */
  asleep() {
    if (this.nap) return Promise.resolve(this.nap);
    return new Promise((resolve) => (this.watcher = resolve));
  }

  /** Lets all pass until then, one long wait after the other. */
  async until(time) {
    for (;;) {
      const nap = await this.asleep();
      if (nap.at > time) break;
      this.time = nap.at;
      this.nap = null;
      nap.wake();
    }
    this.time = time;
  }

  pass(ms) {
    return this.until(this.time + ms);
  }
}

module.exports = { Clock };
