'use strict';
// Keys for ssh-client.js: { algorithm, blob, sign(data) }, the signature in the
// form of the wire.
const crypto = require('node:crypto');
const fs = require('node:fs');
const { Reader, mpint, sha256, string, u8, u32 } = require('./ssh-client.js');

const ED25519 = 'ssh-ed25519';
const ECDSA = 'ecdsa-sha2-nistp256';
const RSA = 'rsa-sha2-256';
const SK_ED25519 = 'sk-ssh-ed25519@openssh.com';

/** The blob of a line "[options] type base64 [comment]". */
function blobOfLine(line) {
  return Buffer.from(/ (AAAA[\w+/=]+)/.exec(` ${line}`)[1], 'base64');
}

const typeOf = (blob) => `${new Reader(blob).string()}`;

function ed25519Private(x, d) {
  const text = { x: x.toString('base64url'), d: d.toString('base64url') };
  const key = { kty: 'OKP', crv: 'Ed25519', ...text };
  return crypto.createPrivateKey({ key, format: 'jwk' });
}

function readEd25519(text) {
  const base64 = text.replace(/-----.*-----/g, '');
  const r = new Reader(Buffer.from(base64, 'base64'));
  r.take('openssh-key-v1\0'.length);
  r.string(); // cipher
  r.string(); // derivation
  r.string(); // its options
  r.u32(); // number of keys
  r.string(); // the public key
  const inner = new Reader(r.string());
  inner.take(8); // a check of the passphrase
  inner.string(); // type
  const x = inner.string();
  return ed25519Private(x, inner.string().subarray(0, 32));
}

const wire = (algorithm, signature) =>
  Buffer.concat([algorithm, signature].map(string));

const signers = {
  ed25519: (key) => (data) => wire(ED25519, crypto.sign(null, data, key)),
  rsa: (key) => (data) => wire(RSA, crypto.sign('sha256', data, key)),
  ec: (key) => (data) => {
    const rs = crypto.sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' });
    const half = rs.length / 2;
    const numbers = [rs.subarray(0, half), rs.subarray(half)].map(mpint);
    return wire(ECDSA, Buffer.concat(numbers));
  },
};

/** How a private key signs: one of ssh-keygen, without passphrase; RSA and
    ECDSA (P-256) keys made with -m PEM. */
function signerOfText(text) {
  const key = text.includes('BEGIN OPENSSH')
    ? readEd25519(text)
    : crypto.createPrivateKey(text);
  return signers[key.asymmetricKeyType](key);
}

const signerOf = (file) => signerOfText(fs.readFileSync(file, 'latin1'));

/** An RSA key is offered by the name of its signatures (RFC 8332). */
function identity(blob, sign) {
  return { algorithm: typeOf(blob).replace(/^ssh-rsa/, RSA), blob, sign };
}

/** A security key without the hardware. It signs with any flags: 1 says that
    it was touched, 4 that its owner was verified. */
function makeSecurityKey(application = 'ssh:') {
  const { privateKey } = crypto.generateKeyPairSync('ed25519');
  const x = Buffer.from(privateKey.export({ format: 'jwk' }).x, 'base64url');
  const blob = Buffer.concat([SK_ED25519, x, application].map(string));
  const line = `${SK_ED25519} ${blob.toString('base64')} security key`;
  const signWith = (flags) => (data) => {
    const tail = Buffer.concat([u8(flags), u32(1)]);
    const signed = Buffer.concat([sha256(application), tail, sha256(data)]);
    const signature = crypto.sign(null, signed, privateKey);
    return Buffer.concat([wire(SK_ED25519, signature), tail]);
  };
  return { blob, line, signWith };
}

module.exports = {
  blobOfLine,
  identity,
  makeSecurityKey,
  signerOf,
  signerOfText,
};
