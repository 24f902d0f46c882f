'use strict';

// Carriers that a client can dial: what each needs, and what it is told.

const { native } = require('./binding.js');
const { optionError } = require('./errors.js');
const { parseHostPort } = require('./options.js');
const { loadClientTls, parsePins } = require('./tls.js');

const PORTS = { tcp: 2222, tls: 443, wss: 443, ws: 80 };
const DEFAULT_PATH = '/ws';

const TLS_OPTIONS = ['tlsServerName', 'tlsCa', 'tlsPin', 'insecure'];
const WS_OPTIONS = ['stealthSecret', 'wsPath'];

function hostField(host, port, defaultPort) {
  const shown = host.includes(':') ? `[${host}]` : host;
  return port === defaultPort ? shown : `${shown}:${port}`;
}

/** What is given must be of use. */
function checkFit(options, hasTls, hasWs) {
  const unfit = (names, needs) => {
    // `insecure: false` asks for nothing.
    const name = names.find((one) => options[one] ?? false);
    if (name) throw optionError(name, `needs transport ${needs}`);
  };
  if (!hasTls) unfit(TLS_OPTIONS, 'tls or wss');
  if (options.transport === undefined || options.transport === 'tcp') {
    unfit(WS_OPTIONS, 'tls, wss or ws');
  }
  if (!hasWs) unfit(['wsPath'], 'wss or ws, or tls with stealthSecret');
}

class Transport {
  #options;
  #hasTls;
  #hasWs;
  #tls = 0;
  #closed = false;

  /** Throws where options do not fit together. */
  constructor(options) {
    const { transport: kind = 'tcp', stealthSecret } = options;
    this.#options = options;
    this.#hasTls = kind === 'tls' || kind === 'wss';
    // The knock is a request for a WebSocket.
    this.#hasWs =
      kind === 'wss' || kind === 'ws' || stealthSecret !== undefined;
    checkFit(options, this.#hasTls, this.#hasWs);
    if (kind !== 'tcp' && options.stream) {
      throw optionError('stream', `cannot be combined with transport ${kind}`);
    }
    parsePins(options.tlsPin);
    this.defaultPort = PORTS[kind];
    this.server = options.server
      ? parseHostPort('server', options.server, this.defaultPort)
      : null;
    if (this.server?.port === 0) throw optionError('server', 'has no port 0');
  }

  /** For native.tunnelConnect(); files are read at the first call. */
  async dialOptions() {
    if (this.#hasTls && this.#tls === 0) await this.#load();
    const { stealthSecret, tlsServerName, wsPath } = this.#options;
    const name = tlsServerName ?? this.server?.host;
    return {
      ...this.server,
      ...(this.#hasTls && { tls: this.#tls, tlsName: name }),
      ...(this.#hasWs && {
        wsPath: wsPath ?? DEFAULT_PATH,
        wsHost: hostField(name, this.server.port, this.defaultPort),
        secret: stealthSecret,
        // With wss something in front of the server may end the TLS.
        bindTls: this.#options.transport === 'tls',
      }),
    };
  }

  async #load() {
    const tls = await loadClientTls(this.#options);
    if (this.#closed) native.tlsFree(tls);
    else this.#tls = tls;
  }

  close() {
    this.#closed = true;
    if (this.#tls !== 0) native.tlsFree(this.#tls);
    this.#tls = 0;
  }
}

module.exports = { DEFAULT_PATH, Transport };
