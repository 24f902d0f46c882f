'use strict';

const start = Date.now();

/** One line per step, with the seconds since the start. */
function step(text) {
  const seconds = ((Date.now() - start) / 1000).toFixed(1).padStart(6);
  process.stderr.write(`deps [${seconds}s] ${text}\n`);
}

module.exports = { step };
