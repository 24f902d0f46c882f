'use strict';
// Makes the keys and certificates of the tables. A probe is what a login needs
// and what is known of it: { name, want, differs, bad, lines, identity, user,
// address }, `lines` being those of authorized_keys that it brings along.
const { signAnew, takeApart } = require('../../lib/certs.js');
const { USER, pool } = require('./matrix.js');
const { identity, makeSecurityKey } = require('../../lib/ssh-identity.js');

const RSA = ['rsa', '-b', '2048', '-m', 'PEM'];
const SECURITY_KEY_CASE = /^security key/;

/** Runs `make` over the cases, a few at a time; the probes in order. */
async function buildAll(cases, make) {
  const probes = [];
  await pool(cases.entries(), async ([i, one]) => {
    probes[i] = await make(one);
  });
  return probes;
}

function securityIdentity({ sign }) {
  const { line, blob, signWith } = makeSecurityKey();
  return { line, blob, sign: signWith(sign) };
}

/** A probe of a line of authorized_keys. */
async function buildKey(matrix, one) {
  const address = one.from ?? matrix.address();
  const key = SECURITY_KEY_CASE.test(one.name)
    ? securityIdentity(one)
    : await matrix.key(...(one.type ?? []));
  const options = one.options(address);
  const text = one.file
    ? one.file(key, address)
    : `${options}${options && ' '}${key.line}`;
  return {
    ...one,
    address,
    user: USER,
    lines: text.split('\n'),
    identity: identity(key.blob, key.sign),
    file: key.file,
  };
}

/** Whoever signs certificates, and the keys that are certified. */
async function makeTools(matrix) {
  const key = (...args) => matrix.key(...args);
  const security = makeSecurityKey();
  const [trusted, lined, unknown] = [await key(), await key(), await key()];
  const authorities = {
    trusted,
    lined,
    unknown,
    ecdsa256: await key('ecdsa', '-b', '256'),
    ecdsa384: await key('ecdsa', '-b', '384'),
    ecdsa521: await key('ecdsa', '-b', '521'),
    ecdsaLine: await key('ecdsa'),
    rsa: await key(...RSA),
    security: { ...security, sign: security.signWith(0) },
  };
  const keys = {
    ed25519: await key(),
    other: await key(),
    ecdsa: await key('ecdsa', '-m', 'PEM'),
    rsa: await key(...RSA),
    security: makeSecurityKey(),
  };
  return { authorities, keys };
}

/** What the server trusts by --cert-authority, and lines for the others. */
function trustOf({ authorities }) {
  const { unknown, ecdsaLine, lined, ...trusted } = authorities;
  return {
    trusted: [...Object.values(trusted), lined].map(({ line }) => line),
    lines: [
      `cert-authority ${ecdsaLine.line}`,
      `cert-authority,principals="deploy" ${lined.line}`,
    ],
  };
}

const valueOf = (value, address) =>
  typeof value === 'function' ? value(address) : value;

/** ssh-keygen cannot sign with a security key that does not exist. */
async function certifyBySecurityKey(matrix, tools, key, args) {
  const { trusted, security } = tools.authorities;
  const { blob } = await matrix.certify(trusted, key, args);
  const fields = { ...takeApart(blob), authority: security.blob };
  return { blob: signAnew(fields, security.sign) };
}

/** { blob, file }, no file if it is not as ssh-keygen made it. */
async function certificateOf(matrix, tools, one, { authority, key, args }) {
  if (one.ca === 'security') {
    return certifyBySecurityKey(matrix, tools, key, args);
  }
  const made = await matrix.certify(authority, key, args);
  if (!one.change) return made;
  const { unknown } = tools.authorities;
  const { blob } = made;
  return { blob: one.change(takeApart(blob), { authority, unknown }) };
}

function proverOf({ prove }, keys, key) {
  if (prove === 'other') return keys.other.sign;
  return key.signWith ? key.signWith(prove) : key.sign;
}

/** A probe of a certificate. */
async function buildCertificate(matrix, tools, one) {
  const address = one.from ?? matrix.address();
  const own = one.line || one.lines;
  const authority = own
    ? await matrix.key()
    : tools.authorities[one.ca ?? 'trusted'];
  const key = tools.keys[one.key ?? 'ed25519'];
  const args = valueOf(one.args ?? ['-n', USER], address);
  const made = await certificateOf(matrix, tools, one, {
    authority,
    key,
    args,
  });
  const lines = one.line
    ? [`${valueOf(one.line, address)} ${authority.line}`]
    : (one.lines?.(authority.line) ?? []);
  const sign = proverOf(one, tools.keys, key);
  const stock = made.file && one.prove === undefined; // ssh can use it
  return {
    user: USER,
    ...one,
    address,
    lines,
    identity: identity(made.blob, sign),
    ...(stock ? { file: key.file, certificate: made.file } : {}),
  };
}

module.exports = { buildAll, buildCertificate, buildKey, makeTools, trustOf };
