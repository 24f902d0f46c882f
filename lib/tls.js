'use strict';

// What the options say of TLS, as contexts of the core. Whoever was given a
// context keeps it: its id is freed by whom it was made for.

const { native } = require('./binding.js');
const {
  errorFromStatus,
  optionError,
  sourceError,
  statusOf,
} = require('./errors.js');
const { readSource } = require('./files.js');

/** As a web server offers them. */
const WEB_PROTOCOLS = ['h2', 'http/1.1'];

/** Which of the two files an error is about. */
function isOfCertificate(status) {
  return /_TLS_CHAIN$/.test(errorFromStatus(status).code);
}

/**
 * @param {{ tlsCert: KeySource, tlsKey: KeySource }} options PEM
 * @param {{ isWeb: boolean, ticketKeys: Buffer }} how
 * @returns {Promise<number>} the id of a context
 */
async function loadServerTls({ tlsCert, tlsKey }, how) {
  const [cert, key] = await Promise.all([
    readSource('tlsCert', tlsCert),
    readSource('tlsKey', tlsKey),
  ]);
  return makeServerTls(cert, key, how);
}

/** Of { text, file } each. */
function makeServerTls(cert, key, { isWeb, ticketKeys }) {
  const made = native.tlsServer({
    chain: cert.text,
    key: key.text,
    alpn: isWeb ? WEB_PROTOCOLS : [],
    asNginx: isWeb,
    ticketKeys,
  });
  return checked(made, (status) =>
    isOfCertificate(status)
      ? { option: 'tlsCert', file: cert.file }
      : { option: 'tlsKey', file: key.file },
  );
}

function checked(made, where) {
  if (typeof made === 'number') {
    if (made < 0) throw errorFromStatus(made);
    return made;
  }
  throw sourceError(made.status, { ...where(made.status), why: made.why });
}

/** A pin as curl takes it: 'sha256//' and base64, the first part optional. */
function parsePin(name, text) {
  const base64 = text.replace(/^sha256\/\//, '');
  const pin = Buffer.from(base64, 'base64');
  if (pin.length === 32 && pin.toString('base64') === base64) return pin;
  throw optionError(name, 'must be sha256//<base64 of 32 bytes>');
}

function parsePins(list = []) {
  return list.flatMap((text, i) =>
    text.split(';').map((one) => parsePin(`tlsPin[${i}]`, one)),
  );
}

/** Nothing would be taken for nothing given: the authorities of the system. */
function noRoots(file) {
  const status = statusOf('TLS_ROOTS');
  return sourceError(status, { option: 'tlsCa', file, why: 'it is empty' });
}

function noSystemRoots() {
  return optionError(
    'tlsCa',
    'this system has no list of authorities: name one, or use tlsPin',
    'ERR_WRAITH_TLS_ROOTS',
  );
}

/** @returns {Promise<number>} the id of a context */
async function loadClientTls({ tlsCa, tlsPin, insecure }) {
  const roots = tlsCa && (await readSource('tlsCa', tlsCa));
  if (roots?.text.length === 0) throw noRoots(roots.file);
  const made = native.tlsClient({
    roots: roots?.text,
    pins: parsePins(tlsPin),
    insecure: insecure ?? false,
  });
  if (!roots && typeof made !== 'number') throw noSystemRoots();
  return checked(made, () => ({ option: 'tlsCa', file: roots?.file }));
}

module.exports = { loadClientTls, loadServerTls, makeServerTls, parsePins };
