'use strict';

const { WraithError } = require('../errors.js');

const PROBLEM = 'urn:ietf:params:acme:error:';

/**
 * Why no certificate came.
 *
 * @param {string} reason a word for the log: a problem type of RFC 8555 6.7
 *   without its prefix, or one of ours
 * @param {{ detail?: string, cause?: unknown, retryAfter?: number,
 *   transient?: boolean, problem?: boolean }} [more] detail: the words of the
 *   directory; retryAfter: when it wants to be asked again, in milliseconds;
 *   transient: the same request may succeed later; problem: the directory
 *   answered a request so
 */
function acmeFailure(reason, { detail, cause, ...more } = {}) {
  const message = detail ? `${reason}: ${detail}` : reason;
  const error = new WraithError('ERR_WRAITH_ACME_FAILED', `ACME: ${message}`, {
    phase: 'acme',
    cause,
  });
  return Object.assign(error, { reason, detail, ...more });
}

/** The word for a problem document's type. */
function problemName(type) {
  if (typeof type !== 'string' || !type.startsWith(PROBLEM)) return 'refused';
  const name = type.slice(PROBLEM.length);
  return /^[A-Za-z]{1,40}$/.test(name) ? name : 'refused';
}

/** A failure from whatever was thrown on the way. */
function asFailure(error) {
  if (error?.code === 'ERR_WRAITH_ACME_FAILED') return error;
  const detail = error?.message;
  const isOwn = error?.syscall !== undefined || error?.phase === 'options';
  return acmeFailure(isOwn ? 'state' : 'protocol', { detail, cause: error });
}

module.exports = { acmeFailure, asFailure, problemName };
