'use strict';

// When to renew, and when to try again. All in milliseconds; `random` is a
// number from 0 to 1, so that many servers do not ask at the same moment.

const HOUR_MS = 3600_000;
const DAY_MS = 24 * HOUR_MS;

/** No wait for a directory is longer, whatever it asks for. */
const WAIT_MAX_MS = DAY_MS;

const SHORT_LIVED_MS = 10 * DAY_MS;
const BACKOFF_MIN_MS = 2 * 60_000;
const BACKOFF_MAX_MS = 6 * HOUR_MS;
const RENEWAL_INFO_MIN_MS = 60_000;
const RENEWAL_INFO_MS = 6 * HOUR_MS;

/**
 * Two thirds into the lifetime, half of it for short-lived certificates; up to
 * a twentieth of the lifetime earlier than that.
 */
function renewalTime({ from, until }, random) {
  const lifetime = until - from;
  const share = lifetime < SHORT_LIVED_MS ? 1 / 2 : 2 / 3;
  return Math.round(from + lifetime * (share - random / 20));
}

/**
 * The directory's own idea of when to renew (RFC 9773 4.2).
 *
 * @returns {{ start: number, end: number } | null} null if it makes no sense
 */
function readWindow(info) {
  const start = Date.parse(info?.suggestedWindow?.start);
  const end = Date.parse(info?.suggestedWindow?.end);
  return end > start ? { start, end } : null;
}

const timeWithin = ({ start, end }, random) => start + (end - start) * random;

/** How long renewal information is good. */
function renewalInfoAge(retryAfter) {
  if (!retryAfter) return RENEWAL_INFO_MS;
  return Math.min(Math.max(retryAfter, RENEWAL_INFO_MIN_MS), WAIT_MAX_MS);
}

/** How long to wait after so many failures in a row, the first being 1. */
function backoff(failures, random) {
  const wait = BACKOFF_MIN_MS * 2 ** Math.min(failures - 1, 20);
  return Math.min(wait, BACKOFF_MAX_MS) * (1 + random / 4);
}

module.exports = {
  RENEWAL_INFO_MS,
  WAIT_MAX_MS,
  backoff,
  readWindow,
  renewalInfoAge,
  renewalTime,
  timeWithin,
};
