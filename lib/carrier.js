'use strict';

const { Duplex, finished, pipeline } = require('node:stream');

const { WraithError } = require('./errors.js');
const { WraithStream } = require('./stream.js');

function noop() {}

/** The stream of an option that is one, or makes one per try. */
async function takeCarrier(source) {
  const stream = typeof source === 'function' ? await source() : source;
  if (stream instanceof Duplex) return stream;
  throw new WraithError(
    'ERR_WRAITH_INVALID_ARGUMENT',
    'stream: the function did not return a Duplex',
    { phase: 'dial' },
  );
}

/**
 * Ties a caller's Duplex to the inner end of a carrier in the core. If either
 * ends, so does the other.
 */
function joinCarrier(outer, innerId) {
  const inner = new WraithStream(innerId, null, { ref: false });
  pipeline(outer, inner, outer, noop);
  // SSH has no half-open carriers: once its goodbye is out, all is over.
  inner.once('end', () => {
    finished(outer, { readable: false }, () => {
      outer.destroy();
      inner.destroy();
    });
  });
  return inner;
}

module.exports = { joinCarrier, takeCarrier };
