'use strict';

// Two streams that become one another's ends, until both are done or nothing
// has passed for too long.

/**
 * @param {import('node:stream').Duplex} a
 * @param {Buffer} early bytes that `a` gave already
 * @param {import('node:stream').Duplex} b
 * @param {number} idle milliseconds
 */
function splice(a, early, b, idle) {
  return new Promise((resolve) => {
    let open = 2;
    const stop = () => {
      clearTimeout(timer);
      a.destroy();
      b.destroy();
      resolve();
    };
    const timer = setTimeout(stop, idle);
    const touch = () => timer.refresh();
    const closed = () => {
      open -= 1;
      if (open === 1) stop();
    };
    for (const stream of [a, b]) {
      stream.on('error', stop);
      stream.once('close', closed);
      stream.removeAllListeners('readable');
      stream.on('data', touch);
    }
    if (early.length > 0) b.write(early);
    a.pipe(b);
    b.pipe(a);
  });
}

module.exports = { splice };
