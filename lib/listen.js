'use strict';

// Where a server listens, and for whom: plain SSH, SSH in TLS, or a web site
// that holds a tunnel, with TLS of its own (stealth) or of a web server in front
// (ws).

const net = require('node:net');

const { optionError } = require('./errors.js');
const { SYSTEMD } = require('./inherited.js');
const { parseHostPort } = require('./options.js');

/** ws is for a web server in front, mostly on the same host. */
const DEFAULTS = { tcp: '[::]:2222', tls: '[::]:443', ws: '127.0.0.1:8080' };
const NEED_TLS = ['tlsCert', 'tlsKey', 'acmeDomain', 'stealth'];
const COMING = ['iroh', 'h3'];

/** As the core numbers them. */
const KIND = { tcp: 0, tls: 1, stealth: 2, ws: 3 };

/** What a listener without a name of its own speaks. */
function onlyTransport(transports) {
  if (transports.length <= 1) return transports[0] ?? 'tcp';
  throw optionError('listen', `needs one of ${transports.join('=, ')}= before`);
}

function parseListen(text, transports) {
  const match = /^(?:([a-z0-9]+)=)?(.*)$/s.exec(text);
  const [, named, address] = match;
  const transport = named ?? onlyTransport(transports);
  if (COMING.includes(transport)) {
    throw optionError(
      'listen',
      `transport ${transport} is not part of this version yet`,
      'ERR_WRAITH_UNSUPPORTED',
    );
  }
  if (!Object.hasOwn(DEFAULTS, transport)) {
    throw optionError('listen', `there is no transport ${transport}`);
  }
  if (address === SYSTEMD) return { transport, inherited: true };
  const { port } = parseHostPort('listen', DEFAULTS[transport]);
  const bind = parseHostPort('listen', address, port);
  if (net.isIP(bind.host) === 0 && bind.host !== 'localhost') {
    throw optionError('listen', `${bind.host} is not an address of this host`);
  }
  return { transport, ...bind };
}

/**
 * Each with the kind of listener it is. A transport that no address is given
 * for gets its default one; an empty list is none at all.
 */
function readListen({ listen, transport, stealth = false }) {
  if (listen?.length === 0) return [];
  const wanted = transport ?? (listen ? [] : ['tcp']);
  const list = (listen ?? []).map((text) => parseListen(text, wanted));
  for (const one of wanted) {
    if (list.some((address) => address.transport === one)) continue;
    list.push(parseListen(`${one}=${DEFAULTS[one] ?? ''}`, wanted));
  }
  const kindOf = ({ transport: t }) => (t === 'tls' && stealth ? 'stealth' : t);
  return list.map((one) => ({ ...one, kind: KIND[kindOf(one)] }));
}

const hasTransport = (listen, name) =>
  listen.some(({ transport }) => transport === name);

/** Whoever is no tunnel is a visitor of the site. */
const hasSite = ({ stealth = false }, listen) =>
  stealth || hasTransport(listen, 'ws');

/** What TLS and the site need, and what is of no use without them. */
function checkSite(options, listen) {
  const hasTls = hasTransport(listen, 'tls');
  const unfit = (names, needs) => {
    const name = names.find((one) => options[one] ?? false);
    if (name) throw optionError(name, `needs ${needs}`);
  };
  if (!hasTls) unfit(NEED_TLS, 'transport tls');
  if (!hasSite(options, listen)) {
    unfit(['decoy', 'stealthSecret', 'wsPath'], 'stealth or transport ws');
  }
  if (hasTls) checkCertificate(options);
}

function checkCertificate({ tlsCert, tlsKey, acmeDomain }) {
  if (acmeDomain !== undefined) {
    if (tlsCert === undefined && tlsKey === undefined) return;
    throw optionError('acmeDomain', 'cannot be combined with tlsCert, tlsKey');
  }
  if (tlsCert === undefined) {
    throw optionError(
      'tlsCert',
      'is needed for transport tls, with tlsKey; or acmeDomain',
      'ERR_WRAITH_NO_CERTIFICATE',
    );
  }
  if (tlsKey === undefined) {
    throw optionError('tlsKey', 'is needed for transport tls, with tlsCert');
  }
}

module.exports = { checkSite, hasSite, hasTransport, readListen };
