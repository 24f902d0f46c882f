'use strict';

const MIN_DELAY = 1000;
const MAX_DELAY = 30000;
const WATCH_EVERY = 2000;
/** The wall clock went on without us: the machine was asleep. */
const SLEPT = 10000;

/**
 * When to try again: 1, 2, 4 … 30 s with jitter, for ever; at once after a
 * wake-up. Its timers never keep the process alive.
 */
class Reconnect {
  #min;
  #max;
  #attempt;
  #count = 0;
  #timer = null;
  #watch = null;

  constructor({ minDelay, maxDelay }, attempt) {
    this.#min = minDelay ?? MIN_DELAY;
    this.#max = Math.max(maxDelay ?? MAX_DELAY, this.#min);
    this.#attempt = attempt;
  }

  reset() {
    this.#count = 0;
  }

  /** @returns {{ attempt: number, retryIn: number }} retryIn in milliseconds */
  schedule() {
    this.stop();
    const base = Math.min(this.#min * 2 ** this.#count, this.#max);
    this.#count += 1;
    // Between half and all of it, so that many clients do not come at once.
    const retryIn = Math.round(base * (0.5 + Math.random() / 2));
    this.#timer = setTimeout(() => this.#now(), retryIn);
    this.#timer.unref();
    this.#watchSleep();
    return { attempt: this.#count, retryIn };
  }

  #now() {
    this.stop();
    this.#attempt();
  }

  #watchSleep() {
    let wall = Date.now();
    let steady = performance.now();
    this.#watch = setInterval(() => {
      const slept = Date.now() - wall - (performance.now() - steady);
      wall = Date.now();
      steady = performance.now();
      if (slept > SLEPT) this.#now();
    }, WATCH_EVERY);
    this.#watch.unref();
  }

  stop() {
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    this.#timer = null;
    this.#watch = null;
  }
}

module.exports = { Reconnect };
