'use strict';
// Certificates taken apart and put together again, for what ssh-keygen would
// not make: fields altered with the signature left alone, or signed anew.
const crypto = require('node:crypto');
const { Reader, string } = require('./ssh-client.js');

// Of an Ed25519 key (PROTOCOL.certkeys of OpenSSH); numbers are bytes.
const LAYOUT = [
  ['type'],
  ['nonce'],
  ['key'],
  ['serial', 8],
  ['kind', 4],
  ['keyId'],
  ['principals'],
  ['after', 8],
  ['before', 8],
  ['critical'],
  ['extensions'],
  ['reserved'],
  ['authority'],
  ['signature'],
];
const FIELDS = LAYOUT.map(([name]) => name);

function takeApart(blob) {
  const r = new Reader(blob);
  return Object.fromEntries(
    LAYOUT.map(([name, size]) => [name, size ? r.take(size) : r.string()]),
  );
}

function join(fields, names) {
  const sizes = new Map(LAYOUT);
  const parts = names.map((name) =>
    sizes.get(name) ? fields[name] : string(fields[name]),
  );
  return Buffer.concat(parts);
}

const u64 = (n) => {
  const b = Buffer.alloc(8);
  b.writeBigUInt64BE(BigInt(n));
  return b;
};

/** A copy with one byte of the field changed, at its end. */
function flip(fields, name) {
  const bytes = Buffer.from(fields[name]);
  if (bytes.length === 0) return { ...fields, [name]: Buffer.from([1]) };
  bytes[bytes.length - 1] ^= 1;
  return { ...fields, [name]: bytes };
}

const putTogether = (fields) => join(fields, FIELDS);

/** Signed over what the fields say now: sign(data) is that of an authority. */
function signAnew(fields, sign) {
  const signature = sign(join(fields, FIELDS.slice(0, -1)));
  return putTogether({ ...fields, signature });
}

/** A list of options; a value that is not null is a string inside. */
function options(pairs) {
  return Buffer.concat(
    pairs.flatMap(([name, value]) => [
      string(name),
      string(value === null ? '' : string(value)),
    ]),
  );
}

/** A user certificate of an Ed25519 key, without ssh-keygen. */
function certify({ blob }, authority, names) {
  const fields = {
    type: 'ssh-ed25519-cert-v01@openssh.com',
    nonce: crypto.randomBytes(32),
    key: blob.subarray(-32),
    serial: u64(1),
    kind: Buffer.from([0, 0, 0, 1]),
    keyId: 'made here',
    principals: Buffer.concat(names.map(string)),
    after: u64(0),
    before: u64(2n ** 64n - 1n),
    critical: '',
    extensions: options([['permit-port-forwarding', null]]),
    reserved: '',
    authority: authority.blob,
  };
  return signAnew(fields, authority.sign);
}

module.exports = {
  FIELDS,
  certify,
  flip,
  options,
  putTogether,
  signAnew,
  takeApart,
  u64,
};
