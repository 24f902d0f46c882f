'use strict';

// Where a server listens, and for whom: plain SSH, SSH in TLS, or a web site
// that holds a tunnel.

const net = require('node:net');

const { optionError } = require('./errors.js');
const { SYSTEMD } = require('./inherited.js');
const { parseHostPort } = require('./options.js');

const PORTS = { tcp: 2222, tls: 443 };
const NEED_TLS = ['tlsCert', 'tlsKey', 'acmeDomain', 'stealth'];
const COMING = ['iroh', 'h3'];

/** As the core numbers them. */
const KIND = { tcp: 0, tls: 1, stealth: 2 };

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
  if (!Object.hasOwn(PORTS, transport)) {
    throw optionError('listen', `there is no transport ${transport}`);
  }
  if (address === SYSTEMD) return { transport, inherited: true };
  const bind = parseHostPort('listen', address, PORTS[transport]);
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
    list.push(parseListen(`${one}=[::]`, wanted));
  }
  const kindOf = ({ transport: t }) => (t === 'tls' && stealth ? 'stealth' : t);
  return list.map((one) => ({ ...one, kind: KIND[kindOf(one)] }));
}

/** What TLS needs, and what is of no use without it. */
function checkSite(options, listen) {
  const { tlsCert, tlsKey, acmeDomain, stealth = false } = options;
  const hasTls = listen.some(({ transport }) => transport === 'tls');
  const unfit = (names, needs) => {
    const name = names.find((one) => options[one] ?? false);
    if (name) throw optionError(name, `needs ${needs}`);
  };
  if (!hasTls) unfit(NEED_TLS, 'transport tls');
  if (!stealth) unfit(['decoy', 'stealthSecret', 'wsPath'], 'stealth');
  if (!hasTls) return;
  if (acmeDomain !== undefined) {
    if (tlsCert === undefined && tlsKey === undefined) return;
    throw optionError('acmeDomain', 'cannot be combined with tlsCert, tlsKey');
  }
  if (tlsCert === undefined) {
    throw optionError(
      'tlsCert',
      'is needed for transport tls, with tlsKey; or acmeDomain',
    );
  }
  if (tlsKey === undefined) {
    throw optionError('tlsKey', 'is needed for transport tls, with tlsCert');
  }
}

module.exports = { checkSite, readListen };
