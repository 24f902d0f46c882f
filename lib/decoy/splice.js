'use strict';

// A visitor and the origin after an upgrade: bytes go both ways until one of
// them ends, or nothing has passed for too long. As with nginx there is no
// half of it.

/**
 * @param {import('node:stream').Duplex} visitor
 * @param {Buffer} early bytes that it sent already
 * @param {import('node:stream').Duplex} origin
 * @param {number} idle milliseconds
 * @returns {Promise<boolean>} whether the origin ended it in good order
 */
function splice(visitor, early, origin, idle) {
  return new Promise((resolve) => {
    const timer = setTimeout(finish, idle, false);
    function finish(orderly) {
      clearTimeout(timer);
      origin.destroy();
      resolve(orderly);
    }
    for (const stream of [visitor, origin]) {
      stream.on('error', () => finish(false));
      stream.once('close', () => finish(false));
      stream.on('data', () => timer.refresh());
    }
    visitor.removeAllListeners('readable');
    visitor.once('end', () => origin.write('', () => finish(false)));
    origin.once('end', () => visitor.write('', () => finish(true)));
    if (early.length > 0) origin.write(early);
    visitor.pipe(origin, { end: false });
    origin.pipe(visitor, { end: false });
  });
}

module.exports = { splice };
