'use strict';

const { native } = require('./binding.js');
const { optionError } = require('./errors.js');

/**
 * The URL of a proxy as others may see it: without user and password. Throws if
 * it is none, and tells no part of it.
 */
function shownProxy(url) {
  const parsed = native.proxyUrl(url);
  if (typeof parsed !== 'object') {
    throw optionError('proxy', parsed < 0 ? 'is too long' : parsed);
  }
  const { kind, host, port } = parsed;
  const shownHost = host.includes(':') ? `[${host}]` : host;
  return `${kind}://${shownHost}:${port}`;
}

module.exports = { shownProxy };
