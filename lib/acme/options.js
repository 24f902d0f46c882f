'use strict';

const { optionError } = require('../errors.js');
const { defaultPaths } = require('../files.js');
const { check, parseHostPort, readOptions } = require('../options.js');
const { normalizeName } = require('./names.js');

const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory';
const DOMAINS_MAX = 100;

function domain(name, value) {
  const text = check.text(name, value);
  if (text.includes('*')) {
    throw optionError(name, 'a wildcard cannot be proved by this server');
  }
  const normal = normalizeName(text);
  if (normal === null) throw optionError(name, 'not a host name or address');
  return normal;
}

function domains(name, value) {
  const list = [...new Set(check.listOf(domain)(name, value))];
  if (list.length === 0) throw optionError(name, 'must not be empty');
  if (list.length > DOMAINS_MAX) {
    throw optionError(name, `takes at most ${DOMAINS_MAX} names`);
  }
  return list;
}

function directory(name, value) {
  const text = check.text(name, value);
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== 'https:') throw optionError(name, 'must be https://…');
  if (url.username || url.password) {
    throw optionError(name, 'must not hold a user or a password');
  }
  return url.href;
}

function email(name, value) {
  if (!/^[!-~]+@[!-~]+$/.test(check.text(name, value))) {
    throw optionError(name, 'must be an e-mail address');
  }
  return value;
}

/** 'host:port', or ':port' for every address of this machine. */
function httpListen(name, value) {
  const text = check.text(name, value);
  if (!text.startsWith(':')) return parseHostPort(name, text, 80);
  return { port: parseHostPort(name, `any${text}`).port };
}

function hmacKey(name, value) {
  const text = check.text(name, value).replace(/=+$/, '');
  // Said without the value: it is a secret.
  if (!/^[A-Za-z0-9_+/-]+$/.test(text)) {
    throw optionError(name, 'must be base64url, as the authority gave it');
  }
  return text;
}

function folder(name, value) {
  if (check.text(name, value).includes('\n')) {
    throw optionError(name, 'must be one line');
  }
  return value;
}

/** For readOptions(): the options of serve() that begin with acme. */
const acmeShape = {
  acmeDomain: domains,
  acmeDirectory: directory,
  acmeEmail: email,
  acmeCa: check.keySource,
  acmeDir: folder,
  acmeChallenge: check.oneOf('tls-alpn-01', 'http-01'),
  acmeHttpListen: httpListen,
  acmeEabKid: check.text,
  acmeEabHmacKey: hmacKey,
};

function eab({ acmeEabKid: kid, acmeEabHmacKey: key }) {
  if (kid === undefined && key === undefined) return undefined;
  if (kid === undefined) throw optionError('acmeEabKid', 'is needed as well');
  if (key === undefined) {
    throw optionError('acmeEabHmacKey', 'is needed as well');
  }
  return { kid, hmacKey: key };
}

/**
 * Checks the options that begin with acme; others are not looked at.
 *
 * @returns {object | null} options for createAcme(); null without acmeDomain
 */
function parseAcmeOptions(options) {
  const own = Object.entries(options).filter(([name]) =>
    name.startsWith('acme'),
  );
  const read = readOptions(Object.fromEntries(own), acmeShape);
  const [first] = Object.keys(read);
  if (first === undefined) return null;
  if (read.acmeDomain === undefined) {
    throw optionError(first, 'is of no use without acmeDomain');
  }
  const challenge = read.acmeChallenge ?? 'tls-alpn-01';
  if (read.acmeHttpListen !== undefined && challenge !== 'http-01') {
    throw optionError('acmeHttpListen', 'needs acmeChallenge http-01');
  }
  return {
    domains: read.acmeDomain,
    directory: read.acmeDirectory ?? LETS_ENCRYPT,
    email: read.acmeEmail,
    ca: read.acmeCa,
    dir: read.acmeDir ?? defaultPaths.acme(),
    challenge,
    httpListen: read.acmeHttpListen ?? { port: 80 },
    eab: eab(read),
  };
}

module.exports = { acmeShape, parseAcmeOptions };
