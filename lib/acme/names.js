'use strict';

// The names of a certificate: DNS names and IP addresses (RFC 8738), in the one
// form in which an ACME directory, a certificate and a TLS client name them.

const net = require('node:net');
const { domainToASCII } = require('node:url');

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** What domainToASCII() would take for the end of the name, or decode. */
const NOT_OF_NAMES = /[\s/\\?#@:%]/;

const canonicalV6 = (text) => new URL(`http://[${text}]`).hostname.slice(1, -1);

/**
 * A name in its one form: addresses as RFC 5952 writes them, names in lower
 * case and punycode, without a final dot.
 *
 * @returns {string | null} null if it is neither a host name nor an address
 */
function normalizeName(text) {
  const bare = /^\[.*\]$/.test(text) ? text.slice(1, -1) : text;
  if (net.isIPv4(bare)) return bare;
  if (net.isIPv6(bare)) return bare.includes('%') ? null : canonicalV6(bare);
  if (NOT_OF_NAMES.test(text)) return null;
  const ascii = domainToASCII(text.replace(/\.$/, ''));
  const labels = ascii.split('.');
  // A last label of digits would be an address in another notation.
  if (ascii.length > 253 || /^[0-9]/.test(labels.at(-1))) return null;
  return labels.every((label) => LABEL.test(label)) ? ascii : null;
}

/** What an ACME directory calls the name (RFC 8555 7.1.3, RFC 8738 3). */
function identifierOf(name) {
  return { type: net.isIP(name) ? 'ip' : 'dns', value: name };
}

function addressBytes(address) {
  if (net.isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const [left, right] = address.split('::').map((part) => part.split(':'));
  const groups = (part) => (part ?? []).filter(Boolean);
  const head = groups(left);
  const tail = groups(right);
  const zeros = Array(8 - head.length - tail.length).fill('0');
  const hex = [...head, ...zeros, ...tail].map((group) =>
    group.padStart(4, '0'),
  );
  return Buffer.from(hex.join(''), 'hex');
}

/**
 * The server name that a directory sends to check tls-alpn-01: of an address it
 * is the name for its reverse look-up (RFC 8738 6).
 */
function serverNameOf(name) {
  if (!net.isIP(name)) return name;
  const bytes = [...addressBytes(name)];
  if (net.isIPv4(name)) return `${bytes.reverse().join('.')}.in-addr.arpa`;
  const nibbles = Buffer.from(bytes).toString('hex').split('');
  return `${nibbles.reverse().join('.')}.ip6.arpa`;
}

/** Whether the certificate holds the name. */
function isOf(certificate, name) {
  const found = net.isIP(name)
    ? certificate.checkIP(name)
    : certificate.checkHost(name);
  return found !== undefined;
}

module.exports = {
  addressBytes,
  identifierOf,
  isOf,
  normalizeName,
  serverNameOf,
};
