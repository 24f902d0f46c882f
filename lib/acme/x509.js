'use strict';

// The two things about certificates that node:crypto does not do: signing one
// by itself, and finding which key of the issuer signed (for RFC 9773).

const {
  X509Certificate,
  createHash,
  createPrivateKey,
  createPublicKey,
  randomBytes,
  sign,
} = require('node:crypto');
const net = require('node:net');

const { addressBytes } = require('./names.js');

const TAG = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  UTF8_STRING: 0x0c,
  GENERALIZED_TIME: 0x18,
  SEQUENCE: 0x30,
  SET: 0x31,
  VERSION: 0xa0, // [0] EXPLICIT
  EXTENSIONS: 0xa3, // [3] EXPLICIT
  KEY_ID: 0x80, // [0] IMPLICIT, in an authority key identifier
  DNS_NAME: 0x82, // [2] IMPLICIT, in a subject alternative name
  IP_ADDRESS: 0x87, // [7] IMPLICIT, in the same
};

// Object identifiers, with tag and length.
const OID = {
  ecdsaWithSha256: '06082a8648ce3d040302',
  commonName: '0603550403',
  subjectKeyId: '0603551d0e',
  subjectAltName: '0603551d11',
  basicConstraints: '0603551d13',
  authorityKeyId: '0603551d23',
};

const oid = (name) => Buffer.from(OID[name], 'hex');

function lengthOf(size) {
  if (size < 0x80) return Buffer.from([size]);
  if (size < 0x100) return Buffer.from([0x81, size]);
  return Buffer.from([0x82, size >> 8, size & 0xff]);
}

function der(tag, ...parts) {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag]), lengthOf(body.length), body]);
}

const sequence = (...parts) => der(TAG.SEQUENCE, ...parts);

function generalizedTime(ms) {
  const digits = new Date(ms).toISOString().replace(/\D/g, '').slice(0, 14);
  return der(TAG.GENERALIZED_TIME, Buffer.from(`${digits}Z`));
}

/** Dates before 2050 are written short (RFC 5280 4.1.2.5). */
function time(ms) {
  const UTC_TIME = 0x17;
  const full = generalizedTime(ms);
  if (new Date(ms).getUTCFullYear() >= 2050) return full;
  return der(UTC_TIME, full.subarray(4));
}

function extension(name, value) {
  return sequence(oid(name), der(TAG.OCTET_STRING, value));
}

function altName(name) {
  return net.isIP(name)
    ? der(TAG.IP_ADDRESS, addressBytes(name))
    : der(TAG.DNS_NAME, Buffer.from(name));
}

function subject(name) {
  const text = der(TAG.UTF8_STRING, Buffer.from(name.slice(0, 64)));
  return sequence(der(TAG.SET, sequence(oid('commonName'), text)));
}

function serialNumber() {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] & 0x7f) | 0x40; // positive, and of this length
  return der(TAG.INTEGER, bytes);
}

function unsigned(names, publicKey, from, until) {
  const name = subject(names[0]);
  const keyId = createHash('sha1').update(publicKey).digest();
  const extensions = sequence(
    extension('basicConstraints', sequence()),
    extension('subjectAltName', sequence(...names.map(altName))),
    extension('subjectKeyId', der(TAG.OCTET_STRING, keyId)),
  );
  return sequence(
    der(TAG.VERSION, der(TAG.INTEGER, Buffer.from([2]))),
    serialNumber(),
    sequence(oid('ecdsaWithSha256')),
    name,
    sequence(time(from), time(until)),
    name,
    publicKey,
    der(TAG.EXTENSIONS, extensions),
  );
}

const YEAR_MS = 365 * 24 * 3600_000;

/**
 * A certificate signed by its own key, good for ten years.
 *
 * @param {string[]} names host names and addresses
 * @param {string} key PEM of an EC key on P-256
 * @param {number} now in milliseconds
 * @returns {string} PEM
 */
function selfSign(names, key, now) {
  const publicKey = createPublicKey(key).export({
    type: 'spki',
    format: 'der',
  });
  const content = unsigned(names, publicKey, now, now + 10 * YEAR_MS);
  const signature = sign('sha256', content, createPrivateKey(key));
  const certificate = sequence(
    content,
    sequence(oid('ecdsaWithSha256')),
    der(TAG.BIT_STRING, Buffer.from([0]), signature),
  );
  return new X509Certificate(certificate).toString();
}

/** The element at the start of `bytes`: { tag, body, rest }; null if none. */
function readElement(bytes) {
  if (bytes.length < 2) return null;
  let size = bytes[1];
  let start = 2;
  if (size & 0x80) {
    const count = size & 0x7f;
    start += count;
    if (count < 1 || count > 3 || bytes.length < start) return null;
    size = bytes.readUIntBE(2, count);
  }
  const end = start + size;
  if (bytes.length < end) return null;
  return {
    tag: bytes[0],
    body: bytes.subarray(start, end),
    rest: bytes.subarray(end),
  };
}

function* elements(bytes) {
  let element = readElement(bytes);
  while (element) {
    yield element;
    element = readElement(element.rest);
  }
}

function child(bytes, tag) {
  for (const element of elements(bytes)) {
    if (element.tag === tag) return element.body;
  }
  return Buffer.alloc(0);
}

/** The authority key identifier of an X509Certificate; null if it has none. */
function authorityKeyId(certificate) {
  const content = child(child(certificate.raw, TAG.SEQUENCE), TAG.SEQUENCE);
  const list = child(child(content, TAG.EXTENSIONS), TAG.SEQUENCE);
  const wanted = oid('authorityKeyId');
  for (const { body } of elements(list)) {
    if (!body.subarray(0, wanted.length).equals(wanted)) continue;
    const value = child(child(body, TAG.OCTET_STRING), TAG.SEQUENCE);
    const id = child(value, TAG.KEY_ID);
    return id.length > 0 ? id : null;
  }
  return null;
}

/** The name of a certificate in RFC 9773 4.1; null if it cannot have one. */
function renewalId(certificate) {
  const keyId = authorityKeyId(certificate);
  if (!keyId) return null;
  const hex = certificate.serialNumber;
  const digits = hex.length % 2 ? `0${hex}` : hex;
  // As in the certificate, where a first bit set would be a negative number.
  const serial = Buffer.from(
    /^[89A-F]/.test(digits) ? `00${digits}` : digits,
    'hex',
  );
  return `${keyId.toString('base64url')}.${serial.toString('base64url')}`;
}

module.exports = { renewalId, selfSign };
