'use strict';

const { Duplex, finished, pipeline } = require('node:stream');

const { WraithError, errorFromStatus, statusOf } = require('./errors.js');
const { WraithStream } = require('./stream.js');

function noop() {}

const CONNECT_TIMEOUT = 30000;

function takenTooLate(stream) {
  if (stream instanceof Duplex) stream.destroy();
}

/** What the function gives, if it does so in time. */
function callFactory(factory, timeout) {
  return new Promise((resolve, reject) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      reject(errorFromStatus(statusOf('TIMEOUT'), { phase: 'dial' }));
    }, timeout);
    timer.unref();
    const settle = (done) => (value) => {
      clearTimeout(timer);
      if (late) takenTooLate(value);
      else done(value);
    };
    Promise.resolve().then(factory).then(settle(resolve), settle(reject));
  });
}

/** The stream of an option that is one, or makes one per try. */
async function takeCarrier(source, timeout = CONNECT_TIMEOUT) {
  const stream =
    typeof source === 'function' ? await callFactory(source, timeout) : source;
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
